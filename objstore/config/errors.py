"""What is wrong with a configuration, all of it at once: ConfigError carries every problem that was found."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from objstore.config.settings import Problem

SECRET_WORDS = ("key", "secret", "password", "hash_path", "user_", "user64_", "credential")
_USER_IN_URL = re.compile(r"://[^/\s]*@")
UNKNOWN = "a known setting"
"""What is expected in place of a key that nobody knows."""
EX_CONFIG = 78
"""Exit code of a command that will not start with the configuration it was given (sysexits.h)."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing wrong, and where. `section` and `key` are '' where the whole file or section is meant."""

    file: str
    section: str
    key: str
    value: str
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        """One line. A value that may be a secret is not shown, and none can forge a second line."""
        where = f"{self.file}:" + (f" [{self.section}]" if self.section else "")
        what = f" {self.key} = {self._shown_value()!r}:" if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{what} expected {self.expected}{hint}"

    def _shown_value(self) -> str:
        is_hidden = is_secret(self.key) or (self.expected == UNKNOWN and holds_secrets(self.section))
        return "***" if (is_hidden and self.value) or _USER_IN_URL.search(self.value) else self.value


class ConfigError(Exception):
    """The configuration cannot be used. `problems` is never empty."""

    def __init__(self, problems: Iterable[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        assert self.problems, "a ConfigError says what is wrong"
        super().__init__("\n".join(map(str, self.problems)))


def is_secret(key: str) -> bool:
    """Whether the value of a key must not be shown: keys, passwords, the users of tempauth."""
    name = key.lower()
    return any(word in name for word in SECRET_WORDS) and not name.endswith("key_file")


def holds_secrets(section: str) -> bool:
    """Whether a misspelt key of a section may hold a secret: authentication's and keymasters'."""
    return "auth" in section or "keymaster" in section


def located(problems: Iterable[Problem], file: str, section: str) -> list[ConfigProblem]:
    """The problems of one section, with the file and the section they are in."""
    return [
        ConfigProblem(file, section, problem.key, problem.value, problem.expected, problem.hint) for problem in problems
    ]
