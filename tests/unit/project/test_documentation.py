"""What the documentation tells people to type can be typed, what it shows is right, and what it links to is there."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.load import load_file
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.override import override
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.resolve import Request, resolve
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.schema import walk
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.validate import Setting
from lab.cli import VERBS as LAB_VERBS

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "lab/**/*.md", "roles/*/README.md", "examples/**/*.md", "bench/**/*.md")
    for path in ROOT.glob(pattern)
)
# Files that show a command to people: pages, messages, and comments at the top of playbooks and profiles.
TELLING = [
    *PAGES,
    *(
        path
        for top in ("playbooks", "roles", "profiles")
        for path in sorted((ROOT / top).rglob("*.*"))
        if path.suffix != ".pyc"
    ),
]
FLAGS = {"--check", "--diff", "-v", "-vv", "-vvv", "--ask-vault-pass"}
# What the playbooks and roles read of `-e` is what occurs in them.
READ = "\n".join(
    path.read_text()
    for path in [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/**/*.yml"), ROOT / "plugins/action/profile.py"]
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(path: Path) -> Iterator[list[str]]:
    """The words after `ansible-playbook` in each command of a file, templates filled in, optional parts given."""
    for line in path.read_text().splitlines():
        for found in re.findall(r"ansible-playbook ([\w.]+.*)", line):
            text = re.sub(r"\{\{ [^{}]*(\}\}|$)|\{%.*?%\}", "x", found)
            text = re.split(r"[`|#…(]| {3,}|\. |' ~ |[\"']? ?[}\"]+$", text)[0]
            yield shlex.split(re.sub(r"[][]", "", text).strip().rstrip(",:;"))


def options(path: Path) -> Iterator[list[str]]:
    """Options that a page shows alone, as of the first verb."""
    for found in re.findall(r"`(-e [^`]+)`", path.read_text()):
        yield ["launch.yml", *shlex.split(found)]


COMMANDS = [
    *((name_of(path), command) for path in TELLING if path.is_file() for command in commands(path)),
    *((name_of(path), command) for path in PAGES for command in options(path)),
]


def extra(words: list[str]) -> dict[str, object]:
    """What the options -e of a command say."""
    values: dict[str, object] = {}
    for option, value in zip(words, words[1:]):
        if option == "-e":
            given = json.loads(value) if value.startswith("{") else [value.split("=", 1)]
            values.update([] if value.startswith("@") else given)  # a file of variables
    return values


def test_commands_are_found() -> None:
    assert len([where for where, _ in COMMANDS if where == "README.md"]) >= 6
    assert len(COMMANDS) > 20


@pytest.mark.parametrize(("where", "command"), COMMANDS)
def test_command_can_be_typed(where: str, command: list[str]) -> None:
    playbook, *words = command
    namespace, _dot, verb = playbook.rpartition(".")
    file = ROOT / (f"playbooks/{verb}.yml" if namespace == "experiments.spot" else playbook)
    assert file.is_file() and file.suffix == ".yml", f"{where}: there is no playbook {playbook}"
    given = [word for word in words if word.startswith("-")]
    assert set(given) <= {"-e", "-i", *FLAGS}, where
    assert len(words) == len(given) + given.count("-e") + given.count("-i"), f"{where}: {words}"


@pytest.mark.parametrize(("where", "command"), COMMANDS)
def test_extra_variables_are_read_by_somebody(where: str, command: list[str]) -> None:
    for name in extra(command):
        if "." not in name:
            assert re.search(rf"(?<![\w.'-]){name}\b", READ), f"{where}: nothing reads -e {name}"


@pytest.mark.parametrize(("where", "command"), COMMANDS)
def test_overrides_are_keys_of_a_profile(where: str, command: list[str]) -> None:
    document, problems = load_file(str(ROOT / "profiles/lab.yml"), "lab.yml")
    document.data["volumes"][0]["name"] = "mnist"
    given = extra(command)
    if command[0] == "run.yml":
        given.pop("image", None)  # of the job's container
    document, wrong = override(document, given, "/")
    assert [*problems, *wrong] == [], where


def test_examples_are_found() -> None:
    assert {name_of(path) for path in PAGES if profile_examples(path)} >= {"README.md", "docs/profile.md"}


def profile_examples(path: Path) -> list[tuple[str, str]]:
    """Name and text of each profile that a page shows."""
    return re.findall(r"```yaml\n(?:---\n)?(?=# profiles/(\w+)\.yml\n)(.*?)```", path.read_text(), re.DOTALL)


@pytest.mark.parametrize("path", [path for path in PAGES if profile_examples(path)], ids=name_of)
def test_example_profile_is_right(path: Path, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()  # beside profiles/, as a project has it
    (tmp_path / "profiles").mkdir()
    for name, text in profile_examples(path):
        (tmp_path / "profiles" / f"{name}.yml").write_text(text)
        dirs = [str(tmp_path / "profiles"), str(ROOT / "profiles")]
        setting = Setting("", "", lambda: "us-east-1", str(tmp_path), str(tmp_path / "home"))
        request = Request(name, dirs, setting, {}, lambda text, variables: re.sub(r"\{\{.*?\}\}", "x", text))
        found, checked = resolve(request)  # raises with all mistakes
        assert found.name == name and checked.problems == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_blocks_of_yaml_are_yaml(path: Path) -> None:
    for block in re.findall(r"```ya?ml\n(.*?)```", path.read_text(), re.DOTALL):
        assert yaml.safe_load(block)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), target


def anchors(path: Path) -> set[str]:
    """Names of the headings of a page, as GitHub makes them: lower case, without punctuation, a hyphen for a blank."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    names: dict[str, int] = {}
    for heading in re.findall(r"^#+ +(.+?) *#*$", text, re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        names[name] = names.get(name, -1) + 1
    return {f"{name}-{number}" if number else name for name, last in names.items() for number in range(last + 1)}


def test_anchors_are_githubs(tmp_path: Path) -> None:
    (tmp_path / "x.md").write_text("# `a` & B's\n```\n# none\n```\n## Two\n## Two\n## [one](x.md#y), two-three_4\n")
    assert anchors(tmp_path / "x.md") == {"a--bs", "two", "two-1", "one-two-three_4"}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_to_a_place_of_the_page(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)#([^)\s]+)\)", path.read_text()):
        page = path.parent / target if target else path
        assert page.suffix == ".md" and anchor in anchors(page), f"{target}#{anchor}"


def code(path: Path) -> str:
    """All that a page shows as code, a command a line."""
    text = path.read_text()
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return "\n".join([*blocks, *spans])


def typed(text: str) -> list[list[str]]:
    """The commands of a block for a terminal, word by word: what is joined by && is several; comments are none.

    Where lines begin with $ the others are what is answered.
    """
    lines = re.sub(r"\\\n", " ", text).splitlines()
    prompted = [line[2:] for line in lines if line.startswith("$ ")]
    lines = prompted or lines
    parts = [part for line in lines for part in re.split(r"&&|\|\||;", re.sub(r"(^|\s)#.*", "", line))]
    return [part.split() for part in parts if part.split()]


# What else pages tell people to type: programs of Ansible, of the system, and of AWS.
PROGRAMS = {"ansible-playbook", "ansible-navigator", "ansible-vault", "ansible-builder", "ansible-rulebook"}
PROGRAMS |= {"ansible-galaxy", "ansible-inventory", "ansible-doc", "antsibull-changelog", "aws", "docker", "lab/lab"}
PROGRAMS |= {"code", "cp", "curl", "eval", "git", "make", "pip", "python3", "rsync", "scp", "ssh"}
# They only tell the shell where it is and what counts there.
SHELL = {"cd", ".", "export"}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_for_a_terminal_are_known(path: Path) -> None:
    for block in re.findall(r"```console\n(.*?)```", path.read_text(), re.DOTALL):
        for words in typed(block):
            name = next((word for word in words if not re.match(r"[A-Z_]+=", word)), words[0])
            assert name in PROGRAMS | SHELL or (ROOT / name).is_file(), f"{name_of(path)}: {' '.join(words)}"


def section(title: str) -> str:
    """A section of the README."""
    return re.split(r"^## ", (ROOT / "README.md").read_text().split(f"## {title}\n", 1)[1], flags=re.MULTILINE)[0]


LAB, AWS = "See it work in five minutes, without AWS", "On AWS"


@dataclass(frozen=True)
class Typing:
    """What a new user types: how often Enter is pressed, and the commands, without those that only concern the shell."""

    lines: int
    words: int
    commands: list[list[str]]


def typing(*blocks: str) -> Typing:
    """What blocks for a terminal make a new user type; comments and what joins commands are no words."""
    each = [typed(line) for block in blocks for line in re.sub(r"\\\n", " ", block).splitlines()]
    everything = [words for line in each for words in line]
    commands = [words for words in everything if words[0] not in SHELL]
    return Typing(len([line for line in each if line]), sum(map(len, everything)), commands)


def terminal(title: str) -> str:
    """The one block for a terminal in a section of the README."""
    (block,) = re.findall(r"```console\n(.*?)```", section(title), re.DOTALL)
    return str(block)


def test_typing_is_counted() -> None:
    found = typing("git clone x && cd x  # here\n# a comment\n\nmake \\\n  demo\n")
    assert found == Typing(2, 7, [["git", "clone", "x"], ["make", "demo"]])


def test_the_first_result_on_the_lab_takes_two_commands_from_nothing() -> None:
    lab = typing(terminal(LAB))
    assert [words[:2] for words in lab.commands] == [["git", "clone"], ["make", "demo"]]
    assert lab.lines <= 2 and lab.words <= 7


def test_the_first_result_on_aws_takes_four_commands_and_a_file_of_twelve_lines() -> None:
    aws = typing(terminal(LAB).splitlines()[0], terminal(AWS))
    assert [words[0] for words in aws.commands] == ["git", "make", "ansible-playbook", "ansible-playbook"]
    assert aws.lines <= 4 and aws.words <= 18
    ((name, text),) = [found for found in profile_examples(ROOT / "README.md") if found[0] in aws.commands[-1][-1]]
    assert aws.commands[-1][1:] == ["launch.yml", "-e", f"profile={name}"]
    assert len(text.splitlines()) <= 12 and len(re.sub(r"(^|\s)#.*", "", text).split()) <= 40
    (profile,) = [yaml.safe_load(text)]
    assert profile["job"]["command"] and {one["direction"] for one in profile["channels"]} == {"in", "out"}


def test_everything_that_is_tested_ends_with_the_demo_of_the_readme() -> None:
    assert re.search(r"^demo:.*\n\t@scripts/demo$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    lanes = re.findall(r"^\{?.*\blane ((?:[a-z-]+ ?)+)", (ROOT / "scripts/test").read_text(), re.MULTILINE)
    assert [lane.split()[-1] for lane in lanes][-1] == "demo"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_targets_of_make_and_verbs_of_the_lab_exist(path: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:^|&& )make ([a-z-]+)", code(path), re.MULTILINE)) <= set(targets)
    assert set(re.findall(r"lab/lab (\w+)", code(path))) <= set(LAB_VERBS)


def test_targets_of_make_are_explained_and_do_not_collide_with_files() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert set(phony.split()) == targets
    assert targets - set(re.findall(r"^([a-z-]+):.*##", text, re.MULTILINE)) == {"setup-test"}


def test_scripts_that_pages_name_exist() -> None:
    for path in PAGES:
        for name in re.findall(r"\b((?:scripts|\.ci)/[\w.]+)", path.read_text()):
            assert (ROOT / name).exists(), f"{name_of(path)}: {name}"


def test_the_reference_is_made_from_the_sources_as_they_are() -> None:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts/reference.py")
    assert spec and spec.loader
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    assert (ROOT / "docs/reference.md").read_text() == reference.page(), "stale: run `make docs`"
    assert "|  |" not in reference.page(), "something has no short description"


def messages(page: Path) -> list[str]:
    """The first column of each table of a page."""
    return re.findall(r"(?m)^\| `([^`]+)` \|", page.read_text())


@pytest.mark.parametrize("message", messages(ROOT / "docs/troubleshooting.md"))
def test_a_message_that_is_explained_is_one_that_is_told(message: str) -> None:
    """By the product, or by Ansible, as the tests see."""
    folders = [*("plugins", "roles", "playbooks"), "tests/integration/launch"]
    kinds = (".py", ".yml", ".j2")
    files = [path for top in folders for path in (ROOT / top).rglob("*.*") if path.suffix in kinds]
    told = " ".join(" ".join(path.read_text() for path in files).replace('"', " ").split())
    for part in message.split("…"):
        assert part.strip(" ;,") in told, part


def test_bounds_of_costs_are_keys_of_a_profile() -> None:
    bounds = (ROOT / "docs/costs.md").read_text().partition("## Bounds")[2].partition("## ")[0]
    named = set(re.findall(r"`([a-z]+\.[a-z_]+)(?:: [a-z]+)?`", bounds))
    assert len(named) > 6 and named <= {path for path, _key in walk()}
