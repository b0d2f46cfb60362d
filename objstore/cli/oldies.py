"""objstore-oldies: our processes that have run for long (B5.9): after an upgrade, those of the old version."""

from __future__ import annotations

import argparse
import sys

from objstore.cli.process_rows import hours, tell
from objstore.cli.terminal import OK, Terminal
from objstore.cli.tool import tool_main, tool_parser
from objstore.runtime.process_table import ours

_EXAMPLE = """\
example:
  objstore-oldies -a 48        what has run for two days

Exit code: 0.
"""


def _parser() -> argparse.ArgumentParser:
    parser = tool_parser("objstore-oldies", "Processes of this machine that have run for long.", _EXAMPLE)
    parser.add_argument("-a", "--age", type=hours, default=720.0, metavar="HOURS", help="at least so long (720)")
    parser.add_argument("--json", action="store_true", help="for a script")
    return parser


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    tell([each for each in ours() if each.age_s >= arguments.age * 3600], terminal, as_json=arguments.json)
    return OK


main = tool_main(_parser, _run)

if __name__ == "__main__":
    sys.exit(main())
