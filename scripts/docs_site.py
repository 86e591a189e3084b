#!/usr/bin/env python3
"""Builds the documentation as a site in build/site: pages of docs/, the README and a page for each plugin and role.

`make docs-site`, `make docs` and `make test` run it. Every warning of Sphinx is an error, and so is a link of the
finished site that leads nowhere.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import yaml

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ROOT / "scripts/sphinx"
SOURCE = ROOT / "build/site-source"
SITE = ROOT / "build/site"
COLLECTION = "experiments.spot"
PICTURES = (".svg", ".png")
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def pages() -> dict[Path, str]:
    """Files of the checkout that are part of the site, with their names there."""
    found = {path: path.name for path in (ROOT / "docs").iterdir() if path.suffix in (".md", *PICTURES)}
    return {ROOT / "README.md": "index.md", **dict(sorted(found.items()))}


def relinked(text: str, page: Path, names: Mapping[Path, str], repository: str) -> str:
    """A page whose links lead to other pages of the site, and else to the repository.

    Args:
        text: its Markdown.
        page: its file, from which its links start.
        names: of ``pages``.
        repository: address of the repository.
    """

    def target(link: re.Match[str]) -> str:
        path, anchor = Path(os.path.normpath(page.parent / link[1])), link[2] or ""
        if path in names:
            return f"]({names[path]}{anchor})"
        kind = "tree" if path.is_dir() else "blob"
        return f"]({repository}/{kind}/main/{path.relative_to(ROOT)}{anchor})"

    return LINK.sub(target, text)


def navigation(text: str, names: Mapping[Path, str]) -> str:
    """The navigation, with the pages at its end that it does not name yet.

    A page of it may be named as /NAME, because `self` means the page of the navigation to Sphinx.
    """
    named = set(re.findall(r"^/?([\w-]+)$", text, re.MULTILINE))
    rest = [name[:-3] for name in names.values() if name.endswith(".md") and name[:-3] not in {*named, "index"}]
    more = "\n```{toctree}\n:caption: More\n:hidden:\n\n" + "\n".join(rest) + "\n```\n"
    return text + (more if rest else "")


def stage(names: Mapping[Path, str], repository: str) -> None:
    """Write the sources of the site anew."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    (SOURCE / "plugins").mkdir(parents=True)
    for path, name in names.items():
        if path.suffix in PICTURES:
            shutil.copy2(path, SOURCE / name)
        else:
            (SOURCE / name).write_text(relinked(path.read_text(), path, names, repository))
    with (SOURCE / "index.md").open("a") as index:
        index.write(f"\n{navigation((SETTINGS / 'navigation.md').read_text(), names)}")


class Anchors(HTMLParser):
    """Names within a page, and what it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        for key, value in attrs:
            if key == "id" or (key == "name" and tag == "a"):
                self.names.add(value or "")
            elif key in ("href", "src") and value:
                self.links.append(value)


def broken(site: Path) -> Iterator[str]:
    """Links of a site to files or places that are not there, a line each."""
    read = {path: Anchors(path.read_text()) for path in sorted(site.rglob("*.html"))}
    for page, anchors in read.items():
        for link in dict.fromkeys(anchors.links):
            if re.match(r"[a-z][a-z+.-]*:|//", link):
                continue
            name, _, place = unquote(link).partition("#")
            target = Path(os.path.normpath(page.parent / name.partition("?")[0])) if name else page
            target = target / "index.html" if target.is_dir() else target
            known = read[target].names if target in read else None
            if not target.is_file() or (place and known is not None and place not in known):
                yield f"{page.relative_to(site)}: {link}"


def command(*argv: str) -> None:
    """A program of the environment that must succeed; it says itself what is wrong."""
    programs = str(Path(sys.executable).parent)
    env = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    if subprocess.run([f"{programs}/{argv[0]}", *argv[1:]], cwd=ROOT, env=env, check=False).returncode:
        sys.exit(f"docs-site: {argv[0]} failed, see above")


def main() -> None:
    """Build the site, or say what is wrong with it."""
    stage(pages(), yaml.safe_load((ROOT / "galaxy.yml").read_text())["repository"])
    # A hundred plugins and roles in the navigation of each page would take a quarter of the time of Sphinx;
    # plugins/index lists them all.
    how = ["--use-current", "--squash-hierarchy", "--no-breadcrumbs", "--fail-on-error"]
    command("antsibull-docs", "collection", *how, "--dest-dir", str(SOURCE / "plugins"), COLLECTION)
    shutil.rmtree(SITE, ignore_errors=True)
    cache = ROOT / "build/site-cache"
    options = ["--fail-on-warning", "--keep-going", "-q", "-j", "auto", "-c", str(SETTINGS), "-d", str(cache)]
    command("sphinx-build", *options, str(SOURCE), str(SITE))
    wrong = list(broken(SITE))
    if wrong:
        sys.exit("docs-site: links that lead nowhere:\n" + "\n".join(wrong))
    print(f"{SITE.relative_to(ROOT)}/index.html: {len(list(SITE.rglob('*.html')))} pages")


if __name__ == "__main__":
    main()
