"""name_check: names that other tools trip over are refused where they would come into being. Feature A5.13.

A name is that of the whole path, decoded. Reading and deleting what is there already is never refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from objstore.config.boot import settings_for
from objstore.config.settings import Kind, Settings, number, reads, setting, text
from objstore.core.names import text_of
from objstore.http import capabilities
from objstore.http.environ import Environ, StartResponse, WSGIApp
from objstore.http.response import page
from objstore.http.status import HTTPStatus

_CREATING = ("PUT", "POST", "COPY")


def _expression(value: str) -> re.Pattern[str] | None:
    try:
        return re.compile(value) if value else None
    except re.error as error:
        raise ValueError(str(error)) from None


@dataclass(frozen=True)
class NameCheckSettings(Settings):
    forbidden_chars: str = setting("'\"`<>", text, "Characters that no new name may hold.")
    maximum_length: int = setting("255", number(1), "Characters of the longest path that may be made.")
    forbidden_regexp: re.Pattern[str] | None = setting(
        r"/\./|/\.\./|/\.$|/\.\.$", Kind(_expression, "a regular expression"), "What no new path may match."
    )


class NameCheck:
    def __init__(self, app: WSGIApp, settings: NameCheckSettings) -> None:
        self._app = app
        self._characters = frozenset(settings.forbidden_chars)
        self._length = settings.maximum_length
        self._expression = settings.forbidden_regexp

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in _CREATING:
            for name in _names(environ):
                why = self._objection(name)
                if why:
                    return page(HTTPStatus.BAD_REQUEST, why)(environ, start_response)
        body: Iterable[bytes] = self._app(environ, start_response)
        return body

    def _objection(self, path: str) -> str:
        if not self._characters.isdisjoint(path):
            characters = "".join(sorted(self._characters))
            return f"Object/Container/Account name contains forbidden chars from {characters}"
        if len(path) > self._length:
            return f"Object/Container/Account name longer than the allowed maximum {self._length}"
        if self._expression is not None and self._expression.search(path):
            return "Object/Container/Account name contains a forbidden substring"
        return ""


def _names(environ: Environ) -> Iterable[str]:
    """The path, and where a COPY writes to. Raises InvalidName."""
    yield text_of(environ["PATH_INFO"])
    if environ["REQUEST_METHOD"] == "COPY" and "HTTP_DESTINATION" in environ:
        yield "/" + text_of(unquote(environ["HTTP_DESTINATION"], encoding="latin-1")).lstrip("/")


@reads(NameCheckSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], NameCheck]:
    settings = settings_for(NameCheckSettings, global_conf, local_conf)
    capabilities.register(
        "name_check",
        forbidden_chars=settings.forbidden_chars,
        maximum_length=settings.maximum_length,
        forbidden_regexp=settings.forbidden_regexp.pattern if settings.forbidden_regexp else "",
    )
    return lambda app: NameCheck(app, settings)
