# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""JupyterLab in a container of this machine: what docker is told, and what it means when it refuses."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.experiments.spot.plugins.module_utils._job.runner import one_line
from ansible_collections.experiments.spot.plugins.plugin_utils import _notebook

FOLDER = "/work"  # of the notebook, in the container
GUIDE = "https://docs.docker.com/engine/install/"
NO_DOCKER = f"where=local needs docker on this machine: install it ({GUIDE}), or type where=remote for an instance"


@dataclass(frozen=True)
class Served:
    """JupyterLab of a folder.

    Attributes:
        image: container image.
        folder: directory of this machine, absolute.
        notebook: path of the notebook to open; empty for none.
        port: of this machine.
        scratch: directory of this machine with the programs, into which the address is written.
        user: UID:GID that owns what is written.
        install: whether what the image lacks may be installed.
        gpus: whether the engine can give the container GPUs.
    """

    image: str
    folder: str
    notebook: str
    port: int
    scratch: str
    user: str
    install: bool = False
    gpus: bool = False

    @property
    def name(self) -> str:
        """Name of the container: there is one a folder and user."""
        return f"spot-notebook-{hashlib.sha256(f'{self.folder}:{self.user}'.encode()).hexdigest()[:12]}"


def run_argv(served: Served) -> list[str]:
    """The docker run of it; its token stands in no command line and in no environment."""
    wanted = _notebook.Notebook(served.notebook, (), ())
    return [
        *("docker", "run", "--detach", "--init", "--name", served.name, "--user", served.user),
        *("--publish", f"127.0.0.1:{served.port}:{_notebook.PORT}"),
        *("--volume", f"{served.folder}:{FOLDER}", "--volume", f"{served.scratch}:/notebook"),
        *(("--env", "NOTEBOOK_INSTALL=true") if served.install else ()),
        *(("--gpus", "all") if served.gpus else ()),
        *("--workdir", FOLDER, served.image),
        *_notebook.serve_command(wanted, FOLDER, 0, False),
    ]


def is_taken(stderr: str) -> bool:
    """Whether docker refused because such a container is there."""
    return "is already in use by container" in stderr


def refusal(served: Served, stderr: str) -> str:
    """One line: why docker did not start it, and what to do."""
    said = one_line(stderr)
    if is_taken(stderr):
        return f"JupyterLab of {served.folder} runs already. To end it: docker rm --force {served.name}"
    return f"docker did not start JupyterLab: {said}"


def ended(status: int, stopped: bool, lines: Sequence[str]) -> str:
    """Why its end is a failure; empty where it is none.

    Args:
        status: exit status of the container.
        stopped: whether we have ended it.
        lines: the last ones of its log.
    """
    if status == 0 or stopped:
        return ""
    return f"JupyterLab ended with status {status}" + "".join(f"\n  | {line}" for line in lines)


def folder_of(notebook: str, here: str) -> str:
    """What is shown: the directory of the notebook, or the one where the command was typed."""
    return os.path.dirname(notebook) if notebook else here
