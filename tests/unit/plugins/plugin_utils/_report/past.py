"""What report_info and job_info tell of made-up experiments."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=timezone.utc)
HOSTILE = "a<script>alert(1)</script>&\"'b"


def moment(clock: str) -> str:
    return f"2026-11-21T{clock}:00+00:00"


def changes(*steps: tuple[str, float]) -> list[dict[str, Any]]:
    return [{"time": moment(clock), "price": price} for clock, price in steps]


def instance(**values: Any) -> dict[str, Any]:
    return {
        "instance_id": "i-1",
        "generation": 1,
        "rank": 0,
        "type": "g5.xlarge",
        "zone": "us-east-1a",
        "region": "us-east-1",
        "lifecycle": "spot",
        "state": "running",
        "launch_time": moment("12:00"),
        "end_time": None,
        "end": "alive",
        "end_code": "",
        "end_reason": "the instance is alive",
        "on_demand_price": 1.0,
        "changes": changes(("11:00", 0.4)),
    } | values


def taken(**values: Any) -> dict[str, Any]:
    code = "instance-terminated-no-capacity"
    return instance(state="terminated", end="interrupted", end_code=code) | values


def experiment(name: str = "digits", *instances: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {
        "experiment": name,
        "region": "us-east-1",
        "profile": "p2",
        "owner": "alice",
        "job": "train",
        "instances": list(instances),
        "refusals": [],
    } | values


def read(*experiments: dict[str, Any], ledgers: Any = (), notes: Any = ()) -> dict[str, Any]:
    return {
        "experiments": list(experiments),
        "ledgers": list(ledgers),
        "notes": list(notes),
        "left_out": [],
        "regions": ["us-east-1"],
    }


def run(instance_id: str, started: str, finished: str | None, **values: Any) -> dict[str, Any]:
    return {
        "instance_id": instance_id,
        "generation": 1,
        "rank": 0,
        "spec_sha256": "aa",
        "state": "interrupted",
        "exit_code": None,
        "message": "",
        "started": f"2026-11-21T{started}:00Z",
        "finished": f"2026-11-21T{finished}:00Z" if finished else None,
    } | values


def machine(**values: Any) -> dict[str, Any]:
    """What the ledger tells of an instance."""
    return {
        "type": "g5.xlarge",
        "zone": "us-east-1a",
        "region": "us-east-1",
        "lifecycle": "spot",
        "image_id": "ami-1",
        "launch_time": moment("12:00"),
        "spot_price": 0.4,
        "on_demand_price": 1.0,
    } | values


def closed(*runs: dict[str, Any], notices: Any = ()) -> dict[str, Any]:
    """An experiment of which AWS knows nothing any more."""
    ledger = {"path": "/r/digits/ledger.json", "experiment": "digits", "job": "train", "runs": list(runs)}
    return read(ledgers=[{**ledger, "notices": list(notices)}])


def three_generations(name: str = "digits") -> dict[str, Any]:
    """Taken after 30 minutes and after 90, in three zones; the third runs. The ledger has come with the results."""
    first = taken(launch_time=moment("11:30"), end_time=moment("12:00"))
    second = taken(instance_id="i-2", generation=2, zone="us-east-1b", end_time=moment("13:30"))
    second["changes"] = changes(("11:00", 0.4), ("13:00", 0.6))
    third = instance(instance_id="i-3", generation=3, zone="us-east-1c", launch_time=moment("13:30"))
    refused = {
        "time": moment("13:29"),
        "type": "g5.xlarge",
        "zone": "us-east-1a",
        "code": "InsufficientInstanceCapacity",
        "text": "There is no Spot capacity <now>",
    }
    runs = [
        run("i-1", "11:35", "11:58", progress={"start": 0, "step": 45, "of": 100, "unit": "epochs"}),
        run("i-2", "12:05", "13:28", generation=2, progress={"start": 40, "step": 80, "of": 100, "unit": "epochs"}),
        run(
            "i-3",
            "13:35",
            None,
            generation=3,
            state="running",
            progress={"start": 80, "step": 90, "of": 100, "unit": "epochs"},
        ),
    ]
    notice = {
        "instance_id": "i-2",
        "kind": "interruption",
        "time": moment("13:30"),
        "seen": moment("13:28"),
        "job": "stopped",
    }
    ledger = {"path": f"/r/{name}/ledger.json", "experiment": name, "job": "train", "runs": runs, "notices": [notice]}
    return read(experiment(name, first, second, third, refusals=[refused]), ledgers=[ledger])
