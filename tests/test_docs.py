"""The README and the documentation run as they stand."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TUTORIAL = ROOT / "docs" / "tutorial.md"
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{i}")
    for page in PAGES
    if page != TUTORIAL
    for i, block in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S))
]


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
@pytest.mark.parametrize("block", BLOCKS)
def test_every_python_block_runs(block, tmp_path, monkeypatch):
    """A block that a reader copies runs in an empty folder."""
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "<documentation>", "exec"), {"__name__": "documentation"})


def test_the_tutorial_prints_what_it_shows(tmp_path, monkeypatch, capsys):
    """Each block continues the one before, and what it prints stands below it to the letter."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", TUTORIAL.read_text(), re.M | re.S)
    names = {"__name__": "documentation"}
    for block, shown in blocks:
        exec(compile(block, "<tutorial>", "exec"), names)
        assert capsys.readouterr().out == shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    """Every relative link names a file of the project."""
    targets = [t.partition("#")[0] for t in re.findall(r"\]\(([^)]+)\)", page.read_text()) if "://" not in t]
    assert [t for t in targets if t and not (page.parent / t).exists()] == []


def test_the_readme_says_at_once_what_problem_is_solved_and_for_whom():
    """The first ten lines name the problem and the reader."""
    first = " ".join((ROOT / "README.md").read_text().splitlines()[:10])
    assert "wrong" in first
    assert "data scientists" in first.replace("\n", " ")


def test_extras_and_dependency_groups_are_the_same():
    """pip before 25.1 knows no groups, so each group has an extra that mirrors it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["optional-dependencies"] == project["dependency-groups"]
