"""The runner with a matrix and with retries: real processes, no container but for the command line of one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._job import matrix, runner

# Each run adds a line to a file of the test; what a combination does stands in a file that is called like it.
SCRIPT = """
echo "$SPOT_MATRIX_NAME $lr $1 $SPOT_MATRIX_INDEX/$SPOT_MATRIX_TOTAL $PWD" >> "$LOG"
echo "$lr" > "$SPOT_STATE_DIR/result"
[ -f "$DOES/$lr" ] && . "$DOES/$lr"
exit 0
"""


class Machine:
    """A state directory, and runners in it as systemd would start them, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state_dir, self.todo = folder, folder / "state", folder / "todo"
        self.state_dir.mkdir()
        self.todo.mkdir()
        (folder / "train.sh").write_text(SCRIPT)
        self.log = folder / "log"
        self.log.touch()
        (folder / "job.env").write_text(f"LOG={self.log}\nDOES={self.todo}\nSPOT_STATE_DIR={self.state_dir}\n")
        # Pauses between attempts are short here.
        source = str(runner.__file__)
        self.argv = [sys.executable, "-u", "-c", SHORT.format(source=source), str(folder / "job.json")]

    def start(self, lists: dict[str, Any] | None = None, rank: int = 0, count: int = 1, **more: Any) -> Any:
        spec = {"scripts": ["train.sh $(lr)"], "workdir": str(self.folder), "matrix": lists, **more}
        document = {
            "experiment": "exp", "job": "job", "generation": 1, "rank": rank, "count": count, "instance_id": "i-1",
            "container": "spot-exp-job", "ledger": str(self.state_dir / "ledger.json"),
            "state_dir": str(self.state_dir), "spec_sha256": "abc", "env_file": str(self.folder / "job.env"), **spec,
        }  # fmt: skip
        document.pop("matrix")
        if lists:
            document |= {"matrix": matrix.share(spec, rank, count), "matrix_total": matrix.size_of(lists)}
        (self.folder / "job.json").write_text(json.dumps(document))
        return subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, lists: dict[str, Any] | None = None, **more: Any) -> tuple[int, str]:
        process = self.start(lists, **more)
        out, _ = process.communicate(timeout=60)
        assert "Traceback" not in out, out
        return process.returncode, out

    @property
    def ran(self) -> list[str]:
        return [line.split()[1] for line in self.log.read_text().splitlines()]

    @property
    def ledger(self) -> dict[str, Any]:
        return dict(json.loads((self.state_dir / "ledger.json").read_text()))

    @property
    def last(self) -> dict[str, Any]:
        return dict(self.ledger["runs"][-1])

    def records(self) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in self.ledger["combinations"].values()}


SHORT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("job", {source!r})
job = importlib.util.module_from_spec(spec)
spec.loader.exec_module(job)
job.RETRY_FIRST = 0.05
raise SystemExit(job.main(["job.py", sys.argv[-1]]))
"""


@pytest.fixture()
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_combinations_run_one_after_the_other_each_in_its_folder(machine: Machine) -> None:
    status, out = machine.run({"lr": [1, 2, 3]})
    assert status == 0, out
    lines = machine.log.read_text().splitlines()
    assert lines == [f"lr={n} {n} {n} {n - 1}/3 {machine.folder}" for n in (1, 2, 3)]
    for n in (1, 2, 3):
        assert (machine.state_dir / f"matrix/lr={n}/result").read_text() == f"{n}\n"
    last = machine.last
    assert (last["state"], last["exit_code"], last["message"]) == ("succeeded", 0, "")
    assert last["matrix"] == {"of": 3, "done": 3, "failed": 0, "total": 3, "now": ""}
    record = machine.records()["lr=2"]
    assert (record["state"], record["exit_code"], record["index"], record["params"]) == ("succeeded", 0, 1, {"lr": "2"})
    assert record["state_dir"] == f"{machine.state_dir}/matrix/lr=2" and record["started"] <= record["finished"]


def test_an_instance_runs_its_share(machine: Machine) -> None:
    machine.run({"lr": [1, 2, 3, 4, 5]}, rank=1, count=2)
    assert machine.ran == ["2", "4"]
    assert machine.last["matrix"]["of"] == 2 and machine.last["matrix"]["total"] == 5


def test_one_that_fails_does_not_stop_the_rest_and_is_named(machine: Machine) -> None:
    (machine.todo / "2").write_text("echo bad >&2; exit 3\n")
    status, out = machine.run({"lr": [1, 2, 3]})
    assert machine.ran == ["1", "2", "3"] and status == 3
    last = machine.last
    assert (last["state"], last["exit_code"]) == ("failed", 3)
    assert last["message"] == "1 of 3 combinations failed: lr=2 (exit code 3)" and last["message"] in out
    # The next generation runs none of them again, and does not forget the failure.
    status, out = machine.run({"lr": [1, 2, 3]}, generation=2)
    assert status == 3 and machine.ran == ["1", "2", "3"] and "lr=1 (1 of 3) has succeeded already" in out
    assert machine.last["message"] == last["message"]


def test_an_interruption_is_gone_on_from_where_it_was(machine: Machine) -> None:
    notice = machine.folder / "notice.json"
    notice.write_text(json.dumps({"kind": "interruption", "time": "2026-01-01T12:00:00Z"}))
    (machine.todo / "2").write_text('[ -e "$DOES/go" ] || { touch "$DOES/there"; exec sleep 60; }\n')
    process = machine.start({"lr": [1, 2, 3]}, notice_file=str(notice), stop_grace=5)
    until((machine.todo / "there").exists)
    assert machine.last["matrix"] == {"of": 3, "done": 1, "failed": 0, "total": 3, "now": "lr=2"}
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == runner.EX_STOPPED and machine.last["state"] == "interrupted"
    assert {name: one["state"] for name, one in machine.records().items()} == {
        "lr=1": "succeeded", "lr=2": "interrupted", "lr=3": "waiting",
    }  # fmt: skip
    (machine.todo / "go").touch()
    assert machine.run({"lr": [1, 2, 3]}, generation=2)[0] == 0
    assert machine.ran == ["1", "2", "2", "3"]
    assert machine.records()["lr=1"]["generation"] == 1 and machine.records()["lr=2"]["generation"] == 2


def test_a_runner_that_is_lost_leaves_a_combination_that_is_run_again(machine: Machine) -> None:
    (machine.todo / "1").write_text(
        '[ -e "$DOES/go" ] || { echo $$ > "$DOES/pid"; mv "$DOES/pid" "$DOES/there"; exec sleep 60; }\n'
    )
    process = machine.start({"lr": [1, 2]})
    until((machine.todo / "there").exists)
    os.kill(process.pid, signal.SIGKILL)
    os.kill(int((machine.todo / "there").read_text()), signal.SIGKILL)
    process.communicate(timeout=20)
    assert machine.records()["lr=1"]["state"] == "running"
    (machine.todo / "go").touch()
    assert machine.run({"lr": [1, 2]})[0] == 0 and machine.ran == ["1", "1", "2"]


def test_what_is_run_once_more(machine: Machine) -> None:
    (machine.todo / "2").write_text("exit 3\n")
    machine.run({"lr": [1, 2]})
    (machine.todo / "2").write_text("exit 0\n")
    again = {"id": "2026-01-01T00:00:00Z", "failed_only": True}
    assert machine.run({"lr": [1, 2]}, rerun=again)[0] == 0 and machine.ran == ["1", "2", "2"]
    machine.run({"lr": [1, 2]}, rerun=again)
    assert machine.ran == ["1", "2", "2"], "a wish counts once"
    machine.run({"lr": [1, 2]}, rerun={"id": "2026-01-02T00:00:00Z", "failed_only": False})
    assert machine.ran == ["1", "2", "2", "1", "2"]


def test_a_longer_list_runs_what_is_new(machine: Machine) -> None:
    machine.run({"lr": [1, 3]})
    machine.run({"lr": [1, 2, 3]})
    assert machine.ran == ["1", "3", "2"] and machine.last["matrix"]["done"] == 3


def test_another_command_runs_all_and_leaves_what_was_known(machine: Machine) -> None:
    machine.run({"lr": [1, 2]})
    machine.run({"lr": [1, 2]}, scripts=["train.sh again $(lr)"])
    machine.run()
    assert machine.run({"lr": [1, 2]})[0] == 0 and machine.ran[:4] == ["1", "2", "1", "2"]
    assert len(machine.ledger["combinations"]) == 4 and len(machine.ran) == 5


@pytest.mark.slow
def test_the_time_limit_is_that_of_each_combination(machine: Machine) -> None:
    (machine.todo / "1").write_text("exec sleep 60\n")
    (machine.todo / "2").write_text("sleep 0.3\n")
    status, out = machine.run({"lr": [1, 2]}, time_limit=1, stop_grace=1)
    assert status != 0 and machine.records()["lr=1"]["message"] == "stopped: the time limit of 1 s is reached"
    assert machine.records()["lr=2"]["state"] == "succeeded", out


def test_its_clock_goes_on_in_the_next_generation(machine: Machine) -> None:
    machine.run({"lr": [1, 2]})
    ledger = machine.ledger
    for record in ledger["combinations"].values():
        record.update({"state": "interrupted", "exit_code": None, "ran": 100} if record["name"] == "lr=2" else {})
    (machine.state_dir / "ledger.json").write_text(json.dumps(ledger))
    assert machine.run({"lr": [1, 2]}, generation=2, time_limit=100)[0] != 0
    assert "the time limit of 100 s is used up" in machine.records()["lr=2"]["message"] and machine.ran == ["1", "2"]


def test_a_container_has_its_parameters_and_sees_the_whole_directory() -> None:
    spec = {
        "container": "c", "image": "img", "state_dir": "/s", "matrix_total": 2, "env_file": "/e",
        "command": ["train", "--lr=$(lr)", "$(seed)", "$(other)"],
    }  # fmt: skip
    one = {"index": 1, "name": "lr=1,seed=2", "params": {"lr": "1", "seed": "2"}, "sha256": "x"}
    words = " ".join(runner.run_argv(runner.combined(spec, one), False))
    assert words.endswith("--volume /s:/s img train --lr=1 2 $(other)")
    assert "--env lr=1 --env seed=2 --env SPOT_STATE_DIR=/s/matrix/lr=1,seed=2" in words
    assert "--env SPOT_MATRIX_INDEX=1 --env SPOT_MATRIX_TOTAL=2" in words and words.index("--env-file") < words.index(
        "--env "
    )


def test_a_value_stays_one_word_of_a_script_line() -> None:
    one = {"index": 0, "name": "n", "params": {"lr": "a b'c"}, "sha256": "x"}
    spec = runner.combined({"state_dir": "/s", "scripts": ["train.sh $(lr) x"]}, one)
    assert runner.steps_of(spec)[0][-2:] == ["a b'c", "x"]


# ---- retries --------------------


FAILS_TWICE = 'echo x >> "$DOES/tries"; [ $(wc -l < "$DOES/tries") -gt 2 ] || exit 7\n'


def test_a_failure_is_tried_again(machine: Machine) -> None:
    (machine.folder / "train.sh").write_text(FAILS_TWICE)
    status, out = machine.run(retries=3)
    assert status == 0 and "attempt 2 of 4 in 0.05 s" in out and "attempt 3 of 4" in out
    last = machine.last
    assert (last["state"], last["attempt"], last["message"]) == ("succeeded", 3, "")
    assert [one["exit_code"] for one in last["retried"]] == [7, 7]


def test_it_is_not_tried_for_ever(machine: Machine) -> None:
    (machine.folder / "train.sh").write_text(FAILS_TWICE)
    status, _out = machine.run(retries=1)
    assert status == 7 and (machine.last["state"], machine.last["message"]) == ("failed", "2 attempts")
    assert len((machine.todo / "tries").read_text().split()) == 2


@pytest.mark.parametrize("code", [126, 127, 137])
def test_what_would_fail_in_the_same_way_is_not_tried_again(machine: Machine, code: int) -> None:
    (machine.folder / "train.sh").write_text(f'echo x >> "$DOES/tries"; exit {code}\n')
    assert machine.run(retries=3)[0] == code and (machine.todo / "tries").read_text() == "x\n"


@pytest.mark.slow
def test_neither_is_what_took_too_long(machine: Machine) -> None:
    (machine.folder / "train.sh").write_text('echo x >> "$DOES/tries"; exec sleep 60\n')
    status, _out = machine.run(retries=3, time_limit=1, stop_grace=1)
    assert status and "time limit" in machine.last["message"] and (machine.todo / "tries").read_text() == "x\n"


def test_a_stop_ends_the_pause(machine: Machine) -> None:
    machine.argv = [word.replace("0.05", "60.0") for word in machine.argv]
    (machine.folder / "train.sh").write_text("exit 7\n")
    process = machine.start(retries=3)
    until(lambda: (machine.state_dir / "ledger.json").exists() and machine.last.get("attempt") == 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == runner.EX_STOPPED
    assert (machine.last["state"], machine.last["exit_code"]) == ("stopped", 7)


def test_each_combination_has_its_own_tries(machine: Machine) -> None:
    (machine.todo / "1").write_text(FAILS_TWICE)
    assert machine.run({"lr": [1, 2]}, retries=2)[0] == 0 and machine.ran == ["1", "1", "1", "2"]
    records = machine.records()
    assert len(records["lr=1"]["retried"]) == 2 and "retried" not in records["lr=2"]
    assert "attempt" not in machine.last


def test_pauses_grow_to_a_limit() -> None:
    assert [runner.pause_before(n) for n in (1, 2, 3, 6, 99)] == [10, 20, 40, 300, 300]


def until(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)
