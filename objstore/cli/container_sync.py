"""objstore-container-sync CONF: brings the objects of synced containers to other clusters."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from objstore.cli.daemon import run_daemon


def main(
    argv: Sequence[str] | None = None,
    *,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run until SIGTERM, or once; returns the exit code."""
    return run_daemon("container-sync", argv, stdout, stderr, environ)


if __name__ == "__main__":
    sys.exit(main())
