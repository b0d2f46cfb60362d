"""Which servers and daemons objstore-init is asked about, and the configurations of each (B5.1, B5.15). Reads names of
files, nothing else.

A server's configuration is the first of these that is there:
    <swift dir>/object-server.conf            a file
    <swift dir>/object-server.conf.d          a directory of *.conf files, read as one
    <swift dir>/object-server/1.conf, …       several, also N.conf.d: a process each
Daemons have that of their server; an object-expirer.conf or container-reconciler.conf of their own goes before it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from objstore.config.factories import DAEMON_GROUP, installed
from objstore.config.server import ROLE_PORTS
from objstore.runtime.pid_files import PidFile

GROUPS = ("all", "main", "rest")


class UnknownServer(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Wanted:
    """One server or daemon. number: only its configuration of that name (object-server.1), "" for all of them."""

    server: str
    number: str = ""


def main_servers() -> tuple[str, ...]:
    return tuple(ROLE_PORTS)


def daemon_names() -> tuple[str, ...]:
    return installed().names(DAEMON_GROUP)


def wanted(words: Iterable[str]) -> tuple[list[Wanted], bool]:
    """(what the words of a command line mean, whether each was named one by one).

    A word is a group, a name (`object` is object-server), a name with the number of a configuration, or a pattern with
    * and ?. Raises UnknownServer."""
    known = (*main_servers(), *daemon_names())
    groups = {"all": known, "main": main_servers(), "rest": daemon_names()}
    found: dict[Wanted, None] = {}
    is_by_name = True
    for word in words:
        if word in groups:
            is_by_name = False
            found |= dict.fromkeys(Wanted(name) for name in groups[word])
        elif any(each in word for each in "*?["):
            is_by_name = False
            names = [name for name in known if fnmatch.fnmatchcase(name, word)]
            if not names:
                raise UnknownServer(f"{word}: no server or daemon is called so; there are {', '.join(known)}")
            found |= dict.fromkeys(map(Wanted, names))
        else:
            found[_named(word, known)] = None
    return list(found), is_by_name


def _named(word: str, known: Sequence[str]) -> Wanted:
    name, _, number = word.partition(".")
    for full in (name, f"{name}-server"):
        if full in known:
            return Wanted(full, number)
    raise UnknownServer(f"{word}: expected {', '.join(GROUPS)}, or one of {', '.join(known)}")


def configurations(server: str, swift_dir: Path) -> list[tuple[str, Path]]:
    """(number, file or directory) of a server's configurations; number is "" for the only one."""
    for name in _sources(server):
        for single in (swift_dir / f"{name}.conf", swift_dir / f"{name}.conf.d"):
            if single.exists():
                return [("", single)]
        several = {
            path.name.removesuffix(".d").removesuffix(".conf"): path
            for path in sorted((swift_dir / name).glob("*"))
            if path.name.endswith((".conf", ".conf.d"))
        }
        if several:
            return sorted(several.items(), key=lambda item: (len(item[0]), item[0]))
    return []


def _sources(server: str) -> tuple[str, ...]:
    if server in ROLE_PORTS:
        return (server,)
    own = (server,) if server in ("object-expirer", "container-reconciler") else ()
    return (*own, f"{server.partition('-')[0]}-server")


def pid_files(one: Wanted, swift_dir: Path, run_dir: Path, config_number: int | None = None) -> list[PidFile]:
    """A process for each configuration. config_number: only the n-th of them, from 1."""
    found = [
        PidFile(run_dir / one.server / f"{number}.pid" if number else run_dir / f"{one.server}.pid", one.server, conf)
        for number, conf in configurations(one.server, swift_dir)
        if one.number in ("", number)
    ]
    return found if config_number is None else found[config_number - 1 : config_number]
