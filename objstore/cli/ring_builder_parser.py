"""Arguments of objstore-ring-builder: its commands, each with an example in --help."""

from __future__ import annotations

import argparse

from objstore.ring.device_search import SEARCH_FORM
from objstore.ring.new_device import DEVICE_FORM

DEFAULT_COMMAND = "show"

EXAMPLES = {
    "show": "object.builder",
    "create": "object.builder create 14 3 1",
    "add": "object.builder add r1z1-10.0.0.1:6200R10.1.0.1:6300/sdb1_rack7 100",
    "search": "object.builder search z1-10.0.0.1 --json",
    "list_parts": "object.builder list_parts d3",
    "set_weight": "object.builder set_weight d3 150",
    "set_region": "object.builder set_region z4 2 --yes",
    "set_zone": "object.builder set_zone 10.0.0.1 5 --yes",
    "set_info": "object.builder set_info d3 --change-ip 10.0.0.9 --change-port 6200",
    "remove": "object.builder remove /sdb1 --yes",
    "rebalance": "object.builder rebalance --seed 2026",
    "set_replicas": "object.builder set_replicas 3.5",
    "set_overload": "object.builder set_overload 10%",
    "set_min_part_hours": "object.builder set_min_part_hours 24",
    "pretend_min_part_hours_passed": "object.builder pretend_min_part_hours_passed",
    "validate": "object.builder validate",
    "dispersion": "object.builder dispersion 'r1z[0-9]+$' -v",
    "version": "object.builder version",
    "write_ring": "object.builder write_ring --format-version 2 --dev-id-bytes 4",
    "write_builder": "object.ring.gz write_builder 24",
}
_HELP = {
    "show": "the ring and its devices (also without a command)",
    "create": "a new builder: <partition power> <replicas> <min_part_hours>",
    "add": "add devices: pairs of <device> <weight>, or one by options",
    "search": "show devices",
    "list_parts": "the partitions of devices",
    "set_weight": "pairs of <search> <weight>",
    "set_region": "pairs of <search> <region>",
    "set_zone": "pairs of <search> <zone>",
    "set_info": "pairs of <search> <ip:port[Rip:port][/device][_meta]>, or --change-… options",
    "remove": "take devices out; their partitions move at the next rebalance",
    "rebalance": "assign partitions, move what should move, write the ring",
    "set_replicas": "the number of replicas, fractions allowed",
    "set_overload": "how much more than its weight a device may get for better dispersion: 10%% or 0.1",
    "set_min_part_hours": "hours that a moved partition stays where it is",
    "pretend_min_part_hours_passed": "let all partitions move at the next rebalance",
    "validate": "check the builder; exit 2 when it is broken",
    "dispersion": "how well replicas are kept apart, by tier",
    "version": "the builder's version",
    "write_ring": "write the ring without a rebalance",
    "write_builder": "make a builder from a ring, for when the builder is lost",
}
_EPILOG = f"""\
devices are described as  {DEVICE_FORM}
and searched for as       {SEARCH_FORM}

exit codes: 0 done; 1 done with a warning, or nothing to do; 2 error, nothing was changed
"""
_PAIRS = frozenset({"add", "set_weight", "set_region", "set_zone", "set_info"})
_SEARCHED = frozenset({"search", "list_parts", "set_weight", "set_region", "set_zone", "set_info", "remove"})
_CONFIRMED = frozenset({"set_weight", "set_region", "set_zone", "set_info", "remove"})
_TABLES = frozenset({"show", "search", "list_parts", "rebalance", "validate", "dispersion", "version"})

# option, field of Device, type
DEVICE_OPTIONS = (
    ("--id", "id", int),
    ("--region", "region", int),
    ("--zone", "zone", int),
    ("--ip", "ip", str),
    ("--port", "port", int),
    ("--replication-ip", "replication_ip", str),
    ("--replication-port", "replication_port", int),
    ("--device", "device", str),
    ("--meta", "meta", str),
    ("--weight", "weight", float),
)
_CHANGEABLE = ("ip", "port", "replication_ip", "replication_port", "device", "meta")
_PROGRAM = "objstore-ring-builder"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        _PROGRAM,
        description="Build the rings that say which devices hold which partitions.",
        epilog=f"example: {_PROGRAM} {EXAMPLES['create']}\n\n{_EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("builder_file", help="name.builder; the ring beside it is name.ring.gz")
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name, help_text in _HELP.items():
        command = commands.add_parser(
            name,
            help=help_text,
            description=help_text,
            epilog=f"example: {_PROGRAM} {EXAMPLES[name]}\n\n{_EPILOG}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_arguments(command, name)
    return parser


def _add_arguments(command: argparse.ArgumentParser, name: str) -> None:
    if name in _TABLES:
        command.add_argument("--json", action="store_true", help="print JSON")
    if name in _PAIRS:
        command.add_argument("pairs", nargs="*", metavar="search value" if name != "add" else "device weight")
    elif name in _SEARCHED:
        command.add_argument("searches", nargs="*", metavar="search")
    if name in _SEARCHED or name == "add":
        for option, field, kind in DEVICE_OPTIONS:
            command.add_argument(option, dest=f"device_{field}", type=kind, help=argparse.SUPPRESS)
    if name in _CONFIRMED:
        command.add_argument("--yes", action="store_true", help="do not ask when several devices match")
    if name == "set_info":
        for option, field, kind in DEVICE_OPTIONS:
            if field in _CHANGEABLE:
                command.add_argument(f"--change-{option[2:]}", dest=f"change_{field}", type=kind)
    _add_own_arguments(command, name)


def _add_own_arguments(command: argparse.ArgumentParser, name: str) -> None:
    if name == "create":
        command.add_argument("part_power", type=int)
        command.add_argument("replicas", type=float)
        command.add_argument("min_part_hours", type=int)
    elif name == "rebalance":
        command.add_argument("-f", "--force", action="store_true", help="save even when less than 1 %% is gained")
        command.add_argument("-s", "--seed", help="the same seed gives the same ring")
        command.add_argument("-d", "--debug", action="store_true", help="say more about what was done")
    elif name == "set_replicas":
        command.add_argument("replicas", type=float)
    elif name == "set_overload":
        command.add_argument("overload")
    elif name == "set_min_part_hours":
        command.add_argument("hours", type=int)
    elif name == "dispersion":
        command.add_argument("tier", nargs="?", help="a regular expression; only tiers that match are shown")
        command.add_argument("-v", "--verbose", action="store_true", help="also tiers without fault")
        command.add_argument("--recalculate", action="store_true", help="count again, and save")
    elif name == "write_ring":
        command.add_argument("--format-version", type=int, choices=(1, 2), default=1)
        command.add_argument("--dev-id-bytes", type=int, choices=(2, 4, 8), default=2, help="version 2 only")
    elif name == "write_builder":
        command.add_argument("min_part_hours", type=int, nargs="?", default=24)
