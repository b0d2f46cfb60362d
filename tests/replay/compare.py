"""What differs between a recorded answer and the one that came, as sentences.

Header names are compared without case or order; values literally but for `<volatile>` ones. Bodies of JSON and XML are
compared parsed, so that their spacing (and then their Content-Length) may differ; everything else byte by byte.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

from tests.replay.cases import Expected
from tests.replay.client import Answer
from tests.replay.placeholders import Values, matches, to_bytes, to_text

# In every answer; compared with nothing, but must be there (unless the case names them absent) and well formed.
_COUNT = re.compile(r"x-account-(storage-policy-.+-)?(object-count|bytes-used)")
VOLATILE_HEADERS: Mapping[str, str] = {
    "date": "<date>",
    "x-trans-id": "<txid>",
    "x-openstack-request-id": "<txid>",
}


def differences(expected: Expected, answer: Answer, values: Values, *, is_head: bool = False) -> list[str]:
    """Sentences, empty when the answer is the recorded one."""
    if expected.status is None:
        return [] if answer.status is None else [f"expected a close without answer, got {answer.status}"]
    if answer.status is None:
        return [f"expected {expected.status}, got no answer ({answer.problem or 'connection closed'})"]
    found = []
    if answer.problem:
        found.append(answer.problem)
    if answer.status != expected.status:
        found.append(f"status: expected {expected.status}, got {answer.status} {answer.reason}{_excerpt(answer)}")
    if expected.headers is None:
        return found
    if tuple(answer.interim) != expected.interim:
        found.append(f"interim: expected {list(expected.interim)}, got {answer.interim}")
    if answer.is_truncated != expected.is_truncated:
        found.append("the body was cut short" if answer.is_truncated else "expected the body to be cut short")
    is_parsed = _is_parsed(expected, answer)
    found += _volatile_headers(expected, answer)
    found += _headers(expected, answer, values, length_may_differ=is_parsed or _hides_length(expected, is_head))
    found += body_differences(expected.body, answer.body, values, is_parsed=is_parsed)
    return found


def without_counts(expected: Expected, answer: Answer) -> Expected:
    """Where nothing has settled since the last write, an account may know of it or not: whatever it says of objects and
    bytes will do. (There no daemon ran; here containers tell their accounts within seconds.)"""
    if not expected.headers:
        return expected
    headers = {
        name: answer.header(name) if _COUNT.fullmatch(name.lower()) and answer.header(name).isdigit() else value
        for name, value in expected.headers.items()
    }
    return replace(expected, headers=headers)


def _excerpt(answer: Answer) -> str:
    text = to_text(answer.body[:200]).replace("\n", " ")
    return f" ({text!r})" if text and answer.header("content-type").startswith("text/") else ""


def _media_type(headers: Mapping[str, Any]) -> str:
    value = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    return str(value).partition(";")[0].strip().lower()


_SETS = frozenset({"vary", "access-control-allow-headers", "access-control-expose-headers"})
"""Lists whose order means nothing."""


def _is_parsed(expected: Expected, answer: Answer) -> bool:
    kind = _media_type(expected.headers or {})
    return isinstance(expected.body, str) and expected.body != "" and kind in _PARSERS


def _hides_length(expected: Expected, is_head: bool) -> bool:
    """The length of a document whose text we may space differently, told without the document."""
    return is_head and _media_type(expected.headers or {}) in _PARSERS


def _volatile_headers(expected: Expected, answer: Answer) -> Iterator[str]:
    listed = {name.lower() for name in expected.headers or {}}
    for name, shape in VOLATILE_HEADERS.items():
        got = answer.values(name)
        if name in listed or name in expected.absent:
            continue  # compared with the others, or not asked for
        if len(got) != 1:
            yield f"header {name}: expected once, got {got}"
        elif not (matches(shape, got[0]) or matches(shape + "-<text>", got[0])):
            yield f"header {name}: {got[0]!r} is not of the form {shape}"
    if not expected.absent and answer.values("x-trans-id") != answer.values("x-openstack-request-id"):
        yield "x-trans-id and x-openstack-request-id differ"


def _headers(expected: Expected, answer: Answer, values: Values, *, length_may_differ: bool) -> Iterator[str]:
    wanted = _flat(expected.headers or {}, values)
    got: dict[str, list[str]] = {}
    for name, value in answer.headers:
        got.setdefault(name.lower(), []).append(value)
    for name in sorted(wanted.keys() | got.keys()):
        ours, theirs = got.get(name, []), wanted.get(name, [])
        if name in VOLATILE_HEADERS and name not in wanted:
            continue
        if name == "content-length" and length_may_differ and ours and theirs:
            continue
        if name == "connection" and not theirs and answer.status and answer.status >= 400:
            # A refusal may end the connection: its body was not read, and what follows cannot be told from it.
            continue
        if not ours:
            yield f"header {name}: expected {theirs}, got none"
        elif not theirs:
            yield f"header {name}: expected none, got {ours}"
        elif not (name in _SETS and _words(theirs) == _words(ours)) and not _same_values(theirs, ours):
            yield f"header {name}: expected {theirs}, got {ours}"


def _flat(headers: Mapping[str, str | list[str]], values: Values) -> dict[str, list[str]]:
    flat: dict[str, list[str]] = {}
    for name, value in headers.items():
        items = value if isinstance(value, list) else [value]
        flat.setdefault(values.expand(name).lower(), []).extend(values.expand(item) for item in items)
    return flat


def _words(values: list[str]) -> set[str]:
    return {word.strip().lower() for value in values for word in value.split(",")}


def _same_values(expected: list[str], got: list[str]) -> bool:
    left = list(got)
    for text in expected:
        found = next((value for value in left if matches(text, value)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def body_differences(expected: Any, got: bytes, values: Values, *, is_parsed: bool) -> list[str]:
    """expected: text, {"dropped"}, {"repeat", "count"}, {"base64"} or {"sha256", "length"}, as recorded."""
    if isinstance(expected, dict) and expected.get("dropped"):
        return [] if got else ["body: expected some text, got none"]
    if isinstance(expected, dict) and "sha256" in expected:
        digest = hashlib.sha256(got).hexdigest()
        same = (digest, len(got)) == (expected["sha256"], expected["length"])
        return [] if same else [f"body: expected {expected}, got {len(got)} bytes with sha256 {digest}"]
    if not isinstance(expected, str):
        raw = body_bytes(expected, values)
        return [] if raw == got else [f"body: expected {len(raw)} bytes, got {len(got)} bytes that differ"]
    text = values.expand(expected)
    if is_parsed:
        return _parsed_differences(text, got)
    return [] if matches(text, to_text(got)) else [f"body: expected {text[:500]!r}, got {to_text(got[:500])!r}"]


def body_bytes(body: Any, values: Values) -> bytes:
    """A body as recorded (text, {"base64"} or {"repeat", "count"}) in bytes."""
    if isinstance(body, str):
        return to_bytes(values.expand(body))
    if "base64" in body:
        return base64.b64decode(body["base64"])
    return to_bytes(values.expand(body["repeat"])) * int(body["count"])


def _parsed_differences(expected: str, got: bytes) -> list[str]:
    try:
        # Told apart by the first character: an answer of the wrong kind is a difference, not a crash.
        parse = _xml_tree if expected.lstrip().startswith("<") else json.loads
        wanted = parse(_shielded(expected)) if parse is _xml_tree else parse(expected)
        found = parse(to_text(got))
    except (ValueError, ElementTree.ParseError) as error:
        return [f"body: cannot be parsed ({error}): {to_text(got[:300])!r}"]
    return list(_tree_differences(wanted, found, "body"))


_PARSERS = {"application/json", "application/xml", "text/xml"}
_SHIELDED = ("isodate", "timestamp", "date", "length", "text", "unixtime", "seconds", "txid",
             "etag of stored manifest", "etag of stored bytes")  # fmt: skip


def _shielded(text: str) -> str:
    """An expected XML text whose placeholders look like tags, with those escaped."""
    for name in _SHIELDED:
        text = text.replace(f"<{name}>", f"&lt;{name}&gt;")
    return text


def _xml_tree(text: str) -> Any:
    return _element(ElementTree.fromstring(text.encode("utf-8", "surrogateescape")))


def _element(element: ElementTree.Element) -> Any:
    return {
        "tag": element.tag,
        "attributes": dict(element.attrib),
        "text": (element.text or "").strip() if len(element) else (element.text or ""),
        "children": [_element(child) for child in element],
    }


def _is_unordered(where: str, items: list[Any]) -> bool:
    """Errors of a large manifest: its segments are checked side by side."""
    in_xml = bool(items) and all(isinstance(item, dict) and item.get("tag") == "object" for item in items)
    return where.endswith(".Errors") or (in_xml and ".children[0].children" in where)


def _tree_differences(expected: Any, got: Any, where: str) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in sorted(expected.keys() | got.keys()):
            if key not in got:
                yield f"{where}.{key}: expected {expected[key]!r}, missing"
            elif key not in expected:
                yield f"{where}.{key}: not expected, got {got[key]!r}"
            else:
                yield from _tree_differences(expected[key], got[key], f"{where}.{key}")
    elif isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            yield f"{where}: expected {len(expected)} items, got {len(got)}: {str(got)[:300]}"
            return
        if _is_unordered(where, got):
            expected, got = sorted(expected, key=json.dumps), sorted(got, key=json.dumps)
        for index, (one, other) in enumerate(zip(expected, got, strict=True)):
            yield from _tree_differences(one, other, f"{where}[{index}]")
    elif isinstance(expected, str) and isinstance(got, str):
        if not matches(expected, got):
            yield f"{where}: expected {expected!r}, got {got!r}"
    elif expected != got or type(expected) is not type(got):
        yield f"{where}: expected {expected!r}, got {got!r}"
