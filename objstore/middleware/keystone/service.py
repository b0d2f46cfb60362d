"""Asking Keystone: our own token, and what others' tokens are worth.

Our token is that of a service user, got by its password, renewed before it ends and when Keystone no longer knows it.
Whoever waits for Keystone waits in a green thread of its own. Once it does not answer, others are told so for a moment
without asking again, and never more than a bounded number ask at once: a slow Keystone costs those alone whose tokens
nobody knows yet.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from objstore.core.errors import DomainError
from objstore.http.identity import Identity
from objstore.http.outgoing import Answer, BadAnswer, Outgoing, ServiceBroken, ServiceError
from objstore.http.status import HTTPStatus
from objstore.middleware.keystone.tokens import Credentials, NotAToken, expiry_of, identity_of, is_refusal
from objstore.runtime.single_flight import SingleFlight

_ANSWER_BYTES = 1 << 20
_RENEW_BEFORE_S = 60.0
_QUIET_S = 1.0
"""After a failure: how long nobody asks. Short, so that Keystone is soon back; a crowd learns from one failure."""
_REFUSED_QUIET_S = 10.0
"""After our own password was refused: identity services lock users that try again and again."""
_ASKING_AT_MOST = 64
_SAY_AGAIN_S = 60.0


class KeystoneAway(DomainError):
    """No word from Keystone about a token: nothing is known of it, good or bad."""


class Keystone:
    """One identity service, by its v3 API. Used by green threads of one process."""

    def __init__(
        self,
        outgoing: Outgoing,
        auth_url: str,
        credentials: Credentials,
        *,
        timeout_s: float = 10.0,
        tries: int = 2,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        logger: logging.Logger | None = None,
    ) -> None:
        """auth_url: with or without /v3. timeout_s: for a whole answer. tries: at most, when Keystone breaks off in the
        middle."""
        self._outgoing = outgoing
        self._url = api_url(auth_url)
        self._credentials = credentials
        self._timeout_s = timeout_s
        self._tries = tries
        self._now = now
        self._monotonic = monotonic
        self._logger = logger or logging.getLogger("objstore.keystone")
        self._token = ""
        self._token_ends = 0.0
        self._renewals: SingleFlight[str] = SingleFlight()
        self._asking = 0
        self._quiet_until = 0.0
        self._why_quiet = ""
        self._said = ("", 0.0)

    def validate(self, token: str, *, allow_expired: bool = False) -> Identity | None:
        """Whom a token stands for; None when it is invalid, expired or revoked. Raises KeystoneAway, GivenUp.

        allow_expired: also one that is over, for as long as Keystone allows that to services.
        """
        self._enter()
        try:
            return self._validated(token, "&allow_expired=1" if allow_expired else "")
        finally:
            self._asking -= 1

    def _enter(self) -> None:
        if self._monotonic() < self._quiet_until:
            raise KeystoneAway(self._why_quiet)
        if self._asking >= _ASKING_AT_MOST:
            raise KeystoneAway(f"{self._url}: {_ASKING_AT_MOST} requests wait for an answer already")
        self._asking += 1

    def _validated(self, token: str, query: str) -> Identity | None:
        for is_last in (False, True):
            own = self._own_token()
            answer = self._ask(
                "GET", f"/auth/tokens?nocatalog{query}", [("X-Auth-Token", own), ("X-Subject-Token", token)]
            )
            if answer.status == HTTPStatus.UNAUTHORIZED and not is_last:
                if self._token == own:
                    self._token = ""
                continue
            break
        if answer.status == HTTPStatus.OK:
            try:
                identity = identity_of(answer.body)
            except NotAToken as error:
                raise self._failure(f"its answer is of no use: {error}") from None
            self._answers()
            return identity
        if answer.status == HTTPStatus.NOT_FOUND and is_refusal(answer.body):
            self._answers()
            return None
        raise self._failure(_meaning(answer.status))

    def _own_token(self) -> str:
        """Ours; those who come while it is renewed wait for that."""
        if self._token and self._now() < self._token_ends - _RENEW_BEFORE_S:
            return self._token
        return self._renewals.run("", self._renewed)

    def _renewed(self) -> str:
        body = self._credentials.request()
        answer = self._ask("POST", "/auth/tokens?nocatalog", [("Content-Type", "application/json")], body)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise self._away(
                "it refuses our own user and password: check username, password and project_name of this section",
                _REFUSED_QUIET_S,
            )
        token = answer.headers.get("x-subject-token", "")
        if answer.status != HTTPStatus.CREATED or not token:
            raise self._away(f"no token for our own user: {_meaning(answer.status)}")
        try:
            self._token_ends = expiry_of(answer.body)
        except NotAToken as error:
            raise self._away(f"no token for our own user: {error}") from None
        self._token = token
        return token

    def _ask(self, method: str, target: str, headers: list[tuple[str, str]], body: bytes = b"") -> Answer:
        headers = [*headers, ("Accept", "application/json")]
        for left in reversed(range(self._tries)):
            try:
                return self._outgoing.request(
                    method, self._url + target, headers, body, limit_bytes=_ANSWER_BYTES, deadline_s=self._timeout_s
                )
            except ServiceBroken as error:
                if not left:
                    raise self._failure(str(error)) from None
            except BadAnswer as error:
                raise self._failure(str(error)) from None
            except ServiceError as error:
                raise self._away(str(error)) from None
        raise AssertionError("at least one try")

    def _away(self, why: str, quiet_s: float = _QUIET_S) -> KeystoneAway:
        """A failure that others would meet, too: they do not ask for a moment."""
        error = self._failure(why)
        self._quiet_until, self._why_quiet = self._monotonic() + quiet_s, str(error)
        return error

    def _failure(self, why: str) -> KeystoneAway:
        """What went wrong, said now and then. It may be about this one token: others go on asking."""
        error = KeystoneAway(f"{self._url}: {why}")
        now = self._monotonic()
        said, when = self._said
        if said != why or now - when > _SAY_AGAIN_S:
            self._said = (why, now)
            self._logger.error("keystone=%s: tokens cannot be checked: %s", self._url, why)
        return error

    def _answers(self) -> None:
        self._quiet_until = 0.0
        if self._said[0]:
            self._said = ("", 0.0)
            self._logger.info("keystone=%s: answers again", self._url)


def api_url(auth_url: str) -> str:
    """http://host:5000, …/identity/ or …/v3 -> the address of the v3 API without a slash at its end."""
    url = auth_url.rstrip("/")
    return url if url.endswith("/v3") else f"{url}/v3"


def _meaning(status: int) -> str:
    if status == HTTPStatus.FORBIDDEN:
        return "403: our own user may not check tokens; it needs a role for that, such as service or admin"
    if status == HTTPStatus.NOT_FOUND:
        return "404 of something that is no Keystone: check auth_url"
    return f"it answers {status}"
