"""What a launch tells while it is under way."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._aws_errors import ErrorClass
from ansible_collections.experiments.spot.plugins.module_utils._fleet import progress
from ansible_collections.experiments.spot.plugins.module_utils._fleet.plan import Do, Step
from ansible_collections.experiments.spot.plugins.module_utils._fleet.values import Instance, Pool, Refusal, Request

A = Pool("p3.2xlarge", "subnet-1", "us-east-1a")
B = Pool("p3.2xlarge", "", "us-east-1b")
ASK = Step(Do.ASK, Request((B,), 1))
FAIL = Step(Do.FAIL)


def no(pool: Pool | None, code: str = "InsufficientInstanceCapacity", market: str = "spot") -> Refusal:
    return Refusal(pool, code, "no", ErrorClass.POOL, market=market)


@pytest.mark.parametrize(
    ("told", "new", "step", "lines"),
    [
        ([], [], ASK, []),
        (
            [],
            [no(A)],
            ASK,
            ["p3.2xlarge in us-east-1a: no capacity (InsufficientInstanceCapacity), asking the others"],
        ),
        (
            [],
            [no(A), no(B, "MaxSpotInstanceCountExceeded")],
            FAIL,
            [
                "p3.2xlarge in us-east-1a: no capacity (InsufficientInstanceCapacity)",
                "p3.2xlarge in us-east-1b: quota exhausted (MaxSpotInstanceCountExceeded)",
            ],
        ),
        ([no(A)], [no(A)], FAIL, ["1 pool refused again"]),
        ([no(A), no(B)], [no(A), no(B)], ASK, ["2 pools refused again"]),
        (
            [no(A)],
            [no(A, market="on-demand")],
            FAIL,
            ["p3.2xlarge in us-east-1a, on-demand: no capacity (InsufficientInstanceCapacity)"],
        ),
        (
            [],
            [no(Pool("p3.2xlarge", "subnet-1"))],
            FAIL,
            ["p3.2xlarge in subnet-1: no capacity (InsufficientInstanceCapacity)"],
        ),
        ([], [no(None, "InternalError")], FAIL, ["all pools: refused (InternalError)"]),
        ([], [no(A, "UnauthorizedOperation")], FAIL, ["p3.2xlarge in us-east-1a: not allowed (UnauthorizedOperation)"]),
    ],
)
def test_refusals(told: list[Refusal], new: list[Refusal], step: Step, lines: list[str]) -> None:
    assert progress.refusal_lines(told, new, step) == lines


@pytest.mark.parametrize(
    ("step", "left", "lines"),
    [
        (Step(Do.SLEEP, seconds=40.0), 260.0, ["waiting 40 s, 4:20 left"]),
        (Step(Do.SLEEP, seconds=0.2), 3900.0, ["waiting 1 s, 1:05:00 left"]),
        (Step(Do.SLEEP, seconds=2.0), -1.0, ["waiting 2 s"]),
        (ASK, 10.0, []),
    ],
)
def test_pauses(step: Step, left: float, lines: list[str]) -> None:
    assert progress.wait_lines(step, left) == lines


def test_launches() -> None:
    one = Instance("i-1", "g5.xlarge", "us-east-1b")
    assert progress.launch_lines([one], 0, 2) == ["launched 1 of 2: i-1 g5.xlarge us-east-1b"]
    many = [Instance(f"i-{n}", "g5.xlarge", f"us-east-1{'ab'[n % 2]}") for n in range(5)]
    assert progress.launch_lines(many, 2, 9) == ["launched 7 of 9: 3 g5.xlarge us-east-1a, 2 g5.xlarge us-east-1b"]


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    file = progress.File(str(path))
    file.tell(["one", "two\nlines"])
    file.tell([])
    file.tell(["three"])
    assert path.read_text() == "one\ntwo lines\nthree\n"
    progress.File(str(tmp_path / "none" / "x")).tell(["lost"])
    progress.File("").tell(["lost"])
