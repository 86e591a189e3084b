"""The runner as systemd starts it: a process of its own, with a docker command that records what it is asked."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._job import runner

# One file per question: what a command prints (.err, .out), its status (.rc), and for `run` what it does (.sh).
FAKE = """#!/bin/sh
echo "$@" >> "$FAKE/calls"
key=$1
[ "$1" = image ] && key=image
[ "$1" = container ] && key=container
[ -f "$FAKE/$key.sh" ] && . "$FAKE/$key.sh"
[ -f "$FAKE/$key.out" ] && cat "$FAKE/$key.out"
[ -f "$FAKE/$key.err" ] && cat "$FAKE/$key.err" >&2
[ -f "$FAKE/$key.rc" ] && exit "$(cat "$FAKE/$key.rc")"
exit 0
"""
# `docker run` that runs until `docker stop` says that it may end.
UNTIL_STOPPED = 'echo started; while [ ! -e "$FAKE/stopped" ]; do sleep 0.05; done; exit 143\n'


class Engine:
    """A fake docker on PATH and a runner on it."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "fake"
        self.path.mkdir()
        bin_dir = tmp_path / "bin"
        bin_dir.mkdir()
        (bin_dir / "docker").write_text(FAKE)
        (bin_dir / "docker").chmod(0o755)
        self.state_dir = tmp_path / "state"
        self.state_dir.mkdir()
        self.ledger_path = self.state_dir / "ledger.json"
        self.spec_path = tmp_path / "job.json"
        self.env = {**os.environ, "FAKE": str(self.path), "PATH": f"{bin_dir}:{os.environ['PATH']}"}
        self.answer("image", rc=1)  # no image yet
        self.answer("container", rc=1)  # no stale container

    def answer(self, command: str, rc: int | None = None, err: str = "", out: str = "", sh: str = "") -> None:
        for kind, text in (("rc", "" if rc is None else str(rc)), ("err", err), ("out", out), ("sh", sh)):
            if text:
                (self.path / f"{command}.{kind}").write_text(text)

    def start(self, **spec: Any) -> subprocess.Popen[str]:
        base = {
            "experiment": "exp",
            "job": "job",
            "generation": 1,
            "rank": 0,
            "instance_id": "i-1",
            "image": "repo/img:1",
            "container": "spot-exp-job",
            "ledger": str(self.ledger_path),
            "state_dir": str(self.state_dir),
            "spec_sha256": "abc",
            "command": ["python", "train.py"],
        }
        self.spec_path.write_text(json.dumps({**base, **spec}))
        argv = [sys.executable, "-u", str(runner.__file__), str(self.spec_path)]
        return subprocess.Popen(argv, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, **spec: Any) -> tuple[int, str]:
        process = self.start(**spec)
        out, _ = process.communicate(timeout=60)
        return process.returncode, out

    @property
    def calls(self) -> list[str]:
        return (self.path / "calls").read_text().splitlines()

    @property
    def ledger(self) -> dict[str, Any]:
        return dict(json.loads(self.ledger_path.read_text()))

    @property
    def last(self) -> dict[str, Any]:
        return dict(self.ledger["runs"][-1])


@pytest.fixture()
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def test_a_job_that_ends_well(engine: Engine) -> None:
    engine.answer("run", sh="echo learned\n")
    status, out = engine.run()
    assert status == 0 and "learned" in out
    last = engine.last
    assert (last["state"], last["exit_code"], last["message"]) == ("succeeded", 0, "")
    assert last["started"] <= last["finished"] and last["instance_id"] == "i-1" and last["spec_sha256"] == "abc"
    ledger = engine.ledger
    assert (ledger["schema"], ledger["experiment"], ledger["job"]) == (1, "exp", "job")
    assert "pull repo/img:1" in engine.calls
    assert not [name for name in os.listdir(engine.state_dir) if name != "ledger.json"], "no temporary file stays"


def test_the_docker_run_command(engine: Engine) -> None:
    engine.run(
        mounts=["/code:/code:ro"],
        env_file="/etc/experiments-spot/job.env",
        workdir="/code",
        user="1000:1000",
        shm_size="8g",
        network="host",
        stop_grace=90,
        extra_args=["--cap-add", "SYS_PTRACE"],
        gpus="all",
    )
    state = str(engine.state_dir)
    assert engine.calls[-1] == (
        "run --rm --init --name spot-exp-job --stop-timeout 90 --label experiments.spot=exp --log-driver none --network host"
        " --env-file /etc/experiments-spot/job.env --workdir /code --user 1000:1000 --shm-size 8g --gpus all"
        f" --volume {state}:{state} --volume /code:/code:ro --cap-add SYS_PTRACE repo/img:1 python train.py"
    )


@pytest.mark.parametrize(
    ("gpus", "info", "expected"),
    [("auto", '{"nvidia":{}} []', True), ("auto", '{"runc":{}} []', False), ("none", '{"nvidia":{}} []', False)],
)
def test_gpus_are_taken_where_there_are_any(engine: Engine, gpus: str, info: str, expected: bool) -> None:
    if os.path.exists("/var/run/cdi/nvidia.yaml") or os.path.exists("/etc/cdi/nvidia.yaml"):
        pytest.skip("this machine has GPUs of its own")
    engine.answer("info", out=info)
    engine.run(gpus=gpus)
    assert ("--gpus all" in engine.calls[-1]) is expected


@pytest.mark.parametrize(
    ("code", "stderr", "message"),
    [
        (3, "Traceback", ""),
        (
            125,
            "docker: Error response from daemon: invalid mount.\nSee 'docker run --help'.",
            "could not start the container",
        ),
        (127, 'exec: "trian": executable file not found in $PATH', "is not in the image"),
        (137, "", "memory"),
        (139, "", "signal 11"),
    ],
)
def test_a_job_that_fails(engine: Engine, code: int, stderr: str, message: str) -> None:
    engine.answer("run", rc=code, err=stderr)
    status, out = engine.run()
    assert status == code and stderr in out
    assert (engine.last["state"], engine.last["exit_code"]) == ("failed", code)
    assert message in engine.last["message"] and "\n" not in engine.last["message"]
    assert "--help" not in engine.last["message"]


START = "docker: Error response from daemon: failed to create task for container: OCI runtime create failed: "
TRACEBACK = 'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\n'


@pytest.mark.parametrize(
    ("code", "stderr", "said"),
    [
        (1, "exec /usr/bin/python3: exec format error", "made for another processor"),
        (126, "[FATAL tini (7)] exec python3 failed: Exec format error", "made for another processor"),
        (1, f"{TRACEBACK}OSError: [Errno 28] No space left on device", "no space left: make the volume larger"),
        (
            125,
            f"{START}nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8, please update your "
            "driver to a newer version, or use an earlier cuda container: unknown.",
            "could not be started: the NVIDIA driver of the machine image is too old for the CUDA of the job",
        ),
        (
            1,
            f"{TRACEBACK}RuntimeError: The NVIDIA driver on your system is too old (found version 11040).",
            "the NVIDIA driver of the machine image is too old",
        ),
        (
            1,
            f"{TRACEBACK}RuntimeError: CUDA error: CUDA driver version is insufficient for CUDA runtime version",
            "the NVIDIA driver of the machine image is too old",
        ),
        (255, "Failed to initialize NVML: Driver/library version mismatch", "updated while it was loaded"),
        (
            127,
            f"{START}nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open "
            "shared object file: no such file or directory: unknown.",
            "could not be started: the NVIDIA driver is missing or not loaded",
        ),
        (
            125,
            'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].',
            "could not be started: the container finds no GPU: take a type with one",
        ),
        (1, f"{TRACEBACK}torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.", "memory of the GPU"),
    ],
)
def test_why_a_job_failed_is_said_in_words(engine: Engine, code: int, stderr: str, said: str) -> None:
    engine.answer("run", rc=code, err=stderr)
    assert engine.run(command=None)[0] == code
    message = engine.last["message"]
    assert said in message and stderr.splitlines()[-1][:60] in message and "\n" not in message


def test_what_a_job_has_got_over_is_no_reason(engine: Engine) -> None:
    """A warning long before the end, and a job that ends well in spite of it."""
    warning = "warning: cache: No space left on device\n"
    engine.answer("run", rc=1, err=warning + "step\n" * runner.REASON_LINES)
    engine.run()
    assert engine.last["message"] == ""
    (engine.path / "run.rc").write_text("0")
    engine.answer("run", err=warning)
    engine.run()
    assert (engine.last["state"], engine.last["message"]) == ("succeeded", "")


@pytest.mark.parametrize(
    ("code", "before", "after", "said"),
    [
        (137, 3, 4, "killed, the memory was not enough: choose a type with more memory"),
        (1, 3, 4, "the kernel killed a process for memory while the job ran"),
        (137, 3, 3, "most often the memory"),
        (137, None, None, "most often the memory"),
        (1, 3, 3, ""),
        (1, None, None, ""),
    ],
)
def test_a_job_that_was_killed_for_memory(code: int, before: int | None, after: int | None, said: str) -> None:
    message = runner.memory_reason(code, before, after)
    assert said in message and bool(said) is bool(message)


def test_the_kernel_counts_what_it_kills_for_memory(tmp_path: Path) -> None:
    (tmp_path / "vmstat").write_text("nr_free_pages 1\noom_kill 7\nnuma 0\n")
    assert runner.killed_for_memory(str(tmp_path / "vmstat")) == 7
    (tmp_path / "vmstat").write_text("nr_free_pages 1\n")
    assert runner.killed_for_memory(str(tmp_path / "vmstat")) is None
    assert runner.killed_for_memory(str(tmp_path / "none")) is None


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"{text!r} never came")


def test_sigterm_becomes_docker_stop_with_the_grace(engine: Engine) -> None:
    engine.answer("run", sh=UNTIL_STOPPED)
    engine.answer("stop", sh='touch "$FAKE/stopped"\n')
    process = engine.start(stop_grace=7)
    wait_for_line(process, "started")
    assert engine.last["state"] == "running"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == runner.EX_STOPPED
    assert "stop -t 7 spot-exp-job" in engine.calls
    assert (engine.last["state"], engine.last["exit_code"]) == ("stopped", 143)


@pytest.mark.slow
def test_sigterm_before_the_container_exists_still_stops_it(engine: Engine) -> None:
    engine.answer("run", sh=UNTIL_STOPPED)
    engine.answer("stop", sh='[ -e "$FAKE/once" ] && touch "$FAKE/stopped" || { touch "$FAKE/once"; exit 1; }\n')
    process = engine.start()
    wait_for_line(process, "started")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == runner.EX_STOPPED
    assert len([call for call in engine.calls if call.startswith("stop")]) == 2


def test_sigterm_while_pulling(engine: Engine) -> None:
    engine.answer("pull", sh="exec sleep 60\n")
    process = engine.start()
    wait_for_line(process, "pulling")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == runner.EX_STOPPED
    assert engine.last["state"] == "stopped" and engine.last["exit_code"] is None
    assert not any(call.startswith("run") for call in engine.calls)


@pytest.mark.slow
def test_a_pull_tells_how_far_it_is(engine: Engine) -> None:
    engine.answer(
        "pull",
        sh="printf '%s\\n' '1: Pulling from repo/img' 'aa: Pulling fs layer' 'bb: Already exists' 'cc: Waiting'\n"
        "printf '%s\\n' 'aa: Download complete' 'aa: Pull complete'\n"
        'until [ -e "$FAKE/go" ]; do sleep 0.05; done; echo "Status: Downloaded newer image for repo/img:1"\n',
    )
    process = engine.start()
    until = time.monotonic() + 60
    while not (engine.ledger_path.exists() and engine.last.get("layers")):
        assert time.monotonic() < until, "the ledger never told"
        time.sleep(0.1)
    assert (engine.last["state"], engine.last["layers"]) == ("pulling", {"done": 2, "of": 3})
    (engine.path / "go").touch()
    assert process.wait(60) == 0
    assert engine.last["state"] == "succeeded" and "layers" not in engine.last


def test_layers_of_a_pull() -> None:
    layers = runner.Layers()
    layers.read([b"1.0: Pulling from a/b\n", b"aa: Pulling fs layer\n", b"\xff\n", b"Digest: sha256:0\n"])
    assert layers.told() == {}
    layers.read([b"aa: Pull complete\n", b"aa: Download complete\n", b"bb: Waiting\r\n"])
    assert layers.told() == {"done": 1, "of": 2}


def write_notice(engine: Engine, **more: Any) -> str:
    path = engine.path / "notice.json"
    notice = {"kind": "interruption", "action": "terminate", "time": "2026-01-01T12:00:00Z", **more}
    path.write_text(json.dumps(notice))
    return str(path)


@pytest.mark.parametrize(
    ("notice", "state", "message"),
    [
        ({}, "interrupted", "interrupted: AWS takes the instance at 12:00:00Z (terminate)"),
        ({"action": "stop", "time": None}, "interrupted", "interrupted: AWS takes the instance (stop)"),
        ({"kind": "rebalance"}, "interrupted", "interrupted: AWS recommends to leave the instance (rebalance)"),
        ({"kind": "expired"}, "stopped", "stopped: the time limit of the experiment is reached (2026-01-01T12:00:00Z)"),
        ({"kind": "idle"}, "stopped", "stopped: the idle limit of the instance is reached"),
        ({"kind": "unheard of"}, "stopped", "stopped by SIGTERM, the container ended with 143"),
    ],
)
def test_sigterm_after_a_notice(engine: Engine, notice: dict[str, Any], state: str, message: str) -> None:
    engine.answer("run", sh=UNTIL_STOPPED)
    engine.answer("stop", sh='touch "$FAKE/stopped"\n')
    process = engine.start(notice_file=str(engine.path / "notice.json"))
    wait_for_line(process, "started")
    write_notice(engine, **notice)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == runner.EX_STOPPED
    assert (engine.last["state"], engine.last["exit_code"], engine.last["message"]) == (state, 143, message)


@pytest.mark.parametrize(("left", "expected"), [(7.9, 7), (500, 30), (-1, 0), ("soon", 30)])
def test_a_notice_may_leave_less_grace_than_the_job_asks_for(engine: Engine, left: Any, expected: int) -> None:
    engine.answer("run", sh=UNTIL_STOPPED)
    engine.answer("stop", sh='touch "$FAKE/stopped"\n')
    process = engine.start(notice_file=write_notice(engine, grace=left), stop_grace=30)
    wait_for_line(process, "started")
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert f"stop -t {expected} spot-exp-job" in engine.calls


@pytest.mark.slow
def test_notice_while_pulling(engine: Engine) -> None:
    engine.answer("pull", sh="sleep 60\n")
    process = engine.start(notice_file=write_notice(engine))
    wait_for_line(process, "pulling")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == runner.EX_STOPPED
    assert engine.last["state"] == "interrupted" and "before the container ran" in engine.last["message"]


def test_a_notice_without_sigterm_changes_nothing(engine: Engine) -> None:
    engine.answer("run", sh="exit 3\n")
    engine.run(notice_file=write_notice(engine))
    assert (engine.last["state"], engine.last["exit_code"]) == ("failed", 3)


def test_notices_of_the_watcher_stay_in_the_ledger(engine: Engine) -> None:
    engine.ledger_path.write_text(json.dumps({"runs": [], "notices": [{"kind": "interruption"}]}))
    engine.run()
    assert engine.ledger["notices"] == [{"kind": "interruption"}] and engine.last["state"] == "succeeded"


@pytest.mark.parametrize("text", ["", "[]", "{broken", "null"])
def test_damaged_notice_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "notice.json").write_text(text)
    assert runner.read_notice(str(tmp_path / "notice.json")) == {}


@pytest.mark.slow
def test_time_limit(engine: Engine) -> None:
    engine.answer("run", sh=UNTIL_STOPPED)
    engine.answer("stop", sh='touch "$FAKE/stopped"\n')
    status, _out = engine.run(time_limit=1)
    assert status == 143
    assert engine.last["state"] == "failed" and "time limit of 1 s" in engine.last["message"]


@pytest.mark.parametrize(
    ("earlier", "used"),
    [
        ({"state": "interrupted", "ran": 40}, 40),
        ({"state": "running", "ran": 40}, 40),
        ({"state": "failed", "exit_code": None, "ran": 40}, 40),
        ({"state": "failed", "exit_code": 3, "ran": 40}, 0),
        ({"state": "succeeded", "exit_code": 0, "ran": 40}, 0),
        ({"state": "stopped", "exit_code": 143, "ran": 40}, 0),
        ({"state": "interrupted", "ran": "odd"}, 0),
        ({"state": "interrupted"}, 0),
        ({"state": "interrupted", "ran": 40, "spec_sha256": "of another job"}, 0),
    ],
)
def test_the_clock_of_the_time_limit_goes_on_after_an_interruption(
    tmp_path: Path, earlier: dict[str, Any], used: int
) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(json.dumps({"runs": [{"spec_sha256": "abc", **earlier}]}))
    spec = {"ledger": str(path), "state_dir": str(tmp_path), "spec_sha256": "abc", "time_limit": 100}
    ledger = runner.Ledger(spec)
    run = runner.Run(spec)
    run.begin(ledger.entry)
    left = run.left()
    assert left is not None and 100 - used - 60 < left <= 100 - used
    run.note_time()
    assert ledger.entry["ran"] >= used, "and the next generation knows of both"


def test_a_time_limit_that_is_used_up_starts_nothing(engine: Engine) -> None:
    earlier = {"state": "interrupted", "ran": 100, "spec_sha256": "abc", "generation": 1}
    engine.ledger_path.write_text(json.dumps({"runs": [earlier]}))
    assert engine.run(time_limit=100, generation=2)[0] == 1
    assert engine.last["state"] == "failed" and "the time limit of 100 s is used up" in engine.last["message"]
    assert not any(call.startswith("run") for call in engine.calls)
    engine.answer("run", sh="exit 0\n")
    assert engine.run(time_limit=100, generation=2)[0] == 0, "asked for again it has all of its time"


def test_stale_container_is_removed_first(engine: Engine) -> None:
    engine.answer("container", rc=0)
    engine.run()
    calls = engine.calls
    assert calls.index("rm --force spot-exp-job") < next(i for i, call in enumerate(calls) if call.startswith("run"))


def test_the_ledger_learns_how_far_the_job_is(engine: Engine) -> None:
    told = {"start": 0, "step": 7, "of": 10, "unit": "steps"}
    engine.answer("run", sh=f"echo '{json.dumps(told)}' > {engine.state_dir}/progress.json\n")
    engine.run()
    assert engine.last["progress"] == told


def test_the_progress_of_a_lost_run_is_kept_with_it_and_not_with_the_next(engine: Engine) -> None:
    lost = {"state": "running", "finished": None, "exit_code": None}
    engine.ledger_path.write_text(json.dumps({"runs": [lost]}))
    (engine.state_dir / "progress.json").write_text('{"start": 3, "step": 5, "of": 10}')
    engine.run()
    first, second = engine.ledger["runs"]
    assert first["progress"] == {"start": 3, "step": 5, "of": 10}
    assert "progress" not in second


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("No devices were found", {}),
        ("93, 7000, 10000\n", {"gpu": 93.0, "gpu_memory": 70.0}),
        ("100, 8000, 10000\n0, 0, 10000\n", {"gpu": 50.0, "gpu_memory": 40.0}),
        ("[N/A], 1, 2\n4, 1, 2\n", {"gpu": 4.0, "gpu_memory": 50.0}),
    ],
)
def test_use_of_the_gpus(text: str, expected: dict[str, float]) -> None:
    assert runner.parse_gpus(text) == expected


def test_use_of_the_machine_over_the_last_minute_and_the_run() -> None:
    clock, ticks, gpus = [0.0], [(0.0, 0.0)], [{"gpu": 10.0}]
    usage = runner.Usage(lambda: gpus[0], lambda: ticks[0], lambda: clock[0])
    assert usage.look() == {}, "nothing to compare with"
    clock[0], ticks[0] = 30.0, (30.0, 40.0)
    assert usage.look() == {}, "too early"
    clock[0], ticks[0] = 60.0, (80.0, 100.0)
    told = usage.look()
    assert (told["cpu"], told["gpu"], told["mean"], told["samples"]) == (80.0, 10.0, {"cpu": 80.0, "gpu": 10.0}, 1)
    clock[0], ticks[0], gpus[0] = 120.0, (80.0, 200.0), {"gpu": 40.0}
    told = usage.look()
    assert (told["cpu"], told["gpu"], told["mean"], told["samples"]) == (0.0, 40.0, {"cpu": 40.0, "gpu": 25.0}, 2)


def test_the_time_used_is_written_with_each_sample(tmp_path: Path) -> None:
    """A sudden end forgets a minute of the time limit at most."""
    spec = {"ledger": str(tmp_path / "ledger.json"), "state_dir": str(tmp_path)}
    run = runner.Run(spec)
    run.ledger = runner.Ledger(spec)
    run.begin(run.ledger.entry)
    run.began -= 61
    run.note("running")
    busy = iter([(1.0, 10.0), (2.0, 20.0)])
    run.usage = runner.Usage(dict, lambda: next(busy))
    run.note_progress()
    run.usage.due = 0.0
    run.note_progress()
    assert json.loads((tmp_path / "ledger.json").read_text())["runs"][-1]["ran"] >= 61


def test_a_machine_without_gpus_is_asked_once() -> None:
    clock, asked = [0.0], []
    usage = runner.Usage(lambda: asked.append(1) or {}, lambda: (clock[0], 2 * clock[0] + 1), lambda: clock[0])
    for clock[0] in (0.0, 60.0, 120.0):
        told = usage.look()
    assert told["cpu"] == 50.0 and "gpu" not in told and len(asked) == 1


def test_processor_times_are_the_kernels(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  10 1 5 80 4 1 2 3 9 9\ncpu0 1\n")
    assert runner.cpu_times(str(tmp_path / "stat")) == (22.0, 106.0)
    assert runner.cpu_times(str(tmp_path / "none")) == (0.0, 0.0)
    assert runner.cpu_times()[1] > 0


@pytest.mark.parametrize("text", ["", "no json", "[1]", '{"step": {"deep": 1}}', '{"secret": "x"}'])
def test_progress_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "progress.json").write_text(text)
    assert runner.read_progress(str(tmp_path / "progress.json")) == {}


def test_the_ledger_keeps_what_the_run_was_on(engine: Engine) -> None:
    engine.run(machine={"type": "g5.xlarge", "spot_price": 0.4})
    engine.run()
    assert [entry.get("machine") for entry in engine.ledger["runs"]] == [{"type": "g5.xlarge", "spot_price": 0.4}, None]


def test_runs_are_kept_and_lost_ones_closed(engine: Engine) -> None:
    lost = {"state": "running", "finished": None, "exit_code": None}
    engine.ledger_path.write_text(json.dumps({"runs": [{"state": "succeeded", "finished": "x"}, lost]}))
    engine.run()
    states = [entry["state"] for entry in engine.ledger["runs"]]
    assert states == ["succeeded", "failed", "succeeded"]
    assert engine.ledger["runs"][1]["finished"] and "without a word" in engine.ledger["runs"][1]["message"]


@pytest.mark.parametrize(
    ("image", "policy", "is_there", "pulls"),
    [
        ("repo/img:1", "always", True, True),
        ("repo/img:1", "missing", True, False),
        ("repo/img:1", "missing", False, True),
        ("repo/img@sha256:0a", "always", True, False),
        ("repo/img@sha256:0a", "always", False, True),
    ],
)
def test_when_an_image_is_pulled(engine: Engine, image: str, policy: str, is_there: bool, pulls: bool) -> None:
    engine.answer("image", rc=0 if is_there else 1)
    assert engine.run(image=image, pull=policy)[0] == 0
    assert any(call.startswith("pull") for call in engine.calls) is pulls


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (
            "Error response from daemon: manifest for repo/img:1 not found: manifest unknown: manifest unknown",
            "not found: correct",
        ),
        (
            "Error response from daemon: pull access denied for repo/img, repository does not exist or may require"
            " 'docker login': denied: requested access to the resource is denied",
            "refused (denied)",
        ),
        (
            'Error response from daemon: Get "https://r/v2/": dial tcp 10.0.0.1:5000: connect: connection refused',
            "unreachable",
        ),
        ('Error response from daemon: Get "https://r/v2/": dial tcp: lookup r: no such host', "unreachable"),
        ("Error response from daemon: http: server gave HTTP response to HTTPS client", "insecure-registries"),
        ("failed to register layer: write /x: no space left on device", "no space left"),
        ("no matching manifest for linux/arm64/v8 in the manifest list entries", "processor"),
        ("toomanyrequests: You have reached your pull rate limit.", "rate limit"),
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "docker does not answer",
        ),
        ("something new", "something new"),
    ],
)
def test_why_an_image_was_not_pulled(engine: Engine, stderr: str, expected: str) -> None:
    engine.answer("pull", rc=1, err=stderr)
    status, out = engine.run()
    assert status == runner.EX_UNAVAILABLE
    assert expected in engine.last["message"] and engine.last["message"] in out
    assert engine.last["state"] == "failed" and engine.last["exit_code"] is None
    assert "\n" not in engine.last["message"]


def test_logins_of_registries_are_used_where_there_are_some(tmp_path: Path) -> None:
    assert runner.pull_argv("a/b:1", str(tmp_path / "none")) == ["docker", "pull", "--quiet", "a/b:1"]
    assert runner.pull_argv("a/b:1", str(tmp_path))[:3] == ["docker", "--config", str(tmp_path)]


def test_an_image_name_is_no_reason() -> None:
    assert "correct job.image" not in runner.pull_reason("repo/not found", "x: repo/not found: no such host")


def test_local_image_serves_when_the_registry_is_away_but_not_when_it_refuses(engine: Engine) -> None:
    engine.answer("image", rc=0)
    engine.answer("pull", rc=1, err="dial tcp: i/o timeout")
    status, out = engine.run()
    assert status == 0 and "the copy on this instance is used" in out
    engine.answer("pull", rc=1, err="denied: no")
    assert engine.run()[0] == runner.EX_UNAVAILABLE


def test_no_docker(engine: Engine, tmp_path: Path) -> None:
    engine.env["PATH"] = str(tmp_path)
    status, out = engine.run()
    assert status == runner.EX_UNAVAILABLE and "docker is not installed" in out
    assert engine.last["state"] == "failed"


def test_ledger_that_cannot_be_written(engine: Engine, tmp_path: Path) -> None:
    status, out = engine.run(ledger=str(tmp_path / "not mounted" / "ledger.json"))
    assert status == runner.EX_CANTCREAT and "cannot be written" in out and "mounted" in out
    assert not (engine.path / "calls").exists(), "nothing runs without a ledger"
    assert not (tmp_path / "not mounted").exists()


def test_ledger_of_a_full_disk_names_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runner.os, "fsync", full)
    with pytest.raises(runner.JobError, match="No space left on device; free space") as error:
        runner.write_ledger(str(tmp_path / "ledger.json"), {})
    assert error.value.status == runner.EX_CANTCREAT and not list(tmp_path.iterdir())


def test_disk_full_at_the_end_is_said_with_the_outcome(engine: Engine) -> None:
    engine.answer("run", sh=f'rm -r "{engine.state_dir}"; exit 4\n')
    status, out = engine.run()
    assert status == runner.EX_CANTCREAT and "the run was: failed, exit code 4" in out


@pytest.mark.parametrize("text", ["{", "[]", '{"runs": 3}'])
def test_damaged_ledger(engine: Engine, text: str) -> None:
    engine.ledger_path.write_text(text)
    status, out = engine.run()
    assert status == runner.EX_CANTCREAT and "move it away" in out and engine.ledger_path.read_text() == text


def test_bad_job_file(engine: Engine) -> None:
    status, out = engine.run(image="", command=[])
    assert status == runner.EX_CONFIG and "lacks image, command or scripts" in out and "Traceback" not in out


def saves(engine: Engine, tmp_path: Path, sh: str) -> dict[str, str]:
    """A pusher of results whose unit does that when it is started."""
    config, status = tmp_path / "results.json", tmp_path / "status.json"
    config.write_text("{}")
    systemctl = tmp_path / "bin/systemctl"
    systemctl.write_text(
        f'#!/bin/sh\necho "systemctl $@" >> "$FAKE/calls"\ncp {engine.ledger_path} {tmp_path}/seen\n{sh}\n'
    )
    systemctl.chmod(0o755)
    return {"results_config": str(config), "results_status": str(status)}


def test_results_are_sent_when_the_job_has_ended(engine: Engine, tmp_path: Path) -> None:
    told = {"files": 3, "bytes": 9, "left": 0, "failed": 0, "message": "", "url": "s3://b/x/"}
    paths = saves(engine, tmp_path, f"echo '{json.dumps(told)}' > {tmp_path}/status.json")
    status, out = engine.run(**paths)
    assert status == 0 and "the results are in their bucket" in out
    assert "systemctl start experiments-spot-results@end.service" in engine.calls
    seen = json.loads((tmp_path / "seen").read_text())["runs"][-1]
    assert (seen["state"], seen["saving"]) == ("succeeded", True), "what is sent says how the job ended"
    assert engine.last["results"]["files"] == 3 and "saving" not in engine.last


def test_results_that_are_not_sent_are_told_and_change_nothing(engine: Engine, tmp_path: Path) -> None:
    told = {"message": "state/a: the credentials may not s3:PutObject", "failed": 1}
    paths = saves(engine, tmp_path, f"echo '{json.dumps(told)}' > {tmp_path}/status.json; exit 1")
    status, out = engine.run(**paths)
    assert status == 0 and "the results were not sent: state/a: the credentials may not s3:PutObject" in out
    assert engine.last["state"] == "succeeded" and "s3:PutObject" in engine.last["results"]["message"]


def test_whoever_stops_a_job_sends_its_results(engine: Engine, tmp_path: Path) -> None:
    engine.answer("run", sh=UNTIL_STOPPED)
    engine.answer("stop", sh='touch "$FAKE/stopped"\n')
    process = engine.start(**saves(engine, tmp_path, "exit 0"))
    wait_for_line(process, "started")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert not [call for call in engine.calls if call.startswith("systemctl")]


def test_a_runner_that_is_stopped_while_results_are_sent_ends_at_once(engine: Engine, tmp_path: Path) -> None:
    process = engine.start(**saves(engine, tmp_path, "sleep 5"))
    wait_for_line(process, "sending the results")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=4) == 0
    assert engine.last["state"] == "succeeded" and "saving" not in engine.last


# ---- without a container --------------------


class Bare(Engine):
    """A runner without docker: commands run in a directory of the test, as who runs the test."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path)
        self.work = tmp_path / "work"
        self.work.mkdir()

    def start(self, **spec: Any) -> subprocess.Popen[str]:
        return super().start(**{"image": None, "workdir": str(self.work), "user": str(os.getuid()), **spec})

    def script(self, name: str, text: str, mode: int = 0o644) -> None:
        (self.work / name).write_text(text)
        (self.work / name).chmod(mode)


@pytest.fixture()
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


def test_a_command_runs_on_the_instance(bare: Bare) -> None:
    (bare.work / "job.env").write_text("LR=0.1\nTEXT=a = b\n")
    code = {"repository": "r", "version": "main", "commit": "c" * 40}
    show = 'echo "lr $LR, $TEXT, in $PWD, home $HOME, docker $FAKE."; echo oops >&2'
    status, out = bare.run(command=["sh", "-c", show], env_file=str(bare.work / "job.env"), code=code)
    assert (
        status == 0
        and f"lr 0.1, a = b, in {bare.work}, home {pwd.getpwuid(os.getuid()).pw_dir}, docker ." in out
        and "oops" in out
    )
    assert (bare.last["state"], bare.last["exit_code"], bare.last["code"]) == ("succeeded", 0, code)
    assert not (bare.path / "calls").exists(), "docker is not asked"


def test_scripts_run_in_order_until_one_fails(bare: Bare) -> None:
    bare.script("a.py", "import sys; print('a', sys.argv[1:])\n")
    bare.script("b.sh", "echo b; exit 3\n")
    bare.script("c", "#!/bin/sh\necho c\n", 0o755)
    status, out = bare.run(command=None, scripts=["c", "a.py --name 'x y'", "b.sh", "c"])
    assert status == 3 and out.index("\nc\n") < out.index("a ['--name', 'x y']") < out.index("\nb\n")
    assert out.count("\nc\n") == 1
    assert (bare.last["state"], bare.last["exit_code"]) == ("failed", 3)
    assert bare.last["message"] == f"bash {bare.work}/b.sh (3 of 4)"


def test_scripts_that_are_missing_are_told_before_any_runs(bare: Bare) -> None:
    bare.script("a.sh", "echo ran\n")
    status, out = bare.run(command=None, scripts=["a.sh", "no.py", "sub/x", "b.sh 1"])
    assert status == runner.EX_CONFIG and "\nran\n" not in out
    assert "job.scripts: no.py, sub/x, b.sh not found in" in bare.last["message"]
    assert bare.last["exit_code"] is None, "it may be started again"


@pytest.mark.parametrize(
    ("spec", "exit_code", "said"),
    [
        ({"command": ["no-such-command"]}, 127, "the command is not on the instance: no-such-command"),
        ({"command": ["/etc/hostname"]}, 126, "the command cannot be run"),
        ({"command": ["sh", "-c", "kill -9 $$"]}, 137, "killed by SIGKILL: most often the memory"),
        ({"command": ["sh", "-c", "kill -SEGV $$"]}, 139, "ended by signal 11"),
        ({"command": ["sh", "-c", "exit 7"]}, 7, ""),
    ],
)
def test_how_a_command_fails(bare: Bare, spec: dict[str, Any], exit_code: int, said: str) -> None:
    status, out = bare.run(**spec)
    assert (status, bare.last["state"], bare.last["exit_code"]) == (exit_code, "failed", exit_code)
    assert bare.last["message"].startswith(said) and bool(said) is bool(bare.last["message"])
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("spec", "said"),
    [({"workdir": "/no/where"}, "job.workdir /no/where is not on"), ({"user": "nobody-here"}, "no such user or group")],
)
def test_what_is_not_on_the_instance(bare: Bare, spec: dict[str, Any], said: str) -> None:
    status, _out = bare.run(**spec)
    assert status == runner.EX_CONFIG and said in bare.last["message"]


TRAP = "trap 'echo saved > saved; exit 0' TERM; echo started; while :; do sleep 0.05; done"


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout
    for line in process.stdout:
        if line.strip() == text:
            return
    raise AssertionError(f"{text} never came")


def test_sigterm_reaches_the_command_and_its_children(bare: Bare) -> None:
    bare.script("train.sh", TRAP)
    process = bare.start(command=None, scripts=["train.sh", "train.sh"], stop_grace=20)
    wait_for(process, "started")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == runner.EX_STOPPED
    assert (bare.work / "saved").read_text() == "saved\n"
    assert bare.last["state"] == "stopped" and "the job ended with 0" in bare.last["message"]


@pytest.mark.slow
def test_a_notice_says_how_long_the_grace_is_and_who_ends_it(bare: Bare, tmp_path: Path) -> None:
    notice = tmp_path / "notice.json"
    process = bare.start(
        command=["sh", "-c", "trap '' TERM; echo started; sleep 60 & wait; wait"], notice_file=str(notice)
    )
    wait_for(process, "started")
    notice.write_text(json.dumps({"kind": "interruption", "time": "2026-01-01T00:02:00Z", "grace": 1}))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == runner.EX_STOPPED
    assert bare.last["state"] == "interrupted" and bare.last["exit_code"] == 137


@pytest.mark.slow
def test_the_time_limit_is_that_of_all_scripts(bare: Bare) -> None:
    bare.script("train.sh", TRAP)
    bare.script("first.sh", "sleep 0.3")
    status, _out = bare.run(command=None, scripts=["first.sh", "train.sh"], time_limit=1)
    assert status == 1 and bare.last["message"] == "stopped: the time limit of 1 s is reached"
    assert (bare.work / "saved").exists()


def test_the_python_environment_is_activated(bare: Bare, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    bare.script("where.py", "import os, sys; print('prefix', sys.prefix, os.environ['VIRTUAL_ENV'])\n")
    status, out = bare.run(command=None, scripts=["where.py"], python=[f"{tmp_path}/env/bin/activate"])
    assert status == 0 and f"prefix {tmp_path}/env {tmp_path}/env" in out


def test_conda_is_activated_by_its_own_script(bare: Bare, tmp_path: Path) -> None:
    (tmp_path / "activate").write_text('export CONDA_PREFIX="$1"; echo "activating $#"\n')
    command = ["sh", "-c", 'echo "$CONDA_PREFIX, $0 $1"', "a b", "c"]
    status, out = bare.run(command=command, python=[f"{tmp_path}/activate", "/opt/conda/envs/torch"])
    assert status == 0 and "activating 1\n" in out and "/opt/conda/envs/torch, a b c\n" in out
    # Signals reach the command itself: no shell is left in between.
    bare.script("train.sh", TRAP)
    process = bare.start(command=["bash", "train.sh"], python=[f"{tmp_path}/activate", "x"], stop_grace=20)
    wait_for(process, "started")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == runner.EX_STOPPED and (bare.work / "saved").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")
def test_it_runs_as_its_user(bare: Bare) -> None:
    bare.work.chmod(0o755)
    status, out = bare.run(command=["id"], user="nobody", workdir="/")
    assert status == 0 and "(nobody)" in out and "(root)" not in out


JOURNAL = """#!/bin/sh
echo "journalctl $@" >> "$FAKE/calls"
[ "$1" = --sync ] || echo "line of $INVOCATION_ID"
[ ! -e "$FAKE/journal.rc" ] || exit 1
"""


def test_the_log_of_each_generation_is_kept(engine: Engine, tmp_path: Path) -> None:
    journal = tmp_path / "bin/journalctl"
    journal.write_text(JOURNAL)
    journal.chmod(0o755)
    for run, generation in (("a", 1), ("b", 1), ("c", 2)):
        engine.env["INVOCATION_ID"] = run
        assert engine.run(generation=generation)[0] == 0
    logs = engine.state_dir / "logs"
    assert {one.name: one.read_text() for one in logs.iterdir()} == {
        "generation-001.txt": "line of a\nline of b\n",
        "generation-002.txt": "line of c\n",
    }
    assert "_SYSTEMD_INVOCATION_ID=c" in engine.calls[-1]
    # Neither a run that ends before its container, nor a journal that fails, changes how a job ends.
    engine.answer("pull", rc=1, err="manifest unknown")
    engine.env["INVOCATION_ID"] = "d"
    assert engine.run(generation=3)[0] == runner.EX_UNAVAILABLE
    assert (logs / "generation-003.txt").read_text() == "line of d\n"
    engine.answer("pull", rc=0)
    engine.answer("journal", rc=1)
    status, out = engine.run(generation=4)
    assert status == 0 and "the log is not kept in" in out


def test_nothing_is_kept_where_no_journal_has_it(engine: Engine) -> None:
    engine.env.pop("INVOCATION_ID", None)
    engine.run()
    assert not (engine.state_dir / "logs").exists()


# ---- images that are not pulled --------------------


def context(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "context"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return {"context": str(folder)}


def test_an_image_is_built_and_not_pulled(engine: Engine, tmp_path: Path) -> None:
    build = context(tmp_path)
    engine.answer("build", out="Step 1/1 : FROM scratch\n")
    status, out = engine.run(build={**build, "args": {"CUDA": "12", "A": "b c"}, "target": "train"})
    folder = build["context"]
    expected = f"build --tag repo/img:1 --file {folder}/Dockerfile --target train --build-arg CUDA=12 --build-arg A=b c {folder}"
    assert status == 0 and expected in engine.calls and "Step 1/1" in out
    assert not [call for call in engine.calls if call.startswith("pull")] and engine.last["state"] == "succeeded"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("The command '/bin/sh -c x' returned a non-zero code: 1", "a step failed, the log has all of it (The command"),
        ("write /x: no space left on device", "give a larger image.root_volume_size"),
        ("failed to reach build target train in Dockerfile", "has no stage of the name job.build.target"),
        ("pull access denied for nosuch, repository does not exist", "an image of FROM was not pulled"),
        ("dockerfile parse error line 1: unknown instruction: FRM", "the Dockerfile is not right"),
        ("COPY failed: file not found in build context", "a file is missing"),
        ("Cannot connect to the Docker daemon at unix:///x", "docker does not answer"),
    ],
)
def test_why_an_image_was_not_built(engine: Engine, tmp_path: Path, said: str, expected: str) -> None:
    engine.answer("build", rc=1, err=f"one\n{said}\n")
    status, out = engine.run(build=context(tmp_path))
    assert status == runner.EX_UNAVAILABLE and expected in engine.last["message"] and said in out
    assert engine.last["state"] == "failed" and engine.last["exit_code"] is None, "the next start tries it again"
    assert not [call for call in engine.calls if call.startswith("run")]


def test_what_is_to_be_built_is_not_there(engine: Engine, tmp_path: Path) -> None:
    build = context(tmp_path)
    for wrong, said in (({"context": "/no/such"}, "job.build.context /no/such is no directory"),
                        ({**build, "dockerfile": "gpu/Dockerfile"}, f"there is no {build['context']}/gpu/Dockerfile")):  # fmt: skip
        status, out = engine.run(build=wrong)
        assert status == runner.EX_CONFIG and said in out and "section code" in out


ANY_MOMENT = """
import sys, threading
sys.path.insert(0, {folder!r})
import runner

wake = {wake}

def handler(frame, event, arg):
    wake.set()
    return handler

sys.settrace(handler)
wake.wait(60)
wake.clear()
sys.settrace(None)
"""


@pytest.mark.parametrize(("wake", "hangs"), [("runner.Wake()", False), ("threading.Event()", True)])
@pytest.mark.slow
def test_a_signal_may_come_at_any_moment_of_waiting(wake: str, hangs: bool) -> None:
    """A handler runs between any two lines. That of an Event would wait for what its own thread holds."""
    text = ANY_MOMENT.format(folder=str(Path(runner.__file__).parent), wake=wake)
    with pytest.raises(subprocess.TimeoutExpired) if hangs else contextlib.nullcontext():
        subprocess.run([sys.executable, "-c", text], check=True, timeout=3 if hangs else 50)


def test_a_stop_ends_a_build(engine: Engine, tmp_path: Path) -> None:
    engine.answer("build", sh="echo begun; exec sleep 60\n")
    process = engine.start(build=context(tmp_path))
    wait_for_line(process, "begun")
    assert engine.last["state"] == "building"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == runner.EX_STOPPED and engine.last["state"] == "stopped"


# The engine has the image once something was loaded.
LOADS = 'echo "Loaded image: repo/img:1"; echo 0 > "$FAKE/image.rc"\n'


def test_an_archive_is_loaded_once(engine: Engine, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar.zst"
    archive.write_bytes(b"x")
    paths = {"archive": str(archive), "archive_status": str(tmp_path / "var/archive.json")}
    engine.answer("load", sh=LOADS)
    assert engine.run(**paths)[0] == 0 and f"load --input {archive}" in engine.calls
    loads = [call for call in engine.calls if call.startswith(("load", "pull"))]
    assert engine.run(**paths)[0] == 0
    assert [call for call in engine.calls if call.startswith(("load", "pull"))] == loads == [f"load --input {archive}"]
    archive.write_bytes(b"another one")
    assert engine.run(**paths)[0] == 0 and engine.calls.count(f"load --input {archive}") == 2
    # An image that is gone is loaded again, whatever the note says.
    engine.answer("image", rc=1)
    assert engine.run(**paths)[0] == 0 and engine.calls.count(f"load --input {archive}") == 3


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("write /x: no space left on device", "give a larger image.root_volume_size"),
        ("unexpected EOF", "it is damaged, or nothing that docker save has made (unexpected EOF)"),
        ("something else", "docker load failed (something else)"),
    ],
)
def test_why_an_archive_was_not_loaded(engine: Engine, tmp_path: Path, said: str, expected: str) -> None:
    (tmp_path / "image.tar").write_bytes(b"x")
    engine.answer("load", rc=1, err=said)
    status, _out = engine.run(archive=str(tmp_path / "image.tar"), archive_status=str(tmp_path / "status.json"))
    assert status == runner.EX_UNAVAILABLE and expected in engine.last["message"]


def test_an_archive_that_is_not_there_or_has_another_image(engine: Engine, tmp_path: Path) -> None:
    archive = str(tmp_path / "image.tar")
    status, out = engine.run(archive=archive)
    assert status == runner.EX_CONFIG and f"job.archive {archive} is not on the instance" in out and "channel" in out
    Path(archive).write_bytes(b"x")
    engine.answer("load", out="Loaded image: other:2\n")
    status, out = engine.run(archive=archive, archive_status=str(tmp_path / "status.json"))
    assert status == runner.EX_CONFIG and "has other:2 and not repo/img:1; correct job.image" in out


# Secrets


def test_secrets_are_files_and_not_in_the_command_or_environment_of_docker(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "job.env").write_text("TOKEN=hunter2=x\nPLAIN=1\n")
    base = tmp_path / "secrets"
    engine.answer(
        "run", sh=f'cat {base}/files/TOKEN {base}/env > "$FAKE/seen"; ls -ld {base} {base}/env > "$FAKE/modes"\n'
    )
    spec = {"env_file": str(tmp_path / "job.env"), "secrets": ["TOKEN"], "secrets_base": str(base)}
    status, out = engine.run(**spec)
    assert status == 0 and "hunter2" not in out and "hunter2" not in "\n".join(engine.calls)
    assert f"--env-file {base}/env" in engine.calls[-1] and f"--volume {base}/files:/run/secrets:ro" in engine.calls[-1]
    assert (engine.path / "seen").read_text() == "hunter2=xPLAIN=1\n"
    modes = [line.split()[0] for line in (engine.path / "modes").read_text().splitlines()]
    assert modes[0].startswith("drwx------") and modes[1].startswith("-rw-------")
    assert not base.exists() and "hunter2" not in engine.ledger_path.read_text(), "nothing stays"


def test_a_secret_without_a_value_starts_nothing(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "job.env").write_text("PLAIN=1\n")
    spec = {"env_file": str(tmp_path / "job.env"), "secrets": ["TOKEN"], "secrets_base": str(tmp_path / "secrets")}
    assert engine.run(**spec)[0] == runner.EX_CONFIG
    assert engine.last["message"] == "job.secrets: TOKEN is not in job.env"
    assert not any(call.startswith("run") for call in engine.calls)


def test_secrets_without_a_container_are_for_its_user_alone(bare: Bare, tmp_path: Path) -> None:
    (tmp_path / "job.env").write_text("TOKEN=hunter2\n")
    line = 'cat "$SPOT_SECRETS_DIR/TOKEN"; stat -c " %a %U" "$SPOT_SECRETS_DIR/TOKEN"; env | grep -c TOKEN= || true'
    more = {"env_file": str(tmp_path / "job.env"), "secrets": ["TOKEN"], "secrets_base": str(tmp_path / "secrets")}
    user = pwd.getpwuid(os.getuid()).pw_name
    status, out = bare.run(command=["sh", "-c", line], **more)
    assert status == 0 and f"hunter2 400 {user}\n0\n" in out and not (tmp_path / "secrets").exists()
