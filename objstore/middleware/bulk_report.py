"""What a bulk operation answers: counts, the real status, and what went wrong with which name, in three formats. Pure.

    {"Number Deleted": 2, "Number Not Found": 0, "Response Status": "400 Bad Request", "Response Body": "",
     "Errors": [["c/o", "403 Forbidden"]]}

Source: features A4.1, A4.5, A5.5, A5.6; Swift API guide, "Bulk operations".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from xml.sax.saxutils import escape

from objstore.core.accept import best_match
from objstore.core.errors import BadRequest
from objstore.http.environ import Environ
from objstore.http.status import HTTPStatus, status_line

TEXT, JSON, XML = "text/plain", "application/json", "application/xml"
_OFFERED = (TEXT, JSON, XML, "text/xml")


class Report:
    """counts: what is counted, by the name it has in the report. root: the element of the XML form."""

    def __init__(self, root: str, *counts: str) -> None:
        self._root = root
        self.counts = dict.fromkeys(counts, 0)
        self.facts: dict[str, str] = {}
        """What else there is to tell, by name."""
        self.errors: list[tuple[str, str]] = []
        self.status = status_line(HTTPStatus.OK)
        self.body = ""

    def fail(self, status: int, why: str) -> None:
        """Give the whole operation up."""
        self.status, self.body = status_line(status), why

    def fail_of_errors(self) -> bool:
        """Whether there are any; then they decide the status: the servers' fault when all of them are."""
        if self.errors:
            are_servers = all(int(status[:3]) >= HTTPStatus.INTERNAL_SERVER_ERROR for _, status in self.errors)
            self.fail(HTTPStatus.BAD_GATEWAY if are_servers else HTTPStatus.BAD_REQUEST, "")
        return bool(self.errors)

    def render(self, type_: str) -> bytes:
        facts: dict[str, object] = {
            **self.counts,
            **self.facts,
            "Response Status": self.status,
            "Response Body": self.body,
        }
        return _RENDER[type_](self._root, facts, self.errors).encode("utf-8", "replace")

    def render_errors(self, type_: str) -> bytes:
        """The errors alone: of an answer whose own status says the rest."""
        return _RENDER[type_](self._root, {}, self.errors).encode("utf-8", "replace")


def report_type(environ: Environ) -> str | None:
    """The format the client likes best; None when it likes none."""
    try:
        return best_match(environ.get("HTTP_ACCEPT", ""), _OFFERED)
    except BadRequest:
        return None


def _text(root: str, facts: dict[str, object], errors: list[tuple[str, str]]) -> str:
    lines = [f"{name}: {facts[name]}\n" for name in sorted(facts)]
    return "".join([*lines, "Errors:\n", *(f"{name}, {status}\n" for name, status in errors)])


def _json(root: str, facts: dict[str, object], errors: list[tuple[str, str]]) -> str:
    return json.dumps({**facts, "Errors": errors})


def _xml(root: str, facts: dict[str, object], errors: list[tuple[str, str]]) -> str:
    rows = [f"<{_tag(name)}>{escape(str(facts[name]))}</{_tag(name)}>\n" for name in sorted(facts)]
    failed = [
        f"<object><name>{escape(name)}</name><status>{escape(status)}</status></object>\n" for name, status in errors
    ]
    inside = "".join([*rows, "<errors>\n", *failed, "</errors>\n"])
    # The declaration may only stand first: blanks that keep the connection alive go before a body without one.
    return f"<{root}>\n{inside}</{root}>\n"


def _tag(name: str) -> str:
    return name.lower().replace(" ", "_")


_RENDER: dict[str, Callable[[str, dict[str, object], list[tuple[str, str]]], str]] = {
    TEXT: _text,
    JSON: _json,
    XML: _xml,
    "text/xml": _xml,
}
