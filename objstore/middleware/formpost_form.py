"""A form that a browser sends: its fields, then its files, as they arrive. Parsing alone; nothing is asked or stored.

multipart/form-data (RFC 7578). Fields stand before the first file; what comes behind it is ignored, as the protocol of
formpost says. Limits: a field of FIELD_BYTES, FIELDS of them, headers as the parser has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from objstore.core.names import wsgi_of
from objstore.http.body import RequestBody

FIELD_BYTES = 8 << 10
FIELDS = 100
_PIECE_BYTES = 64 << 10
_FORM = "multipart/form-data"
_BOUNDARY_BYTES = 70


SIGNED = ("redirect", "max_file_size", "max_file_count", "expires")
"""Fields, in the order in which they are signed behind the path."""


class FormError(Exception):
    """The body is not a form that can be read; the text says why."""


class FileTooLarge(Exception):
    """A file is longer than the form allows."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of the form. name: as the browser says, '' when none was chosen."""

    name: str
    content_type: str
    content_encoding: str


def signed_message(wsgi_path: str, fields: Mapping[str, str]) -> bytes:
    """What the signature of a form is over. wsgi_path: /v1/account/container[/prefix]; fields: text."""
    signed = "\n".join([wsgi_path, *(wsgi_of(fields.get(name, "")) for name in SIGNED)])
    return signed.encode("latin-1", "replace")


class Form:
    """fields: complete once the first file is drawn, or none is left."""

    def __init__(self, body: RequestBody, content_type: str) -> None:
        """Raises FormError for another type."""
        self.fields: dict[str, str] = {}
        self._parser = PushMultipartParser(_boundary(content_type), max_segment_count=FIELDS, header_charset="utf-8")
        self._events = self._parsed(body)
        self._file: File | None = None
        self._is_open = False

    def next_file(self) -> File | None:
        """The next file; what is left of the one before is passed over. Raises FormError."""
        while self._is_open:
            self._data()
        for event in self._events:
            if isinstance(event, MultipartSegment):
                if event.filename is not None:
                    self._is_open = True
                    return File(event.filename, event.content_type or "", event.header("Content-Encoding") or "")
                self._take_field(event)
        return None

    def pieces(self, most: int) -> Iterator[bytes]:
        """The content of the file just drawn. Raises FormError, or FileTooLarge past `most` bytes."""
        size = 0
        while self._is_open:
            piece = self._data()
            size += len(piece)
            if size > most:
                raise FileTooLarge
            if piece:
                yield piece

    def _data(self) -> bytes:
        event = next(self._events, None)
        if isinstance(event, (bytes, bytearray)):
            return bytes(event)
        self._is_open = False
        return b""

    def _take_field(self, segment: MultipartSegment) -> None:
        value = b""
        for event in self._events:
            if not isinstance(event, (bytes, bytearray)):
                break
            value += event
            if len(value) > FIELD_BYTES:
                raise FormError(f"the field {segment.name!r} is longer than {FIELD_BYTES} bytes")
        try:
            self.fields.setdefault(segment.name, value.decode("utf-8"))
        except UnicodeDecodeError:
            raise FormError(f"the field {segment.name!r} is not UTF-8") from None

    def _parsed(self, body: RequestBody) -> Iterator[MultipartSegment | bytearray | None]:
        """A segment's head, pieces of its body, None at its end, and so on."""
        parser = self._parser
        try:
            while not parser.closed:
                yield from parser.parse(body.read_some(_PIECE_BYTES))
        except (MultipartError, UnicodeDecodeError) as error:
            raise FormError(str(error) or "the form cannot be read") from None


def _boundary(content_type: str) -> str:
    try:
        kind, options = parse_options_header(content_type)
    except (ValueError, UnicodeError):
        kind, options = "", {}
    boundary = options.get("boundary", "")
    if kind.lower() != _FORM or not 0 < len(boundary) <= _BOUNDARY_BYTES or not boundary.isascii():
        raise FormError("expected multipart/form-data with a boundary")
    return str(boundary)


def is_form(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == _FORM
