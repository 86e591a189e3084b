"""What a watch does after each run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils import _watch
from ansible_collections.experiments.spot.plugins.plugin_utils._watch import Move, Seen, Watched


def seen(do: str, status: int = 2, generation: int = 1, has_job: bool = True) -> Seen:
    recovery: dict[str, Any] = {"do": do, "text": "why", "generation": generation}
    return Seen(status, has_job, recovery)


def test_a_run_that_went_well_is_the_end_of_a_job() -> None:
    assert _watch.after(Watched(1), seen("nothing", status=0))[1].do == _watch.DONE
    # The run has closed the experiment, as its profile says.
    assert _watch.after(Watched(1), seen("stop", status=0))[1].do == _watch.DONE


def test_without_a_job_it_looks_again_until_somebody_ends_it() -> None:
    assert _watch.after(Watched(1), seen("nothing", status=0, has_job=False))[1] == Move(_watch.POLL)
    assert _watch.after(Watched(1), seen("stop", status=0, has_job=False))[1].do == _watch.DONE


def test_a_loss_is_made_good_at_once() -> None:
    state, move = _watch.after(Watched(1), seen("resume", generation=2))
    assert move == Move(_watch.RUN, 0.0, "why")
    assert state.generation == 2
    state, move = _watch.after(state, seen("resume", generation=3))
    assert (move.pause, state.generation, state.fruitless) == (0.0, 3, 0)


def test_also_when_the_run_itself_went_well() -> None:
    assert _watch.after(Watched(1), seen("resume", status=0, generation=2))[1].do == _watch.RUN


def test_runs_without_a_new_generation_come_ever_later_and_end() -> None:
    state, pauses = Watched(1, generation=2), []
    for _run in range(_watch.MAX_FRUITLESS - 1):
        state, move = _watch.after(state, seen("resume", generation=2))
        assert move.do == _watch.RUN
        pauses.append(move.pause)
    assert pauses == [5, 10, 20, 40, 60, 60, 60, 60, 60]
    assert _watch.after(state, seen("resume", generation=2))[1].do == _watch.FAIL
    assert _watch.after(state, seen("resume", generation=3))[0].fruitless == 0


@pytest.mark.parametrize("do", ["nothing", "stop"])
def test_a_failure_without_a_loss_is_the_end(do: str) -> None:
    move = _watch.after(Watched(1), seen(do))[1]
    assert move.do == _watch.FAIL and "see above" in move.text


def test_what_an_instance_tells_is_enough_for_the_next_run() -> None:
    found = _watch.told("i-1 interruption\ni-2 rebalance\ni-3 \n\n")
    assert found == {"i-1": "interruption", "i-2": "rebalance", "i-3": ""}
    state, move = _watch.at_once(Watched(3, fruitless=2, leaving=(("i-0", "rebalance"),)), found)
    assert move == Move(_watch.RUN, 0.0, "i-1: interruption, i-2: rebalance, i-3: no answer any more")
    assert state.fruitless == 0
    command = _watch.command("python3", [], "/t/taken-1", resume=True, leaving=state.leaving)
    assert json.loads(command[-1]) == {"spot_told": ["i-0", "i-1", "i-2", "i-3"], "spot_advised": ["i-0", "i-2"]}


def test_the_command_is_the_one_that_was_typed() -> None:
    typed = ["/bin/ansible-playbook", "launch.yml", "-e", "profile=p2", "-e", "watch=true"]
    first = _watch.command("/bin/python3", typed, "/t/taken-0", resume=False)
    assert first == ["/bin/python3", *typed, "-e", "watch=false", "-e", "spot_watched=/t/taken-0"]
    assert _watch.command("/bin/python3", typed, "/t/taken-1", resume=True)[-2:] == ["-e", "spot_resume=true"]


def instance(lifecycle: str = "spot", state: str = "running") -> dict[str, Any]:
    return {
        "InstanceId": "i-1",
        "State": {"Name": state},
        **({"InstanceLifecycle": "spot"} if lifecycle == "spot" else {}),
    }


def request(code: str = "fulfilled", state: str = "active") -> dict[str, Any]:
    return {"State": state, "Status": {"Code": code}}


def test_what_a_look_asks_for() -> None:
    assert [_watch.question(number, 3, 3) for number in range(5)] == ["instances", *["requests"] * 3, "instances"]
    assert [_watch.question(number, 2, 3) for number in range(4)] == ["instances", "requests"] * 2
    assert {_watch.question(number, 0, 3) for number in range(4)} == {"instances"}


def test_what_a_look_counts() -> None:
    found = [instance(), instance("on-demand"), instance(state="pending"), instance(state="shutting-down")]
    assert (_watch.alive(found), _watch.spot(found)) == (3, 2)
    requests = [request(), request("marked-for-termination"), request("instance-terminated-by-user", "closed")]
    assert _watch.undisturbed(requests) == 1
