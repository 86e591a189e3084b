"""What a person types to make AWS take instances, run out of capacity, and fail."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lab import cli, controls
from lab.machines.slots import Slot

STOPPED = "'i-9' is no instance; Spot Instances there are: i-1, i-2"


class Api(http.server.ThreadingHTTPServer):
    """A lab's API that keeps what it was told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.told: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {"health": {}, "capacity": [], "fail": []}


class Handler(http.server.BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self.answer(200, self.server.answers[self.path.split("/")[-1]])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = self.path.split("/")[-1]
        self.server.told.append((name, body))
        if body.get("instance_id") == "i-9":
            self.answer(400, {"error": f"/lab/interrupt: {STOPPED}"})
        else:
            self.answer(200, self.server.answers.get(name))

    def answer(self, status: int, data: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(data).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    server = Api()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setattr(Slot, "endpoint", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(cli.slots, "load", lambda name: Slot(name, 1, "10.201.0.0/16", "/state/demo"))
    monkeypatch.setattr(cli.process, "daemon", lambda _slot: 42)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    yield server
    server.shutdown()


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (["i-1"], {"notice": 120.0, "rebalance": False, "action": None}),
        (["i-1", "--notice", "5", "--action", "stop"], {"notice": 5.0, "rebalance": False, "action": "stop"}),
        (["i-1", "--none"], {"notice": None, "rebalance": False, "action": None}),
        (["i-1", "--rebalance"], {"notice": 120.0, "rebalance": True, "action": None}),
    ],
)
def test_interrupt(api: Api, typed: list[str], wanted: dict[str, Any], capsys: Any) -> None:
    api.answers["interrupt"] = {"instance_id": "i-1", "kind": "sudden", "action": "terminate"}
    assert cli.main(["interrupt", *typed]) == 0
    assert api.told == [("interrupt", {"instance_id": "i-1", **wanted})]
    assert "i-1" in capsys.readouterr().out


def test_what_interrupt_says() -> None:
    notice = {"instance_id": "i-1", "kind": "notice", "action": "terminate", "time": "T", "seconds": 6.0}
    assert controls.told(notice) == "i-1 has its notice: terminate at T, in 6 s"
    assert "without a notice" in controls.told({"instance_id": "i-1", "kind": "sudden", "action": "terminate"})
    assert "rebalance" in controls.told({"instance_id": "i-1", "kind": "rebalance"})


def test_an_unknown_instance_is_one_line_with_those_there_are(api: Api, capsys: Any) -> None:
    assert cli.main(["interrupt", "i-9"]) == 1
    assert capsys.readouterr().err == f"lab: {STOPPED}\n"


@pytest.mark.parametrize(
    "typed", [["i-1", "--none", "--rebalance"], ["i-1", "--notice", "0"], ["i-1", "--notice", "x"], []]
)
def test_contradictions_are_refused_before_anything_is_sent(typed: list[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["interrupt", *typed])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("t3.medium=2", {"type": "t3.medium", "zone": None, "market": None, "count": 2}),
        ("t3.medium/us-east-1a/spot=0", {"type": "t3.medium", "zone": "us-east-1a", "market": "spot", "count": 0}),
        ("*/*/spot=any", {"type": "*", "zone": "*", "market": "spot", "count": None}),
    ],
)
def test_a_pool(text: str, wanted: dict[str, Any]) -> None:
    assert controls.pool(text) == wanted


def test_capacity_is_set_and_shown(api: Api, capsys: Any) -> None:
    api.answers["capacity"] = [{"type": "t3.medium", "zone": "*", "market": "*", "count": 2}]
    assert cli.main(["capacity", "t3.medium=2", "t3.large=any"]) == 0
    assert [args["count"] for _, args in api.told] == [2, None]
    assert capsys.readouterr().out.splitlines() == [
        "TYPE       ZONE  MARKET  INSTANCES",
        "t3.medium  *     *       2",
    ]


@pytest.mark.parametrize("text", ["t3.medium", "t3.medium=-1", "a/b/c/d=1", "=1", "t3.medium=some"])
def test_no_pool(text: str) -> None:
    with pytest.raises(SystemExit):
        cli.main(["capacity", text])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("RunInstances=InternalError", {"action": "RunInstances", "code": "InternalError", "times": 1}),
        ("CreateFleet=RequestLimitExceeded:3", {"action": "CreateFleet", "code": "RequestLimitExceeded", "times": 3}),
        ("GetParameter=X.Y:always", {"action": "GetParameter", "code": "X.Y", "times": None}),
        ("CreateFleet=X@eu-west-1", {"action": "CreateFleet", "code": "X", "times": 1, "region": "eu-west-1"}),
        ("RunInstances=none", {"action": "RunInstances", "clear": True}),
    ],
)
def test_a_fault(text: str, wanted: dict[str, Any]) -> None:
    assert controls.fault(text) == wanted


def test_faults_are_ordered_and_shown(api: Api, capsys: Any) -> None:
    one = {"action": "RunInstances", "code": "X", "times": None}
    api.answers["fail"] = [one, {**one, "times": 0}]
    assert cli.main(["fail", "RunInstances=X:always"]) == 0
    assert api.told == [("fail", one)]
    assert capsys.readouterr().out.splitlines() == [
        "CALL          CODE  TIMES   REGION",
        "RunInstances  X     always  *",
    ]


@pytest.mark.parametrize("text", ["RunInstances", "runinstances=X", "RunInstnces=X", "RunInstances=X:often"])
def test_no_fault(text: str, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        cli.main(["fail", text])
    assert text.split("=", maxsplit=1)[0] in capsys.readouterr().err


def test_without_a_lab_the_command_to_type_is_shown(capsys: Any, monkeypatch: Any, tmp_path: Any) -> None:
    monkeypatch.setenv("EXPERIMENTS_SPOT_LAB_DIR", str(tmp_path))
    for verb in (["interrupt", "i-1"], ["capacity"], ["fail"]):
        assert cli.main([*verb, "--name", "x"]) == 1
        assert "lab/lab up --name x" in capsys.readouterr().err


@pytest.mark.parametrize("speed", ["0", "-1", "inf", "fast"])
def test_no_speed(speed: str) -> None:
    with pytest.raises(SystemExit):
        cli.main(["up", "--speed", speed])
