"""The report that ends a request which does many things: PUT of a large manifest, deletion of segments. Pure.

    text   `Name: value` lines sorted by name, `Errors:`, then a line `name, status` for each
    json   {…, "Errors": [[name, status], …]}
    xml    <root>, an element per value, <errors> with an <object> each

Source: features A4.1, A4.2, A4.5, A5.2; http vectors slo-*, bulk-*.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from objstore.core.accept import best_match
from objstore.core.errors import BadRequest

TEXT, JSON = "text/plain", "application/json"
_OFFERED = (TEXT, JSON, "application/xml", "text/xml")
Failures = Sequence[tuple[str, str]]


def report_type(accept: str | None) -> str:
    """The media type for an Accept header; text where none of ours is wanted."""
    try:
        return best_match(accept or "", _OFFERED) or TEXT
    except BadRequest:
        return TEXT


def report(type_: str, root: str, facts: Mapping[str, str | int], failures: Failures) -> bytes:
    """failures: (name as it stands in a path, what happened)."""
    if type_ == JSON:
        return json.dumps({**facts, "Errors": [list(pair) for pair in failures]}).encode()
    if type_ == TEXT:
        lines = [f"{name}: {facts[name]}\n" for name in sorted(facts)]
        lines += ["Errors:\n", *(f"{name}, {status}\n" for name, status in failures)]
        return "".join(lines).encode("utf-8", "replace")
    return _xml(root, facts, failures).encode("utf-8", "replace")


def _xml(root: str, facts: Mapping[str, str | int], failures: Failures) -> str:
    lines = [f"<{root}>\n"]
    for name in sorted(facts):
        tag = name.replace(" ", "_").lower()
        lines.append(f"<{tag}>{escape(str(facts[name]))}</{tag}>\n")
    lines.append("<errors>\n")
    for name, status in failures:
        lines.append(f"<object><name>{escape(name)}</name><status>{escape(status)}</status></object>\n")
    return "".join([*lines, "</errors>\n", f"</{root}>\n"])
