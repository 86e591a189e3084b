# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Serves JupyterLab in a container of the controller; documentation in modules/notebook_local.py."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.experiments.spot.plugins.module_utils._job import runner
from ansible_collections.experiments.spot.plugins.plugin_utils import _container, _notebook, _ssh, _tunnel
from ansible_collections.experiments.spot.plugins.plugin_utils._parent import end_with_parent
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Child, run_watched

display = Display()

SPEC: dict[str, Any] = {
    "image": {"type": "str", "required": True},
    "notebook": {"type": "path", "default": ""},
    "programs": {"type": "path", "required": True},
    "install": {"type": "bool", "default": False},
    "port": {"type": "int", "default": _notebook.PORT},
}
PROGRAMS = ("run.py", "serve.py")
STOP_S = 15  # that the container gets to end


class ActionModule(ActionBase):
    """Serves JupyterLab until Ctrl-C, or until it is shut down in the browser."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(SPEC)
        if self._task.check_mode:
            return {**result, "changed": False, "skipped": True, "msg": "check mode starts no JupyterLab"}
        need_docker()
        need_image(args["image"])
        with tempfile.TemporaryDirectory(prefix="spot-notebook-") as scratch:
            for name in PROGRAMS:
                shutil.copy(os.path.join(args["programs"], name), scratch)
            served = _container.Served(
                image=args["image"],
                folder=_container.folder_of(args["notebook"], os.getcwd()),
                notebook=args["notebook"],
                port=_tunnel.free_port(args["port"]),
                scratch=scratch,
                user=f"{os.getuid()}:{os.getgid()}",
                install=args["install"],
                gpus=runner.has_nvidia(),
            )
            problem = Session(served, display.display).run()
        if problem:
            raise AnsibleActionFail(problem)
        return {**result, "changed": False, "folder": served.folder}


def need_docker() -> None:
    """Fails where no engine answers."""
    if not shutil.which("docker"):
        raise AnsibleActionFail(_container.NO_DOCKER)
    done = _ssh.run(["docker", "version", "--format", "{{.Server.Version}}"], 30)
    if done.returncode:
        raise AnsibleActionFail(
            f"docker does not answer: {_ssh.last_line(done.stderr)}; start it, and see that your user may use it"
        )


def need_image(image: str) -> None:
    """Pulls the image where it is missing; fails with why it cannot be had."""
    if _ssh.run(["docker", "image", "inspect", image], 30).returncode == 0:
        return
    display.display(f"pulling {image}; Ctrl-C leaves what has come")
    done = run_watched(["docker", "pull", image], display.display, lambda: None)
    if done.code:
        raise AnsibleActionFail(runner.pull_reason(image, done.stderr))


class Session:
    """One container, from its start to its end."""

    def __init__(self, served: _container.Served, say: Callable[[str], None]) -> None:
        self.served, self.say = served, say
        self.stopping = self.stopped = self.told = False
        self.last: deque[str] = deque(maxlen=20)

    def run(self) -> str:
        """Serves; why its end is a failure, empty where it is none."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        end_with_parent()
        done = _ssh.run(_container.run_argv(self.served), 120)
        problem = _container.refusal(self.served, done.stderr) if done.returncode else ""
        if problem and _container.is_taken(done.stderr):
            return problem
        try:
            if problem:
                return problem
            self._show()
            return _container.ended(self._status(), self.stopped, list(self.last))
        finally:
            self._remove()

    def _on_signal(self, _number: int, _frame: Any) -> None:
        if self.stopping:
            self._remove()
            os._exit(1)
        self.stopping = True

    def _remove(self) -> None:
        _ssh.run(["docker", "rm", "--force", "--volumes", self.served.name], 60)

    def _show(self) -> None:
        with Child(["docker", "logs", "--follow", self.served.name]) as child:
            while child.open:
                lines = child.read(0.5)
                # A container's errors come as such; what JupyterLab says is among them.
                lines, child.errors = [*lines, *child.errors], []
                for line in lines:
                    self.last.append(line)
                    self.say(line)
                self._tell()
                if self.stopping and not self.stopped:
                    self.stopped = True
                    _ssh.run(["docker", "stop", "--time", str(STOP_S), self.served.name], STOP_S + 15)

    def _tell(self) -> None:
        path = self._path()
        if not self.told and path and _tunnel.answers(self.served.port):
            self.told = True
            # Not to a log file of Ansible: who has the address has the server.
            display.display(f"Open http://{_tunnel.HERE}:{self.served.port}{path}", screen_only=True)
            self.say(f"It shows {self.served.folder}; Ctrl-C ends it")

    def _path(self) -> str:
        try:
            with open(os.path.join(self.served.scratch, _notebook.SESSION), encoding="utf-8") as file:
                return file.readline().strip()
        except OSError:
            return ""

    def _status(self) -> int:
        done = _ssh.run(["docker", "wait", self.served.name], 60)
        text = done.stdout.strip()
        return int(text) if text.isdigit() else 1
