"""The programs that run and serve notebooks, with stand-ins for papermill, nbconvert and JupyterLab."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
import zipfile
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FILES = ROOT / "roles/notebook/files"

# Saves a first cell at once and the second one when a file appears; Ctrl-C saves what there is.
PAPERMILL = """
import pathlib, sys, time
source, output = map(pathlib.Path, sys.argv[1:3])
cells = [pathlib.Path(source).read_text(), *sys.argv[3:]]
try:
    output.write_text("one " + " ".join(cells))
    while not pathlib.Path("go").exists():
        time.sleep(0.05)
except KeyboardInterrupt:
    output.write_text("one interrupted")
    raise SystemExit(1)
output.write_text("one two")
"""
# What the command line of papermill is.
CLI = "def papermill(**_):\n" + textwrap.indent(PAPERMILL, "    ")
FAILS = """
import sys
from papermill.exceptions import PapermillExecutionError
def papermill(**_):
    open(sys.argv[2], "w").write("one")
    raise PapermillExecutionError("cell 2: no such luck")
"""
NBCONVERT = """
import pathlib, sys
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
page = pathlib.Path(words["--output-dir"], words["--output"] + ".html")
page.write_text("<p>" + pathlib.Path(sys.argv[-1]).read_text())
"""
# Answers as Jupyter Server does, to who has the token of its configuration.
JUPYTERLAB = """
import http.server, json, os, sys
config = json.load(open(sys.argv[1].partition("=")[2]))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        allowed = self.headers["Authorization"] == "token " + config["IdentityProvider"]["token"]
        if allowed and self.path == "/":
            self.send_response(302)
            self.send_header("Location", "/lab")
        else:
            self.send_response(200 if allowed else 403)
        self.end_headers()
        path = self.path.split("?")[0]
        self.wfile.write(json.dumps([] if path in ("/api/kernels", "/api/terminals") else {}).encode())
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", config["ServerApp"]["port"]), Handler).serve_forever()
"""


def files_of(name: str, text: str) -> dict[str, str]:
    """The files of a stand-in; of papermill the command line is called, of the others the module."""
    if name != "papermill":
        return {"__init__.py": "", "__main__.py": text}
    return {"__init__.py": "", "cli.py": text, "exceptions.py": "class PapermillExecutionError(Exception):\n    pass\n"}


def environment(folder: Path, **modules: str) -> dict[str, str]:
    """An environment whose Python has these modules."""
    for name, text in modules.items():
        (folder / "site" / name).mkdir(parents=True)
        for file, content in files_of(name, text).items():
            (folder / "site" / name / file).write_text(content)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder / "site"), "HOME": str(folder)}


def start(folder: Path, env: dict[str, str], program: str, *words: str) -> subprocess.Popen[str]:
    """A program, with the standard library and the stand-ins alone."""
    argv = [sys.executable, "-S", str(FILES / program), *words]
    return subprocess.Popen(argv, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize(
    ("program", "words", "package"),
    [
        ("run.py", ["in.ipynb", "out/x.ipynb"], "papermill"),
        ("serve.py", ["--folder", "out", "--session", "session"], "jupyterlab"),
    ],
)
def test_an_image_without_it_is_told_what_to_do(tmp_path: Path, program: str, words: list[str], package: str) -> None:
    process = start(tmp_path, environment(tmp_path), program, *words)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 3 and list(tmp_path.iterdir()) == []
    assert "-e notebook_install=true" in told and f"pip install {package}" in told


@pytest.mark.slow
def test_the_page_follows_the_notebook_and_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "in.ipynb").write_text("input")
    env = environment(tmp_path, papermill=CLI, nbconvert=NBCONVERT)
    page = tmp_path / "out/x.html"
    process = start(tmp_path, env, "run.py", "in.ipynb", str(tmp_path / "out/x.ipynb"), "-p", "lr", "1")
    assert until(lambda: text_of(page)).startswith("<p>one input") and process.poll() is None, "while it runs"
    assert text_of(page).endswith("-p lr 1")
    (tmp_path / "go").touch()
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 0 and "done" in told
    assert page.read_text() == "<p>one two"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["x.html", "x.ipynb"]


@pytest.mark.slow
def test_an_interruption_keeps_notebook_and_page(tmp_path: Path) -> None:
    (tmp_path / "in.ipynb").write_text("input")
    env = environment(tmp_path, papermill=CLI, nbconvert=NBCONVERT)
    process = start(tmp_path, env, "run.py", "in.ipynb", str(tmp_path / "out/x.ipynb"))
    until(lambda: text_of(tmp_path / "out/x.html"))
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 143 and "ended early" in told
    assert text_of(tmp_path / "out/x.html") == "<p>one interrupted"


def test_a_failure_and_no_nbconvert_are_said(tmp_path: Path) -> None:
    (tmp_path / "in.ipynb").write_text("input")
    env = environment(tmp_path, papermill=FAILS)
    process = start(tmp_path, env, "run.py", "in.ipynb", str(tmp_path / "out/x.ipynb"))
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 1 and "failed; the output notebook" in told and "no HTML was made" in told
    assert "cell 2: no such luck" in told and "Traceback" not in told
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.ipynb"]


def wheel(folder: Path, name: str, version: str, text: str) -> None:
    """A package as pip has it."""
    info = f"{name}-{version}.dist-info"
    files = {
        **{f"{name}/{file}": content for file, content in files_of(name, text).items()},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, content in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, content)


@pytest.mark.slow
def test_papermill_is_installed_where_that_is_asked_for(tmp_path: Path) -> None:
    """By pip, from an index of files."""
    (tmp_path / "index").mkdir()
    (tmp_path / "in.ipynb").write_text("input")
    (tmp_path / "go").touch()
    for name, version, text in (
        ("papermill", "2.7.0", CLI), ("ipykernel", "1", ""), ("nbconvert", "1", NBCONVERT),
    ):  # fmt: skip
        wheel(tmp_path / "index", name, version, text)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "NOTEBOOK_INSTALL": "true",
           "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "index")}  # fmt: skip
    process = start(tmp_path, env, "run.py", "in.ipynb", str(tmp_path / "out/x.ipynb"))
    told = process.communicate(timeout=120)[0]
    assert process.returncode == 0, told
    assert text_of(tmp_path / "out/x.html") == "<p>one two"
    (tmp_path / "index/papermill-2.7.0-py3-none-any.whl").unlink()
    process = start(tmp_path, env, "run.py", "in.ipynb", str(tmp_path / "out/y.ipynb"))
    told = process.communicate(timeout=120)[0]
    assert process.returncode == 3 and "papermill could not be installed" in told


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serving(folder: Path, port: int, *words: str) -> subprocess.Popen[str]:
    env = environment(folder, jupyterlab=JUPYTERLAB)
    (folder / "in.ipynb").write_text("given")
    more = ["--folder", str(folder / "work"), "--session", str(folder / "session"), "--port", str(port)]
    return start(folder, env, "serve.py", *more, "--notebook", "in.ipynb", "--name", "my train.ipynb", *words)


def test_jupyterlab_is_served_to_who_has_the_token(tmp_path: Path, free_port: int) -> None:
    process = serving(tmp_path, free_port)
    session = tmp_path / "session"
    path = until(lambda: text_of(session)).strip()
    assert path.startswith("/lab/tree/my%20train.ipynb?token=") and session.stat().st_mode & 0o077 == 0
    assert (tmp_path / "work/my train.ipynb").read_text() == "given"
    token = path.partition("token=")[2]
    request = urllib.request.Request(
        f"http://127.0.0.1:{free_port}/api/status", headers={"Authorization": f"token {token}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 143 and token not in told and not session.exists()


def test_a_notebook_that_was_edited_is_not_replaced(tmp_path: Path, free_port: int) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/my train.ipynb").write_text("edited")
    process = serving(tmp_path, free_port)
    until(lambda: text_of(tmp_path / "session"))
    process.terminate()
    process.communicate(timeout=60)
    assert (tmp_path / "work/my train.ipynb").read_text() == "edited"


@pytest.mark.slow
def test_it_ends_when_nobody_uses_it(tmp_path: Path, free_port: int) -> None:
    process = serving(tmp_path, free_port, "--idle", "2")
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 0 and "not used for 2 seconds" in told


def test_a_server_that_does_not_come_up_is_a_failure(tmp_path: Path, free_port: int) -> None:
    env = environment(tmp_path, jupyterlab="raise SystemExit('no port')")
    words = ["--folder", str(tmp_path), "--session", str(tmp_path / "session"), "--port", str(free_port)]
    process = start(tmp_path, env, "serve.py", *words)
    told = process.communicate(timeout=60)[0]
    assert process.returncode == 1 and "no port" in told


@pytest.fixture(scope="module")
def serve() -> ModuleType:
    sys.path.insert(0, str(FILES))
    spec = importlib.util.spec_from_file_location("notebook_serve", FILES / "serve.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(FILES))
    return module


def at(seconds: float) -> str:
    """A time as Jupyter Server tells it."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def test_what_counts_as_use(serve: ModuleType, tmp_path: Path) -> None:
    idle = {"execution_state": "idle", "last_activity": at(100)}
    assert serve.last_use([], [], 1000) == 0
    assert serve.last_use([idle], [{"last_activity": at(300)}], 1000) == 300
    assert serve.last_use([idle, {"execution_state": "busy", "last_activity": at(1)}], [], 1000) == 1000
    assert serve.last_use([{"execution_state": "starting", "last_activity": "soon"}], [], 1000) == 0
    assert serve.last_change(str(tmp_path)) == 0
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a").touch()
    os.utime(tmp_path / "sub/a", (5, 500))
    assert serve.last_change(str(tmp_path)) == 500
