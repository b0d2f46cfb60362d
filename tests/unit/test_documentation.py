"""Documentation as a reader follows it: links lead somewhere, and every page for operators can be found."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "doc").rglob("*.md"))]
OPERATIONS = ROOT / "doc" / "operations"
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


def test_the_first_page_for_operators_names_all_others():
    named = set(LINK.findall((OPERATIONS / "README.md").read_text()))
    assert named == {page.name for page in OPERATIONS.glob("*.md")} - {"README.md"}
