"""reference.toml: every status, header and parameter that the public API reference names is asserted by some test."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TABLE = tomllib.loads((Path(__file__).with_name("reference.toml")).read_text())


def sources():
    """Test -> its text, with decorators and the constants, fixtures and functions of its module that it names, and
    those that these name."""
    found = {}
    for file in ROOT.rglob("test_*.py"):
        text = file.read_text()
        lines = text.splitlines()
        pieces = {}
        tree = ast.parse(text)
        methods = [node for each in tree.body if isinstance(each, ast.ClassDef) for node in each.body]
        for node in [*tree.body, *methods]:
            names = [node.name] if isinstance(node, ast.FunctionDef) else [
                target.id for target in getattr(node, "targets", ()) if isinstance(target, ast.Name)
            ]  # fmt: skip
            first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
            for name in names:
                used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
                used |= {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)}
                pieces[name] = "\n".join(lines[first - 1 : node.end_lineno]), used
        for name, (own, used) in pieces.items():
            if name.startswith("test_"):
                near = closure(used, pieces) - {name}
                around = [pieces[other][0] for other in sorted(near)]
                found.setdefault(name, []).append("\n".join([own, *around]).lower())
    return found


def closure(used, pieces):
    found, left = set(), used & pieces.keys()
    while left:
        found |= left
        left = set().union(*(pieces[name][1] for name in left)) & pieces.keys() - found
    return found


SOURCES = sources()
ENTRIES = [
    (f"{operation} {status}", status, tests)
    for operation, statuses in TABLE["status"].items()
    for status, tests in statuses.items()
] + [
    (f"{section} {name}", name.lower(), tests)
    for section in ("response", "request", "query", "field")
    for name, tests in TABLE[section].items()
]  # fmt: skip


@pytest.mark.parametrize(("what", "word", "tests"), ENTRIES, ids=[entry[0] for entry in ENTRIES])
def test_what_the_reference_names_is_asserted(what, word, tests):
    for test in [tests] if isinstance(tests, str) else tests:
        assert test in SOURCES, f"{what}: there is no {test}"
        assert any(word in text for text in SOURCES[test]), f"{what}: {test} says nothing of {word}"
