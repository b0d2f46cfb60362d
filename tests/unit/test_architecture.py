"""The layers of doc/architecture.md, kept by reading the imports of every module (by ast; nothing is run)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "objstore"

LAYERS = (
    ("core",),
    ("config", "runtime"),
    ("ring", "http", "storage", "db", "cache"),
    ("peers", "daemon", "dbserver", "client"),
    ("replication",),
    ("account", "container", "object", "cluster", "proxy"),
    ("middleware", "s3"),
    ("cli", "console"),
)
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}

# A library, and the one module that may import it.
FENCED = {
    "eventlet": "runtime/green.py",
    "greenlet": "runtime/green.py",
    "xattr": "runtime/fs.py",
    "netifaces": "runtime/netinfo.py",
    "setproctitle": "runtime/process.py",
    "google_crc32c": "runtime/checksum.py",
    "ldap3": "middleware/ldap/wire.py",
    "dns": "runtime/dns_query.py",
}
CORE_MAY_NOT = {"time.time", "os", "socket", "threading", "subprocess", "logging", "random", "sqlite3"}
FORBIDDEN_NAMES = {"utils.py", "common.py", "helpers.py", "misc.py"}

MODULES = sorted(PACKAGE.rglob("*.py"))
assert MODULES, "no modules found: the test would check nothing"


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; name the module in full"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_point_down(path):
    parts = path.relative_to(PACKAGE).parts
    if len(parts) == 1:
        return
    here = parts[0]
    assert here in LEVEL, f"{here}/ stands on no layer: add it to LAYERS and to doc/architecture.md"
    for name in imports(path):
        pieces = name.split(".")
        if pieces[0] != "objstore" or len(pieces) < 2 or pieces[1] not in LEVEL:
            continue
        there = pieces[1]
        assert there == here or LEVEL[there] < LEVEL[here], f"{relative(path)} ({here}) may not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_untyped_libraries_are_fenced(path):
    for name in imports(path):
        owner = FENCED.get(name.split(".")[0])
        assert owner in (None, relative(path)), f"{relative(path)} imports {name}; only {owner} may"


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").glob("*.py")), ids=relative)
def test_core_is_pure(path):
    for name in imports(path):
        assert not any(name == banned or name.startswith(banned + ".") for banned in CORE_MAY_NOT), (
            f"core imports {name}"
        )


def test_only_the_restricted_reader_unpickles():
    loaders = {
        relative(path)
        for path in MODULES
        for name in imports(path)
        if name.split(".")[0] in ("pickle", "marshal", "shelve")
    }
    assert loaders <= {"core/pickles.py"}, f"{loaders} import pickle; only core/pickles.py may"


def test_every_module_says_what_it_is_for():
    silent = [relative(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent, f"no module docstring: {silent}"


def test_no_module_is_a_drawer():
    drawers = [relative(path) for path in MODULES if path.name in FORBIDDEN_NAMES]
    assert not drawers, f"name these after what they hold: {drawers}"
