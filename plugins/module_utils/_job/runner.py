# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The runner: a container, or commands on the instance itself, with a ledger that says what happened.

It lies on the instance as /usr/local/lib/experiments-spot/job.py and is the main process of the unit
experiments-spot-job.service, so it needs nothing but Python 3.9 and the docker command. It is one file, long as it is:
it is replaced in one rename beside a job that may be starting, and two files of different versions would never fit.
`job.py /etc/experiments-spot/job.json` pulls the image, runs the container, passes SIGTERM on as `docker stop`,
or runs commands as a user of the instance and passes SIGTERM on to them; with a
matrix it does so for each of its combinations, with retries again after a failure; it
enforces the time limit and writes every change of state to the ledger. Whether a SIGTERM means that AWS takes the
instance is written in /run/experiments-spot/notice.json: then the run is `interrupted`, which the next one resumes.

Exit status: that of the container (also 125-127 of docker run); 143 stopped; 69 image or engine; 73 ledger; 78 file.
Source of these numbers: sysexits.h, docker run reference ("Exit status"), systemd.exec ("Process Exit Codes").
"""

from __future__ import annotations

import contextlib
import grp
import json
import math
import os
import pwd
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any, Callable, NamedTuple

EX_UNAVAILABLE = 69
EX_CANTCREAT = 73
EX_CONFIG = 78
EX_STOPPED = 143

SCHEMA = 1
OPEN_STATES = ("starting", "pulling", "building", "loading", "running")
KEPT_RUNS = 200
# Combinations of a matrix: their folders lie in this one of the state directory, and so many failed ones are named.
MATRIX_DIR = "matrix"
KEPT_COMBINATIONS = 1000
NAMED_FAILURES = 5
# Pause before a job that failed is started again (seconds): the first one, each twice as long as the one before, the
# longest. What would fail in the same way again is not started again: docker's own errors and commands that are not
# there (125 to 127), and a job that was killed, most often since the memory was not enough (137).
RETRY_FIRST = 10.0
RETRY_LONGEST = 300.0
NOT_AGAIN = (0, 125, 126, 127, 137)
# What the notice watcher of this instance has seen; job.json may name another file.
NOTICE_PATH = "/run/experiments-spot/notice.json"
# A job may tell how far it is in this file of its state directory; the ledger's copy is so many seconds old at most.
PROGRESS_FILE = "progress.json"
PROGRESS_EVERY = 5.0
PROGRESS_KEYS = ("start", "step", "of", "unit")
# How busy processor and GPUs are is asked for so often (seconds), and nvidia-smi may take so long.
USAGE_EVERY = 60.0
GPU_TIMEOUT = 10.0
GPU_QUERY = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits"]
# Where results go to a bucket: the pusher's configuration, its unit after the job, and what it did last; job.json may
# name other files.
RESULTS_CONFIG = "/etc/experiments-spot/results.json"
RESULTS_STATUS = "/var/lib/experiments-spot/results.json"
RESULTS_UNIT = "experiments-spot-results@end.service"
RESULTS_KEYS = ("time", "pushed", "url", "files", "bytes", "total", "left", "failed", "message")
# Logins of registries, where the role docker wrote some; the engine's command has its own otherwise.
REGISTRIES = "/etc/experiments-spot/docker"
# The log of each generation, in the state directory: so many lines at most, since a journal knows no end; and so many
# seconds at most, of which a notice leaves few.
LOG_DIR = "logs"
LOG_LINES = 200_000
LOG_TIMEOUT = 20.0
LOG_TIMEOUT_STOPPED = 3.0
# What was loaded from an image archive last: a large one is read again only when it has changed.
ARCHIVE_STATUS = "/var/lib/experiments-spot/archive.json"
# docker stop waits as long as the grace says and then kills; this is for the engine itself.
ENGINE_SLACK = 10
STDERR_TAIL = 8192

# What docker pull says of a layer.
LAYER_COMES = ("Pulling fs layer", "Waiting", "Verifying Checksum", "Download complete")
LAYER_IS_HERE = ("Pull complete", "Already exists")

# What docker pull says -> what it means and what to do. The first match counts.
PULL_REASONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("no space left",),
        "no space left on the engine's disk: give a larger image.root_volume_size, or docker system prune",
    ),
    (
        ("no matching manifest",),
        "not made for this machine's processor: build it for this platform or choose another type",
    ),
    (
        ("toomanyrequests", "rate limit"),
        "refused, the registry's rate limit is reached: log in or use another registry",
    ),
    (
        (
            "unauthorized",
            "no basic auth",
            "access denied",
            "access to the resource is denied",
            "403 forbidden",
            "denied:",
        ),
        "refused (denied): the name is wrong, or the registry needs another login: "
        "job.registry_username and job.registry_password, for Amazon ECR the role of the instance",
    ),
    (
        ("manifest unknown", "not found", "does not exist", "name unknown", "404"),
        "not found: correct job.image or push it",
    ),
    (("invalid reference format",), "no valid image name: correct job.image"),
    (
        ("http response to https client",),
        "the registry does not speak HTTPS: name it in docker's insecure-registries",
    ),
    (
        ("no such host", "refused", "timeout", "timed out", "unreachable", "temporary failure", "tls", "x509", "eof"),
        "the registry is unreachable: check its name, the network and the security group",
    ),
)
ENGINE_DOWN = ("cannot connect to the docker daemon", "is the docker daemon running", "permission denied while trying")


class JobError(Exception):
    """The run cannot go on; `status` is the runner's exit status, the text is one line for the user."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


def now() -> str:
    """Time as the ledger has it: ISO 8601, UTC, seconds."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def say(text: str) -> None:
    """One line of the runner itself in the journal."""
    sys.stdout.write(f"experiments-spot: {text}\n")
    sys.stdout.flush()


def one_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and "--help" not in line]
    return lines[-1] if lines else ""


# ---- ledger --------------------


def read_ledger(path: str) -> dict[str, Any]:
    """The ledger, {} when there is none.

    Raises:
        JobError: it is there but cannot be read, or is no ledger.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            ledger = json.load(stream)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise JobError(
            f"the ledger {path} cannot be read: {error}; move it away to begin a new one", EX_CANTCREAT
        ) from error
    if not isinstance(ledger, dict) or not isinstance(ledger.get("runs", []), list):
        raise JobError(f"{path} is no ledger; move it away to begin a new one", EX_CANTCREAT)
    return ledger


def write_ledger(path: str, ledger: dict[str, Any]) -> None:
    """Write the ledger so that it is always whole: temporary file, fsync, rename, fsync of the directory.

    The directory is never made here: where the volume is not mounted the root disk must not take its place.

    Raises:
        JobError: disk full, read-only, not allowed.
    """
    folder = os.path.dirname(path)
    try:
        fd, temporary = tempfile.mkstemp(dir=folder, prefix=".ledger-")
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as stream:
                json.dump(ledger, stream, indent=1)
                stream.write("\n")
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
        directory = os.open(folder, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    except OSError as error:
        raise JobError(
            f"the ledger {path} cannot be written: {error.strerror}; {_ledger_tip(error)}", EX_CANTCREAT
        ) from error


def _ledger_tip(error: OSError) -> str:
    if error.errno == 28:
        return "free space on that volume or make it larger"
    return "check that the volume of job.state_dir is mounted and writable"


def close_lost_runs(runs: list[dict[str, Any]], progress: dict[str, Any]) -> list[dict[str, Any]]:
    """Runs that an earlier runner left open become failed: instance or runner ended without a word.

    Args:
        runs: the ledger's.
        progress: what the last of them told of its progress, {} for nothing.
    """
    end: dict[str, Any] = {"state": "failed", "finished": now()}
    end["message"] = "ended without a word (instance or runner lost)"
    if progress:
        end["progress"] = progress
    return [{**run, **end} if run.get("state") in OPEN_STATES else run for run in runs]


# ---- progress --------------------


def progress_path(spec: dict[str, Any]) -> str:
    """The file in which the job tells how far it is."""
    return os.path.join(str(spec.get("state_dir") or ""), PROGRESS_FILE)


def read_progress(path: str) -> dict[str, Any]:
    """What the job tells of its progress: start, step, of (numbers) and unit (text); {} when it tells nothing.

    The job writes the file, so anything may stand there.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.loads(stream.read(4096))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    kept = {key: found[key] for key in PROGRESS_KEYS if isinstance(found.get(key), (int, float, str))}
    return {key: value[:20] if isinstance(value, str) else value for key, value in kept.items()}


def read_results(spec: dict[str, Any]) -> dict[str, Any]:
    """What the pusher of results did last, {} where there is none."""
    found = read_notice(str(spec.get("results_status") or RESULTS_STATUS))
    return {key: found.get(key) for key in RESULTS_KEYS} if found else {}


# ---- use of the machine --------------------


def cpu_times(path: str = "/proc/stat") -> tuple[float, float]:
    """Time that the processors were busy and time in all, in ticks. Source: proc_stat(5)."""
    try:
        with open(path, encoding="utf-8") as stream:
            ticks = [float(word) for word in stream.readline().split()[1:9]]
    except (OSError, ValueError):
        return 0.0, 0.0
    return sum(ticks) - sum(ticks[3:5]), sum(ticks)


def parse_gpus(text: str) -> dict[str, float]:
    """Use of the GPUs and of their memory in percent, the mean of all; {} for none.

    Source: nvidia-smi --help-query-gpu.
    """
    rows = []
    for line in text.splitlines():
        try:
            busy, used, total = (float(word) for word in line.split(","))
        except ValueError:  # [N/A], such as of a part of a GPU
            continue
        rows.append((busy, 100 * used / total if total else 0.0))
    if not rows:
        return {}
    gpu, memory = (round(sum(column) / len(rows), 1) for column in zip(*rows))
    return {"gpu": gpu, "gpu_memory": memory}


def ask_gpus() -> dict[str, float]:
    """Use of the GPUs now, {} where there are none, or where they do not answer."""
    try:
        asked = subprocess.run(GPU_QUERY, capture_output=True, text=True, check=True, timeout=GPU_TIMEOUT)
    except (OSError, subprocess.SubprocessError):
        return {}
    return parse_gpus(asked.stdout)


class Usage:
    """Use of processors and GPUs in percent: over the last minute, and the mean of the run.

    Args:
        gpus: see `ask_gpus`; it is not asked again after it had no answer.
        times: see `cpu_times`.
        clock: seconds.
    """

    def __init__(
        self,
        gpus: Callable[[], dict[str, float]] = ask_gpus,
        times: Callable[[], tuple[float, float]] = cpu_times,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.gpus, self.times, self.clock = gpus, times, clock
        self.due = 0.0
        self.before: tuple[float, float] | None = None
        self.has_gpus = True
        self.told: dict[str, Any] = {}

    def look(self) -> dict[str, Any]:
        """What is known now: cpu, gpu and gpu_memory (only with GPUs), mean, samples and time; {} at first."""
        if self.clock() < self.due:
            return self.told
        self.due = self.clock() + USAGE_EVERY
        now_times, before = self.times(), self.before
        self.before = now_times
        if before is None or now_times[1] <= before[1]:
            return self.told
        found = {"cpu": round(100 * (now_times[0] - before[0]) / (now_times[1] - before[1]), 1)}
        more = self.gpus() if self.has_gpus else {}
        self.has_gpus = bool(more)
        self.told = self.averaged({**found, **more})
        return self.told

    def averaged(self, found: dict[str, float]) -> dict[str, Any]:
        """A sample with the means of the run."""
        count = self.told.get("samples", 0)
        means = self.told.get("mean", {})
        mean = {key: round((means.get(key, value) * count + value) / (count + 1), 1) for key, value in found.items()}
        return {**found, "mean": mean, "samples": count + 1, "time": now()}


# ---- notice --------------------


def read_notice(path: str) -> dict[str, Any]:
    """What the notice watcher wrote, {} when there is no notice or the file is damaged."""
    try:
        with open(path, encoding="utf-8") as stream:
            notice = json.load(stream)
    except (OSError, ValueError):
        return {}
    return notice if isinstance(notice, dict) else {}


def end_by_notice(notice: dict[str, Any]) -> tuple[str, str]:
    """State and message of a run that a notice ended, ('', '') when there is no notice."""
    kind, time = notice.get("kind"), str(notice.get("time") or "")
    at = f" at {time.partition('T')[2] or time}" if time else ""
    if kind == "interruption":
        return "interrupted", f"interrupted: AWS takes the instance{at} ({notice.get('action') or 'terminate'})"
    if kind == "rebalance":
        return "interrupted", "interrupted: AWS recommends to leave the instance (rebalance)"
    if kind == "expired":
        return "stopped", f"stopped: the time limit of the experiment is reached ({time or 'expires'})"
    if kind == "idle":
        return "stopped", "stopped: the idle limit of the instance is reached"
    return "", ""


def shorter_grace(grace: int, notice: dict[str, Any]) -> int:
    """Seconds between SIGTERM and SIGKILL: a notice may leave less time than the job asks for."""
    left = notice.get("grace")
    return min(grace, max(0, int(left))) if isinstance(left, (int, float)) else grace


# ---- the entry of a run --------------------


class Ledger:
    """The ledger of this job and the entry of this run."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.path = str(spec["ledger"])
        self.entry: dict[str, Any] = {key: spec.get(key) for key in ("generation", "rank", "instance_id", "image")}
        # AWS forgets an instance an hour after its end: what it was and cost is then known from here alone.
        self.entry.update({key: spec[key] for key in ("code", "asked", "machine") if spec.get(key)})
        self.entry.update(spec_sha256=spec.get("spec_sha256"), state="starting", exit_code=None)
        self.entry.update(started=now(), finished=None, message="")
        found = read_ledger(self.path)
        path = progress_path(spec)
        earlier = close_lost_runs(found.get("runs", []), read_progress(path))
        if earlier and earlier[-1].get("spec_sha256") == spec.get("spec_sha256") and used_before(earlier[-1]):
            self.entry["ran"] = used_before(earlier[-1])
        self.data: dict[str, Any] = {key: spec.get(key) for key in ("experiment", "job", "spec_sha256")}
        self.data = {"schema": SCHEMA, **self.data, "runs": [*earlier, self.entry][-KEPT_RUNS:]}
        # The notice watcher's, and what became of the combinations of a matrix in earlier generations.
        self.data.update({key: found[key] for key in ("notices", "combinations", "rerun") if found.get(key)})
        for record in self.data.get("combinations", {}).values():
            if record.get("state") == "running":
                record.update(state="lost", message="ended without a word (instance or runner lost)")
        write_ledger(self.path, self.data)
        if os.path.exists(path):  # it told of the run before
            os.unlink(path)

    def combination(self, one: dict[str, Any]) -> dict[str, Any]:
        """The record of a combination, made when there is none; it is written with the next change."""
        kept = self.data.setdefault("combinations", {})
        record: dict[str, Any] = kept.pop(one["sha256"], {"state": "waiting", "exit_code": None})
        kept[one["sha256"]] = record  # the one that was used last is the last one
        self.data["combinations"] = dict(list(kept.items())[-KEPT_COMBINATIONS:])
        record.update({key: one[key] for key in ("index", "name", "params")})
        return record

    def note(self, **changes: Any) -> None:
        """Change the entry of this run on disk."""
        self.entry.update(changes)
        write_ledger(self.path, self.data)

    def end(self, state: str, exit_code: int | None, message: str) -> None:
        """Close the entry. A full disk must not hide how the job ended: then the journal says it."""
        try:
            self.note(state=state, exit_code=exit_code, finished=now(), message=message)
        except JobError as error:
            say(f"{error}; the run was: {state}, exit code {exit_code}")
            raise


# ---- docker --------------------


def load_spec(path: str) -> dict[str, Any]:
    """The job from its file.

    Raises:
        JobError: missing, no JSON, or without what a run needs.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            spec = json.load(stream)
    except (OSError, ValueError) as error:
        raise JobError(f"{path} cannot be read: {error}", EX_CONFIG) from error
    missing = [key for key in ("container", "ledger", "state_dir") if not spec.get(key)]
    missing += [] if any(spec.get(key) for key in ("image", "command", "scripts")) else ["image, command or scripts"]
    if missing:
        raise JobError(f"{path} lacks {', '.join(missing)}", EX_CONFIG)
    return dict(spec)


def grace_of(spec: dict[str, Any]) -> int:
    """Seconds between SIGTERM and SIGKILL."""
    grace = spec.get("stop_grace")
    return 60 if grace is None else int(grace)


def docker(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run a docker command and keep what it says.

    Raises:
        JobError: there is no docker command.
    """
    try:
        return subprocess.run(["docker", *argv], capture_output=True, text=True, check=False, errors="replace")
    except FileNotFoundError as error:
        raise JobError("docker is not installed on this instance; set runtime.docker: true", EX_UNAVAILABLE) from error


def pull_argv(image: str, registries: str = REGISTRIES, quiet: bool = True) -> list[str]:
    """The docker pull command; only when it is not quiet it tells of its layers."""
    login = ["--config", registries] if os.path.isdir(registries) else []
    return ["docker", *login, "pull", *(["--quiet"] if quiet else []), image]


class Layers:
    """How far docker pull is, by the lines that it prints without a terminal, such as `4f4fb700ef54: Waiting`."""

    def __init__(self) -> None:
        self.here: dict[str, bool] = {}

    def read(self, stream: Iterable[bytes]) -> None:
        """All lines, as they come; whatever tells of no layer is left out."""
        for line in stream:
            name, _colon, state = line.decode(errors="replace").strip().partition(": ")
            if state in LAYER_COMES:
                self.here.setdefault(name, False)
            elif state in LAYER_IS_HERE:
                self.here[name] = True

    def told(self) -> dict[str, int]:
        """`done` and `of`; {} before the first one is here, and from engines that say nothing of it."""
        here = list(self.here.values())
        return {"done": sum(here), "of": len(here)} if any(here) else {}


def is_pinned(image: str) -> bool:
    """Whether the name says exactly which image: then a local one is the right one."""
    return "@sha256:" in image


def pull_reason(image: str, stderr: str) -> str:
    """One line: why an image was not pulled, and what to do."""
    text = stderr.lower().replace(image.lower(), "")
    if any(sign in text for sign in ENGINE_DOWN):
        return f"docker does not answer: {one_line(stderr)}; look at systemctl status docker"
    for signs, meaning in PULL_REASONS:
        if any(sign in text for sign in signs):
            return f"image {image} was not pulled: {meaning} ({one_line(stderr)})"
    return f"image {image} was not pulled: {one_line(stderr)}"


def get_image(spec: dict[str, Any], pull: Callable[[str], tuple[int, str]], present: Callable[[str], bool]) -> None:
    """Have the image: `missing` pulls only what is not there, `always` asks the registry unless the name has a digest.

    A tag whose registry does not answer is served by the local image, and the journal says so.

    Raises:
        JobError: no image.
    """
    image = spec["image"]
    is_there = present(image)
    if is_there and (is_pinned(image) or spec.get("pull") == "missing"):
        return
    status, stderr = pull(image)
    if status == 0:
        return
    reason = pull_reason(image, stderr)
    if is_there and "unreachable" in reason:
        say(f"{reason}; the copy on this instance is used")
        return
    raise JobError(reason, EX_UNAVAILABLE)


# What docker build or docker load says -> what it means and what to do. The first match counts.
NO_SPACE = ("no space left",)
BUILD_REASONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (NO_SPACE, "no space left on the engine's disk: give a larger image.root_volume_size, or docker system prune"),
    (("dockerfile parse error", "unknown instruction", "unknown flag"), "the Dockerfile is not right"),
    (("target stage", "failed to reach build target"), "the Dockerfile has no stage of the name job.build.target"),
    (
        ("pull access denied", "manifest unknown", "failed to resolve source metadata"),
        "an image of FROM was not pulled",
    ),
    (("failed to compute cache key", "copy failed", "add failed", "failed to calculate checksum"), "a file is missing"),
)
LOAD_REASONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (NO_SPACE, "no space left on the engine's disk: give a larger image.root_volume_size, or docker system prune"),
    (
        ("eof", "invalid tar", "archive/tar", "no such file", "unrecognized image", "invalid archive", "gzip", "zstd"),
        "it is damaged, or nothing that docker save has made",
    ),
)


def reason_of(said: str, reasons: tuple[tuple[tuple[str, ...], str], ...], other: str) -> str:
    """One line: what went wrong with an image, and what docker said."""
    text = said.lower()
    if any(sign in text for sign in ENGINE_DOWN):
        return f"docker does not answer: {one_line(said)}; look at systemctl status docker"
    found = next((meaning for signs, meaning in reasons if any(sign in text for sign in signs)), other)
    return f"{found} ({one_line(said)})"


def build_argv(spec: dict[str, Any], registries: str = REGISTRIES) -> list[str]:
    """The docker build command of job.build."""
    build = spec["build"]
    login = ["--config", registries] if os.path.isdir(registries) else []
    argv = ["docker", *login, "build", "--tag", str(spec["image"]), "--file", dockerfile_of(build)]
    argv += ["--target", str(build["target"])] if build.get("target") else []
    for name, value in (build.get("args") or {}).items():
        argv += ["--build-arg", f"{name}={value}"]
    return [*argv, str(build["context"])]


def dockerfile_of(build: dict[str, Any]) -> str:
    """Path of the Dockerfile; a relative one starts from the context."""
    return os.path.join(str(build["context"]), str(build.get("dockerfile") or "Dockerfile"))


def check_build(build: dict[str, Any]) -> None:
    """Raise when what is to be built is not on the instance."""
    todo = "send it by a channel or section code"
    if not os.path.isdir(str(build["context"])):
        raise JobError(f"job.build.context {build['context']} is no directory of the instance; {todo}", EX_CONFIG)
    if not os.path.isfile(dockerfile_of(build)):
        raise JobError(f"job.build.dockerfile: there is no {dockerfile_of(build)} on the instance; {todo}", EX_CONFIG)


def stamp_of(spec: dict[str, Any]) -> dict[str, Any]:
    """What an image archive is recognised by.

    Raises:
        JobError: there is none.
    """
    path = str(spec["archive"])
    try:
        found = os.stat(path)
    except OSError as error:
        what = f"job.archive {path} is not on the instance: {error.strerror}; send it by a channel"
        raise JobError(what, EX_CONFIG) from error
    return {"path": path, "size": found.st_size, "mtime_ns": found.st_mtime_ns, "image": spec["image"]}


def has_nvidia() -> bool:
    """Whether the engine can give a container the GPUs: by NVIDIA's runtime or by CDI."""
    info = docker("info", "--format", "{{json .Runtimes}} {{json .CDISpecDirs}}")
    if "nvidia" in info.stdout:
        return True
    return any(os.path.exists(os.path.join(folder, "nvidia.yaml")) for folder in ("/var/run/cdi", "/etc/cdi"))


def run_argv(spec: dict[str, Any], gpus: bool) -> list[str]:
    """The docker run command of a job."""
    state_dir = str(spec.get("whole_dir") or spec["state_dir"])
    grace = grace_of(spec)
    argv = ["docker", "run", "--rm", "--init", "--name", str(spec["container"]), "--stop-timeout", str(grace)]
    argv += ["--label", f"experiments.spot={spec.get('experiment')}", "--log-driver", "none"]
    argv += ["--network", str(spec.get("network") or "bridge")]
    for key in ("env_file", "workdir", "user", "shm_size"):
        argv += [f"--{key.replace('_', '-')}", str(spec[key])] if spec.get(key) else []
    argv += ["--gpus", "all"] if gpus else []
    for name, value in (spec.get("own_env") or {}).items():
        argv += ["--env", f"{name}={value}"]
    if spec.get("secrets_dir"):
        argv += ["--env", f"SPOT_SECRETS_DIR={SECRETS_INSIDE}"]
        argv += ["--volume", f"{spec['secrets_dir']}:{SECRETS_INSIDE}:ro"]
    for mount in [f"{state_dir}:{state_dir}", *(spec.get("mounts") or [])]:
        argv += ["--volume", str(mount)]
    return [*argv, *map(str, spec.get("extra_args") or []), str(spec["image"]), *map(str, spec.get("command") or [])]


def wants_gpus(spec: dict[str, Any], nvidia: Callable[[], bool]) -> bool:
    """`all` insists, `none` declines, `auto` takes them where there are any."""
    wish = spec.get("gpus") or "auto"
    return wish == "all" or (wish == "auto" and nvidia())


# What a job or docker run says at its end -> what it means and what to do. The first match counts.
# Source: messages of the Linux kernel, the NVIDIA container toolkit, CUDA and PyTorch.
DRIVER = "use a machine image with a newer one (images.yml), or a job.image for an older CUDA"
NO_GPU = "the container finds no GPU: take a type with one (capacity.instance_types), or set job.gpus to none"
JOB_REASONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("exec format error",),
        "made for another processor: build it for this machine's, or choose another type",
    ),
    (
        ("no space left on device",),
        "no space left: make the volume larger (volumes), or the disk of the container (image.root_volume_size)",
    ),
    (
        ("unsatisfied condition: cuda", "cuda driver version is insufficient", "driver on your system is too old"),
        f"the NVIDIA driver of the machine image is too old for the CUDA of the job: {DRIVER}",
    ),
    (
        ("driver/library version mismatch",),
        "the NVIDIA driver was updated while it was loaded: start the instance again, or use another machine image",
    ),
    (
        ("nvidia-container-cli: initialization error", "libnvidia-ml.so", "libcuda.so.1: cannot open", "nvml error"),
        "the NVIDIA driver is missing or not loaded: use a machine image that has it, such as a Deep Learning AMI",
    ),
    (
        (
            "could not select device driver",
            "unresolvable cdi devices",
            "no cuda-capable device",
            "found no nvidia driver",
        ),
        NO_GPU,
    ),
    (
        ("cuda out of memory", "cuda_error_out_of_memory", "outofmemoryerror: cuda"),
        "the memory of the GPU was not enough: a smaller batch, or a type with more",
    ),
)
# A reason stands at the end of what was said; earlier lines may tell of what the job has got over.
REASON_LINES = 15
REASON_LENGTH = 200


def said_reason(stderr: str) -> str:
    """Why a job failed, as far as its last lines tell it, with the line that does; '' when none does."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()][-REASON_LINES:]
    for signs, meaning in JOB_REASONS:
        found = next((line for line in reversed(lines) if any(sign in line.lower() for sign in signs)), "")
        if found:
            return f"{meaning} ({found[:REASON_LENGTH]})"
    return ""


def killed_for_memory(path: str = "/proc/vmstat") -> int | None:
    """How many processes the kernel has killed for memory since boot, in containers too; None where it does not tell.

    Source: Linux kernel, mm/oom_kill.c (event oom_kill).
    """
    try:
        with open(path, encoding="utf-8") as stream:
            return next((int(line.split()[1]) for line in stream if line.startswith("oom_kill ")), None)
    except (OSError, ValueError, IndexError):
        return None


def memory_reason(exit_code: int, before: int | None, after: int | None) -> str:
    """Whether a job that failed ran out of memory: '' when nothing says so.

    Args:
        exit_code: of the job.
        before: see `killed_for_memory`, when the job began.
        after: the same at its end.
    """
    much = "choose a type with more memory, or let the job need less"
    if before is not None and after is not None and after > before:
        if exit_code == 137:
            return f"killed, the memory was not enough: {much}"
        return f"the kernel killed a process for memory while the job ran: {much}"
    return f"killed by SIGKILL: most often the memory was not enough; {much}" if exit_code == 137 else ""


def explain(exit_code: int, stderr: str) -> str:
    """What an exit code of docker run means, '' for an ordinary one."""
    said = one_line(stderr)
    reason = said_reason(stderr)
    if exit_code in (125, 126, 127) and reason:
        return f"the container could not be started: {reason}"
    if exit_code == 125:
        return f"docker could not start the container: {said}"
    if exit_code in (126, 127):
        what = "cannot be run (permissions, format)" if exit_code == 126 else "is not in the image"
        return f"the command {what}: {said}"
    return reason or (f"ended by signal {exit_code - 128}" if 128 < exit_code < 160 else "")


# ---- without a container --------------------

# How a script is run, by the end of its name; any other runs by itself.
INTERPRETERS = {".py": ["python3", "-u"], ".sh": ["bash"]}
# Source: environ(7) and login(1); what systemd gives its units lacks the user's.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# bash itself is gone when the command runs, so that signals reach the command.
ACTIVATE = 'source "$1" ${2:+"$2"} && shift 2 && exec "$@"'


def steps_of(spec: dict[str, Any]) -> list[list[str]]:
    """The commands of a job without a container, in order."""
    scripts = [shlex.split(str(script)) for script in spec.get("scripts") or []]
    if not scripts:
        return [[str(word) for word in spec.get("command") or []]]
    return [_script(words, str(spec.get("workdir") or "/")) for words in scripts]


def _script(words: list[str], workdir: str) -> list[str]:
    interpreter = INTERPRETERS.get(os.path.splitext(words[0])[1], [])
    path = os.path.join(workdir, words[0])
    return [*interpreter, path if interpreter or os.path.exists(path) else words[0], *words[1:]]


def missing_scripts(spec: dict[str, Any]) -> list[str]:
    """Scripts that are not where they are to be; one without a known ending may be a command of the instance."""
    words = [shlex.split(str(script)) for script in spec.get("scripts") or []]
    workdir = str(spec.get("workdir") or "/")
    named = [one[0] for one in words if os.path.splitext(one[0])[1] in INTERPRETERS or "/" in one[0]]
    return [name for name in named if not os.path.exists(os.path.join(workdir, name))]


def user_of(spec: dict[str, Any]) -> tuple[pwd.struct_passwd, int]:
    """User and group id of a job without a container.

    Raises:
        JobError: there is no such user or group.
    """
    name, _colon, group = str(spec.get("user") or os.getuid()).partition(":")
    try:
        user = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
        gid = user.pw_gid if not group else int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise JobError(f"job.user {spec.get('user')}: there is no such user or group here", EX_CONFIG) from error
    return user, gid


def read_env(path: str | None) -> dict[str, str]:
    """The environment file: NAME=value lines, as docker run --env-file reads them."""
    if not path:
        return {}
    try:
        with open(path, encoding="utf-8") as stream:
            pairs = [line.rstrip("\n").partition("=") for line in stream if "=" in line]
    except OSError as error:
        raise JobError(f"the environment {path} cannot be read: {error.strerror}", EX_CONFIG) from error
    return {name: value for name, _sign, value in pairs}


def native_env(spec: dict[str, Any], user: pwd.struct_passwd) -> dict[str, str]:
    """Environment of a job without a container: a user's, and what the job asks for."""
    own = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "SHELL": user.pw_shell or "/bin/sh"}
    own |= {"PATH": PATH, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
    if spec.get("gpus") == "none":  # source: CUDA C++ programming guide, "CUDA environment variables"
        own["CUDA_VISIBLE_DEVICES"] = ""
    if spec.get("secrets_dir"):
        own["SPOT_SECRETS_DIR"] = str(spec["secrets_dir"])
    return own | read_env(spec.get("env_file")) | (spec.get("own_env") or {})


def native_argv(spec: dict[str, Any], step: list[str]) -> list[str]:
    """A command within the Python environment of the job, if it has one."""
    activate = [str(word) for word in spec.get("python") or []]
    return ["/bin/bash", "-c", ACTIVATE, "bash", *[*activate, ""][:2], *step] if activate else step


def explain_native(exit_code: int, stderr: str) -> str:
    """What an exit code of a command means, '' for an ordinary one."""
    if exit_code in (126, 127) and said_reason(stderr):
        return f"the command cannot be run: {said_reason(stderr)}"
    if exit_code == 127:
        return f"the command is not on the instance: {one_line(stderr)}"
    if exit_code == 126:
        return f"the command cannot be run (permissions, format): {one_line(stderr)}"
    return explain(exit_code, stderr)


# ---- secrets --------------------

# In memory, for root alone but for what the job is to read; job.json may name another one.
SECRETS = "/run/experiments-spot-secrets"
SECRETS_INSIDE = "/run/secrets"


def put_secrets(spec: dict[str, Any]) -> dict[str, Any]:
    """The job with the variables of `secrets` as files, and the others alone in its environment.

    docker inspect shows whoever may talk to the engine the environment of a container, /proc that of a process.

    Raises:
        JobError: a name is not in the environment, or the files cannot be written.
    """
    names = [str(name) for name in spec.get("secrets") or []]
    if not names:
        return spec
    env = read_env(spec.get("env_file"))
    missing = [name for name in names if name not in env]
    if missing:
        raise JobError(f"job.secrets: {', '.join(missing)} is not in job.env", EX_CONFIG)
    base = str(spec.get("secrets_base") or SECRETS)
    owner = None if spec.get("image") else user_of(spec)
    try:
        remove_secrets(spec)
        # A container sees the inner directory only, whatever its user may be; on the instance others stay outside.
        os.mkdir(base, 0o711 if owner else 0o700)
        os.mkdir(f"{base}/files", 0o755)
        for name in names:
            write_secret(f"{base}/files/{name}", env.pop(name), owner)
        if owner:
            os.chown(f"{base}/files", owner[0].pw_uid, owner[1])
            os.chmod(f"{base}/files", 0o500)
        write_secret(f"{base}/env", "".join(f"{name}={value}\n" for name, value in env.items()), None, 0o600)
    except OSError as error:
        raise JobError(f"job.secrets: {base} cannot be written: {error.strerror}", EX_CONFIG) from error
    return {**spec, "env_file": f"{base}/env", "secrets_dir": f"{base}/files"}


def write_secret(path: str, text: str, owner: tuple[pwd.struct_passwd, int] | None, mode: int = 0o444) -> None:
    """Write one file; with an owner for him alone."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400 if owner else mode)
    with os.fdopen(fd, "w", encoding="utf-8") as stream:
        stream.write(text)
        os.fchmod(stream.fileno(), 0o400 if owner else mode)
        if owner:
            os.fchown(stream.fileno(), owner[0].pw_uid, owner[1])


def remove_secrets(spec: dict[str, Any]) -> None:
    """Nothing of them is left when the job has ended, or before the next one."""
    shutil.rmtree(str(spec.get("secrets_base") or SECRETS), ignore_errors=True)


# ---- one run --------------------


def wait_child(child: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether a child ends within that time."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


class Wake:
    """What threading.Event is to threads, for a handler of signals too.

    A signal that finds the main thread inside an Event would wait for ever for the lock that this thread itself holds.
    Source: Python documentation, signal, "Note on Signal Handlers and Exceptions"; select(2), the self-pipe.
    """

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self.writer, False)

    def set(self) -> None:
        """Wake who waits; a pipe that is full wakes, too."""
        with contextlib.suppress(BlockingIOError):
            os.write(self.writer, b".")

    def wait(self, seconds: float) -> bool:
        """Whether it was set, after at most so long."""
        return bool(select.select([self.reader], [], [], seconds)[0])

    def clear(self) -> None:
        """Forget all that has set it."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.reader, 1 << 16)  # all that a pipe holds


class Run:
    """One container. `wake` is set by whatever ends the waiting: its end, a signal; the time limit is the timeout."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.ledger: Ledger | None = None
        self.wake = Wake()
        self.stopped_by = ""
        self.ended_by = ""
        self.stderr = b""
        self.where = ""
        self.grace = grace_of(spec)
        self.notice: dict[str, Any] = {}
        self.usage = Usage()
        self.layers = Layers()
        self.oom_kills: int | None = None
        self.deadline = math.inf
        self.record: dict[str, Any] = {}
        self.began = time.monotonic()

    def begin(self, record: dict[str, Any]) -> None:
        """The time limit counts from now, and what earlier generations have used of it counts too.

        Args:
            record: of this work in the ledger; `ran` has the seconds used.
        """
        limit, spent = self.spec.get("time_limit"), float(record.get("ran") or 0)
        self.record, self.began = record, time.monotonic() - spent
        self.deadline = self.began + float(limit) if limit else math.inf
        self.ended_by = self.where = ""

    def note_time(self) -> None:
        """Put the seconds that this work has run, in all generations, into its record."""
        self.record["ran"] = round(time.monotonic() - self.began)

    def left(self) -> float | None:
        """Seconds until the time limit, None without one."""
        return None if self.deadline == math.inf else max(0.0, self.deadline - time.monotonic())

    def on_signal(self, number: int, frame: Any) -> None:
        """SIGTERM or SIGINT: end in order."""
        del frame
        self.stopped_by = self.stopped_by or signal.Signals(number).name
        self.wake.set()

    def note(self, state: str) -> None:
        """Write a new state of this run."""
        if self.ledger is not None:
            self.ledger.note(state=state)

    def check_stop(self) -> None:
        """Raise when a signal came before the container was there."""
        if self.stopped_by:
            self.look_for_notice()
            why = end_by_notice(self.notice)[1] or f"stopped by {self.stopped_by}"
            raise JobError(f"{why}, before the container ran", EX_STOPPED)

    def look_for_notice(self) -> None:
        """Whether the signal comes from a notice, and how much time that leaves."""
        self.notice = read_notice(str(self.spec.get("notice_file") or NOTICE_PATH))
        self.grace = shorter_grace(self.grace, self.notice)

    def pull(self, image: str) -> tuple[int, str]:
        """docker pull with its progress in the ledger; a signal ends it."""
        self.note("pulling")
        say(f"pulling {image}")
        child = subprocess.Popen(pull_argv(image, quiet=False), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.layers = Layers()
        threading.Thread(target=self.layers.read, args=(child.stdout,), daemon=True).start()
        try:
            return self._said(child)
        finally:
            self.layers = Layers()
            if self.ledger is not None:
                self.ledger.entry.pop("layers", None)

    def make_image(self, state: str, argv: list[str]) -> tuple[int, str]:
        """docker build or docker load with all that it says in the journal; a signal ends it."""
        self.note(state)
        try:
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env={**os.environ, "BUILDKIT_PROGRESS": "plain"},
            )  # fmt: skip
        except FileNotFoundError as error:
            raise JobError(
                "docker is not installed on this instance; set runtime.docker: true", EX_UNAVAILABLE
            ) from error
        return self._said(child, 1)

    def _said(self, child: subprocess.Popen[bytes], copy_to: int | None = None) -> tuple[int, str]:
        """Wait for a command of docker, which a signal ends; its exit code and the end of what it said."""
        pump = threading.Thread(target=self._drain, args=(child, copy_to), daemon=True)
        pump.start()
        self._wait(child, None)
        if child.poll() is None:
            child.terminate()
            child.wait()
        pump.join(ENGINE_SLACK)
        self.check_stop()
        return child.returncode, self.stderr.decode(errors="replace")

    def _drain(self, child: subprocess.Popen[bytes], copy_to: int | None = None) -> None:
        """Read stderr to its end, keep the tail, hand it on piece by piece (progress bars have no line ends)."""
        self.stderr = b""
        stream = child.stderr or child.stdout
        while stream:
            piece = os.read(stream.fileno(), 65536)
            if not piece:
                return
            self.stderr = (self.stderr + piece)[-STDERR_TAIL:]
            if copy_to is not None:
                os.write(copy_to, piece)

    def _wait(self, child: subprocess.Popen[bytes], timeout: float | None) -> None:
        """Until the child ends, a signal comes, or the time is over; the ledger learns how far the job is."""

        def watch() -> None:
            child.wait()
            self.wake.set()

        threading.Thread(target=watch, daemon=True).start()
        self.sleep(timeout, lambda: child.poll() is not None)

    def sleep(self, seconds: float | None, done: Callable[[], bool] = lambda: False) -> None:
        """Until something is done, a signal comes, or the time is over (None: never); a wake-up that is old is none."""
        end = math.inf if seconds is None else time.monotonic() + seconds
        while not done() and not self.stopped_by and time.monotonic() < end:
            if not self.wake.wait(max(0.0, min(PROGRESS_EVERY, end - time.monotonic()))):
                self.note_progress()
            elif not self.stopped_by:
                self.wake.clear()

    def note_progress(self) -> None:
        """Copy the job's progress into the ledger; one that cannot be written now is not worth the job."""
        if self.ledger is None:
            return
        told = {"progress": read_progress(progress_path(self.spec)), "results": read_results(self.spec)}
        told["layers"] = self.layers.told()
        if self.ledger.entry.get("state") == "running":
            told["usage"] = self.usage.look()
            if told["usage"] != self.ledger.entry.get("usage"):  # once a minute, so a sudden end forgets no more
                self.note_time()
        changes = {key: value for key, value in told.items() if value and value != self.ledger.entry.get(key)}
        try:
            if changes:
                self.ledger.note(**changes)
        except JobError as error:
            say(f"{error}; the job goes on")

    def container(self) -> int:
        """Run the container to its end; returns its exit code."""
        spec = self.spec
        argv = run_argv(spec, wants_gpus(spec, has_nvidia))
        self.check_stop()
        self.note("running")
        say(f"running {spec['image']} as {spec['container']}")
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        pump = threading.Thread(target=self._drain, args=(child, 2), daemon=True)
        pump.start()
        self._wait(child, self.left())
        if child.poll() is None:
            self.ended_by = self.stopped_by or f"the time limit of {spec.get('time_limit')} s"
            if self.stopped_by:
                self.look_for_notice()
            self.stop(child)
        pump.join(ENGINE_SLACK)
        return child.returncode

    def native(self) -> int:
        """Run the commands one after the other until one fails; returns the last exit code."""
        spec = self.spec
        user, gid = user_of(spec)
        env = native_env(spec, user)
        workdir = str(spec.get("workdir") or user.pw_dir)
        self.check_native(workdir)
        self.check_stop()
        self.note("running")
        steps = steps_of(spec)
        code = 0
        for number, step in enumerate(steps):
            say(f"running {shlex.join(step)} as {user.pw_name} in {workdir}")
            who = {} if user.pw_uid == os.getuid() else {"user": user.pw_uid, "group": gid}
            groups = {"extra_groups": os.getgrouplist(user.pw_name, gid)} if who else {}
            code = self.step(native_argv(spec, step), env=env, cwd=workdir, **who, **groups)
            if code or self.ended_by:
                self.where = f"{' '.join(step[:2])} ({number + 1} of {len(steps)}): " if len(steps) > 1 else ""
                break
        return code

    def check_native(self, workdir: str) -> None:
        """Raise when what is to run is not there, before anything runs."""
        if not os.path.isdir(workdir):
            raise JobError(f"job.workdir {workdir} is not on the instance", EX_CONFIG)
        missing = missing_scripts(self.spec)
        if missing:
            what = f"job.scripts: {', '.join(missing)} not found in {workdir}"
            raise JobError(f"{what}; send them by a channel or section code", EX_CONFIG)

    def step(self, argv: list[str], **options: Any) -> int:
        """One command in a process group of its own; returns its exit code as a shell would tell it."""
        try:
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, **options
            )
        except OSError as error:
            self.stderr = f"{argv[0]}: {error.strerror}".encode()
            say(self.stderr.decode())
            return 127 if isinstance(error, FileNotFoundError) else 126
        pump = threading.Thread(target=self._drain, args=(child, 2), daemon=True)
        pump.start()
        self._wait(child, self.left())
        if child.poll() is None:
            self.ended_by = self.stopped_by or f"the time limit of {self.spec.get('time_limit')} s"
            if self.stopped_by:
                self.look_for_notice()
            self.end_group(child)
        pump.join(1)
        return 128 - child.returncode if child.returncode < 0 else child.returncode

    def end_group(self, child: subprocess.Popen[bytes]) -> None:
        """SIGTERM to the command and its children, after the grace SIGKILL."""
        say(f"stopping the job within {self.grace} s ({self.ended_by})")
        os.killpg(child.pid, signal.SIGTERM)
        if wait_child(child, self.grace):
            return
        say("it does not end by itself and is killed")
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def stop(self, child: subprocess.Popen[bytes]) -> None:
        """docker stop with the grace; what is still there after that is killed."""
        say(f"stopping the container within {self.grace} s ({self.ended_by})")
        name = str(self.spec["container"])
        for attempt in range(ENGINE_SLACK):
            stopped = docker("stop", "-t", str(self.grace), name)
            # docker run may not have made the container yet: then this is asked again.
            if wait_child(child, ENGINE_SLACK if stopped.returncode == 0 else 1):
                return
            say(f"docker stop, attempt {attempt + 1}: {one_line(stopped.stderr) or 'the container is still there'}")
        docker("rm", "--force", name)
        if not wait_child(child, ENGINE_SLACK):
            child.kill()
            child.wait()

    def outcome(self, exit_code: int) -> tuple[str, int, str]:
        """State, the runner's exit status and the message of a container that ended."""
        if self.ended_by and self.stopped_by:
            state, message = end_by_notice(self.notice)
            what = "container" if self.spec.get("image") else "job"
            message = message or f"stopped by {self.stopped_by}, the {what} ended with {exit_code}"
            return state or "stopped", EX_STOPPED, message
        if self.ended_by:
            return "failed", exit_code or 1, f"stopped: {self.ended_by} is reached"
        if exit_code == 0:
            return "succeeded", 0, ""
        told = explain if self.spec.get("image") else explain_native
        message = memory_reason(exit_code, self.oom_kills, killed_for_memory())
        message = message or told(exit_code, self.stderr.decode(errors="replace"))
        where = self.where if message else self.where.removesuffix(": ")
        return "failed", exit_code, f"{where}{message}"


def is_there(image: str) -> bool:
    """Whether the engine has an image."""
    return docker("image", "inspect", "--format", "ok", image).returncode == 0


def build_image(run: Run) -> None:
    """Build the image of the job; what has not changed comes out of docker's own cache.

    Raises:
        JobError: nothing to build from, or a step failed.
    """
    spec = run.spec
    check_build(spec["build"])
    say(f"building {spec['image']} from {dockerfile_of(spec['build'])}")
    status, said = run.make_image("building", build_argv(spec))
    if status:
        reason = reason_of(said, BUILD_REASONS, "a step failed, the log has all of it")
        raise JobError(f"image {spec['image']} was not built: {reason}", EX_UNAVAILABLE)


def load_image(run: Run, status_path: str = ARCHIVE_STATUS) -> None:
    """Load the image of the job from its archive, unless that was done already.

    Raises:
        JobError: no archive, a damaged one, or one without the image.
    """
    spec = run.spec
    stamp, image = stamp_of(spec), str(spec["image"])
    if read_notice(status_path) == stamp and is_there(image):
        return
    say(f"loading {image} from {spec['archive']}")
    status, said = run.make_image("loading", ["docker", "load", "--input", str(spec["archive"])])
    if status:
        reason = reason_of(said, LOAD_REASONS, "docker load failed")
        raise JobError(f"job.archive {spec['archive']} was not loaded: {reason}", EX_UNAVAILABLE)
    if not is_there(image):
        names = [line.partition(":")[2].strip() for line in said.splitlines() if line.startswith("Loaded image")]
        what = f"job.archive {spec['archive']} has {', '.join(names) or 'no image with a name'} and not {image}"
        raise JobError(f"{what}; correct job.image", EX_CONFIG)
    try:
        os.makedirs(os.path.dirname(status_path), exist_ok=True)
        with open(status_path, "w", encoding="utf-8") as stream:
            json.dump(stamp, stream)
    except OSError as error:
        say(f"{status_path} cannot be written: {error.strerror}; the archive is loaded again next time")


def have_image(run: Run) -> None:
    """Have the image of the job: built, loaded or pulled."""
    if run.spec.get("build"):
        build_image(run)
    elif run.spec.get("archive"):
        load_image(run, str(run.spec.get("archive_status") or ARCHIVE_STATUS))
    else:
        get_image(run.spec, run.pull, is_there)
    run.check_stop()


class End(NamedTuple):
    """How a job ended: state and message for the ledger, status of the runner, exit code of what it ran."""

    state: str
    status: int
    message: str
    exit_code: int | None


def run_once(run: Run) -> int:
    """Stale container and container, or the commands; returns the exit code."""
    spec = run.spec
    run.oom_kills = killed_for_memory()
    if not spec.get("image"):
        return run.native()
    # A runner that was killed may have left its container behind: two of them must never write the same checkpoints.
    if docker("container", "inspect", "--format", "ok", spec["container"]).returncode == 0:
        say(f"removing the container {spec['container']} that an earlier run left behind")
        docker("rm", "--force", spec["container"])
    return run.container()


# ---- again after a failure --------------------


def pause_before(attempt: int) -> float:
    """Seconds before the next attempt, after so many of them (from 1)."""
    return min(RETRY_LONGEST, RETRY_FIRST * 2.0 ** min(attempt - 1, 10))


def is_again(run: Run, exit_code: int, attempt: int) -> bool:
    """Whether a job is started again: it failed by itself, may try again, and the time limit leaves the time."""
    left = run.left()
    in_time = left is None or left > pause_before(attempt)
    tries = int(run.spec.get("retries") or 0)
    return exit_code not in NOT_AGAIN and not run.ended_by and not run.stopped_by and attempt <= tries and in_time


def attempts(run: Run, ledger: Ledger, record: dict[str, Any]) -> End:
    """The job, again after a failure as often as job.retries allows; returns how it ended at last.

    Args:
        run: of this job.
        ledger: of this job; its entry has the number of the attempt.
        record: what tells of the attempts that failed, a part of the ledger.
    """
    run.begin(record)
    attempt, tries = 1, int(run.spec.get("retries") or 0)
    ledger.entry.pop("attempt", None)
    if run.left() == 0:
        return End("failed", 1, f"not started: the time limit of {run.spec['time_limit']} s is used up", 1)
    while True:
        exit_code = run_once(run)
        run.note_time()
        state, status, message = run.outcome(exit_code)
        if not is_again(run, exit_code, attempt):
            told = f"{message + ', ' if message else ''}{attempt} attempts"
            return End(state, status, told if attempt > 1 and state == "failed" else message, exit_code)
        failed = {"exit_code": exit_code, "finished": now(), "message": message}
        record["retried"] = [*record.get("retried", []), failed][-KEPT_RUNS:]
        pause = pause_before(attempt)
        attempt += 1
        ledger.note(attempt=attempt)
        say(f"failed, exit code {exit_code}; attempt {attempt} of {tries + 1} in {pause:g} s")
        run.sleep(pause)
        if run.stopped_by:
            run.ended_by = run.stopped_by
            run.look_for_notice()
            return End(*run.outcome(exit_code), exit_code)


# ---- matrix --------------------


def used_before(record: dict[str, Any]) -> int:
    """Seconds of the time limit that a run has used which AWS or a fault cut off; a new one has all of it."""
    cut_off = record.get("state") in ("interrupted", "lost") or (
        record.get("state") == "failed" and record.get("exit_code") is None
    )
    ran = record.get("ran")
    return int(ran) if cut_off and isinstance(ran, (int, float)) else 0


def is_over(record: dict[str, Any]) -> bool:
    """Whether a combination has come to its end: one that was stopped or interrupted has not."""
    return record.get("state") == "succeeded" or (
        record.get("state") == "failed" and record.get("exit_code") is not None
    )


def substituted(word: str, params: dict[str, str], quote: Callable[[str], str] = str) -> str:
    """A word of the command with each $(NAME) of the matrix replaced, as Kubernetes does it in the command of a pod."""
    for name, value in params.items():
        word = word.replace(f"$({name})", quote(value))
    return word


def combined(spec: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    """The job of one combination: its parameters in command and environment, and a folder of its own."""
    params = one["params"]
    folder = os.path.join(str(spec["state_dir"]), MATRIX_DIR, one["name"])
    own = {"SPOT_STATE_DIR": folder, "SPOT_MATRIX_NAME": one["name"], "SPOT_MATRIX_INDEX": str(one["index"])}
    own["SPOT_MATRIX_TOTAL"] = str(spec.get("matrix_total"))
    words = {
        "command": [substituted(str(word), params) for word in spec.get("command") or []],
        "scripts": [substituted(str(line), params, shlex.quote) for line in spec.get("scripts") or []],
    }
    given = {key: value for key, value in words.items() if value}
    return {**spec, **given, "state_dir": folder, "whole_dir": spec["state_dir"], "own_env": {**params, **own}}


def make_folders(path: str, whole: str) -> None:
    """Make a directory somewhere below another one, whose owner and permissions it gets."""
    found = os.stat(whole)
    parts = os.path.relpath(path, whole).split(os.sep)
    for number in range(1, len(parts) + 1):
        folder = os.path.join(whole, *parts[:number])
        if not os.path.isdir(folder):
            os.mkdir(folder)
            os.chown(folder, found.st_uid, found.st_gid)
            os.chmod(folder, found.st_mode & 0o7777)


def make_folder(path: str, whole: str) -> None:
    """Make the folder of a combination; whoever may write into the state directory may write there.

    Raises:
        JobError: disk full, read-only.
    """
    try:
        make_folders(path, whole)
        stale = os.path.join(path, PROGRESS_FILE)
        if os.path.exists(stale):  # it told of the run before
            os.unlink(stale)
    except OSError as error:
        raise JobError(
            f"the folder {path} cannot be made: {error.strerror}; {_ledger_tip(error)}", EX_CANTCREAT
        ) from error


def reopen(spec: dict[str, Any], ledger: Ledger) -> None:
    """What the user wants to run once more is not over any more; a wish counts once, whatever comes in between."""
    wish = spec.get("rerun") or {}
    if not wish.get("id") or ledger.data.get("rerun") == wish["id"]:
        return
    for record in map(ledger.combination, spec["matrix"]):
        if not wish.get("failed_only") or record["state"] != "succeeded":
            record.update(state="waiting", exit_code=None)
    ledger.note()
    ledger.data["rerun"] = wish["id"]


def tell_matrix(spec: dict[str, Any], ledger: Ledger, name: str = "") -> None:
    """Write how far the matrix is; `name` is the combination that runs now."""
    records = [ledger.combination(one) for one in spec["matrix"]]
    states = [str(record["state"]) for record in records if is_over(record)]
    told = {"of": len(records), "done": len(states), "failed": states.count("failed")}
    ledger.note(matrix={**told, "total": spec.get("matrix_total"), "now": name})


def run_combination(run: Run, ledger: Ledger, record: dict[str, Any]) -> End:
    """One combination to its end; its record says how it ended, whatever happens."""
    make_folder(run.spec["state_dir"], run.spec["whole_dir"])
    ledger.entry.pop("progress", None)
    record.pop("retried", None)
    record["ran"] = used_before(record)
    record.update(state="running", exit_code=None, started=now(), finished=None, message="")
    record.update({key: run.spec.get(key) for key in ("generation", "instance_id", "state_dir")})
    end = End("stopped", EX_STOPPED, "", None)
    try:
        end = attempts(run, ledger, record)
    except JobError as error:
        end = End(end_before_container(run, error), error.status, str(error), None)
        raise
    finally:
        record.update(state=end.state, exit_code=end.exit_code, message=end.message, finished=now())
    return end


def run_matrix(run: Run, ledger: Ledger) -> End:
    """The combinations of this instance, one after the other; those that are over are left alone."""
    spec = run.spec
    reopen(spec, ledger)
    total = len(spec["matrix"])
    for number, one in enumerate(spec["matrix"], 1):
        record = ledger.combination(one)
        run.check_stop()
        if is_over(record):
            say(f"{one['name']} ({number} of {total}) has {record['state']} already; -e rerun=true runs it again")
            continue
        tell_matrix(spec, ledger, one["name"])
        run.spec = combined(spec, one)
        say(f"{one['name']} ({number} of {total})")
        try:
            end = run_combination(run, ledger, record)
        finally:
            run.spec = spec
        say(f"{one['name']} {end.state}, exit code {end.exit_code}{': ' if end.message else ''}{end.message}")
        if run.ended_by and run.stopped_by:
            tell_matrix(spec, ledger)
            return end
        if end.exit_code == 125 and spec.get("image"):  # docker's own error, the next one would meet it too
            break
    tell_matrix(spec, ledger)
    return matrix_end([ledger.combination(one) for one in spec["matrix"]])


def matrix_end(records: list[dict[str, Any]]) -> End:
    """How the whole ends: failed when one combination has, and it says which."""
    failed = [record for record in records if record["state"] == "failed"]
    if not failed:
        return End("succeeded", 0, "", 0)
    names = [f"{record['name']} (exit code {record['exit_code']})" for record in failed]
    more = f" and {len(names) - NAMED_FAILURES} more" if len(names) > NAMED_FAILURES else ""
    verb = "combination" if len(records) == 1 else "combinations"
    message = f"{len(failed)} of {len(records)} {verb} failed: {', '.join(names[:NAMED_FAILURES])}{more}"
    waiting = sum(1 for record in records if not is_over(record))
    message += f"; {waiting} not run: {failed[-1].get('message')}" if waiting else ""
    code = int(failed[-1]["exit_code"] or 1)
    return End("failed", code, message, code)


# ---- log --------------------


def log_path(spec: dict[str, Any]) -> str:
    """Where the log of a generation is kept, with what the job writes."""
    return os.path.join(str(spec["state_dir"]), LOG_DIR, f"generation-{int(spec.get('generation') or 1):03d}.txt")


def keep_log(run: Run) -> None:
    """Add what the journal has of this run to the log of its generation; a log that cannot be kept is told, no more."""
    spec, invocation = run.spec, os.environ.get("INVOCATION_ID", "")
    if not invocation:  # not started by systemd
        return
    limit = LOG_TIMEOUT_STOPPED if run.stopped_by else LOG_TIMEOUT
    path = log_path(spec)
    argv = ["journalctl", "--quiet", "--no-pager", "--output", "cat", "--lines", str(LOG_LINES)]
    argv.append(f"_SYSTEMD_INVOCATION_ID={invocation}")
    try:
        make_folders(os.path.dirname(path), str(spec["state_dir"]))
        # What was said a moment ago may not have arrived yet. Source: journalctl(1), --sync.
        subprocess.run(["journalctl", "--sync"], stderr=subprocess.DEVNULL, check=False, timeout=limit)
        with open(path, "ab") as stream:
            subprocess.run(argv, stdout=stream, stderr=subprocess.DEVNULL, check=True, timeout=limit)
    except (OSError, subprocess.SubprocessError) as error:
        say(f"the log is not kept in {path}: {error}")


# ---- the whole --------------------


def work(run: Run, ledger: Ledger) -> int:
    """The job, then the ledger; returns the runner's exit status."""
    spec = run.spec
    if spec.get("image"):
        have_image(run)
    run.spec = put_secrets(spec)
    try:
        end = run_matrix(run, ledger) if spec.get("matrix") is not None else attempts(run, ledger, ledger.entry)
    finally:
        run.spec = spec
        if spec.get("secrets"):
            remove_secrets(spec)
    run.note_progress()
    # Whoever stops a job sends its results: the notice watcher within its time, `state: stopped` without one.
    saving = os.path.exists(str(spec.get("results_config") or RESULTS_CONFIG)) and not run.stopped_by
    if saving:
        ledger.entry["saving"] = True
    ledger.end(end.state, end.exit_code, end.message)
    said = end.message.removeprefix(f"{end.state}: ")
    say(f"{end.state}, exit code {end.exit_code}{': ' if end.message else ''}{said}")
    keep_log(run)
    if saving:
        save_results(run, ledger)
    return end.status


def save_results(run: Run, ledger: Ledger) -> None:
    """Send the results and wait for it; the unit that sends them goes on when this runner is stopped meanwhile."""
    say("sending the results to their bucket")
    child = subprocess.Popen(["systemctl", "start", RESULTS_UNIT], stdin=subprocess.DEVNULL)
    while not run.stopped_by and not wait_child(child, 1):
        run.note_progress()
    ledger.entry.pop("saving", None)
    run.note_progress()
    ledger.note(results=read_results(run.spec))
    if child.poll() is None:
        return say("stopped while the results are sent; their unit goes on")
    told = ledger.entry["results"].get("message") or f"see journalctl -u {RESULTS_UNIT}"
    return say(f"the results were not sent: {told}" if child.returncode else "the results are in their bucket")


def main(argv: list[str]) -> int:
    """Run the job of a file; every failure is one line in the journal and, where it can be, in the ledger."""
    run = None
    try:
        spec = load_spec(argv[1] if len(argv) > 1 else "/etc/experiments-spot/job.json")
        run = Run(spec)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, run.on_signal)
        run.ledger = Ledger(spec)
        return work(run, run.ledger)
    except JobError as error:
        state = end_before_container(run, error)
        say(str(error) if str(error).startswith(state) else f"{state}: {error}")
        if run is not None and run.ledger is not None and error.status != EX_CANTCREAT:
            close_entry(run.ledger, state, error)
            keep_log(run)
        return error.status


def end_before_container(run: Run | None, error: JobError) -> str:
    """State of a run that never reached its container."""
    if error.status != EX_STOPPED:
        return "failed"
    return (end_by_notice(run.notice)[0] if run else "") or "stopped"


def close_entry(ledger: Ledger, state: str, error: JobError) -> None:
    """Write a failure before the container into the ledger; a ledger that cannot be written was said already."""
    try:
        ledger.end(state, None, str(error))
    except JobError:
        return


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
