"""objstore-proxy-server CONF: the proxy server of a production machine, from its ini file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from objstore.cli.server import run_server


def main(
    argv: Sequence[str] | None = None,
    *,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Serve until SIGTERM; returns the exit code."""
    return run_server("proxy-server", argv, stdout, stderr, environ)


if __name__ == "__main__":
    sys.exit(main())
