"""The docker engine under the lab: what must be installed, how it starts, how a container becomes a machine here.

Nothing in this module knows instances or AWS. The order of a first start is `install_packages`, `ensure_engine`,
`lab.image.ensure_image`, `probe`; each of them does nothing when its work is already done.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import docker
import docker.errors
import docker.utils

Say = Callable[[str], None]

CACHE_VARIABLE = "EXPERIMENTS_SPOT_LAB_CACHE"
SEARCH_PATH = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"
# What the lab calls -> the Debian 12 package that has it. A path stands for itself, a name is looked up.
NEEDS = {
    "dockerd": "docker.io",
    "iptables": "iptables",
    "rsync": "rsync",
    "ssh": "openssh-client",
    "mmdebstrap": "mmdebstrap",
    "zstd": "zstd",
    "docker-registry": "docker-registry",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "nsenter": "util-linux",
    "losetup": "mount",
    "ip": "iproute2",
    "update-ca-certificates": "ca-certificates",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
# Each machine's systemd, dbus and docker hold some; with the kernel's 128 the tenth machine waits for ever at boot.
KERNEL_LIMITS = {"fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 1048576}
ENGINE_LOG = Path("/var/log/experiments-spot-dockerd.log")
ENGINE_TIMEOUT = 60.0  # seconds
BOOT_TIMEOUT = 40.0  # seconds a probed machine may take on a busy host; a healthy one takes one


class EngineError(Exception):
    """The lab cannot run here; the message says what is missing and the exact command that mends it."""


def cache_dir() -> Path:
    """Where the lab keeps what is expensive to make: images, the registry's storage, probe results.

    Returns:
        An existing directory: `$EXPERIMENTS_SPOT_LAB_CACHE`, else `~/.cache/experiments.spot/lab`.
    """
    path = Path(os.environ.get(CACHE_VARIABLE) or "~/.cache/experiments.spot/lab").expanduser()
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(name: str, say: Say = print) -> Iterator[None]:
    """Holds the lock `name` of the cache directory; a second process says that it waits, and waits."""
    with open(cache_dir() / f"{name}.lock", "w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"Another process works on the lab's {name}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def heartbeat(what: str, say: Say = print, every: float = 10.0) -> Iterator[None]:
    """Says `what` at once, again with the elapsed seconds every `every` seconds, and at the end how long it took."""
    began = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(every):
            say(f"{what}: {time.monotonic() - began:.0f} s")

    say(f"{what} ...")
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    say(f"{what}: done in {time.monotonic() - began:.1f} s")


# ---------------------------------------------------------------------------------------------------- packages


def packages_for(missing: Sequence[str]) -> list[str]:
    """The Debian packages that have the commands `missing` (names out of `NEEDS`), sorted, each once."""
    return sorted({NEEDS[name] for name in missing})


def _there(need: str) -> bool:
    return os.path.exists(need) if need.startswith("/") else shutil.which(need, path=SEARCH_PATH) is not None


def missing_packages() -> list[str]:
    """The Debian packages the lab needs and this machine lacks; an engine that already answers needs no dockerd."""
    missing = [need for need in NEEDS if not _there(need)]
    if "dockerd" in missing and engine_answers():
        missing.remove("dockerd")
    return packages_for(missing)


def install_command(packages: Sequence[str]) -> str:
    """The command that a person types to install `packages`."""
    return "sudo apt-get install --yes --no-install-recommends " + " ".join(packages)


def _as_root() -> list[str] | None:
    """The words to put before a command so that it runs as root without a question; None where there is no such way."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n"]
    return None


def install_packages(packages: Sequence[str] | None = None, say: Say = print) -> list[str]:
    """Installs what is missing from Debian.

    Args:
        packages: Names of Debian packages; default: `missing_packages()`.
        say: Gets one line per step.

    Returns:
        The packages that were installed.

    Raises:
        EngineError: Without root or a sudo that asks nothing, without apt, or when apt fails.
    """
    wanted = list(missing_packages() if packages is None else packages)
    if not wanted:
        return []
    prefix = _as_root()
    if shutil.which("apt-get") is None:
        raise EngineError(f"The lab needs {', '.join(wanted)} (Debian package names), and there is no apt-get here.")
    if prefix is None:
        raise EngineError(f"The lab needs Debian packages and may not install them. Type: {install_command(wanted)}")
    with locked("packages", say), heartbeat(f"Installing {' '.join(wanted)}", say):  # apt-get waits for no other
        _apt([*prefix, "apt-get", "update", "-qq"])
        _apt([*prefix, "env", "DEBIAN_FRONTEND=noninteractive", *install_command(wanted).split()[1:], "-qq"])
    if "docker-registry" in wanted and _systemd():  # the package's own service takes port 5000 on every address
        subprocess.run([*prefix, "systemctl", "disable", "--now", "docker-registry"], capture_output=True, check=False)
    return wanted


def _apt(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(
            f"{' '.join(argv)} failed ({done.returncode}): {(done.stderr or done.stdout).strip()[-1000:]}"
        )


# ------------------------------------------------------------------------------------------------------ engine


def api(timeout: int = 120) -> docker.APIClient:
    """A client of the engine that `DOCKER_HOST` names, else of the local socket; make one for each thread."""
    return docker.APIClient(**docker.utils.kwargs_from_env(), timeout=timeout)


def engine_answers() -> bool:
    """Whether an engine answers us now."""
    return _engine_problem() is None


def _engine_problem() -> Exception | None:
    try:
        client = api(timeout=30)
        try:
            client.ping()
        finally:
            client.close()
    except (docker.errors.DockerException, OSError) as problem:  # requests' errors are OSErrors
        return problem
    return None


def _systemd() -> bool:
    return os.path.isdir("/run/systemd/system")


def explain(problem: Exception, user: str) -> str:
    """One sentence and one command for an engine that does not answer `user`, who is not root."""
    if "Permission denied" in repr(problem) or "PermissionError" in repr(problem):
        return f"The docker engine refuses {user}. Type: sudo usermod --append --groups docker {user} && newgrp docker"
    if not _there("dockerd"):
        return f"There is no docker engine here. Type: {install_command(['docker.io'])}"
    start = "systemctl start docker" if _systemd() else f"sh -c 'dockerd >>{ENGINE_LOG} 2>&1 &'"
    return f"No docker engine answers, and only root can start one. Type: sudo {start}"


def ensure_engine(say: Say = print) -> None:
    """Sees to it that a docker engine answers; starts one where none does and we are root.

    A running engine is reused as it is. A started one belongs to no terminal: it stays when the lab goes.

    Raises:
        EngineError: No engine and no way to start one; the message has the command to type.
    """
    problem = _engine_problem()
    if problem is not None:
        if os.geteuid() != 0:
            raise EngineError(explain(problem, getpass.getuser()))
        with locked("engine", say):
            if not engine_answers():
                _start_engine(say)
    raise_kernel_limits()


def _start_engine(say: Say) -> None:
    if shutil.which("dockerd", path=SEARCH_PATH) is None:
        raise EngineError(f"There is no docker engine here. Type: {install_command(['docker.io'])}")
    with heartbeat("Starting the docker engine", say):
        if _systemd():
            subprocess.run(["systemctl", "start", "docker"], capture_output=True, check=False)
        if not engine_answers():
            _wait_for_engine(_spawn_dockerd())


def _spawn_dockerd() -> subprocess.Popen[bytes]:
    with open(ENGINE_LOG, "ab") as log:
        return subprocess.Popen(
            [shutil.which("dockerd", path=SEARCH_PATH) or "dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=os.environ | {"PATH": SEARCH_PATH},
            start_new_session=True,
        )


def _wait_for_engine(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + ENGINE_TIMEOUT
    while not engine_answers():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = ENGINE_LOG.read_text(errors="replace").strip().splitlines()[-3:]
            raise EngineError(f"dockerd does not come up; the end of {ENGINE_LOG}: " + " | ".join(tail))
        time.sleep(0.1)


def raise_kernel_limits(base: Path = Path("/proc/sys")) -> list[str]:
    """Raises the kernel limits that many machines on one kernel run into; never lowers one; without root nothing.

    Returns:
        The names (as under /proc/sys) that were raised.
    """
    raised = []
    for name, least in KERNEL_LIMITS.items():
        with contextlib.suppress(OSError):
            if int((base / name).read_text()) < least:
                (base / name).write_text(str(least))
                raised.append(name)
    return raised


# ------------------------------------------------------------------------------------- a container as a machine


@dataclass(frozen=True)
class RunOptions:
    """How a container of the machine image must be made so that systemd and docker run in it on this host."""

    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ("seccomp=unconfined", "apparmor=unconfined")
    device_cgroup_rules: tuple[str, ...] = ()
    cgroupns: Literal["private", "host"] = "private"
    tmpfs: dict[str, str] = field(default_factory=lambda: {"/run": "", "/run/lock": ""})
    volumes: tuple[str, ...] = ("/var/lib/docker",)  # on overlay the inner docker falls back to copying every layer
    environment: dict[str, str] = field(default_factory=lambda: {"container": "docker", "SYSTEMD_COLORS": "0"})
    command: tuple[str, ...] = ("/usr/local/sbin/lab-init",)
    stop_signal: str = "SIGRTMIN+3"

    def host_config(self, client: docker.APIClient, **more: Any) -> dict[str, Any]:
        """The HostConfig of the engine's API; `more` goes to docker-py's `create_host_config` (network_mode …)."""
        config: dict[str, Any] = client.create_host_config(
            privileged=self.privileged,
            cap_add=list(self.cap_add) or None,
            cap_drop=list(self.cap_drop) or None,
            security_opt=list(self.security_opt),
            device_cgroup_rules=list(self.device_cgroup_rules) or None,
            cgroupns=self.cgroupns,
            tmpfs=dict(self.tmpfs),
            **more,
        )
        # A machine owns its /proc and /sys: sysctl, the inner docker.
        return {**config, "MaskedPaths": [], "ReadonlyPaths": []}

    def create(self, client: docker.APIClient, image: str, *, host: dict[str, Any] | None = None, **more: Any) -> str:
        """Creates (does not start) a machine.

        Args:
            client: The engine.
            image: Tag of the machine image.
            host: Goes to `host_config`.
            **more: Goes to docker-py's `create_container` (name, hostname, labels, networking_config …).

        Returns:
            The container's id.
        """
        environment = {**self.environment, **more.pop("environment", {})}
        made = client.create_container(
            image,
            list(self.command),
            tty=True,  # gives the machine a /dev/console, whose output is the container's log
            environment=environment,
            volumes=list(self.volumes),
            stop_signal=self.stop_signal,
            host_config=self.host_config(client, **(host or {})),
            **more,
        )
        return str(made["Id"])

    @classmethod
    def from_json(cls, text: str) -> RunOptions:
        """Reads what `to_json` wrote."""
        told: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(text).items()}
        return cls(**told)

    def to_json(self) -> str:
        """The options as one JSON object."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)


_UNPRIVILEGED = RunOptions(cap_add=("ALL",), device_cgroup_rules=("b 7:* rmw",))  # 7: loop devices, as EBS volumes
# Tried in this order. A privileged container sees the host's disks and may change its devices, so it comes last.
CANDIDATES = (
    _UNPRIVILEGED,
    replace(_UNPRIVILEGED, cap_drop=("SYS_RESOURCE",)),
    RunOptions(privileged=True),
    replace(_UNPRIVILEGED, cgroupns="host"),
)
# What a machine must be able to do: log in, run containers, use a block device that was made for it.
READY = "systemctl is-active -q ssh docker && mknod /run/probe b 7 0 && rm /run/probe && cat /run/boot_id"


def probe_key(engine: dict[str, Any], image: str) -> str:
    """Names the cache file of a probe: another engine, version, kernel, image or candidate is another probe."""
    facts = [engine.get(name) for name in ("ID", "ServerVersion", "KernelVersion", "CgroupVersion")]
    told = json.dumps([facts, image, [c.to_json() for c in CANDIDATES]])
    return "probe-" + hashlib.sha256(told.encode()).hexdigest()[:16] + ".json"


def probe(image: str, say: Say = print) -> RunOptions:
    """Finds out how a machine must be made on this engine, by making one; remembered per engine and image.

    Args:
        image: Tag of the machine image, in the engine.
        say: Gets one line per step.

    Raises:
        EngineError: None of the ways works; has the reason of each.
    """
    client = api()
    try:
        cached = cache_dir() / probe_key(client.info(), image)
        with locked("probe", say):
            if cached.exists():
                return RunOptions.from_json(cached.read_text())
            with heartbeat("Finding out how a machine runs on this engine", say):
                options = _first_that_boots(client, image)
            write_atomically(cached, options.to_json().encode())
            return options
    finally:
        client.close()


def _first_that_boots(client: docker.APIClient, image: str) -> RunOptions:
    reasons = []
    for options in CANDIDATES:
        reason = _boot_problem(client, image, options)
        if reason is None:
            return options
        kind = "privileged" if options.privileged else f"all capabilities but {list(options.cap_drop)}"
        reasons.append(f"{kind}, cgroup namespace {options.cgroupns}: {reason}")
    raise EngineError("No machine boots on this docker engine. Tried: " + "; ".join(reasons))


def _boot_problem(client: docker.APIClient, image: str, options: RunOptions) -> str | None:
    try:
        machine = options.create(client, image, labels={"experiments-spot-lab-probe": "1"})
    except docker.errors.APIError as error:
        return str(error.explanation)
    try:
        client.start(machine)
        return _until_ready(client, machine)
    except docker.errors.APIError as error:
        return str(error.explanation)
    finally:
        client.remove_container(machine, force=True, v=True)


def _until_ready(client: docker.APIClient, machine: str) -> str | None:
    deadline = time.monotonic() + BOOT_TIMEOUT
    while time.monotonic() < deadline:
        if not client.inspect_container(machine)["State"]["Running"]:
            return "it ended: " + _last_line(client.logs(machine, tail=5))
        made = client.exec_create(machine, ["sh", "-c", READY])
        output = client.exec_start(made["Id"])
        if client.exec_inspect(made["Id"])["ExitCode"] == 0:
            return None
        time.sleep(0.2)
    return f"not ready within {BOOT_TIMEOUT:.0f} s; {_last_line(output) or _last_line(client.logs(machine, tail=5))}"


def _last_line(output: bytes) -> str:
    return (output.decode(errors="replace").strip().splitlines() or [""])[-1].strip()


def write_atomically(path: Path, data: bytes) -> None:
    """Writes `data` so that `path` is never seen half written."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with open(new, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
