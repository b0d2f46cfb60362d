import pytest

from objstore.core.errors import BadRequest
from objstore.proxy.expiry import delete_at

NOW = 1_800_000_000.5


@pytest.mark.parametrize(
    ("at", "after", "moment"),
    [
        (None, None, None),
        ("1800000100", None, 1800000100),
        (" 1800000100 ", None, 1800000100),
        ("999999999999", None, 9999999999),
        (None, "10", 1800000010),
        (None, " +10 ", 1800000010),
        ("1900000000", "10", 1800000010),
        (None, "99999999999", 9999999999),
    ],
)
def test_when_an_object_expires(at, after, moment):
    assert delete_at(at, after, NOW) == moment


@pytest.mark.parametrize("at", ["", "junk", "1", "-5", "1800000100.5", "0x10", "1e10", "1_900_000_000", "9" * 5000])
def test_bad_delete_at_is_refused(at):
    with pytest.raises(BadRequest):
        delete_at(at, None, NOW)


@pytest.mark.parametrize("after", ["", "junk", "0", "-1", "1.5"])
def test_bad_delete_after_is_refused(after):
    with pytest.raises(BadRequest):
        delete_at(None, after, NOW)
