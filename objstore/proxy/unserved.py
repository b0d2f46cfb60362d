"""Requests that mean something only a filter understands, in a pipeline without that filter: refused (501).

The proxy knows nothing of these features, and would take such a request for a plain one: an archive would be stored
as an object, a quota kept and never held, a link with a signature answered like one without. Which filters stand in
front of it is told once, while the pipeline is built (cli/assembly); a proxy that nobody tells, as in a daemon, refuses
nothing. Filters that cannot be missing (middleware/pipeline, MANDATORY) need no line here. Source: issue 4, part 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from objstore.core.headers import header_name, title
from objstore.http.environ import Environ
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus

Sign = Callable[[Environ], str]
"""What of a request carries the meaning, in words for the client; "" where nothing does."""
_CHANGES = frozenset({"PUT", "POST"})


@dataclass(frozen=True, slots=True)
class Meaning:
    """sign: where it is seen; filters: entry points of which any one serves it."""

    sign: Sign
    filters: tuple[str, ...]


def _query(name: str, methods: frozenset[str] | None = None) -> Sign:
    def sign(environ: Environ) -> str:
        if methods is not None and environ["REQUEST_METHOD"] not in methods:
            return ""
        parameters = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        return f"?{name}" if any(key == name for key, _ in parameters) else ""

    return sign


def _setting(prefix: str) -> Sign:
    """A header of a PUT or POST that sets something. An empty one takes a setting away, which anybody can serve."""

    def sign(environ: Environ) -> str:
        if environ["REQUEST_METHOD"] not in _CHANGES:
            return ""
        found = (key for key, value in environ.items() if key.startswith(prefix) and value)
        return next((title(header_name(key)) for key in found), "")

    return sign


def _header(key: str) -> Sign:
    def sign(environ: Environ) -> str:
        return title(header_name(key)) if environ.get(key) else ""

    return sign


def _form(environ: Environ) -> str:
    kind = environ.get("CONTENT_TYPE", "").lower()
    is_form = environ["REQUEST_METHOD"] == "POST" and kind.startswith("multipart/form-data") and "boundary" in kind
    return "multipart/form-data" if is_form else ""


MEANINGS = (
    Meaning(_query("extract-archive", frozenset({"PUT"})), ("bulk",)),
    Meaning(_query("bulk-delete", frozenset({"POST", "DELETE"})), ("bulk",)),
    Meaning(_query("temp_url_sig"), ("tempurl",)),
    Meaning(_query("temp_url_expires"), ("tempurl",)),
    Meaning(_setting("HTTP_X_ACCOUNT_META_TEMP_URL_KEY"), ("tempurl", "formpost")),
    Meaning(_setting("HTTP_X_CONTAINER_META_TEMP_URL_KEY"), ("tempurl", "formpost")),
    Meaning(_form, ("formpost",)),
    Meaning(_setting("HTTP_X_CONTAINER_META_QUOTA_"), ("container_quotas",)),
    Meaning(_setting("HTTP_X_ACCOUNT_META_QUOTA_"), ("account_quotas",)),
    Meaning(_setting("HTTP_X_ACCOUNT_QUOTA_"), ("account_quotas",)),
    Meaning(_setting("HTTP_X_CONTAINER_META_WEB_"), ("staticweb",)),
    Meaning(_header("HTTP_X_WEB_MODE"), ("staticweb",)),
    Meaning(_setting("HTTP_X_CONTAINER_SYNC_TO"), ("container_sync",)),
    Meaning(_header("HTTP_X_CONTAINER_SYNC_AUTH"), ("container_sync",)),
    Meaning(_setting("HTTP_X_ACCOUNT_RFC_COMPLIANT_ETAGS"), ("etag_quoter",)),
    Meaning(_setting("HTTP_X_CONTAINER_RFC_COMPLIANT_ETAGS"), ("etag_quoter",)),
    Meaning(_setting("HTTP_X_ACCOUNT_ACCESS_CONTROL"), ("tempauth", "ldapauth")),
)


class Unserved:
    """The meanings of requests that no filter of a pipeline serves."""

    def __init__(self, filters: Iterable[str]) -> None:
        there = frozenset(filters)
        self._missing = [meaning for meaning in MEANINGS if there.isdisjoint(meaning.filters)]

    def refusal(self, environ: Environ) -> Response | None:
        for meaning in self._missing:
            seen = meaning.sign(environ)
            if seen:
                names = " or ".join(meaning.filters)
                why = f"{seen} is not served here: this proxy runs without {names}. Nothing was changed."
                return page(HTTPStatus.NOT_IMPLEMENTED, why)
        return None
