"""Figures of the bench of jobs."""

from __future__ import annotations

import pytest

from bench import job


def test_the_last_word_is_found_among_other_lines() -> None:
    assert job.last_word("experiments-spot: running x\nLAST WORD 12.5\nexperiments-spot: succeeded\n") == 12.5


def test_a_job_that_did_not_end_is_no_figure() -> None:
    with pytest.raises(ValueError, match="running x"):
        job.last_word("experiments-spot: running x\n")


def test_the_figures_are_medians_of_pairs() -> None:
    raw = {
        "run": [{"ours_s": 12.0, "ssh_s": 8.0}, {"ours_s": 30.0, "ssh_s": 10.0}, {"ours_s": 14.0, "ssh_s": 10.0}],
        "end_with_controller_s": [3.0, 1.0, 2.0],
        "end_alone_s": [33.0, 31.0, 32.0],
    }
    assert job.table(raw) == {
        "run_ratio": 1.5,
        "run_more_s": 4.0,
        "end_with_controller_s": 2.0,
        "end_alone_s": 32.0,
    }
