# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A notebook, or JupyterLab, as a job: what is wrong with it, and the profile of the instance that runs it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._profile import params

CODE = "~/notebook"
# Where it runs: by papermill on an instance, in JupyterLab on an instance, in JupyterLab here.
RUN, REMOTE, LOCAL = "run", "remote", "local"
PLACES = (RUN, REMOTE, LOCAL)
PORT = 8888  # of JupyterLab, in the container and on the instance
SESSION = "session"  # file of CODE with the path of JupyterLab's address
IDLE = 3600  # seconds


@dataclass(frozen=True)
class Notebook:
    """A notebook that can be run.

    Attributes:
        path: absolute, on the controller; empty for JupyterLab without one.
        parameters: what papermill is told, as words of its command line.
        notes: what the user should know before it runs.
    """

    path: str
    parameters: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name without the suffix."""
        return os.path.splitext(os.path.basename(self.path))[0]


class NotebookError(ValueError):
    """The notebook cannot be run; the text says all reasons."""


def read(given: str, job_params: Any, where: str = RUN, idle: Any = IDLE) -> Notebook:
    """The notebook at a path, and its parameters; JupyterLab needs none.

    Args:
        given: its path.
        job_params: its parameters.
        where: one of PLACES.
        idle: seconds without use after which JupyterLab ends.

    Raises:
        NotebookError: all mistakes at once.
    """
    path = os.path.abspath(os.path.expanduser(given)) if given else ""
    problems = [str(problem) for problem in params.parse(job_params)[1]]
    if where not in PLACES:
        problems.append(f"where={where}: say remote (JupyterLab on an instance) or local (here), or leave it out")
    elif where == LOCAL and job_params:
        problems.append("job_params go with a run by papermill, not with where=local")
    if not re.fullmatch(r"[0-9]{1,9}", str(idle).strip()):
        problems.append(f"notebook_idle={idle}: say a whole number of seconds, 0 for never")
    cells: list[Any] = []
    try:
        cells = _cells(path) if given or where not in (REMOTE, LOCAL) else []
    except NotebookError as error:
        problems.insert(0, f"notebook={given}: {error}")
    if problems:
        raise NotebookError("; ".join(problems))
    if where != RUN:
        return Notebook(path, (), ())
    words = _words(job_params)
    tagged = any("parameters" in _tags(cell) for cell in cells)
    note = f"{given} has no cell with the tag parameters; papermill puts the values of job_params in a new first cell"
    return Notebook(path, words, (note,) if words and not tagged else ())


def _cells(path: str) -> list[Any]:
    if not path:
        raise NotebookError("say which to run: -e notebook=PATH.ipynb")
    if not path.endswith(".ipynb"):
        raise NotebookError("its name does not end in .ipynb")
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except OSError as error:
        raise NotebookError(f"{error.strerror or error}; the path starts from where the command is typed") from error
    except ValueError as error:
        raise NotebookError(f"this is no JSON ({error}); save it again in Jupyter") from error
    cells = found.get("cells") if isinstance(found, dict) else None
    if not isinstance(cells, list) or found.get("nbformat") != 4:
        raise NotebookError("this is no notebook of format 4; open it in Jupyter and save it again")
    return cells


def _tags(cell: Any) -> list[Any]:
    tags = cell.get("metadata", {}).get("tags", []) if isinstance(cell, dict) else []
    return tags if isinstance(tags, list) else []


def _words(job_params: Any) -> tuple[str, ...]:
    """Text is left to papermill, which makes numbers of numbers; values of a mapping keep the types that they have."""
    if isinstance(job_params, Mapping):
        return ("-y", json.dumps(dict(job_params))) if job_params else ()
    found, _problems = params.parse(job_params)
    return tuple(word for name, value in found.items() for word in ("-p", name, value))


def experiment_of(notebook: Notebook, base: str, where: str = RUN) -> str:
    """The name of its experiment: the same notebook, profile and parameters are the same one, to go on with."""
    named = re.sub(r"[^a-z0-9]+", "-", notebook.name.lower()).strip("-")[:24].strip("-")
    slug = named or ("notebook" if notebook.path else "jupyterlab")
    text = "\0".join([notebook.path, base, *notebook.parameters, *([] if where == RUN else [where])])
    return f"{slug}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def image_of(found: Mapping[str, Any], base: str) -> str:
    """The image of a profile; raises NotebookError where it has none."""
    image = (found.get("job") or {}).get("image")
    if not image:
        raise NotebookError(
            f"profile {base}: job.image is missing, in which the notebook would run; name one with Jupyter's kernel,"
            " in the profile or with -e job.image=IMAGE"
        )
    return str(image)


def run_command(notebook: Notebook, folder: str) -> list[str]:
    """The command that runs a notebook, whose output goes to a folder."""
    return [
        *("python3", "/notebook/run.py", "/notebook/input.ipynb", f"{folder}/{notebook.name}.ipynb"),
        *notebook.parameters,
    ]


def serve_command(notebook: Notebook, folder: str, idle: int, copy: bool) -> list[str]:
    """The command that serves JupyterLab.

    Args:
        notebook: what is opened.
        folder: what JupyterLab shows, in the container.
        idle: seconds without use after which it ends, 0 for never.
        copy: whether the notebook is put into the folder, if it is not there yet.
    """
    words = ["python3", "/notebook/serve.py", "--folder", folder, "--session", f"/notebook/{SESSION}"]
    words += ["--port", str(PORT), "--idle", str(idle)]
    words += ["--notebook", "/notebook/input.ipynb"] if copy and notebook.path else []
    return [*words, "--name", os.path.basename(notebook.path)] if notebook.path else words


@dataclass(frozen=True)
class Wish:
    """How a notebook is to run.

    Attributes:
        base: name of the profile that its own extends.
        where: one of PLACES.
        programs: directory of run.py and serve.py.
        install: whether they may install what the image lacks.
        idle: seconds without use after which JupyterLab ends.
    """

    base: str
    where: str = RUN
    programs: str = ""
    install: bool = False
    idle: int = IDLE


def profile_of(notebook: Notebook, found: Mapping[str, Any], wish: Wish) -> dict[str, Any]:
    """The profile that runs a notebook, or JupyterLab.

    Args:
        notebook: it.
        found: the profile that it extends, read under the name of this experiment.
        wish: how.

    Raises:
        NotebookError: the profile has no image.
    """
    image_of(found, wish.base)
    job, serves = found["job"], wish.where == REMOTE
    results = f"{job['state_dir']}/notebook"
    sent = {f"{CODE}/{name}": f"{wish.programs}/{name}" for name in (["run.py", "serve.py"] if serves else ["run.py"])}
    sent |= {f"{CODE}/input.ipynb": notebook.path} if notebook.path else {}
    back = {"direction": "in", "remote_path": f"{results}/", "local_path": f"results/{found['experiment']}/"}
    # The address of JupyterLab lies where only the container and the login user see it.
    closed = {"network": "bridge", "extra_args": [*(job.get("extra_args") or []), "-p", f"127.0.0.1:{PORT}:{PORT}"]}
    return {
        "extends": wish.base,
        "description": (f"Runs {os.path.basename(notebook.path)}" if not serves else "Serves JupyterLab")[:80],
        "channels": [
            *({key: value for key, value in one.items() if value is not None} for one in found.get("channels") or []),
            *({"direction": "out", "local_path": path, "remote_path": there} for there, path in sent.items()),
            {**back, "recursive": True},
        ],
        "job": {
            "name": "jupyterlab" if serves else "notebook",
            "command": serve_command(notebook, results, wish.idle, True) if serves else run_command(notebook, results),
            "scripts": [],
            "mounts": [*(job.get("mounts") or []), f"{CODE}:/notebook{'' if serves else ':ro'}"],
            "state_dir": job["state_dir"],
            "at_end": "terminate",
            **(closed if serves else {}),
            **({"env": {"NOTEBOOK_INSTALL": "true"}} if wish.install else {}),
        },
    }
