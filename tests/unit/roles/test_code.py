"""The role code, run by ansible-playbook on this machine, against git servers that the test starts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.git_server import Repo, SshServer, git, http_server, key, make_repo, ssh_server

ROOT = Path(__file__).resolve().parents[3]
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.import_role:
        name: experiments.spot.code
    - ansible.builtin.copy:
        dest: "{{ out }}"
        content: "{{ spot_code | to_json }}"
        mode: "0644"
"""
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="the role becomes root")]


class Instance:
    """This machine as an instance: a home, a path for the code, a ledger."""

    def __init__(self, folder: Path, server: SshServer, repo: Repo) -> None:
        self.folder, self.server, self.repo = folder, server, repo
        self.code = folder / "home/train"
        self.ledger = folder / "ledger.json"
        self.secrets = folder / "secrets"
        self.settings: dict[str, Any] = {
            "repository": server.url(repo), "path": str(self.code), "known_hosts": [server.known_hosts],
            "deploy_key": str(server.key),
        }  # fmt: skip
        (folder / "home").mkdir()
        (folder / "play.yml").write_text(PLAY)

    def play(self, *args: str, fails: bool = False, extra: Any = (), **settings: Any) -> str:
        variables = {
            "spot": {"profile": {"code": {**self.settings, **settings}, "job": None, "access": {}}},
            "__code_secrets": str(self.secrets), "code_ledger": str(self.ledger), "out": str(self.folder / "out.json"),
            "ansible_python_interpreter": sys.executable, "ansible_remote_tmp": str(self.folder / "tmp"), **dict(extra),
        }  # fmt: skip
        (self.folder / "vars.json").write_text(json.dumps(variables))
        env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "ANSIBLE_", "SSH_"))}
        env |= {
            "HOME": str(self.folder / "home"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_HOME": str(self.folder / "ansible"), "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1", "ANSIBLE_CALLBACKS_ENABLED": "experiments.spot.stages",
            "GIT_CONFIG_NOSYSTEM": "1",
        }  # fmt: skip
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-e", "@vars.json"]
        done = subprocess.run(
            [*command, *args, "play.yml"], cwd=self.folder, env=env, capture_output=True, text=True, check=False
        )
        text = done.stdout + done.stderr
        assert (done.returncode != 0) is fails, text
        assert "Traceback" not in text, text
        assert not self.secrets.exists(), "key and token are gone"
        return text

    @property
    def told(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "out.json").read_text()))

    def head(self) -> str:
        return git(self.code, "rev-parse", "HEAD")

    def ran(self, version: str = "") -> None:
        """The ledger as the runner writes it."""
        code = {"repository": self.settings["repository"], "version": version, "commit": self.head()}
        self.ledger.write_text(json.dumps({"runs": [{"state": "interrupted", "code": code}]}))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("server") / "ssh") as one:
        yield one


@pytest.fixture()
def instance(tmp_path: Path, server: SshServer) -> Instance:
    return Instance(tmp_path, server, make_repo(tmp_path / "repos"))


def changed(text: str) -> int:
    found = re.search(r"changed=(\d+)", text)
    assert found, text
    return int(found[1])


def test_each_generation_goes_on_with_the_commit_of_the_first(instance: Instance) -> None:
    assert "would be put into" in instance.play("--check", version="main")
    assert not instance.code.exists()
    text = instance.play("-vvv", version="main")
    first = instance.head()
    assert first == instance.repo.commits[0] == instance.told["commit"]
    assert instance.server.key.read_text().splitlines()[1] not in text
    instance.ran("main")
    # Another instance, later: somebody has pushed meanwhile.
    second = instance.repo.push("train.py", "print('second')\n")
    subprocess.run(["rm", "-rf", str(instance.code)], check=True)
    instance.play(version="main")
    assert instance.head() == first == instance.told["commit"]
    # Twice: nothing changes, and the server is not even asked.
    instance.repo.bare.rename(instance.repo.bare.with_suffix(".away"))
    assert changed(instance.play(version="main")) == 0
    instance.repo.bare.with_suffix(".away").rename(instance.repo.bare)
    # Asked for, or another version: the new one.
    instance.play(version="main", extra={"rerun": True})
    assert instance.head() == second == instance.told["commit"]


def test_what_was_cut_off_is_done_again(instance: Instance) -> None:
    instance.play()
    (instance.code / ".git/index").rename(instance.code / ".git/index.lock")
    instance.play()
    assert git(instance.code, "status", "--porcelain") == ""
    # In the middle of a pull: the lock, and some files of the new commit.
    instance.repo.push("train.py", "print('second')\n")
    (instance.code / ".git/index.lock").touch()
    (instance.code / "train.py").write_text("print('sec")
    instance.play()
    assert (instance.code / "train.py").read_text() == "print('second')\n"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"version": "nope"}, "there is no branch, tag or commit nope"),
        ({"version": "d" * 40}, "no branch or tag of it holds the commit"),
        ({"known_hosts": []}, "its host key is not the one that is known"),
        ({"deploy_key": "OTHER"}, "the server refuses the key; add the public half of code.deploy_key"),
        ({"repository": "http://127.0.0.1:1/x.git"}, "the server does not answer"),
        ({"path": "HOME"}, "holds something that is no clone"),
    ],
)
def test_what_does_not_work_is_told_in_words(instance: Instance, settings: dict[str, Any], said: str) -> None:
    if settings.get("deploy_key"):
        settings = {"deploy_key": str(key(instance.folder / "other"))}
    if settings.get("path"):
        settings = {"path": str(instance.folder / "home")}
        (instance.folder / "home/data.bin").write_text("mine")
    assert said in instance.play(fails=True, **settings)
    assert not instance.code.exists() or os.listdir(instance.code) in ([], [".git", "train.py"], ["train.py", ".git"])


def test_files_that_were_changed_there_are_kept(instance: Instance) -> None:
    instance.play()
    instance.repo.push("train.py", "print('second')\n")
    (instance.code / "train.py").write_text("print('mine')\n")
    assert "files of it were changed on the instance" in instance.play(fails=True)
    assert (instance.code / "train.py").read_text() == "print('mine')\n"


def test_a_token_is_never_seen(instance: Instance) -> None:
    token = "t0p/s3cret+x"
    with http_server(instance.repo.bare.parent, "x-access-token", token) as (address, seen):
        login = {"repository": f"{address}/train.git", "token": token, "deploy_key": None}
        text = instance.play("-vvv", **login)
        assert seen and token not in text and "t0p%2Fs3cret" not in text
        kept = "".join(path.read_text(errors="replace") for path in instance.folder.glob("home/**/*") if path.is_file())
        assert token not in kept and "t0p" not in kept
        text = instance.play("-vvv", fails=True, **login | {"token": "wr0ng/one", "path": f"{instance.code}2"})
        assert "the server refuses the login; give code.token" in text and "wr0ng" not in text
