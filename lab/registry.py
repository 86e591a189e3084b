"""The container registry of a lab: Debian's docker-registry on the gateway of the machines' network, filled once.

Its storage lies in the lab's cache and outlives the process; several labs share it. Source of the HTTP calls:
https://distribution.github.io/distribution/spec/api/
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import IO, Any

from lab import engine
from lab.engine import EngineError, Say
from lab.image import job, notebook

NAME, TAG = "experiments/digits", "1"
HOST = "registry.lab"  # what the machines call the gateway
PORT = 5000
JOB_IMAGE = f"{HOST}:{PORT}/{NAME}:{TAG}"
PYTHON_NAME = "experiments/python"
PYTHON_IMAGE = f"{HOST}:{PORT}/{PYTHON_NAME}:{TAG}"
SHELL_NAME = "experiments/shell"
SHELL_IMAGE = f"{HOST}:{PORT}/{SHELL_NAME}:{TAG}"
LAYERS = {SHELL_NAME: 1, PYTHON_NAME: 2}  # how many of the job image's layers they have
NOTEBOOK_NAME = "experiments/notebook"
NOTEBOOK_IMAGE = f"{HOST}:{PORT}/{NOTEBOOK_NAME}:{TAG}"
START_TIMEOUT = 20.0  # seconds
STOP_TIMEOUT = 5.0  # seconds


def default_storage() -> Path:
    """Where all labs of this user keep the registry's blobs."""
    return engine.cache_dir() / "registry"


@dataclass(frozen=True)
class Registry:
    """A registry process, known by its address: `start` and `stop` may be called from different processes.

    Attributes:
        address: The IP address it listens on; it must be up when the registry starts.
        notes: Directory of its configuration, process id and log; the lab's own, so that whoever ends the lab finds it.
        port: The TCP port.
        storage: Directory of its blobs.
    """

    address: str
    notes: Path
    port: int = PORT
    storage: Path = field(default_factory=default_storage)

    @property
    def url(self) -> str:
        """`http://address:port`."""
        return f"http://{self.address}:{self.port}"

    @property
    def _config(self) -> Path:
        return self.notes / f"registry-{self.address}-{self.port}.json"

    @property
    def _log(self) -> Path:
        return self._config.with_suffix(".log")

    def pid(self) -> int | None:
        """The process that serves this address for us; None when there is none."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(self._config.with_suffix(".pid").read_text())
            if str(self._config) in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
                return pid
        return None

    def start(self, say: Say = print) -> None:
        """Starts the registry, or finds it running.

        Raises:
            EngineError: There is no docker-registry, the port is taken, or it does not come up.
        """
        with engine.locked("registry", say):
            if self.pid() is None:
                self._wait(self._spawn())

    def _spawn(self) -> subprocess.Popen[bytes]:
        program = shutil.which("docker-registry", path=engine.SEARCH_PATH)
        if program is None:
            raise EngineError(
                f"There is no container registry here. Type: {engine.install_command(['docker-registry'])}"
            )
        if self.answers():
            raise EngineError(
                f"Another program serves {self.address}:{self.port}, where the lab's registry must listen. If it is "
                "Debian's own service, type: sudo systemctl disable --now docker-registry"
            )
        self.storage.mkdir(parents=True, exist_ok=True)
        engine.write_atomically(self._config, json.dumps(self.configuration(), indent=1).encode())
        with open(self._log, "wb") as log:
            process = subprocess.Popen(
                [program, "serve", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        engine.write_atomically(self._config.with_suffix(".pid"), str(process.pid).encode())
        return process

    def configuration(self) -> dict[str, Any]:
        """The registry's configuration (YAML, of which JSON is a part)."""
        return {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.storage)}, "delete": {"enabled": True}},
            "http": {"addr": f"{self.address}:{self.port}"},
        }

    def answers(self) -> bool:
        """Whether something speaks the registry's protocol at our address."""
        try:
            with _open(f"{self.url}/v2/", timeout=2):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not (self.pid() and self.answers()):
            # Asked of the process itself: for a moment after exec /proc has no command line, and pid() is None.
            if process.poll() is not None or time.monotonic() > deadline:
                tail = " | ".join(self._log.read_text(errors="replace").strip().splitlines()[-3:])
                self.stop()
                raise EngineError(f"The registry does not come up at {self.address}:{self.port}: {tail}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends the process if there is one; the storage stays."""
        pid = self.pid()
        if pid is not None:
            _end(pid)
        for suffix in (".pid", ".json"):
            self._config.with_suffix(suffix).unlink(missing_ok=True)


def _end(pid: int) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while _alive(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.02)


def _alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and is our child is taken off the table."""
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# --------------------------------------------------------------------------------------------------- job image


def ensure_job_image(registry: Registry, say: Say = print) -> None:
    """Sees to it that the registry has the demo's job image, of today's recipe, as `JOB_IMAGE`.

    Its first layer alone is `SHELL_IMAGE`, for jobs that need only a shell, with the second it is `PYTHON_IMAGE`.

    Args:
        registry: Started.
        say: Gets one line per step.

    Raises:
        EngineError: The image cannot be built; has what pip or mmdebstrap said.
    """

    _ensure(registry, NAME, job.recipe(), job.build, say)
    for name, layers in LAYERS.items():
        if pushed_recipe(registry, name, TAG) != job.recipe():
            push(registry, name, TAG, pushed_layers(registry, NAME, TAG)[:layers], job.recipe())


def ensure_notebook_image(registry: Registry, say: Say = print) -> None:
    """Sees to it that the registry has the job image with Jupyter upon it, of today's recipe, as `NOTEBOOK_IMAGE`.

    Args:
        registry: Started.
        say: Gets one line per step.

    Raises:
        EngineError: One of the two cannot be built; has what pip or mmdebstrap said.
    """
    ensure_job_image(registry, say)

    def build(directory: Path) -> list[job.Layer]:
        return [*pushed_layers(registry, NAME, TAG), notebook.build(directory)]

    _ensure(registry, NOTEBOOK_NAME, notebook.recipe(), build, say)


def _ensure(registry: Registry, name: str, version: str, build: Callable[[Path], list[job.Layer]], say: Say) -> None:
    if pushed_recipe(registry, name, TAG) == version:
        return
    with engine.locked("job-image", say):
        if pushed_recipe(registry, name, TAG) == version:
            return
        with (
            engine.heartbeat(f"Building the job image {HOST}:{PORT}/{name}:{TAG} (once, about half a minute)", say),
            tempfile.TemporaryDirectory(prefix=".job-", dir=engine.cache_dir()) as directory,
        ):
            push(registry, name, TAG, build(Path(directory)), version)


def pushed_layers(registry: Registry, name: str, tag: str) -> list[job.Layer]:
    """The layers of an image that the registry has."""
    manifest = _get(f"{registry.url}/v2/{name}/manifests/{tag}", job.MANIFEST)
    config = _get(f"{registry.url}/v2/{name}/blobs/{manifest['config']['digest']}", job.CONFIG)
    both = zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True)
    return [job.Layer(None, layer["digest"], layer["size"], diff_id) for layer, diff_id in both]


def pushed_recipe(registry: Registry, name: str, tag: str) -> str | None:
    """The recipe that the registry's image was made from; None when it has no such image."""
    try:
        manifest = _get(f"{registry.url}/v2/{name}/manifests/{tag}", job.MANIFEST)
        config = _get(f"{registry.url}/v2/{name}/blobs/{manifest['config']['digest']}", job.CONFIG)
        for layer in manifest["layers"]:
            with _open(f"{registry.url}/v2/{name}/blobs/{layer['digest']}", method="HEAD"):
                pass
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
    return (config.get("config") or {}).get("Labels", {}).get(job.LABEL)


def push(registry: Registry, name: str, tag: str, layers: Sequence[job.Layer], version: str) -> None:
    """Uploads the blobs of an image (links those that the job image has), then the manifest that makes it visible."""
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    config = job.encode(job.config(layers, version, job.go_architecture(platform.machine()), created))
    manifest = job.manifest(layers, config)
    for layer in layers:
        if layer.path is None:
            _link(registry, name, layer.digest)
        else:
            with open(layer.path, "rb") as file:
                _upload(registry, name, layer.digest, file, layer.size)
    _upload(registry, name, manifest["config"]["digest"], config, len(config))
    data = job.encode(manifest)
    headers = {"Content-Type": job.MANIFEST}
    with _open(f"{registry.url}/v2/{name}/manifests/{tag}", method="PUT", data=data, headers=headers):
        pass


def _link(registry: Registry, name: str, digest: str) -> None:
    words = urllib.parse.urlencode({"mount": digest, "from": NAME})
    with _open(f"{registry.url}/v2/{name}/blobs/uploads/?{words}", method="POST", data=b"") as answer:
        if answer.status != 201:
            raise EngineError(f"The registry does not give {name} the layer {digest} of {NAME}")


def _upload(registry: Registry, name: str, digest: str, data: bytes | IO[bytes], size: int) -> None:
    with _open(f"{registry.url}/v2/{name}/blobs/uploads/", method="POST", data=b"") as answer:
        place = urllib.parse.urljoin(registry.url, answer.headers["Location"])
    target = f"{place}{'&' if '?' in place else '?'}{urllib.parse.urlencode({'digest': digest})}"
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    with _open(target, method="PUT", data=data, headers=headers, timeout=120):
        pass


def _get(url: str, accept: str) -> dict[str, Any]:
    with _open(url, headers={"Accept": accept}) as answer:
        document: dict[str, Any] = json.load(answer)
    return document


def _open(
    url: str,
    *,
    method: str = "GET",
    data: bytes | IO[bytes] | None = None,
    headers: dict[str, str] | None = None,
    timeout: float = 30,
) -> HTTPResponse:
    # The registry is on this machine: a proxy of the environment would not find it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
    answer: HTTPResponse = opener.open(request, timeout=timeout)
    return answer
