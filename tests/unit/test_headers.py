"""core/headers.py: names in their three spellings."""

import pytest

from objstore.core.headers import environ_key, header_name, lowered, title


@pytest.mark.parametrize(
    "lower, titled, key",
    [
        ("x-object-meta-color", "X-Object-Meta-Color", "HTTP_X_OBJECT_META_COLOR"),
        ("content-type", "Content-Type", "CONTENT_TYPE"),
        ("etag", "Etag", "HTTP_ETAG"),
        ("x-object-meta-n\xc3\xa4me", "X-Object-Meta-N\xc3\xa4me", "HTTP_X_OBJECT_META_N\xc3\xa4ME"),
        ("x-a-\xc3\xbf\xc2\xb5\xc3\x9f", "X-A-\xc3\xbf\xc2\xb5\xc3\x9f", "HTTP_X_A_\xc3\xbf\xc2\xb5\xc3\x9f"),
    ],
)
def test_names_keep_their_bytes_from_0x80_in_every_spelling(lower, titled, key):
    assert title(lower) == titled
    assert environ_key(lower) == environ_key(titled) == key
    assert header_name(key) == lower


@pytest.mark.parametrize("name", ["X-Object-Meta-Color", "X-Object-Meta-É", "X-Object-Meta-GRÖSSE", "X-\udcff"])
def test_lower_case_leaves_bytes_of_utf_8_alone(name):
    wire = name if "\udcff" in name else name.encode().decode("latin-1")
    assert lowered(wire) == "".join(letter.lower() if letter < "\x80" else letter for letter in wire)
