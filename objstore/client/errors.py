"""What goes wrong for a client: every error is one line for whoever gave the command."""

from __future__ import annotations


class ClientError(Exception):
    """The text says what was asked, and what came of it."""


class Refused(ClientError):
    """The cluster answered, and would answer the same again."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Stopped(ClientError):
    """The command was interrupted: nothing more is begun, what is under way is cut off."""

    def __init__(self) -> None:
        super().__init__("interrupted")
