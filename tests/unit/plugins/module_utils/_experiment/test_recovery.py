"""Whether lost capacity is asked for again."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._experiment import recovery
from ansible_collections.experiments.spot.plugins.module_utils._experiment.recovery import Bounds, Seen
from tests.unit.plugins.module_utils._experiment.builders import instance, tags, volume

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)
TAKEN, BY_USER = "Server.SpotInstanceTermination", "Client.UserInitiatedShutdown"


def one(name: str, rank: int | None, reason: str = "", state: str = "", generation: int = 1) -> dict[str, Any]:
    """An instance; one with a reason has ended."""
    more: dict[str, Any] = {"StateReason": {"Code": reason, "Message": reason}} if reason else {}
    raw = instance(name, state or ("terminated" if reason else "running"), generation, **more)
    raw["Tags"] = [*raw["Tags"], *(tags(rank=str(rank)) if rank is not None else [])]
    return raw


def marked(name: str) -> dict[str, Any]:
    return {"InstanceId": name, "State": "active", "Status": {"Code": "marked-for-termination"}}


def decide(*instances: dict[str, Any], requests: Any = (), now: datetime = NOW, **bounds: Any) -> recovery.Decision:
    template = {"LaunchTemplateId": "lt-1", "CreateTime": NOW - timedelta(hours=1)}
    return recovery.decide(Seen(list(instances), list(requests), [], [template]), Bounds(**bounds), now)


def test_all_there_is_nothing_to_do() -> None:
    assert decide(one("i-1", 0)).do == recovery.NOTHING


def test_what_aws_took_is_asked_for_again_as_the_next_generation() -> None:
    decision = decide(one("i-1", 0, TAKEN))
    assert (decision.do, decision.generation) == (recovery.RESUME, 2)
    assert "rank 0: i-1: EC2 took the Spot Instance back" in decision.text


def test_a_notice_is_enough() -> None:
    assert decide(one("i-1", 0), requests=[marked("i-1")]).do == recovery.RESUME


def test_only_the_lost_ranks_are_named() -> None:
    decision = decide(one("i-1", 0), one("i-2", 1, TAKEN), one("i-3", 2), count=3)
    assert [(loss.rank, loss.instance_id) for loss in decision.losses] == [(1, "i-2")]


@pytest.mark.parametrize("reason", [BY_USER, "Client.InstanceInitiatedShutdown", "Client.VolumeLimitExceeded"])
def test_what_somebody_ended_is_not_resurrected(reason: str) -> None:
    decision = decide(one("i-1", 0, reason))
    assert decision.do == recovery.STOP
    assert "launch.yml starts it again" in decision.text


def test_the_last_instance_of_a_rank_counts() -> None:
    assert decide(one("i-1", 0, BY_USER), one("i-2", 0, TAKEN, generation=2)).do == recovery.RESUME
    assert decide(one("i-1", 0, TAKEN), one("i-2", 0, BY_USER, generation=2)).do == recovery.STOP


def test_one_taken_before_it_had_a_rank_counts_for_the_rank_that_is_missing() -> None:
    decision = decide(one("i-1", None, TAKEN))
    assert [loss.instance_id for loss in decision.losses] == ["i-1"]


def test_one_that_aws_has_forgotten_may_be_asked_for_again() -> None:
    template = {"LaunchTemplateId": "lt-1", "CreateTime": NOW}
    decision = recovery.decide(Seen(volumes=[volume("vol-1")], templates=[template]), Bounds(), NOW)
    assert (decision.do, decision.generation) == (recovery.RESUME, 2)
    assert "AWS shows no instance of it" in decision.text


def test_an_experiment_that_is_not_there_is_not_resumed() -> None:
    for seen in (Seen(), Seen(volumes=[volume("vol-1")])):  # a closed one keeps its volume
        decision = recovery.decide(seen, Bounds(), NOW)
        assert decision.do == recovery.STOP and "nothing of this experiment is there" in decision.text


def test_bounds() -> None:
    last = one("i-1", 0, TAKEN, generation=3)
    assert decide(last, max_generations=4).do == recovery.RESUME
    assert "recovery.max_generations (3)" in decide(last, max_generations=3).text
    assert decide(last, deadline=3601).do == recovery.RESUME
    assert "recovery.deadline" in decide(last, deadline=3599).text
    assert "recovery.mode is none" in decide(last, enabled=False).text
