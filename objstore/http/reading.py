"""Reading one message body off a stream: the decoder says what is body, this says how it gets to the reader."""

from __future__ import annotations

from collections import deque

from objstore.http.framing import BodyDecoder, LengthDecoder
from objstore.http.stream import BodyStream

__all__ = ["BodyReader"]

_RECEIVE_BYTES = 65536
_LINE_BYTES = 256
"""What is received at a time where a line of chunked framing is due between large chunks: whatever comes with it is
copied, and the rest of the chunk can go straight to the reader."""
_NO_PIECES: deque[bytes] = deque()
"""Of all bodies of which nothing was set aside; nothing is ever put into it."""


class BodyReader:
    """One body, once. Large raw parts are received straight into the reader's buffer.

    Raises FramingError (broken framing, or closed before the end), OSError, TimedOut.
    received: bytes of body given out so far. rest: what came after the end of the body, once it is done.
    """

    __slots__ = ("_stream", "_decoder", "_pieces", "_start", "_held", "_receive_bytes", "received", "rest")

    def __init__(self, stream: BodyStream, decoder: BodyDecoder, first: bytes) -> None:
        """first: bytes that were received with the head."""
        self._stream = stream
        self._decoder = decoder
        # A deque is made for a body that comes in pieces: most come whole, and a deque takes half a KiB.
        self._pieces: deque[bytes] = _NO_PIECES
        self._start = 0
        is_done = decoder.is_done
        self._held = b"" if is_done else first
        self._receive_bytes = _RECEIVE_BYTES
        self.received = 0
        self.rest = first if is_done else b""

    @property
    def is_done(self) -> bool:
        """Whether everything has been given out."""
        return self._decoder.is_done and not self._pieces

    @property
    def remaining(self) -> int | None:
        """Bytes still to be given out; None when only the end will tell."""
        if isinstance(self._decoder, LengthDecoder):
            return self._decoder.raw + sum(map(len, self._pieces)) - self._start  # What is held is still part of raw.
        return None

    def read(self, size: int, timeout_s: float) -> bytes:
        """Exactly size bytes but at the end."""
        if self._held and (whole := self._short_body(size)):
            return whole
        pieces: list[bytes] = []
        missing = size
        while missing:
            piece = self.read_some(missing, timeout_s)
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_some(self, size: int, timeout_s: float) -> bytes:
        """What is there, at least a byte and at most size; b"" at the end."""
        if self._held and (whole := self._short_body(size)):
            return whole
        while not self._pieces:
            decoder = self._decoder
            if decoder.is_done:
                return b""
            if decoder.raw and not self._held:
                data = self._stream.recv(min(size, decoder.raw, 1 << 20), timeout_s)
                if not data:
                    decoder.end_of_stream()
                    return b""
                self.skip(len(data))
                return data
            self._receive(timeout_s)
        return self._take(size)

    def _short_body(self, size: int) -> bytes:
        """All of a body of at most size bytes, if all of it came with the head; else nothing."""
        held, decoder = self._held, self._decoder
        if type(decoder) is not LengthDecoder or len(held) != decoder.raw or len(held) > size:
            return b""
        self._held = b""
        decoder.raw = 0
        self.received += len(held)
        return held

    def readinto(self, view: memoryview, timeout_s: float) -> int:
        """What is there, at least a byte; 0 at the end."""
        while not self._pieces:
            decoder = self._decoder
            if decoder.is_done:
                return 0
            if decoder.raw and not self._held:
                count = self._stream.recv_into(view[: decoder.raw], timeout_s)
                if not count:
                    decoder.end_of_stream()
                    return 0
                self.skip(count)
                return count
            self._receive(timeout_s)
        piece = self._take(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def readline(self, limit: int, timeout_s: float) -> bytes:
        """Up to and with LF; what there is when limit or the end comes first."""
        line = bytearray()
        while len(line) < limit:
            if not self._pieces:
                if self._decoder.is_done:
                    break
                self._receive(timeout_s)
                continue
            piece = self._pieces[0]
            most = limit - len(line)
            end = piece.find(b"\n", self._start, self._start + most) + 1
            line += self._take(end - self._start if end else most)
            if end:
                break
        return bytes(line)

    @property
    def on_its_way(self) -> int:
        """Bytes of a body of known length that have not been received; 0 when the length is not known."""
        decoder = self._decoder
        return max(0, decoder.raw - len(self._held)) if isinstance(decoder, LengthDecoder) else 0

    @property
    def raw(self) -> int:
        """Body bytes that come next on the stream as they stand; 0 while pieces are buffered."""
        return 0 if self._pieces or self._held else self._decoder.raw

    def skip(self, count: int) -> None:
        """count bytes of `raw` were taken off the stream as they stand."""
        decoder = self._decoder
        decoder.skip(count)
        self.received += count
        if not decoder.raw:
            self._receive_bytes = _LINE_BYTES

    def _receive(self, timeout_s: float) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._feed(held)
        else:
            size, self._receive_bytes = self._receive_bytes, _RECEIVE_BYTES
            self._feed_or_end(self._stream.recv(size, timeout_s))

    def _feed_or_end(self, data: bytes) -> None:
        if data:
            self._feed(data)
        else:
            self._decoder.end_of_stream()

    def _feed(self, data: bytes) -> None:
        pieces, rest = self._decoder.feed(data)
        if self._pieces is _NO_PIECES:
            self._pieces = deque()
        self._pieces.extend(piece for piece in pieces if piece)
        self.rest = rest

    def _take(self, size: int) -> bytes:
        piece, start = self._pieces[0], self._start
        if len(piece) - start <= size:
            self._pieces.popleft()
            self._start = 0
            taken = piece[start:] if start else piece
        else:
            # The piece stays whole: small reads do not copy what they leave.
            self._start = start + size
            taken = piece[start : start + size]
        self.received += len(taken)
        return taken
