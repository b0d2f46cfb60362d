"""SECURITY.md names tests; they exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(set(re.findall(r"`(test_\w+)`", (ROOT / "SECURITY.md").read_text())))
DEFINED = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^\s*def (test_\w+)\(", path.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_security_md_names_exists(name):
    assert name in DEFINED
