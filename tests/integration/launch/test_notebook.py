"""Notebooks with real papermill and JupyterLab: run with parameters, a cell that fails, JupyterLab through the tunnel."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._tunnel import free_port
from lab import registry

from .browser import browser, printed, run_cells
from .conftest import User, until

pytestmark = pytest.mark.lab

PROFILE = """
extends: lab
channels: []
job:
  image: IMAGE
  command: []
  mounts: []
  keep_on_failure: 600
"""
CELLS = [
    ("parameters", "lr, epochs = 1.0, 1"),
    ("", "import os\nprint('rate', lr * 2, epochs + 1)\nopen('beside.txt', 'w').write(os.environ['SPOT_STATE_DIR'])"),
    ("", "from IPython.display import HTML\nHTML('<b>bold {}</b>'.format(epochs))"),
    ("", "assert epochs < 5, 'too many epochs'"),
    ("", "print('never reached' if epochs >= 5 else 'the end')"),
]


def notebook(path: Path) -> None:
    cells = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {"tags": [tag] if tag else []}, "source": source,
         "outputs": [], "execution_count": None}
        for n, (tag, source) in enumerate(CELLS)
    ]  # fmt: skip
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))


def outputs(path: Path) -> str:
    """All that the cells of a notebook have printed."""
    cells: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    return json.dumps([cell.get("outputs") for cell in cells])


@pytest.fixture(scope="module")
def author(user: User) -> User:
    """A user whose profile has an image with papermill and JupyterLab."""
    gateway = user.env["EXPERIMENTS_SPOT_SSH_CIDR"].partition("/")[0]
    registry.ensure_notebook_image(registry.Registry(gateway, user.folder))
    (user.folder / "profiles/nb.yml").write_text(PROFILE.replace("IMAGE", registry.NOTEBOOK_IMAGE))
    notebook(user.folder / "train.ipynb")
    return user


RUN = ("-e", "profile=nb", "-e", "notebook=train.ipynb")


def test_a_cell_that_fails_is_shown_and_the_others_are_kept(author: User) -> None:
    process = author.start("notebook", *RUN, "-e", "experiment=nb", "-e", "job_params=epochs=7")
    text, _ = process.communicate(timeout=300)
    assert process.returncode
    assert "AssertionError: too many epochs" in text and "rate 2.0 8" in text
    assert "papermill/execute.py" not in text, "where papermill was is no news"
    there = author.folder / "results/nb"
    said = outputs(there / "train.ipynb")
    assert "rate 2.0 8" in said and "too many epochs" in said and "never reached" not in said
    page = (there / "train.html").read_text()
    assert "<b>bold 7</b>" in page and "too many epochs" in page
    assert len(author.alive("nb")) == 1, "it stays to be looked at"


def test_it_runs_with_parameters_and_leaves_nothing(author: User) -> None:
    text = author.play("notebook", *RUN, "-e", "experiment=nb", "-e", "job_params=lr=0.25,epochs=3")
    assert "rate 0.5 4" in text, "the log of the job is shown"
    there = author.folder / "results/nb"
    said = outputs(there / "train.ipynb")
    assert "rate 0.5 4" in said and "the end" in said
    assert "<b>bold 3</b>" in (there / "train.html").read_text()
    assert sorted(path.name for path in there.iterdir()) == ["beside.txt", "train.html", "train.ipynb"]
    assert author.alive("nb") == []
    author.play("close", "-e", "experiment=nb", "-e", "delete_volumes=all")
    assert author.tagged("nb") == {}


def ask(address: str, path: str, body: dict[str, Any] | None = None, method: str = "GET", token: bool = True) -> Any:
    """An answer of Jupyter's API, None for an empty one."""
    base, _, secret = address.partition("?token=")
    url = f"{'/'.join(base.split('/')[:3])}/api/{path}"
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, method=method)
    if token:
        request.add_header("Authorization", f"token {secret}")
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read()
    return json.loads(text) if text else None


class Session:
    """JupyterLab by notebook.yml, typed and not waited for."""

    def __init__(self, user: User, number: int, *words: str) -> None:
        self.output = user.folder / f"session{number}.txt"
        words = words or (*RUN, "-e", "where=remote", "-e", "experiment=session")
        self.process = user.start("notebook", *words, output=self.output)

    def address(self) -> str:
        assert self.process.poll() is None, self.output.read_text()
        found = re.search(r"Open (http://127\.0\.0\.1:[0-9]+/lab\S+)", self.output.read_text())
        return found[1] if found else ""

    def end(self) -> tuple[int, str]:
        return self.process.wait(120), self.output.read_text()


def test_jupyterlab_through_a_tunnel_until_it_is_shut_down(author: User) -> None:
    first = Session(author, 1)
    address = until(first.address)
    assert "/lab/tree/train.ipynb?token=" in address
    assert ask(address, "contents/train.ipynb")["type"] == "notebook"
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(address, "contents/train.ipynb", token=False)
    assert refused.value.code == 403
    (instance,) = author.alive("session")
    # Neither is the port open to the world, nor does anybody else on the instance see the token.
    (found,) = author.client().describe_instances(InstanceIds=[instance])["Reservations"]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((found["Instances"][0]["PublicIpAddress"], 8888), timeout=10).close()
    secret = address.partition("token=")[2]
    looks = "sudo docker inspect $(sudo docker ps -q); sudo journalctl -u experiments-spot-job; ps -eo args"
    seen = author.ssh(instance, "session", looks)
    assert "experiments/notebook" in seen and secret not in seen
    # Ctrl-C closes the way there; what is open goes on, and the same command comes back to it.
    ask(
        address,
        "sessions",
        {"path": "train.ipynb", "type": "notebook", "name": "", "kernel": {"name": "python3"}},
        "POST",
    )
    first.process.send_signal(signal.SIGINT)
    code, text = first.end()
    assert code and "The job goes on" in text and text.count(secret) == 1
    with pytest.raises(OSError, match="refused"):
        ask(address, "status")

    second = Session(author, 2)
    address = until(second.address)
    assert [one["path"] for one in ask(address, "sessions")] == ["train.ipynb"]
    with browser() as page:
        run_cells(page, address, 2)
        printed(page, "rate 2.0 2")
    ask(address, "contents/made.txt", {"type": "file", "format": "text", "content": "by hand"}, "PUT")
    ask(address, "shutdown", {}, "POST")
    code, text = second.end()
    assert code == 0, text
    assert (author.folder / "results/session/made.txt").read_text() == "by hand"
    assert author.alive("session") == []


@pytest.fixture
def local_image(tmp_path: Path) -> Iterator[str]:
    """The image, where the engine of this machine pulls it from."""
    here = registry.Registry("127.0.0.1", tmp_path, port=free_port(5100))
    here.start(lambda _line: None)
    name = f"127.0.0.1:{here.port}/{registry.NOTEBOOK_NAME}:{registry.TAG}"
    yield name
    here.stop()
    for container in containers(name):  # of a test that has failed
        subprocess.run(["docker", "rm", "--force", container], check=True, capture_output=True)
    subprocess.run(["docker", "image", "rm", name], check=True, capture_output=True)


def containers(image: str) -> list[str]:
    words = ["docker", "ps", "--all", "--quiet", "--filter", f"ancestor={image}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


def test_jupyterlab_in_the_same_image_on_this_machine(author: User, local_image: str) -> None:
    (author.folder / "profiles/here.yml").write_text(PROFILE.replace("IMAGE", local_image))
    notebook(author.folder / "here.ipynb")
    calls = author.changing_calls()
    words = ("-e", "profile=here", "-e", "notebook=here.ipynb", "-e", "where=local")
    session = Session(author, 0, *words)
    address = until(session.address)
    assert "/lab/tree/here.ipynb?token=" in address
    with browser() as page:
        run_cells(page, address, 2)
        printed(page, "rate 2.0 2")
    session.process.send_signal(signal.SIGINT)
    code, text = session.end()
    assert code == 0, text
    with pytest.raises(OSError, match="refused"):
        ask(address, "status")
    assert author.changing_calls() == calls, "AWS has no part in it"
    assert containers(local_image) == []
