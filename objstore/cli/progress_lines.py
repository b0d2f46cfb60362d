"""Progress on a terminal: a line for each transfer under way and one for all, drawn over each other; else nothing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from objstore.cli.remote import printable, size_shown
from objstore.cli.terminal import Terminal
from objstore.client.work import Progress, Transfer

_EVERY_S = 0.2
_TRANSFERS_SHOWN = 8
_BAR = 20
_UP, _CLEAR_LINE = "\x1b[A", "\x1b[2K"


class ProgressLines:
    """unit: what is counted."""

    def __init__(
        self,
        terminal: Terminal,
        progress: Progress,
        *,
        unit: str = "files",
        is_quiet: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = terminal.stderr
        self._is_shown = terminal.stderr.isatty() and not is_quiet
        self._progress = progress
        self._unit = unit
        self._now = now
        self._drawn = 0
        self._last_s = -_EVERY_S

    def draw(self) -> None:
        """Show the current state; may be called at any rate, and redraws a few times a second."""
        now = self._now()
        if not self._is_shown or now - self._last_s < _EVERY_S:
            return
        self._last_s = now
        width = shutil.get_terminal_size().columns
        lines = self._lines(now)
        self._out.write(self._erased() + "".join(f"{line[: width - 1]}\n" for line in lines))
        self._out.flush()
        self._drawn = len(lines)

    def clear(self) -> None:
        """Before anything else is written."""
        if self._drawn:
            self._out.write(self._erased())
            self._out.flush()
            self._drawn = 0

    def _erased(self) -> str:
        return (_UP + _CLEAR_LINE) * self._drawn + "\r"

    def _lines(self, now: float) -> list[str]:
        transfers = self._progress.under_way()
        is_bytes = self._unit == "files"
        lines = [_transfer_line(transfer) for transfer in transfers[:_TRANSFERS_SHOWN]] if is_bytes else []
        return [*lines, self._total(now)]

    def _total(self, now: float) -> str:
        all_of_it, elapsed_s = self._progress, max(now - self._progress.began_s, 1e-9)
        more = "" if all_of_it.is_complete else "+"
        text = f"{all_of_it.files_done}/{all_of_it.files}{more} {self._unit}"
        if self._unit != "files":
            return text
        rate = all_of_it.done_bytes / elapsed_s
        text += f"  {size_shown(all_of_it.done_bytes, True)}/{size_shown(all_of_it.size_bytes, True)}{more}"
        text += f"  {size_shown(int(rate), True)}/s"
        left = all_of_it.size_bytes - all_of_it.done_bytes
        if rate > 0 and left > 0:
            text += f"  {_time_shown(left / rate)} left"
        return text


def _transfer_line(transfer: Transfer) -> str:
    share = transfer.done_bytes / transfer.size_bytes if transfer.size_bytes else 1.0
    filled = round(_BAR * min(1.0, max(0.0, share)))
    bar = "#" * filled + " " * (_BAR - filled)
    return f"[{bar}] {size_shown(transfer.size_bytes, True):>6}  {printable(transfer.name)}"


def _time_shown(seconds: float) -> str:
    minutes, rest = divmod(int(min(seconds, 359_999)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
