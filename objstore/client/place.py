"""How a place is written on a command line: objstore:container/object, or a path on this machine. Pure.

The first slash ends the container's name; what follows is the object's name as it stands, with its own slashes, dots
and blanks. `objstore:` alone is the account. Decision: doc/decisions/0015.
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEME = "objstore:"
_NAME_CHARACTERS = 256
_SEGMENTS = "_segments"


@dataclass(frozen=True, slots=True)
class Place:
    """container '' is the account; name '' the container."""

    container: str = ""
    name: str = ""

    def __str__(self) -> str:
        return SCHEME + self.path[1:]

    @property
    def path(self) -> str:
        """/container[/name], '' for the account."""
        if not self.container:
            return ""
        return f"/{self.container}/{self.name}" if self.name else f"/{self.container}"

    @property
    def is_directory(self) -> bool:
        """Whether what is put here gets a name of its own below it."""
        return not self.name or self.name.endswith("/")

    @property
    def below(self) -> str:
        """What the names of everything below this place begin with."""
        return self.name if self.is_directory else f"{self.name}/"  # '' of a container: everything in it.

    def child(self, relative: str) -> Place:
        return Place(self.container, self.below + relative)

    @property
    def segments_container(self) -> str:
        """Where the pieces of large objects of this container lie; python-swiftclient's has the same name."""
        return segments_container(self.container)


def segments_container(container: str) -> str:
    return container[: _NAME_CHARACTERS - len(_SEGMENTS)] + _SEGMENTS


def is_remote(text: str) -> bool:
    return text.startswith(SCHEME)


def parse(text: str) -> Place:
    """The place that a text names, with or without `objstore:`. Raises ValueError."""
    path = text.removeprefix(SCHEME)
    container, slash, name = path.partition("/")
    if slash and not container:
        raise ValueError(f"{text}: expected {SCHEME}container/object, without a slash in front of the container")
    if len(container) > _NAME_CHARACTERS:
        raise ValueError(f"{text}: the container's name is longer than {_NAME_CHARACTERS} characters")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in path) or "\0" in path:
        raise ValueError(f"{text!r}: names are text in UTF-8, without NUL")
    return Place(container, name)
