"""The only place that unpickles or pickles: Swift's disks and wire hold pickles, so we read and write just those.

loads() admits plain containers, text, bytes and numbers, and the few names that formats 2.4, 4.2 and 4.14 list; any
other name in the stream is refused before it is looked up. dumps() writes protocol 2, the only one every reader shares.
"""

from __future__ import annotations

import _codecs
import array
import io
import pickle
from collections.abc import Mapping
from typing import Any


class UnsafePickle(ValueError):
    """A pickle that is broken, or names something beyond the allow-list."""


class _Record:
    """An instance of a foreign class of the allow-list, reduced to its attributes."""

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state)


def _reconstruct(kind: type, base: type, state: Any) -> Any:
    """copy_reg._reconstructor for dict subclasses: the mapping alone."""
    return dict(state) if state else {}


def _rebuild_array(kind: type, typecode: str, machine_format: int, data: bytes) -> array.array[Any]:
    """array._array_reconstructor, sizes checked by array itself; machine formats as the array module numbers them."""
    rebuilt: array.array[Any] = array.array(typecode)
    rebuilt.frombytes(data)
    # Odd numbers of the unsigned 16 and 32 bit formats are big-endian.
    if machine_format in (3, 5, 7, 9, 11, 13):
        rebuilt.byteswap()
    return rebuilt


_PLAIN: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _codecs.encode,
    ("builtins", "bytes"): bytes,
    ("__builtin__", "bytes"): bytes,
    ("builtins", "dict"): dict,
    ("__builtin__", "dict"): dict,
    ("builtins", "object"): object,
    ("__builtin__", "object"): object,
    ("copy_reg", "_reconstructor"): _reconstruct,
    ("copyreg", "_reconstructor"): _reconstruct,
    ("swift.common.header_key_dict", "HeaderKeyDict"): dict,
    ("swift.common.swob", "HeaderKeyDict"): dict,
}
_BUILDER: dict[tuple[str, str], Any] = _PLAIN | {
    ("array", "array"): array.array,
    ("array", "_array_reconstructor"): _rebuild_array,
    ("swift.common.ring.builder", "RingBuilder"): _Record,
}


class _Reader(pickle.Unpickler):
    def __init__(self, data: bytes, allowed: dict[tuple[str, str], Any], encoding: str) -> None:
        super().__init__(io.BytesIO(data), encoding=encoding)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise UnsafePickle(f"{module}.{name} may not be unpickled") from None

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafePickle("persistent ids may not be unpickled")


def loads(data: bytes, *, encoding: str = "bytes") -> Any:
    """Plain values of a pickle. encoding: how Python 2 byte strings come out. Raises UnsafePickle on anything else."""
    return _loads(data, _PLAIN, encoding)


def loads_builder(data: bytes) -> Any:
    """As loads, admitting array.array and the attribute style of very old ring builders (formats 2.4)."""
    value = _loads(data, _BUILDER, "latin-1")
    return vars(value) if isinstance(value, _Record) else value


def dumps(value: Any, protocol: int = 2) -> bytes:
    """Protocol 2 of plain values: the bytes that every Swift release reads (formats 4.2)."""
    return pickle.dumps(value, protocol=protocol)


def dumps_bytes(pairs: Mapping[bytes, bytes]) -> bytes:
    """As dumps() of a mapping of bytes to bytes, to the byte, in a quarter of the time.

    Protocol 2 has no bytes: each is a call of _codecs.encode(text, "latin1"), which pickle looks up anew. Only the
    numbers under which it remembers every step (BINPUT) differ from one string to the next."""
    strings = [part for pair in pairs.items() for part in pair]
    if not 4 <= len(strings) <= len(_REMEMBERED) or min(map(len, strings)) < 2:
        # A lone pair, larger numbers, and the bytes that Python holds once only are written in other ways.
        return dumps(dict(pairs))
    parts = [_BEGIN]
    for string, remembered in zip(strings, _REMEMBERED, strict=False):
        if not string.isascii():
            string = string.decode("latin-1").encode()
        parts += (len(string).to_bytes(4, "little"), string, remembered)
    parts[-1] = parts[-1][:-3] + b"u."
    return b"".join(parts)


def loads_bytes(data: bytes) -> dict[bytes, bytes] | None:
    """The mapping that dumps_bytes() wrote in its own way; None for anything else, which loads() may understand."""
    if not data.startswith(_BEGIN):
        return None
    strings: list[bytes] = []
    position = len(_BEGIN)
    for remembered in _REMEMBERED:
        start = position + 4
        position = start + int.from_bytes(data[position:start], "little")
        strings.append(data[start:position])
        if not data.startswith(remembered, position):
            return _paired(strings) if data[position:] == remembered[:-3] + b"u." else None
        position += len(remembered)
    return None


def _paired(strings: list[bytes]) -> dict[bytes, bytes] | None:
    try:
        real = [string if string.isascii() else string.decode().encode("latin-1") for string in strings]
    except UnicodeError:
        return None
    return None if len(real) % 2 else dict(zip(real[::2], real[1::2], strict=True))


_BEGIN = b"\x80\x02}q\x00(c_codecs\nencode\nq\x01X"


def _remembered(index: int) -> bytes:
    """The opcodes between the string of an index and the next."""
    if index == 0:
        return b"q\x02X\x06\x00\x00\x00latin1q\x03\x86q\x04Rq\x05h\x01X"
    number = 3 + 3 * index
    return b"q%ch\x03\x86q%cRq%ch\x01X" % (number, number + 1, number + 2)


_REMEMBERED = [_remembered(index) for index in range(84)]


def _loads(data: bytes, allowed: dict[tuple[str, str], Any], encoding: str) -> Any:
    try:
        return _Reader(data, allowed, encoding).load()
    except UnsafePickle:
        raise
    except Exception as error:  # A broken pickle can raise nearly anything; all of it means the same.
        raise UnsafePickle(f"not a readable pickle: {error!r}") from None
