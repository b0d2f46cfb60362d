"""Recorded conversations with account and container servers, replayed against one in this process."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from objstore.http.dispatch import BackendApp
from tests.support.wsgi import Answer, call

VECTORS = Path(__file__).parents[1] / "vectors" / "wire"

HOP_BY_HOP = {"date", "connection"}
VOLATILE = {"x-timestamp", "x-backend-timestamp", "content-length", "server"}
"""Creation times of a database, and lengths of bodies we word ourselves."""


def exchanges(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (VECTORS / f"{name}.jsonl").read_text().splitlines()]


def wsgi_text(text: str) -> str:
    """Header values stand in the files as text; on the wire they are its UTF-8."""
    return text.encode().decode("latin-1")


def replay(app: BackendApp, exchange: dict[str, Any]) -> Answer:
    request = exchange["request"]
    body = request.get("body") or ""
    data = base64.b64decode(body["base64"]) if isinstance(body, dict) else body.encode()
    headers = {
        name: wsgi_text(value)
        for name, value in request["headers"]
        if name.lower() not in (*HOP_BY_HOP, "content-length", "transfer-encoding", "expect")
    }
    return call(app, request["method"], request["path"], headers, data)


def differences(exchange: dict[str, Any], answer: Answer, better: Mapping[str, int] = {}) -> list[str]:
    """What is not as recorded, save what differs from one run to the next. better: statuses, by the exchange's id, of
    answers that are ours alone, where the recorded one is no example."""
    if exchange["id"] in better:
        wanted_status = better[exchange["id"]]
        return [] if answer.status == wanted_status else [f"status {answer.status} instead of {wanted_status}"]
    expected = exchange["response"]
    found = []
    if answer.status != expected["status"]:
        found.append(f"status {answer.status}, recorded {expected['status']}: {answer.body[:200]!r}")
    was_dropped = isinstance(expected.get("body"), dict)
    wanted = {name.lower(): wsgi_text(value) for name, value in expected["headers"]}
    for name in sorted(wanted.keys() | answer.headers.keys()):
        if name in HOP_BY_HOP or name in VOLATILE or (name == "content-type" and (was_dropped or not expected["body"])):
            continue
        if name == "allow" and answer.status == 405:
            continue  # RFC 9110, section 15.5.6 asks for it; the recording lacks it.
        if wanted.get(name) != answer.headers.get(name):
            found.append(f"{name}: {answer.headers.get(name)!r}, recorded {wanted.get(name)!r}")
    if not was_dropped and expected["body"] and expected["status"] < 300:
        if _parsed(answer.headers["content-type"], answer.body.decode()) != _parsed(
            answer.headers["content-type"], expected["body"]
        ):
            found.append(f"body {answer.body!r}, recorded {expected['body']!r}")
    return found


def _parsed(content_type: str, text: str) -> Any:
    return json.loads(text) if content_type.startswith("application/json") else text
