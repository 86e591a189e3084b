"""JupyterLab here: what docker is told, and a stand-in for docker that runs what it is told."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.experiments.spot.plugins.action import notebook_local
from ansible_collections.experiments.spot.plugins.plugin_utils import _container, _tunnel

ROOT = Path(__file__).resolve().parents[4]

# A container is a process whose id stands in a file of its name; its log ends with it.
DOCKER = """#!/bin/sh
cd "$(dirname "$0")"
echo "$*" >>calls
case $1 in
version) [ ! -e down ] || { echo "Cannot connect to the Docker daemon" >&2; exit 1; } ;;
info) echo '{}' ;;
image) [ -e image ] ;;
pull) [ ! -e gone ] || { echo "manifest unknown" >&2; exit 1; }; echo "Downloaded"; touch image ;;
run)
    [ ! -e taken ] || { echo 'Conflict. The container name "/x" is already in use by container "y".' >&2; exit 125; }
    touch running
    for word in "$@"; do case $word in */spot-notebook-*:/notebook) printf '/lab?token=secret\\n' >"${word%:/notebook}/session" ;; esac; done ;;
logs) while [ -e running ]; do sleep 0.1; done; echo "the end" >&2 ;;
stop) rm -f running; echo 143 >status ;;
wait) cat status 2>/dev/null || echo 0 ;;
rm) rm -f running ;;
esac
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(DOCKER)
    (folder / "docker").chmod(0o755)
    (folder / "image").touch()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(_tunnel, "answers", lambda _port: True)
    monkeypatch.chdir(tmp_path)
    yield folder
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


ARGS = {"image": "a/b:1", "programs": str(ROOT / "roles/notebook/files"), "port": 0}


def calls(docker: Path) -> list[str]:
    return [line.split()[0] for line in (docker / "calls").read_text().splitlines()]


def test_what_docker_is_told(tmp_path: Path) -> None:
    served = _container.Served("a/b:1", "/data/my work", "/data/my work/x y.ipynb", 9999, "/tmp/s", "7:8", True, True)
    argv = _container.run_argv(served)
    text = " ".join(argv)
    assert "--publish 127.0.0.1:9999:8888" in text and "--user 7:8" in text and "--gpus all" in text
    assert "/data/my work:/work" in argv and "NOTEBOOK_INSTALL=true" in argv
    assert argv[argv.index("a/b:1") + 1 :][:4] == ["python3", "/notebook/serve.py", "--folder", "/work"]
    assert argv[-2:] == ["--name", "x y.ipynb"] and "--notebook" not in argv
    plain = _container.run_argv(_container.Served("a/b:1", "/data", "", 9999, "/tmp/s", "7:8"))
    assert "--name" not in plain[plain.index("a/b:1") :] and "--gpus" not in plain


def test_no_docker_is_told_what_to_do(make_action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(AnsibleActionFail, match="where=local needs docker on this machine: install it"):
        make_action(notebook_local, ARGS).run()


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("down", "docker does not answer: Cannot connect to the Docker daemon"),
        ("gone", "image a/b:1 was not pulled: not found: correct job.image"),
        ("taken", "runs already. To end it: docker rm --force spot-notebook-"),
    ],
)
def test_what_cannot_be_is_told(make_action: Any, docker: Path, state: str, told: str) -> None:
    (docker / state).touch()
    if state == "gone":
        (docker / "image").unlink()
    with pytest.raises(AnsibleActionFail, match=told):
        make_action(notebook_local, ARGS).run()
    assert "rm" not in calls(docker), "what is there is not ours"


@pytest.mark.slow
def test_ctrl_c_ends_it_in_order(make_action: Any, docker: Path, tmp_path: Path) -> None:
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    plugin = make_action(notebook_local, ARGS)
    result = plugin.run()
    assert result["folder"] == str(tmp_path)
    assert calls(docker)[-4:] == ["logs", "stop", "wait", "rm"]
    assert "\n".join(plugin.shown).count("/lab?token=secret") == 1 and "the end" in plugin.shown
    run = next(line for line in (docker / "calls").read_text().splitlines() if line.startswith("run"))
    assert "secret" not in run


@pytest.mark.slow
def test_an_end_that_nobody_asked_for_is_a_failure(make_action: Any, docker: Path) -> None:
    (docker / "status").write_text("3")
    threading.Timer(1.0, (docker / "running").unlink).start()
    with pytest.raises(AnsibleActionFail, match=r"ended with status 3\n  \| the end"):
        make_action(notebook_local, ARGS).run()
    assert calls(docker)[-1] == "rm"


def test_check_mode_starts_nothing(make_action: Any, docker: Path) -> None:
    assert make_action(notebook_local, ARGS, check_mode=True).run()["skipped"]
    assert not (docker / "calls").exists()
