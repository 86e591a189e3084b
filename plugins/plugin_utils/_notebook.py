# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A notebook as a job: what is wrong with it, and the profile of the instance that runs it."""

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


@dataclass(frozen=True)
class Notebook:
    """A notebook that can be run.

    Attributes:
        path: absolute, on the controller.
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


def read(given: str, job_params: Any) -> Notebook:
    """The notebook at a path, and its parameters.

    Raises:
        NotebookError: all mistakes at once.
    """
    path = os.path.abspath(os.path.expanduser(given)) if given else ""
    problems = [str(problem) for problem in params.parse(job_params)[1]]
    cells: list[Any] = []
    try:
        cells = _cells(path)
    except NotebookError as error:
        problems.insert(0, f"notebook={given}: {error}")
    if problems:
        raise NotebookError("; ".join(problems))
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


def experiment_of(notebook: Notebook, base: str) -> str:
    """The name of its experiment: the same notebook, profile and parameters are the same one, to go on with."""
    slug = re.sub(r"[^a-z0-9]+", "-", notebook.name.lower()).strip("-")[:24].strip("-") or "notebook"
    text = "\0".join([notebook.path, base, *notebook.parameters])
    return f"{slug}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def profile_of(notebook: Notebook, base: str, found: Mapping[str, Any], runner: str, install: bool) -> dict[str, Any]:
    """The profile that runs a notebook.

    Args:
        notebook: it.
        base: name of the profile that it extends.
        found: that profile, read under the name of this experiment.
        runner: path of the program that calls papermill.
        install: whether the program may install papermill.
    Raises:
        NotebookError: the profile has no image.
    """
    job = found.get("job") or {}
    if not job.get("image"):
        raise NotebookError(
            f"profile {base}: job.image is missing, in which the notebook would run; name one with Jupyter's kernel,"
            " in the profile or with -e job.image=IMAGE"
        )
    results = f"{job['state_dir']}/notebook"
    sent = {f"{CODE}/run.py": runner, f"{CODE}/input.ipynb": notebook.path}
    command = ["python3", "/notebook/run.py", "/notebook/input.ipynb", f"{results}/{notebook.name}.ipynb"]
    back = {"direction": "in", "remote_path": f"{results}/", "local_path": f"results/{found['experiment']}/"}
    return {
        "extends": base,
        "description": f"Runs {os.path.basename(notebook.path)}"[:80],
        "channels": [
            *({key: value for key, value in one.items() if value is not None} for one in found.get("channels") or []),
            *({"direction": "out", "local_path": path, "remote_path": there} for there, path in sent.items()),
            {**back, "recursive": True},
        ],
        "job": {
            "name": "notebook",
            "command": [*command, *notebook.parameters],
            "scripts": [],
            "mounts": [*(job.get("mounts") or []), f"{CODE}:/notebook:ro"],
            "state_dir": job["state_dir"],
            "at_end": "terminate",
            **({"env": {"NOTEBOOK_INSTALL": "true"}} if install else {}),
        },
    }
