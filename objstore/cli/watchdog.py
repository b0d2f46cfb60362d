"""Telling the service manager that a process' loop still turns."""

from __future__ import annotations

from objstore.runtime import green, process


def spawn_watchdog() -> green.Task | None:
    """Say so as often as it asks for, until the process ends. None: it does not ask."""
    interval_s = process.watchdog_interval_s()
    if interval_s is None:
        return None

    def pet() -> None:
        while True:
            process.notify_systemd("WATCHDOG=1")
            green.sleep(interval_s)

    return green.spawn(pet)
