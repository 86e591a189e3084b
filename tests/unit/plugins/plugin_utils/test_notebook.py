"""A notebook as a job: what is wrong with it, and the profile that runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.experiments.spot.plugins.filter.notebook_profile import notebook_profile
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.resolve import Request, resolve
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.validate import Setting

ROOT = Path(__file__).resolve().parents[4]
PROGRAMS = str(ROOT / "roles/notebook/files")


def written(folder: Path, tags: tuple[str, ...] = ("parameters",)) -> str:
    cell = {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": "lr = 1", "outputs": []}
    path = folder / "My train.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}))
    return str(path)


def read(folder: Path, name: str, experiment: str) -> dict[str, Any]:
    (folder / "results" / experiment).mkdir(parents=True, exist_ok=True)
    setting = Setting("", experiment, lambda: "us-west-2", str(folder), str(folder))
    dirs = [str(folder / "made"), str(ROOT / "profiles")]
    return resolve(Request(name, dirs, setting, {}, lambda text, more: text))[1].profile


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("", "", "say which to run"),
        ("x.ipynb", None, "No such file"),
        ("x.ipynb", "{", "no JSON"),
        ("x.ipynb", "[]", "format 4"),
        ("x.ipynb", '{"nbformat": 3, "worksheets": []}', "format 4"),
        ("x.py", "1", ".ipynb"),
    ],
)
def test_mistakes_are_told_at_once(tmp_path: Path, name: str, text: str | None, told: str) -> None:
    if name and text is not None:
        (tmp_path / name).write_text(text)
    problem = notebook_profile(str(tmp_path / name) if name else "", "x", "lr")["problem"]
    assert told in problem and "job_params" in problem


def test_a_profile_without_image_is_refused(tmp_path: Path) -> None:
    assert "job.image" in notebook_profile(written(tmp_path), "x", found={"job": None})["problem"]


def test_papermill_adds_a_cell_where_none_has_the_tag(tmp_path: Path) -> None:
    assert "new first cell" in notebook_profile(written(tmp_path, ()), "x", "lr=1")["notes"][0]
    assert notebook_profile(written(tmp_path, ()), "x")["notes"] == []
    assert notebook_profile(written(tmp_path), "x", "lr=1")["notes"] == []


def test_the_experiment_is_that_of_notebook_profile_and_parameters(tmp_path: Path) -> None:
    path = written(tmp_path)
    names = {notebook_profile(path, *rest)["experiment"] for rest in (["x"], ["y"], ["x", "lr=1"], ["x", ""])}
    assert len(names) == 3 and all(name.startswith("my-train-") and len(name) <= 40 for name in names)


@pytest.mark.parametrize(
    ("params", "words"),
    [("", []), ("lr=0.1,n=a b", ["-p", "lr", "0.1", "-p", "n", "a b"]), ({"layers": [1]}, ["-y", '{"layers": [1]}'])],
)
def test_the_profile_is_one_that_a_launch_takes(tmp_path: Path, params: Any, words: list[str]) -> None:
    path = written(tmp_path)
    name = notebook_profile(path, "notebook", params)["experiment"]
    made = notebook_profile(path, "notebook", params, found=read(tmp_path, "notebook", name), programs=PROGRAMS)
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / f"{name}.yml").write_text(yaml.safe_dump(made["profile"]))
    profile = read(tmp_path, name, name)
    job = profile["job"]
    assert job["command"][4:] == words
    assert job["command"][3] == f"{job['state_dir']}/notebook/My train.ipynb"
    assert job["at_end"] == "terminate" and job["env"]["NOTEBOOK_INSTALL"] == "true"
    assert [one["local_path"] for one in profile["channels"]][:2] == [f"{PROGRAMS}/run.py", path]
    assert profile["channels"][-1]["local_path"].rstrip("/") == str(tmp_path / "results" / name)


def test_where_and_its_idle_time_are_checked_with_the_rest(tmp_path: Path) -> None:
    problem = notebook_profile("x.py", "x", "lr", where="cloud", idle="1h")["problem"]
    assert all(word in problem for word in ("x.py", "job_params", "where=cloud", "notebook_idle=1h"))
    assert "job_params" in notebook_profile("", "x", "lr=1", where="local")["problem"]


def test_jupyterlab_needs_no_notebook_and_is_an_experiment_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert notebook_profile("", "x", where="remote")["experiment"].startswith("jupyterlab-")
    names = {notebook_profile(path, "x", where=where)["experiment"] for where in ("run", "remote")}
    assert len(names) == 2


@pytest.mark.parametrize("given", [True, False])
def test_the_profile_of_jupyterlab_is_one_that_a_launch_takes(tmp_path: Path, given: bool) -> None:
    path = written(tmp_path) if given else ""
    name = notebook_profile(path, "notebook", where="remote")["experiment"]
    base = read(tmp_path, "notebook", name)
    made = notebook_profile(path, "notebook", where="remote", found=base, programs=PROGRAMS, idle="600")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / f"{name}.yml").write_text(yaml.safe_dump(made["profile"]))
    job = read(tmp_path, name, name)["job"]
    assert job["extra_args"] == ["-p", "127.0.0.1:8888:8888"] and job["network"] == "bridge"
    assert job["mounts"] == ["/home/ubuntu/notebook:/notebook"]
    options = dict(zip(job["command"][2::2], job["command"][3::2], strict=True))
    assert options["--folder"] == f"{job['state_dir']}/notebook" and options["--idle"] == "600"
    assert (options.get("--notebook"), options.get("--name")) == (
        ("/notebook/input.ipynb", "My train.ipynb") if given else (None, None)
    )


def test_jupyterlab_here_needs_an_image_and_no_profile(tmp_path: Path) -> None:
    path = written(tmp_path)
    made = notebook_profile(path, "x", where="local", found={"job": {"image": "a/b:1"}})
    assert (made["image"], made["path"], made["profile"]) == ("a/b:1", path, {})
    assert "job.image" in notebook_profile(path, "x", where="local", found={"job": None})["problem"]
