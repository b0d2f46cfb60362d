"""core/row_etag.py: formats 8.1."""

from hypothesis import given
from hypothesis import strategies as st

from objstore.core.row_etag import joined, split

words = st.text(st.characters(codec="ascii", exclude_characters="; =", categories=["L", "N", "P"]), min_size=1)


def test_the_recorded_form():
    text = "d41d8cd98f00b204e9800998ecf8427e; symlink_target=c/o; symlink_target_bytes=5"
    assert split(text) == ("d41d8cd98f00b204e9800998ecf8427e", {"symlink_target": "c/o", "symlink_target_bytes": "5"})
    assert joined(*split(text)) == text


def test_an_etag_alone_has_no_parameters():
    assert split("abc") == ("abc", {}) and joined("abc", {}) == "abc"


@given(words, st.dictionaries(words, words, max_size=4))
def test_what_is_joined_can_be_split(etag, parameters):
    assert split(joined(etag, parameters)) == (etag, parameters)
