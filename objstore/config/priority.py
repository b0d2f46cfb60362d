"""nice_priority, ionice_class, ionice_priority: the share of processor and disks when there is not enough of them
for all. Names and values are Swift's (features B3).

In [DEFAULT] of a server's file, for the server and its daemons; a daemon's section may say otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from objstore.config.settings import Kind, Settings, setting

IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
"""The kernel's numbers. Source: ioprio_set(2)."""


def _maybe(least: int, most: int) -> Kind:
    def parse(text: str) -> int | None:
        if not text:
            return None
        value = int(text)
        if not least <= value <= most:
            raise ValueError(f"{value} is out of range")
        return value

    return Kind(parse, f"a whole number from {least} to {most}, or nothing")


def _io_class(text: str) -> int | None:
    if not text:
        return None
    if text.upper() not in IO_CLASSES:
        raise ValueError("")
    return IO_CLASSES[text.upper()]


@dataclass(frozen=True)
class PrioritySettings(Settings):
    """Niceness and I/O priority of a process. None: as it was started."""

    nice_priority: int | None = setting(
        "",
        _maybe(-20, 19),
        "Niceness; below 0 needs root. Empty: as it was started, daemons at least 5. Daemons that share a process (in "
        "objstore up) are as nice as the least nice of them.",
        advanced=True,
    )
    ionice_class: int | None = setting(
        "",
        Kind(_io_class, "one of " + ", ".join(IO_CLASSES) + ", or nothing"),
        "IOPRIO_CLASS_RT, IOPRIO_CLASS_BE or IOPRIO_CLASS_IDLE, for I/O schedulers that know of it. Empty: as it was "
        "started, daemons IOPRIO_CLASS_BE.",
        advanced=True,
    )
    ionice_priority: int | None = setting(
        "",
        _maybe(0, 7),
        "Priority within ionice_class, 0 the highest; not with IOPRIO_CLASS_IDLE. Daemons: 6.",
        advanced=True,
    )
