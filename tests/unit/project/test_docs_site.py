"""What becomes of pages on the site of the documentation, and that links of it are checked."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
REPOSITORY = "https://example.org/repo"


def script() -> Any:
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "scripts/docs_site.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SITE = script()


@pytest.mark.parametrize(
    ("page", "link", "shown"),
    [
        ("README.md", "docs/recovery.md#the-zone", "recovery.md#the-zone"),
        ("README.md", "bench/", f"{REPOSITORY}/tree/main/bench"),
        ("docs/report.md", "recovery.md", "recovery.md"),
        ("docs/report.md", "../README.md", "index.md"),
        ("docs/report.md", "../profiles/notebook.yml", f"{REPOSITORY}/blob/main/profiles/notebook.yml"),
        ("docs/architecture.md", "architecture.svg", "architecture.svg"),
        ("docs/report.md", "https://example.org/x", "https://example.org/x"),
        ("docs/report.md", "#what-it-tells", "#what-it-tells"),
    ],
)
def test_links_lead_to_pages_of_the_site_else_to_the_repository(page: str, link: str, shown: str) -> None:
    text = SITE.relinked(f"see [it]({link}).", ROOT / page, SITE.pages(), REPOSITORY)
    assert text == f"see [it]({shown})."


def test_make_docs_and_make_test_build_it() -> None:
    (docs,) = re.findall(r"^docs:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    steps = (ROOT / "scripts/test").read_text()
    assert "scripts/docs_site.py" in docs and "docs) .venv/bin/python scripts/docs_site.py" in steps
    assert re.search(r"\blane .*\bdocs\b", steps)


def test_navigation_names_pages_that_are_there_and_each_once() -> None:
    names = SITE.pages()
    text = SITE.navigation((SITE.SETTINGS / "navigation.md").read_text(), names)
    listed = re.findall(r"^/?([\w-]+)$", text, re.MULTILINE)
    assert sorted(listed) == sorted({name[:-3] for name in names.values() if name.endswith(".md")} - {"index"})


def test_a_page_that_the_navigation_lacks_comes_last() -> None:
    text = SITE.navigation("old\n", {Path("a"): "index.md", Path("b"): "old.md", Path("c"): "new.md"})
    assert text.count("old") == 1 and text.rstrip().endswith("new\n```")


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="#here">1</a><a href="sub/b.html#there">2</a><a href="https://example.org/">3</a>'
        '<a href="#gone">4</a><a href="sub/b.html#gone">5</a><a href="none.html">6</a><img src="no.svg"></p>'
    )
    (tmp_path / "sub/b.html").write_text('<a name="there" href="../a.html?x=1#here">7</a>')
    assert list(SITE.broken(tmp_path)) == [
        "a.html: #gone",
        "a.html: sub/b.html#gone",
        "a.html: none.html",
        "a.html: no.svg",
    ]
