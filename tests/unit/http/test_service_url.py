"""http/service_url.py: what may be asked of a service, and how it is named."""

import pytest

from objstore.http.service_url import parse_url


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "authority"),
    [
        ("http://h", "h", 80, "/", "h"),
        ("https://h/", "h", 443, "/", "h"),
        ("https://h:443/v3", "h", 443, "/v3", "h"),
        ("http://H.example:5000/v3/auth?a=b%20c", "h.example", 5000, "/v3/auth?a=b%20c", "h.example:5000"),
        ("http://192.0.2.1:80/a%2Fb", "192.0.2.1", 80, "/a%2Fb", "192.0.2.1"),
        ("https://[2001:db8::1]:8443/x", "2001:db8::1", 8443, "/x", "[2001:db8::1]:8443"),
        ("https://[2001:db8::1]/x", "2001:db8::1", 443, "/x", "[2001:db8::1]"),
    ],
)
def test_a_url_is_taken_apart(url, host, port, target, authority):
    parsed = parse_url(url)
    assert (parsed.host, parsed.port, parsed.target, parsed.authority) == (host, port, target, authority)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:5000",
        "ftp://h/",
        "file:///etc/passwd",
        "http://",
        "http:///v3",
        "http://user:secret@h/",
        "http://h:0/",
        "http://h:99999/",
        "http://h:x/",
        "http://h:/",
        "http://h/a b",
        "http://h/\r\nX-Evil: 1",
        "http://h/é",
        "http://h/a#b",
        "http://h/#",
        "http://h\\@evil/",
        "http://[::1/",
        "http://[v1.x]/",
    ],
)
def test_what_is_no_url_of_a_service_is_refused_and_not_quoted(url):
    with pytest.raises(ValueError) as refused:
        parse_url(url)
    assert "secret" not in str(refused.value)


def test_a_query_is_not_logged():
    assert parse_url("https://h:1/a?sig=secret").loggable == "https://h:1/a"
    assert str(parse_url("https://h:1/a?sig=secret")) == "https://h:1/a?sig=secret"
