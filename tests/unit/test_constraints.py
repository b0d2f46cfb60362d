import pytest

from objstore.core.constraints import check_metadata, check_name
from objstore.core.errors import BadRequest
from objstore.core.limits import Limits

LIMITS = Limits()


def accepted(kind, **headers):
    check_metadata([(f"x-{kind}-meta-{name}", value) for name, value in headers.items()], kind, LIMITS)


@pytest.mark.parametrize(
    "headers",
    [
        [("x-object-meta-" + "k" * 128, "v")],
        [("x-object-meta-a", "v" * 256)],
        [("x-object-meta-a", "\xc3\xa9" * 128)],
        [(f"x-object-meta-{n}", "v") for n in range(90)],
        [("x-object-meta-a", "\xff\xfe")],
        [("x-other", "v" * 8192)],
    ],
)
def test_metadata_at_the_limits_is_accepted(headers):
    check_metadata(headers, "object", LIMITS)


@pytest.mark.parametrize(
    "headers",
    [
        [("x-object-meta-", "v")],
        [("x-object-meta-" + "k" * 129, "v")],
        [("x-object-meta-a", "v" * 257)],
        [("x-object-meta-a", "\xc3\xa9" * 129)],
        [(f"x-object-meta-{n}", "v") for n in range(91)],
        [(f"x-object-meta-{n:02}", "v" * 254) for n in range(17)],
        [("x-other", "v" * 8193)],
    ],
)
def test_metadata_over_a_limit_is_refused(headers):
    with pytest.raises(BadRequest):
        check_metadata(headers, "object", LIMITS)


@pytest.mark.parametrize("kind", ["account", "container"])
def test_metadata_of_accounts_and_containers_must_be_utf8(kind):
    accepted(kind, uni="\xe2\x98\x83")
    with pytest.raises(BadRequest):
        accepted(kind, bad="\xff\xfe")


def test_names_are_measured_in_characters():
    check_name("\u00e9" * 1024, "Object", 1024)
    with pytest.raises(BadRequest):
        check_name("\u00e9" * 1025, "Object", 1024)
