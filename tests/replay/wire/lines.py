"""Recorded lines as values, with their times moved into the present."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

RECORDED = 1795240800  # 2026-11-21 06:00:00 UTC, after the last of it
DAY_S = 86400
_UNIX = re.compile(r"(?<![0-9A-Fa-f])(179[5-6]\d{6})(?=\D|$)")
_HTTP_DATE = re.compile(r"\w{3}, \d\d \w{3} 2026 \d\d:\d\d:\d\d GMT")
_IN_MANIFESTS = "X-Static-Large-Object"
_ISO_DATE = re.compile(r"2026-\d\d-\d\d(?=T\d\d:\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response. `body` as recorded: text, {"base64"} or a description of a text that was not kept."""

    headers: tuple[tuple[str, str], ...]
    body: Any
    method: str = ""
    path: str = ""
    status: int = 0
    chunks: tuple[tuple[int, ...], ...] = ()
    is_incomplete: bool = False

    def header(self, name: str, default: str = "") -> str:
        return next((value for each, value in self.headers if each.lower() == name.lower()), default)

    def body_bytes(self) -> bytes:
        if isinstance(self.body, str):
            return self.body.encode("utf-8", "surrogateescape")
        return base64.b64decode(self.body["base64"]) if "base64" in self.body else b""


@dataclass(frozen=True, slots=True)
class Line:
    """One exchange between two roles. `id` is <file>.<operation>#<n>."""

    id: str
    sender: str
    receiver: str
    request: Message
    response: Message
    interim: int
    cause: str

    @property
    def operation(self) -> str:
        return self.id.partition("#")[0]

    @property
    def service(self) -> str:
        """account, container, object or proxy: the receiver without its number and network."""
        return self.receiver.removesuffix("-repl").rstrip("0123456789")

    @property
    def device(self) -> str:
        return self.request.path.split("/")[1]


def load(path: Path, *, now_s: float | None = None) -> list[Line]:
    """Every line of a file in order; a line that also went to other nodes is there once for each of them."""
    days = int(((time.time() if now_s is None else now_s) - RECORDED) // DAY_S)
    text = path.read_text(encoding="utf-8")
    return [line for raw in text.splitlines() for line in _lines(json.loads(shift(raw, days)))]


def shift(text: str, days: int) -> str:
    """`text` with every time of the recording moved by whole days: Unix times, HTTP dates and ISO dates. What has
    passed then has passed now, whatever the hour."""
    if not days:
        return text
    text = _UNIX.sub(lambda found: str(int(found[1]) + days * DAY_S), text)
    text = _HTTP_DATE.sub(lambda found: _moved_http_date(found[0], days), text)
    if _IN_MANIFESTS in text:
        return text  # Its dates are bytes of an object whose ETag was recorded.
    return _ISO_DATE.sub(lambda found: f"{datetime.fromisoformat(found[0]) + timedelta(days=days):%Y-%m-%d}", text)


def _moved_http_date(date: str, days: int) -> str:
    moved = datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC) + timedelta(days=days)
    return f"{moved:%a, %d %b %Y %H:%M:%S} GMT"


def _lines(raw: Mapping[str, Any]) -> Iterator[Line]:
    line = Line(
        id=raw["id"],
        sender=raw["from"],
        receiver=raw["to"],
        request=_message(raw["request"]),
        response=_message(raw["response"]),
        interim=len(raw.get("interim", ())),
        cause=raw.get("cause", ""),
    )
    yield line
    for receiver in raw.get("same_to", ()):
        number = receiver.removesuffix("-repl")[-1]
        path = line.request.path.replace(f"/{line.device}/", f"/sdb{number}/", 1)
        yield replace(line, id=f"{line.id}-{receiver}", receiver=receiver, request=replace(line.request, path=path))


def _message(raw: Mapping[str, Any]) -> Message:
    return Message(
        headers=tuple((name, value) for name, value in raw.get("headers", ())),
        body=raw.get("body", ""),
        method=raw.get("method", ""),
        path=raw.get("path", ""),
        status=raw.get("status") or 0,
        chunks=tuple(tuple(sizes) for sizes in raw.get("chunks", ())),
        is_incomplete=bool(raw.get("incomplete")),
    )
