"""Where a command is typed: the language, the terminal, the folder and the session of the user, at their worst."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import LIGHT, ROOT, User

pytestmark = pytest.mark.lab

DEMO = ("-e", "profile=lab")
READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && cd "$1" && shift && exec "$@"'
NO_TRACEBACK = ("Traceback", "UnicodeEncodeError", "Unexpected failure", "<<< caused by >>>")


def clean(text: str) -> str:
    """What was printed, which is no traceback."""
    assert not [word for word in NO_TRACEBACK if word in text], text
    return text


def read_only(user: User, verb: str, *args: str) -> tuple[int, str]:
    """A command in a folder that nobody can write to, root neither: a mount of its own in a name space of its own."""
    program = str(Path(sys.executable).parent / "ansible-playbook")
    command = [
        "unshare",
        "-m",
        "sh",
        "-c",
        READ_ONLY,
        "sh",
        str(user.folder),
        program,
        str(ROOT / f"{verb}.yml"),
        *args,
    ]
    done = subprocess.run(
        command, cwd=user.folder, env=user.env, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, clean(done.stdout)


@pytest.fixture(scope="module")
def there(user: User) -> User:
    """A user whose experiment has run and still stands."""
    user.play("launch", *DEMO)
    return user


def test_nothing_is_launched_whose_results_could_not_be_written(user: User) -> None:
    before = user.changing_calls()
    status, text = read_only(user, "launch", *DEMO)
    assert status != 0
    assert f"channels[1].local_path: {user.folder} cannot be written to; check its permissions" in text, text
    assert user.changing_calls() == before and user.alive("lab") == []


def test_a_draft_that_cannot_be_written_is_one_clear_error(user: User) -> None:
    shutil.rmtree(user.folder / "profiles")
    status, text = read_only(user, "init", "-e", "profile=mine")
    (user.folder / "profiles").mkdir()
    assert status != 0 and "profiles/mine.yml cannot be written: Read-only file system" in text
    assert "profiles_dir=DIRECTORY" in text


def test_what_only_reads_works_in_a_folder_that_cannot_be_written(there: User) -> None:
    for verb, args, told in (
        ("status", [], "lab"),
        ("status", DEMO, "lab"),
        ("report", ["-e", "experiment=lab", "-e", "report="], "work lost"),
        ("logs", DEMO, "epoch"),
        ("prices", ["-e", "types=t3.medium"], "t3.medium"),
        ("close", [*DEMO, "--check"], "lab"),
    ):
        status, text = read_only(there, verb, *args)
        assert status == 0 and told in text, text


def test_what_must_be_written_says_where_it_cannot(there: User) -> None:
    for verb, args, told in (
        ("report", ["-e", "experiment=lab", "-e", "report=page.html"], "report=page.html cannot be written"),
        ("prices", ["-e", "types=t3.medium", "-e", "plot=prices.svg"], "plot=prices.svg cannot be written"),
        ("sync", DEMO, "cannot be written to; check its permissions, or use another directory"),
    ):
        status, text = read_only(there, verb, *args)
        assert status != 0 and told in " ".join(text.split()), text


def tables(text: str) -> list[str]:
    """The lines of our tables: two blanks are between their columns. (Sentences are the terminal's to break.)"""
    ours = re.split(r"PLAY RECAP|In a profile, with", text)[0].splitlines()
    return [line for line in ours if re.search(r"\S {2,}\S", line)]


@pytest.mark.parametrize(
    ("verb", "args", "told"),
    [
        ("status", [], ["lab", "t3.medium", "lab-data"]),
        ("prices", ["-e", "types=t3.medium"], ["t3.medium", "us-east-1a"]),
        ("report", ["-e", "experiment=lab"], ["work lost", "t3.medium"]),
        ("volumes", [], ["lab-data"]),
        ("images", [], ["ami-", "ubuntu"]),
    ],
)
def test_a_terminal_of_forty_columns_without_colour(there: User, verb: str, args: list[str], told: list[str]) -> None:
    text = clean(there.play(verb, *args, env={"COLUMNS": "40", "TERM": "dumb", "NO_COLOR": "1"}))
    assert "\x1b" not in text
    for word in told:
        assert word in text
    assert tables(text) and [line for line in tables(text) if len(line) > 40] == [], text


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A German locale, whether the machine has it or not."""
    folder = tmp_path_factory.mktemp("locales")
    if not (shutil.which("localedef") and Path("/usr/share/i18n/locales/de_DE").exists()):
        pytest.skip("no localedef here, which Debian has in the package locales")
    for charset, name in (("UTF-8", "de_DE.UTF-8"), ("ISO-8859-1", "de_DE")):
        subprocess.run(["localedef", "-i", "de_DE", "-f", charset, str(folder / name)], check=True)
    return {"LOCPATH": str(folder)}


def test_in_german(there: User, german: dict[str, str]) -> None:
    """Numbers, dates and messages are those of the documentation: AWS, rsync and job read and write no commas."""
    env = {**german, "LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de"}
    assert "succeeded" in clean(there.play("status", env=env))
    assert re.search(r"\$\d+\.\d", clean(there.play("prices", "-e", "types=t3.medium", env=env)))
    assert "work lost" in clean(there.play("report", "-e", "experiment=lab", env=env))
    clean(there.play("sync", *DEMO, env=env))
    before = there.changing_calls()
    clean(there.play("launch", *DEMO, env=env))
    assert there.changing_calls() == before


def test_a_locale_that_is_not_utf_8_is_refused_before_anything_starts(user: User, german: dict[str, str]) -> None:
    """Ansible itself refuses it; docs/troubleshooting.md says what to type."""
    before = user.changing_calls()
    for env, told in (
        ({"LC_ALL": "C"}, "Ansible requires the locale encoding to be UTF-8"),
        ({**german, "LC_ALL": "de_DE"}, "Ansible requires the locale encoding to be UTF-8"),
        ({"LC_ALL": "xx_XX.UTF-8"}, "Ansible could not initialize the preferred locale"),
    ):
        text = clean(user.play("launch", *DEMO, fails=True, env=env))
        assert told in text and len(text.splitlines()) == 1, text
    assert user.changing_calls() == before


@pytest.mark.parametrize("stage", ["experiments.spot.access", "experiments.spot.hosts : Let ssh know"])
def test_credentials_that_expire_in_the_middle(user: User, stage: str) -> None:
    """The error says why, what may still cost and what to do; the same command goes on from there."""
    late = (*DEMO, *LIGHT, "-e", "experiment=late")
    process = user.start("launch", *late)
    assert process.stdout
    read = []
    for line in process.stdout:
        read.append(line)
        if line.startswith("TASK") and stage in line:
            break
    else:
        pytest.fail(f"the stage {stage} never came: {''.join(read)}")
    user.control("credentials", expired=True)
    text = clean("".join(read) + process.communicate(timeout=300)[0])
    user.control("credentials", expired=False)
    told = " ".join(text.split())
    assert process.returncode != 0, text
    assert "the AWS credentials have expired" in told and "repeat the command" in told, text
    alive = user.alive("late")
    if alive:
        assert f"{alive[0]} may still run and cost. The same command goes on from here" in told, text
        assert "ansible-playbook close.yml -e profile=lab -e experiment=late" in told
    user.play("launch", *late)
    assert len(user.alive("late")) == 1 and user.alive("late") == (alive or user.alive("late"))
    user.play("close", *late, "-e", "delete_volumes=all")
    assert user.tagged("late") == {}
