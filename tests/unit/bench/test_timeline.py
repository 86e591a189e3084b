"""The cutting of outputs and journals."""

from __future__ import annotations

import pytest

from bench import timeline
from bench.overhead import first_word
from bench.timeline import Part

OUTPUT = [
    (0.0, "[x] watching; Ctrl-C ends the watch, not the experiment"),
    (1.0, "PLAY [Storage, runtime, code and job] ****"),
    (1.5, "TASK [experiments.spot.job : Start the job] ****"),
    (2.0, "changed: [x-i-1]"),
    (3.0, "TASK [Wait for the job] ****"),
    (12.0, "PLAY [Summary] ****"),
    (12.5, "TASK [Judge] ****"),
    (12.75, "PLAY RECAP *****"),
    (13.0, "[x] run 2: i-1: interruption"),
    (14.0, "PLAY [Profile, plan and capacity] ****"),
    (14.5, "TASK [experiments.spot.plan : Read] ****"),
    (16.0, "TASK [experiments.spot.capacity : Instances] ****"),
    (18.0, "TASK [experiments.spot.plan : Again] ****"),
    (18.5, "TASK [experiments.spot.job : Start the job] ****"),
    (40.0, "TASK [Wait for the job] ****"),
]


def test_a_window_is_cut_at_both_ends_and_all_of_it_belongs_to_somebody() -> None:
    parts = timeline.window(OUTPUT, 10.0, 20.0)
    assert parts[:4] == [
        Part("until the run before sees it", "Wait for the job", 2.0),
        Part("end of the run before", "Summary", 0.5),
        Part("end of the run before", "Judge", 0.25),
        Part("between the runs", "between the runs", 0.25),
    ]
    assert timeline.by_stage(parts) == {
        "until the run before sees it": 2.0,
        "end of the run before": 0.75,
        "between the runs": 0.25,
        "start of ansible-playbook": 1.0,
        "Profile, plan and capacity": 0.5,
        "plan": 2.0,
        "capacity": 2.0,
        "job": 1.5,
    }
    assert sum(part.seconds for part in parts) == pytest.approx(10.0)


def test_a_window_without_another_run_has_no_run_before() -> None:
    assert timeline.by_stage(timeline.window(OUTPUT, 1.0, 4.0)) == {
        "Storage, runtime, code and job": 1.5,
        "job": 1.5,
    }


@pytest.mark.parametrize("moment,stage", [(0.5, ""), (1.6, "job"), (13.5, "start of ansible-playbook"), (99, OUTPUT)])
def test_the_stage_of_a_moment(moment: float, stage: object) -> None:
    found = timeline.stage_at(timeline.steps(OUTPUT), moment)
    assert found == ("Profile, plan and capacity" if stage is OUTPUT else stage)


def test_medians_count_what_is_missing_as_nothing() -> None:
    assert timeline.medians([{"a": 1.0, "b": 5.0}, {"a": 2.0}, {"a": 9.0}]) == {"a": 2.0, "b": 0.0}


@pytest.mark.parametrize("moments,groups", [([], 0), ([5], 1), ([1, 2, 40, 41, 80], 3), ([80, 1], 2)])
def test_clusters(moments: list[float], groups: int) -> None:
    assert timeline.clusters(moments, 8) == groups


JOURNAL = """-- Boot 1 --
90.5 ip job[5]: experiments-spot: running registry.lab/digits:1 as spot-job
92.25 ip job[5]: Going on from the checkpoint of step 12
95.0 ip python3[9]: NOTICE: interruption (terminate) at 2026-01-01T00:00:00Z, 60 s left
101.0 ip python3[9]: NOTICE: interruption (terminate) at 2026-01-01T00:00:00Z, 60 s left
101.1 ip python3[9]: stopping experiments-spot-job.service, it has 40 s
102.5 ip systemd[1]: experiments-spot-job.service: Deactivated successfully.
103.0 ip python3[9]: /data is unmounted
103.5 ip python3[9]: done: job stopped, 0 volumes busy, 56 s before the time is over
"""


def test_milestones_count_from_the_order_on() -> None:
    assert timeline.milestones(JOURNAL, 100.0) == {
        "noticed": 1.0,
        "job_told": 1.1,
        "job_stopped": 2.5,
        "unmounted": 3.0,
        "over": 3.5,
    }


def test_a_recovery_ends_with_what_the_job_needs_until_its_first_word() -> None:
    journal = "15.9 ip job[5]: experiments-spot: pulling x\n17.0 ip job[5]: experiments-spot: running x as y\n17.5 ip job[5]: hi\n"
    stages = timeline.by_stage(timeline.recovery(OUTPUT, 10.0, journal, first_word(journal)))
    assert list(stages)[-3:] == ["plan", "image", "container"]
    assert (stages["plan"], stages["image"], stages["container"]) == (pytest.approx(1.4), 1.1, 0.5)
    assert sum(stages.values()) == pytest.approx(7.5)


def test_the_first_word_of_a_job() -> None:
    assert first_word(JOURNAL) == 92.25
    with pytest.raises(ValueError, match="not said anything"):
        first_word(JOURNAL.splitlines()[1])
