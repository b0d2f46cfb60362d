"""formpost: a form in a browser uploads files, without JavaScript and without the user's secrets.

    POST /v1/account/container[/prefix], multipart/form-data, with the fields
        [redirect] max_file_size max_file_count expires signature [x_delete_at | x_delete_after]    and then files

The signature is over path, redirect, max_file_size, max_file_count and expires, with a key of the account or of the
container (as for temporary URLs). Each file becomes the object <prefix><its name>. The answer is 201, or a redirect
that says status and message; a form whose signature is no good is never redirected: nobody we know chose the address.
Source: feature A5.3; Swift API guide, "Form POST middleware".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from objstore.config.boot import settings_for
from objstore.config.settings import Settings, reads, setting
from objstore.core.errors import ClientDisconnected
from objstore.core.names import ClientPath, wsgi_of
from objstore.core.signatures import DIGEST_BYTES, Signature, allowed_digests
from objstore.http import capabilities
from objstore.http.environ import Environ, StartResponse, WSGIApp, client_path_of
from objstore.http.response import Response, page
from objstore.http.status import HTTPStatus, is_success, reason, status_line
from objstore.http.subrequest import IteratorInput, call, child_environ
from objstore.middleware.formpost_form import File, FileTooLarge, Form, FormError, is_form, signed_message
from objstore.middleware.signed_scope import signed_scope, unsigned
from objstore.middleware.tempurl import words

SOURCE = "FP"
_VERSIONS = frozenset({"v1", "v1.0"})
_DIGITS_AT_MOST = 18
_TEXT = "text/plain"


@dataclass(frozen=True)
class FormpostSettings(Settings):
    allowed_digests: tuple[str, ...] = setting(
        "sha1 sha256 sha512", words(DIGEST_BYTES), "Hashes that a signature may use; sha1 is for old forms."
    )


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms that a form was signed for. Sizes in bytes; expires in Unix seconds."""

    redirect: str
    max_file_size: int
    max_file_count: int
    expires: int
    delete_headers: tuple[tuple[str, str], ...]


class _Refused(Exception):
    """The form is not (or no longer) carried out."""

    def __init__(self, status: int, why: str, redirect: str = "") -> None:
        super().__init__(why)
        self.status = status
        self.redirect = redirect


class Formpost:
    def __init__(self, app: WSGIApp, settings: FormpostSettings, now: Callable[[], float] = time.time) -> None:
        """now: wall seconds."""
        self._app = app
        self._digests = frozenset(settings.allowed_digests)
        self._now = now

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "POST" or not is_form(environ.get("CONTENT_TYPE", "")):
            body: Iterable[bytes] = self._app(environ, start_response)
            return body
        path = client_path_of(environ)
        if (
            path is None
            or path.account is None
            or path.version not in _VERSIONS
            or "boundary" not in environ["CONTENT_TYPE"]
        ):
            body = self._app(environ, start_response)
            return body
        try:
            response = self._upload(environ, path)
        except _Refused as refused:
            response = _answer(refused.redirect, refused.status, str(refused))
        except FormError as error:
            response = _answer("", HTTPStatus.BAD_REQUEST, str(error))
        return response(environ, start_response)

    def _upload(self, environ: Environ, path: ClientPath) -> Response:
        form = Form(environ["wsgi.input"], environ["CONTENT_TYPE"])
        file = form.next_file()
        terms = self._terms(environ, path, form.fields)
        count, status = 0, HTTPStatus.CREATED
        while file is not None:
            if file.name:
                count += 1
                if count > terms.max_file_count:
                    raise _Refused(HTTPStatus.BAD_REQUEST, "max file count exceeded", terms.redirect)
                status = self._store(environ, form, file, terms)
            file = form.next_file()
        if not count:
            raise _Refused(HTTPStatus.BAD_REQUEST, "no files to process", terms.redirect)
        return _answer(terms.redirect, status, "")

    def _terms(self, environ: Environ, path: ClientPath, fields: dict[str, str]) -> Terms:
        """The terms that the form's signature covers; marks the uploads as authorized. Raises _Refused."""
        expires, count = _number(fields, "expires", missing=0), _number(fields, "max_file_count")
        size = _number(fields, "max_file_size", missing=0)
        if expires < self._now():
            raise _Refused(HTTPStatus.UNAUTHORIZED, "Form Expired")
        signature = Signature.parse(fields.get("signature", ""))
        scope = None
        if signature is not None and signature.algorithm in self._digests and path.container is not None:
            scope = signed_scope(environ, path, signature, [signed_message(environ["PATH_INFO"], fields)])
        if scope is None:
            raise _Refused(HTTPStatus.UNAUTHORIZED, "Invalid Signature")
        scope.govern(environ, ".wsgi.formpost")
        return Terms(fields.get("redirect", ""), size, count, expires, tuple(_delete_headers(fields)))

    def _store(self, environ: Environ, form: Form, file: File, terms: Terms) -> int:
        """Upload one file; the status of its PUT. Raises _Refused when it fails."""
        content = _Content(form, terms.max_file_size)
        name = wsgi_of(file.name)
        put = child_environ(
            environ, "PUT", _joined(environ["PATH_INFO"], name), source=SOURCE, headers=dict(terms.delete_headers)
        )
        if file.content_type:
            put["CONTENT_TYPE"] = wsgi_of(file.content_type)
        if file.content_encoding:
            put["HTTP_CONTENT_ENCODING"] = wsgi_of(file.content_encoding)
        put["HTTP_TRANSFER_ENCODING"] = "chunked"
        put["wsgi.input"] = IteratorInput(content)
        answer = call(self._app, put)
        answer.discard()
        if content.is_too_large:
            raise _Refused(HTTPStatus.BAD_REQUEST, "max_file_size exceeded", terms.redirect)
        if content.failure is not None:
            raise content.failure
        if not is_success(answer.status):
            raise _Refused(answer.status, reason(answer.status), terms.redirect)
        return answer.status


class _Content:
    """The pieces of a file. What ends them early looks to the filters below like a client that left, so that nothing
    is stored."""

    def __init__(self, form: Form, most: int) -> None:
        self._form = form
        self._most = most
        self.is_too_large = False
        self.failure: FormError | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._form.pieces(self._most)
        except FileTooLarge as error:
            self.is_too_large = True
            raise ClientDisconnected("the file is longer than its form allows") from error
        except FormError as error:
            self.failure = error
            raise ClientDisconnected("the form broke off") from error


def _number(fields: dict[str, str], name: str, *, missing: int | None = None) -> int:
    """missing: what a field that is not there means; None: that is an error."""
    if missing is not None and name not in fields:
        return missing
    text = fields.get(name, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_AT_MOST):
        raise _Refused(HTTPStatus.BAD_REQUEST, f"{name} is missing or not a whole number")
    return int(text)


def _delete_headers(fields: dict[str, str]) -> Iterable[tuple[str, str]]:
    """These two are not signed, so they can only shorten the life of what is uploaded."""
    for field, header in (("x_delete_at", "x-delete-at"), ("x_delete_after", "x-delete-after")):
        if fields.get(field):
            _number(fields, field)
            yield header, fields[field].strip()


def _joined(path: str, name: str) -> str:
    """The URL's path and a file's name; under a container alone the name stands behind a slash."""
    is_container = path.rstrip("/").count("/") == 3
    return f"{path.rstrip('/')}/{name}" if is_container else f"{path}{name}"


def _answer(redirect: str, status: int, message: str) -> Response:
    if not redirect:
        if status == HTTPStatus.UNAUTHORIZED:
            return unsigned(f"FormPost: {message}")
        text = f"{status_line(status)}\nFormPost: {message}" if message else status_line(status)
        return Response(status, {"content-type": _TEXT}, text.encode("utf-8", "replace"))
    url = redirect + ("&" if "?" in redirect else "?") + urlencode({"status": status, "message": message})
    location = quote(url.encode("utf-8", "surrogateescape"), safe=";/?:@&=+$,#%[]!*'()~")
    return page(HTTPStatus.SEE_OTHER, location, {"location": location})


@reads(FormpostSettings)
def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApp], Formpost]:
    settings = settings_for(FormpostSettings, global_conf, local_conf)
    capabilities.register("formpost", **allowed_digests(settings.allowed_digests))
    return lambda app: Formpost(app, settings)
