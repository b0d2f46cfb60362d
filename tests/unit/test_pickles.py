"""core/pickles.py: what it admits, what it refuses (threats: pickle in memcache, pickled REPLICATE replies)."""

import array
import os
import pickle
import subprocess
from collections import OrderedDict

import pytest

from objstore.core.pickles import UnsafePickle, dumps, dumps_bytes, loads, loads_builder, loads_bytes


class Exploit:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True], b"k": (b"v", "w")}, [], {"s": {1, 2}}, b""])
def test_plain_values_survive(value, protocol):
    if protocol < 4 and isinstance(value, dict) and "s" in value:
        pytest.skip("sets need a global before protocol 4")
    assert loads(pickle.dumps(value, protocol)) == value


def test_dumps_writes_bytes_as_swift_does():
    assert dumps({b"a": b"b"}).startswith(b"\x80\x02}q\x00c_codecs\nencode\n")


@pytest.mark.parametrize(
    "payload",
    [
        Exploit(os.system, "true"),
        Exploit(subprocess.Popen, ["true"]),
        Exploit(eval, "1"),
        Exploit(getattr, "x", "upper"),
        OrderedDict(a=1),
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.parametrize("reader", [loads, loads_builder])
def test_anything_else_is_refused(payload, reader):
    with pytest.raises(UnsafePickle):
        reader(pickle.dumps(payload))


@pytest.mark.parametrize("data", [b"", b"x", b"\x80\x02}", b"\x80\x7f", pickle.dumps([1] * 9)[:-3]])
def test_broken_pickles_are_refused(data):
    with pytest.raises(UnsafePickle):
        loads(data)


def test_builder_reader_admits_arrays():
    for protocol in (2, 3, 5):
        assert loads_builder(pickle.dumps({"row": array.array("H", [1, 2, 65535])}, protocol))["row"].tolist() == [
            1,
            2,
            65535,
        ]
    with pytest.raises(UnsafePickle):
        loads(pickle.dumps(array.array("H", [1])))


@pytest.mark.parametrize("count", [1, 2, 3, 42, 43, 100])
@pytest.mark.parametrize("value", [b"", b"x", b"ab", b"\xc3\xbc\xff", b"v" * 70_000], ids=len)
def test_a_mapping_of_bytes_is_written_as_pickle_writes_it(count, value):
    pairs = {b"key %d" % number: value + b"%d" % number if len(value) > 1 else value for number in range(count)}
    assert dumps_bytes(pairs) == pickle.dumps(pairs, 2)


@pytest.mark.parametrize("count", [2, 3, 42])
@pytest.mark.parametrize("value", [b"ab", b"\xc3\xbc\xff", b"v" * 70_000], ids=len)
def test_a_mapping_of_bytes_is_read_back(count, value):
    pairs = {b"key %d" % number: value + b"%d" % number for number in range(count)}
    assert loads_bytes(dumps_bytes(pairs)) == pairs == loads(dumps_bytes(pairs))


def test_what_is_not_to_the_byte_what_we_write_is_left_to_the_general_reader():
    whole = dumps_bytes({b"first": b"1234", b"second": b"\xe9\xe9"})
    for cut in range(len(whole)):
        assert loads_bytes(whole[:cut]) is None
    for position in range(len(whole)):
        changed = whole[:position] + bytes([whole[position] ^ 0x41]) + whole[position + 1 :]
        found = loads_bytes(changed)
        assert found is None or found == loads(changed)
    for other in (whole + b".", dumps({b"a": b"b"}), dumps(OrderedDict()), dumps({"text": "text"}), b""):
        assert loads_bytes(other) is None


@pytest.mark.parametrize("key", [b"", b"k", b"key", b"\xe9\xe9"])
def test_keys_of_bytes_of_any_length(key):
    pairs = {b"first": b"1234", key: b"value"}
    assert dumps_bytes(pairs) == pickle.dumps(pairs, 2)
