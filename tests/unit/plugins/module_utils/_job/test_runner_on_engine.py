"""The runner with a real engine: signals, exit codes and containers that were left behind. With docker and busybox."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._job import runner
from lab import engine
from lab.machines import assemble

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", autouse=True)
def busybox() -> str:
    """What these tests need is installed and started, never skipped: on a new machine they come first."""
    assemble.ensure_engine(lambda _line: None)
    if not shutil.which("busybox"):
        engine.install_packages(["busybox-static"], say=lambda _line: None)
    found = shutil.which("busybox")
    assert found
    return found


@pytest.fixture(scope="module")
def image(busybox: str) -> Iterator[str]:
    """An image of nothing but a static busybox, made without a registry."""
    name = f"experiments-spot-test:{uuid.uuid4().hex[:8]}"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(busybox, "bin/busybox")
        for applet in ("sh", "sleep", "echo", "cat", "tail", "dd"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    subprocess.run(["docker", "import", "-", name], input=buffer.getvalue(), check=True, capture_output=True)
    yield name
    subprocess.run(["docker", "rmi", "-f", name], check=False, capture_output=True)


class Job:
    """A job of one shell line in a state directory of its own."""

    def __init__(self, folder: Path, image: str) -> None:
        self.folder = folder
        self.name = f"spot-test-{uuid.uuid4().hex[:8]}"
        self.image = image

    def start(self, line: str, **more: Any) -> subprocess.Popen[str]:
        spec = {
            "experiment": "test",
            "image": self.image,
            "pull": "missing",
            "container": self.name,
            "ledger": str(self.folder / "ledger.json"),
            "state_dir": str(self.folder),
            "command": ["sh", "-c", line],
            "gpus": "none",
            **more,
        }
        path = self.folder / "job.json"
        path.write_text(json.dumps(spec))
        argv = [sys.executable, "-u", str(runner.__file__), str(path)]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def last(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "ledger.json").read_text())["runs"][-1])

    def exists(self) -> bool:
        inspect = ["docker", "container", "inspect", self.name]
        return subprocess.run(inspect, capture_output=True, check=False).returncode == 0


@pytest.fixture()
def job(tmp_path: Path, image: str) -> Iterator[Job]:
    made = Job(tmp_path, image)
    yield made
    subprocess.run(["docker", "rm", "-f", made.name], check=False, capture_output=True)


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    assert any(text in line for line in process.stdout), f"{text!r} never came"


def test_output_exit_code_and_state_directory(job: Job) -> None:
    process = job.start(f"echo out; echo err >&2; echo kept > {job.folder}/result; exit 5")
    out, _none = process.communicate(timeout=120)
    assert process.returncode == 5 and "out" in out and "err" in out
    assert (job.last()["state"], job.last()["exit_code"]) == ("failed", 5)
    assert (job.folder / "result").read_text() == "kept\n" and not job.exists()


def test_sigterm_reaches_the_job_and_it_may_save(job: Job) -> None:
    process = job.start(
        f"trap 'echo saved > {job.folder}/checkpoint; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    )
    read_until(process, "up")
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == runner.EX_STOPPED
    assert (job.folder / "checkpoint").read_text() == "saved\n"
    assert job.last()["state"] == "stopped" and not job.exists()


def test_job_that_ignores_sigterm_is_killed_after_the_grace(job: Job) -> None:
    process = job.start("trap '' TERM; echo up; while :; do sleep 0.1; done", stop_grace=1)
    read_until(process, "up")
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == runner.EX_STOPPED
    assert (job.last()["state"], job.last()["exit_code"]) == ("stopped", 137) and not job.exists()


def test_a_container_that_is_killed_for_memory_is_told(job: Job) -> None:
    if runner.killed_for_memory() is None:
        pytest.skip("this kernel does not tell")
    process = job.start("x", command=["tail", "/dev/zero"], extra_args=["--memory", "16m", "--memory-swap", "16m"])
    process.communicate(timeout=120)
    assert process.returncode == 137 and job.last()["message"].startswith("killed, the memory was not enough")


def test_a_container_without_space_is_told(job: Job) -> None:
    process = job.start("dd if=/dev/zero of=/small/x bs=1024 count=9000", extra_args=["--tmpfs", "/small:size=1m"])
    process.communicate(timeout=120)
    assert job.last()["state"] == "failed" and job.last()["message"].startswith("no space left: make the volume larger")


def test_an_image_for_another_processor_is_told(job: Job, tmp_path: Path) -> None:
    """All programs of the image have an ELF header that is no machine's of today."""
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xff\xee" + bytes(100))
    program.chmod(0o755)
    job.start("x", mounts=[f"{program}:/bin/busybox:ro"]).communicate(timeout=120)
    assert job.last()["state"] == "failed" and "made for another processor" in job.last()["message"]


def test_a_secret_is_in_the_container_and_not_in_docker_inspect(job: Job, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    (tmp_path / "job.env").write_text("TOKEN=hunter2\nPLAIN=seen\n")
    more = {"env_file": str(tmp_path / "job.env"), "secrets": ["TOKEN"], "secrets_base": str(tmp_path / "secrets")}
    process = job.start("cat $SPOT_SECRETS_DIR/TOKEN > $OUT; echo up; sleep 600", user="1234", **more, mounts=[
        f"{tmp_path}:/out"], extra_args=["--env", "OUT=/out/read"])  # fmt: skip
    read_until(process, "up")
    told = subprocess.run(["docker", "inspect", job.name], capture_output=True, text=True, check=True).stdout
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert (tmp_path / "read").read_text() == "hunter2" and "PLAIN=seen" in told and "hunter2" not in told
    assert "hunter2" not in (job.folder / "ledger.json").read_text() and not (tmp_path / "secrets").exists()


def test_time_limit(job: Job) -> None:
    process = job.start("echo up; sleep 600", time_limit=2, stop_grace=1)
    process.communicate(timeout=120)
    assert job.last()["state"] == "failed" and "time limit" in job.last()["message"] and not job.exists()


def test_killed_runner_leaves_a_container_that_the_next_run_removes(job: Job) -> None:
    process = job.start("echo up; sleep 600")
    read_until(process, "up")
    process.kill()
    process.wait(60)
    assert job.exists() and job.last()["state"] == "running"
    again = job.start("echo second")
    out, _none = again.communicate(timeout=120)
    assert again.returncode == 0 and "left behind" in out and "second" in out
    runs = json.loads((job.folder / "ledger.json").read_text())["runs"]
    assert [run["state"] for run in runs] == ["failed", "succeeded"] and not job.exists()


def test_command_that_is_not_in_the_image(job: Job) -> None:
    process = job.start("x", command=["nosuch"])
    process.communicate(timeout=120)
    assert process.returncode == 127 and "is not in the image" in job.last()["message"]


def test_image_that_no_registry_has(job: Job) -> None:
    process = job.start("x", image="127.0.0.1:1/no/such:1")
    process.communicate(timeout=120)
    assert process.returncode == runner.EX_UNAVAILABLE and "unreachable" in job.last()["message"]
    assert os.listdir(job.folder)
