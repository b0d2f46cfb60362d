"""What must be in no log and in no error: the tokens, keys and signatures that the suite itself sends.

The client (api.py) notes them as they go out, looks for them in every answer that is an error, and the fixture of our
own cluster looks for all of them in its logs at the end of the run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

_HEADERS = frozenset(
    {
        "x-auth-token", "x-storage-token", "x-service-token", "x-auth-key", "x-storage-pass", "x-container-sync-key",
        "x-container-sync-auth",
    }
)  # fmt: skip
_KEY = re.compile(r"x-(account|container)-meta-temp-url-key(-2)?")
_PARAMETERS = frozenset({"temp_url_sig", "swiftinfo_sig", "signature"})
_TEN = frozenset("0123456789")
_LEAST, _DIGITS, _SHOWN = 12, 5, 24
"""Shorter ones, and those of fewer different digits, are words of tests or of the code (fuzzers know its literals), and
may stand anywhere. The first 16 characters of a secret may be shown."""


@dataclass
class Secrets:
    known: set[str] = field(default_factory=set)

    def note(self, target: str, headers: Mapping[str, bytes]) -> set[str]:
        """The secrets of a request."""
        said = [value.decode("utf-8", "replace") for name, value in headers.items() if _is_secret(name.lower())]
        said += [value for name, value in parse_qsl(urlsplit(target).query) if name in _PARAMETERS]
        found = {value[:_SHOWN] for value in said if len(value) >= _LEAST and len(set(value) & _TEN) >= _DIGITS}
        self.known |= found
        return found

    def add(self, secret: str) -> None:
        assert len(secret) >= _LEAST
        self.known.add(secret[:_SHOWN])

    def in_text(self, text: str) -> list[str]:
        return sorted(secret for secret in self.known if secret in text)


def _is_secret(name: str) -> bool:
    return name in _HEADERS or _KEY.fullmatch(name) is not None
