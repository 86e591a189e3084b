"""What instances of all generations know of each other, and what it lets the next one do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.experiments.spot.plugins.module_utils._self import state
from ansible_collections.experiments.spot.plugins.module_utils._self.state import Bounds

NOON = 1767268800.0
BOUNDS = Bounds(max_generations=3, deadline=3600)


def begin(found: dict[str, Any] | None, instance_id: str, now: float = NOON) -> tuple[dict[str, Any], str]:
    return state.begin(found, instance_id, BOUNDS, now)


def test_generations_follow_each_other_and_a_reboot_is_none() -> None:
    first, why = begin({}, "i-1")
    assert (first["generation"], first["former"], why) == (1, [], "")
    again, _why = begin(first, "i-1", NOON + 60)
    assert (again["generation"], again["since"]) == (1, first["since"]), "a reboot does not move the time limit"
    second, _why = begin(again, "i-2", NOON + 120)
    assert (second["generation"], second["former"], second["started"]) == (2, ["i-1"], first["started"])
    assert second["since"] != first["since"]


def test_bounds_of_the_profile_end_it() -> None:
    found, why = begin({"generation": 3, "instance_id": "i-3", "started": "2026-01-01T12:00:00Z"}, "i-4")
    assert "max_generations (3)" in why and found["phase"] == state.GIVEN_UP
    found, why = begin({"generation": 1, "instance_id": "i-1", "started": "2026-01-01T10:00:00Z"}, "i-2")
    assert "recovery.deadline (3600 s)" in why and found["phase"] == state.GIVEN_UP


@pytest.mark.parametrize("phase", state.OVER)
def test_what_is_over_stays_over(phase: str) -> None:
    found, why = begin({"phase": phase, "message": "the job succeeded", "generation": 1, "instance_id": "i-1"}, "i-2")
    assert "the job succeeded" in why and found["phase"] == phase and found["instance_id"] == "i-1"


def test_a_job_that_runs_forgets_failures() -> None:
    document, _why = begin(None, "i-1")
    failed = state.failed(document, "no docker", NOON)
    assert failed["failures"] == 1 and state.running(failed, NOON)["failures"] == 0


@given(st.lists(st.sampled_from(["fails", "runs"]), min_size=1, max_size=30))
def test_no_sequence_of_failures_goes_on_for_ever(events: list[str]) -> None:
    """However instances fail and run: never more failures in a row than allowed, never more generations."""
    document: dict[str, Any] = {}
    in_a_row = 0
    for number, event in enumerate(events):
        document, why = state.begin(document, f"i-{number}", Bounds(10), NOON + number)
        if why:
            assert document["phase"] in state.OVER
            break
        document = state.failed(document, "x", NOON) if event == "fails" else state.running(document, NOON)
        in_a_row = in_a_row + 1 if event == "fails" else 0
        assert in_a_row <= state.MAX_FAILURES
        assert (in_a_row == state.MAX_FAILURES) == (document["phase"] == state.GIVEN_UP)
    assert document.get("generation", 1) <= 11


@pytest.mark.parametrize("damaged", [{"generation": "x"}, {"generation": -4, "failures": None}, {"former": None}])
def test_a_damaged_document_is_a_new_beginning(damaged: dict[str, Any]) -> None:
    found, why = begin(damaged, "i-1")
    assert (found["generation"], found["failures"], why) == (1, 0, "")
