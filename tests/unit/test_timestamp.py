"""core/timestamp.py against the golden values of the formats document (sections 3 and 9)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.core.timestamp import (
    MAX_OFFSET,
    MAX_TICKS,
    InvalidTimestamp,
    Timestamp,
    decode,
    decode_meta_name,
    encode,
    encode_meta_name,
)

timestamps = st.builds(Timestamp, st.integers(0, MAX_TICKS), st.just(0) | st.integers(0, MAX_OFFSET))


def test_forms_of_a_timestamp_with_an_offset():
    timestamp = Timestamp.from_seconds(1402464677.04188, 1)
    assert timestamp.normal == "1402464677.04188"
    assert timestamp.internal == "1402464677.04188_0000000000000001"
    assert timestamp.short == "1402464677.04188_1"
    assert timestamp.inverted().internal == "8597535322.95810_ffffffffffffffff"
    assert timestamp.ceil_seconds == 1402464678


def test_inverse_without_offset():
    assert Timestamp.parse("1795232479.96376").inverted().normal == "8204767520.03623"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("1402464677.04188_2", "1402464678.04192", "1402464670.04192"), "1402464677.04188_2+186a4-c3500"),
        (("1795232188.14071", "1795232188.31244", "1795232188.45674"), "1795232188.14071+4315+385e"),
        (("1.00000", "1.00000", "1.00000"), "0000000001.00000"),
    ],
)
def test_encode_writes_differences_in_ticks(parts, text):
    assert encode(*map(Timestamp.parse, parts)) == text
    assert decode(text) == tuple(map(Timestamp.parse, parts))


def test_meta_name_with_and_without_content_type():
    meta, content_type = Timestamp.parse("1795232188.45674"), Timestamp.parse("1795232188.31244")
    assert encode_meta_name(meta, content_type) == "1795232188.45674-385e"
    assert encode_meta_name(meta, meta) == "1795232188.45674+0"
    assert encode_meta_name(meta, None) == "1795232188.45674"
    assert decode_meta_name("1795232188.45674-385e") == (meta, content_type)
    assert decode_meta_name("1795232188.45674+0") == (meta, meta)
    assert decode_meta_name("1795232188.45674") == (meta, None)


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "10000000000", "nan", "inf", "1_", "1_g", "1_1_1", "1_" + "f" * 17, "1__1"]
)
def test_parse_refuses(text):
    with pytest.raises(InvalidTimestamp):
        Timestamp.parse(text)


@given(timestamps, timestamps)
def test_internal_text_sorts_as_the_values_do(a, b):
    assert (a < b) == (a.internal < b.internal)


@given(timestamps)
def test_parse_restores_every_form(timestamp):
    assert Timestamp.parse(timestamp.internal) == timestamp == Timestamp.parse(timestamp.short)


@given(timestamps.filter(lambda timestamp: timestamp.ticks < MAX_TICKS))
def test_inverting_twice_is_the_identity(timestamp):
    assert timestamp.inverted().inverted() == timestamp


@given(st.builds(Timestamp, st.integers(0, MAX_TICKS)), st.integers(0, MAX_TICKS), st.integers(0, MAX_TICKS))
def test_encode_restores_three_timestamps(data, content_type, meta):
    triple = (data, Timestamp(content_type), Timestamp(meta))
    assert decode(encode(*triple)) == triple


def test_dates():
    timestamp = Timestamp.parse("1402464677.04188")
    assert timestamp.isoformat == "2014-06-11T05:31:17.041880"
    assert timestamp.http_date == "Wed, 11 Jun 2014 05:31:18 GMT"
