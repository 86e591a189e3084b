"""What the bench of notebooks reads, and its figures."""

from __future__ import annotations

import json

import pytest

from bench import notebook


def executed(*texts: str) -> str:
    """A notebook whose cells have printed something."""
    made = json.loads(notebook.text_of(tuple("1" for _ in texts)))
    for cell, text in zip(made["cells"], texts):
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": [text]}]
    return json.dumps(made)


def test_a_saved_cell_is_dated_by_the_one_after_it() -> None:
    assert notebook.saved(executed("first\n", "SAVED 12.5\n")) == 12.5


def test_a_notebook_that_stopped_is_no_figure() -> None:
    with pytest.raises(ValueError, match="first"):
        notebook.saved(executed("first\n"))


def test_the_address_is_found_among_other_lines() -> None:
    lines = [
        "TASK [Wait for the job] ***",
        "[i-1] Open http://127.0.0.1:8889/lab/tree/a.ipynb?token=ab12",
        "[i-1] as long",
    ]
    assert notebook.address_in(lines) == "http://127.0.0.1:8889/lab/tree/a.ipynb?token=ab12"
    assert notebook.address_in(lines[:1]) == ""


def test_the_figures_are_medians_of_pairs() -> None:
    pairs = [{"ours_s": 12.0, "ssh_s": 8.0}, {"ours_s": 30.0, "ssh_s": 10.0}, {"ours_s": 14.0, "ssh_s": 10.0}]
    found = notebook.table({"warm": pairs, "fresh": pairs, "papermill": pairs[:1]})
    assert {name: value for name, value in found.items() if name.startswith("warm")} == {
        "warm_s": 14.0,
        "warm_ssh_s": 10.0,
        "warm_ratio": 1.5,
        "warm_more_s": 4.0,
    }
    assert found["papermill_more_s"] == 4.0
