"""The README, typed by somebody who has only it: from a clean clone to the first result, and to nothing left behind.

Commands and the profile are read from README.md and typed as they stand there. What differs from what a reader does:

* `git clone` gets its address from git's `insteadOf`: the clone is that of this checkout's last commit.
* `make setup` would download packages; it finds a .venv that has them, since it leads to the programs of the .venv of the
  tests. All else is the clone's: playbooks, roles, plugins, ansible.cfg.
* Two values of the profile have no like on the lab: the profile with a GPU that it extends, where the README offers others,
  and the image of a public registry.
* `close` deletes the volume too, by the option that the README has for that, so that nothing at all is left.

`make demo`, the README's first block, is the last step of scripts/test.
"""

from __future__ import annotations

import csv
import hashlib
import html
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.registry import PYTHON_IMAGE
from tests.unit.project.test_documentation import AWS, LAB, section

from .conftest import ROOT, User

pytestmark = pytest.mark.lab

PROGRAMS = Path(sys.executable).parent
TRAIN = """
import argparse, csv, pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=pathlib.Path, required=True)
out = parser.parse_args().out
out.mkdir(parents=True, exist_ok=True)
with (out / "metrics.csv").open("w") as file:
    csv.writer(file).writerows([("epoch", "loss"), *((epoch, 1 / epoch) for epoch in (1, 2, 3))])
print("trained")
"""


def block(title: str, language: str) -> str:
    """The one block of that language in a section of the README."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", section(title), re.DOTALL)
    return text


CLONING, _demo = block(LAB, "console").splitlines()
SETUP, CHECK, LAUNCH = block(AWS, "console").splitlines()


def profile() -> tuple[str, str]:
    """The file of the README: where it says that it belongs, and its text with what the lab has."""
    text = block(AWS, "yaml")
    named = re.match(r"# (profiles/\w+\.yml)\n", text)
    assert named
    for key, value in (("extends", "lab"), ("image", PYTHON_IMAGE)):
        text, times = re.subn(rf"(?m)^( *{key}: )\S+", rf"\g<1>{value}", text)
        assert times == 1, key
    return named[1], text


def row(verb: str) -> str:
    """The command that the README's table has for a verb."""
    (command,) = re.findall(rf"(?m)^\| `(ansible-playbook {verb}\.yml[^`]*)` \|", section(AWS))
    return command


@dataclass(frozen=True)
class Newcomer:
    """Somebody with credentials, a terminal and the README; all but the clone itself is typed in the clone."""

    user: User
    env: dict[str, str]
    clone: Path

    def types(self, *lines: str, where: Path | None = None) -> list[str]:
        """Types lines one after the other in one shell, each of which must succeed; what each has printed."""
        mark = "=== typed ==="
        script = "".join(f"{line}\necho '{mark}'\n" for line in lines)
        done = subprocess.run(
            ["bash", "-ec", script], cwd=where or self.clone, env=self.env, text=True, timeout=600, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout.split(f"{mark}\n")[:-1]


def environment(user: User) -> dict[str, str]:
    """Credentials are those of a profile in ~/.aws, git finds this checkout, nothing but the README leads to Ansible."""
    home = Path(user.env["HOME"])
    keys = [f"{name.lower()}={user.env[name]}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    (home / ".aws").mkdir()
    (home / ".aws/credentials").write_text("\n".join(["[me]", *keys, ""]))
    (address,) = re.findall(r"git clone (\S+)", CLONING)
    (home / ".gitconfig").write_text(f'[url "{ROOT}"]\ninsteadOf = {address}\n[safe]\ndirectory = *\n')
    others = ("AWS_ACCESS", "AWS_SECRET", "ANSIBLE_CONFIG", "ANSIBLE_HOME", "VIRTUAL_ENV", "MAKE", "MFLAGS")
    env = {name: value for name, value in user.env.items() if not name.startswith(others)}
    path = [part for part in env["PATH"].split(":") if part != str(PROGRAMS)]
    return {**env, "PATH": ":".join(path), "AWS_PROFILE": "me"}


def prepared(clone: Path) -> None:
    """What `make setup` makes: a .venv with Ansible, marked as one that has what requirements.txt says today."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(clone / ".venv")], check=True)
    for program in PROGRAMS.glob("ansible*"):
        (clone / ".venv/bin" / program.name).symlink_to(program)
    wanted = hashlib.sha256((clone / "requirements.txt").read_bytes()).hexdigest()[:16]
    (clone / f".venv/.installed-{wanted}").touch()


@pytest.fixture(scope="module")
def newcomer(user: User) -> Newcomer:
    """Has cloned, written the one file, and has code of their own."""
    (folder,) = re.findall(r"&& cd (\S+)", CLONING)
    found = Newcomer(user, environment(user), user.folder / folder)
    found.types(CLONING, where=user.folder)
    name, text = profile()
    (found.clone / name).write_text(text)
    (found.clone / "src").mkdir()
    (found.clone / "src/train.py").write_text(TRAIN)
    prepared(found.clone)
    return found


def shown(text: str) -> list[str]:
    """What each launch shows in this order: plays and tasks, columns of the prices, costs, names in the summary."""
    found = re.findall(
        r"(?m)^((?:PLAY|TASK) \[.*?\])|^(type +zone .*?) *$|^(Cost: )|(host key: verified by the)|^  ([a-z]+(?: in)?)  ",
        text,
    )
    return list(dict.fromkeys("".join(groups) for groups in found))


def picture() -> str:
    """What the README's picture of a launch shows, a line each."""
    return html.unescape(re.sub(r"<[^>]*>", "", (ROOT / "docs/run.svg").read_text())).replace("\xa0", " ")


def test_a_plan_says_what_would_start_where_at_what_price_and_creates_nothing(newcomer: Newcomer) -> None:
    before = newcomer.user.changing_calls()
    ready, planned = newcomer.types(SETUP, CHECK)
    assert ready == "", "there was nothing to install"
    for what in ("t3.medium", "us-east-1", "price/h", "an hour"):
        assert what in planned
    assert newcomer.user.changing_calls() == before
    assert newcomer.user.tagged("first") == {}


def test_the_first_launch_brings_results_and_looks_like_the_picture(newcomer: Newcomer) -> None:
    _, launched = newcomer.types(SETUP, LAUNCH)
    with (newcomer.clone / "results/metrics.csv").open() as file:
        assert [line["epoch"] for line in csv.DictReader(file)] == ["1", "2", "3"]
    assert len(newcomer.user.alive("first")) == 1
    assert shown(launched) == shown(picture()), "README's picture is of another time; scripts/picture.py draws it"
    assert len(shown(launched)) > 15


def test_status_shows_it_and_close_leaves_nothing(newcomer: Newcomer) -> None:
    started = time.time()
    (instance,) = newcomer.user.alive("first")
    close = row("close").replace("NAME", "first")
    _, status, closed = newcomer.types(SETUP, row("status"), f"{close} -e delete_volumes=lab-data")
    assert instance in status and "succeeded" in status
    assert "lab-data" in closed
    assert newcomer.user.tagged("first") == {}
    assert not newcomer.user.not_allowed(started), "docs/controller-policy.json lacks calls"
