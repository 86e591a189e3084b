"""The container image of the demo's job: a shell, Debian's Python 3.11 and a few packages from PyPI, a layer each.

No engine and no registry take part: the layers are parts of a tar file that mmdebstrap writes, the rest of an image is
two small JSON documents (https://distribution.github.io/distribution/spec/manifest-v2-2/).
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from lab import engine, image
from lab.engine import EngineError

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE.parents[1] / "examples" / "digits" / "requirements.txt"
PACKAGES = ["base-files", "busybox-static", "libstdc++6", "python3"]
PYTHON = "3.11"  # Debian 12's
OF_SHELL = "shell/"  # where job.sh puts what the first layer holds
OF_PACKAGES = ("usr/local/", "var/cache/matplotlib/")  # what the third layer holds
DATA_ONLY = "scikit-learn"  # its data set is used, its code and scipy are not
GLIBC_TAGS = ("manylinux_2_36", "manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux_2_17", "manylinux2014")
LABEL = "experiments.spot.recipe"
GZIP_LEVEL = 0  # the registry is on the same machine: time counts, not bytes, and each pull would decompress them again
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
ENVIRONMENT = [
    "PATH=/usr/local/bin:/usr/bin:/bin",
    "LANG=C.UTF-8",
    "PYTHONDONTWRITEBYTECODE=1",
    "MPLCONFIGDIR=/var/cache/matplotlib",
    "MPLBACKEND=Agg",
]


@dataclass(frozen=True)
class Layer:
    """A layer: gzip file (None: the registry has it), digest of that file, its size in bytes, digest of its tar."""

    path: Path | None
    digest: str
    size: int
    diff_id: str


def requirements(text: str) -> tuple[list[str], list[str]]:
    """Splits a requirements file into what is installed with its dependencies and what only brings data."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [x for x in lines if not x.startswith(DATA_ONLY)], [x for x in lines if x.startswith(DATA_ONLY)]


def pip_command(target: Path, wanted: Sequence[str], machine: str, *, dependencies: bool) -> list[str]:
    """The pip call that puts wheels for the image's Python, whatever Python runs it, into `target`."""
    return [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
        *("--no-warn-conflicts", "--upgrade", "--target", str(target), "--only-binary=:all:"),
        *("--implementation", "cp", "--python-version", PYTHON),
        *(word for tag in GLIBC_TAGS for word in ("--platform", f"{tag}_{machine}")),
        *(() if dependencies else ("--no-deps",)),
        *wanted,
    ]


def recipe() -> str:
    """12 hex digits of all that decides what is in the image."""
    files = {path.name: path.read_bytes() for path in (HERE / "job.sh", REQUIREMENTS)}
    words = [platform.machine(), image.SUITE, str(GZIP_LEVEL), *PACKAGES, *ENVIRONMENT, *GLIBC_TAGS, *image.EXCLUDED]
    return image.recipe_hash(files, words)


def config(layers: Sequence[Layer], version: str, architecture: str, created: str) -> dict[str, Any]:
    """The image's configuration; `created` is a time in RFC 3339."""
    return {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {"Env": ENVIRONMENT, "Cmd": ["sh"], "Labels": {LABEL: version}},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created_by": "mmdebstrap and pip"} for _layer in layers],
    }


def manifest(layers: Sequence[Layer], config_data: bytes) -> dict[str, Any]:
    """The image's manifest. Source: Image Manifest V 2, Schema 2."""
    digest = "sha256:" + hashlib.sha256(config_data).hexdigest()
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "size": len(config_data), "digest": digest},
        "layers": [{"mediaType": LAYER, "size": layer.size, "digest": layer.digest} for layer in layers],
    }


def go_architecture(machine: str) -> str:
    """`uname -m` as image configurations name it."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def build(directory: Path) -> list[Layer]:
    """Makes the layers in `directory`: a shell, Debian's Python, and the packages.

    Raises:
        EngineError: pip or mmdebstrap failed; has what they said.
    """
    with tempfile.TemporaryDirectory(prefix="lab-job-") as work:
        os.chmod(work, 0o755)
        site = Path(work) / "site"
        _install(site)
        hook = f'{HERE / "job.sh"} "$1" {site}'
        argv = [
            *("mmdebstrap", "--quiet", "--variant=extract", "--include=" + ",".join(PACKAGES)),
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in image.EXCLUDED),
            *(f"--aptopt={option}" for option in image.host_apt_options()),
            *(f"--extract-hook={hook}", image.SUITE, "-", *image.host_sources()),
        ]
        parts = [directory / f"{name}.tar" for name in ("shell", "python", "packages")]
        with _output(argv, directory / "job-build.log") as stream:
            split(stream, *parts)
        return [_pack(part) for part in parts]


def split(stream: IO[bytes], shell: Path, base: Path, packages: Path) -> None:
    """Writes each entry of a tar stream to the tar file of its layer; what is `OF_SHELL` loses that directory."""
    with (
        tarfile.open(fileobj=stream, mode="r|") as source,
        tarfile.open(shell, "w") as first,
        tarfile.open(base, "w") as second,
        tarfile.open(packages, "w") as third,
    ):
        for member in source:
            name = f"{member.name.removeprefix('./')}/"
            target = third if name.startswith(OF_PACKAGES) else second
            if name.startswith(OF_SHELL):
                target, member.name = first, f"./{name.removeprefix(OF_SHELL)}".rstrip("/")
            target.addfile(member, source.extractfile(member) if member.isreg() else None)
    while stream.read(1 << 20):  # the padding, without which the writer would not end well
        pass


def _pack(part: Path) -> Layer:
    with part.open("rb") as file:
        layer = gzip_layer(_blocks(file), part.with_suffix(".tar.gz"))
    part.unlink()
    return layer


def _install(site: Path) -> None:
    full, data = requirements(REQUIREMENTS.read_text(encoding="utf-8"))
    for wanted, dependencies in ((full, True), (data, False)):
        install(site, wanted, dependencies=dependencies)


def install(site: Path, wanted: Sequence[str], *, dependencies: bool = True) -> None:
    """Puts packages of PyPI into a directory; raises EngineError with what pip says."""
    argv = pip_command(site, wanted, platform.machine(), dependencies=dependencies)
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(f"pip cannot get {' '.join(wanted)} for the job image: {done.stderr.strip()[-600:]}")


def compress(argv: Sequence[str], path: Path, log: Path) -> Layer:
    """The layer of a tar stream that a command writes.

    Raises:
        EngineError: it failed; has the end of its log.
    """
    try:
        with _output(argv, log) as stream:
            return gzip_layer(_blocks(stream), path)
    except EngineError:
        path.unlink()
        raise


@contextmanager
def _output(argv: Sequence[str], log: Path) -> Iterator[IO[bytes]]:
    """What a command writes. Raises EngineError at the end where it failed, or where that is no whole tar stream."""
    environment = os.environ | {"PATH": engine.SEARCH_PATH, "LC_ALL": "C.UTF-8"}
    broken: Exception | None = None
    with (
        open(log, "wb") as errors,
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, env=environment) as source,
    ):
        assert source.stdout is not None
        try:
            yield source.stdout
        except tarfile.TarError as error:
            broken = error
    if source.returncode or broken:
        tail = " | ".join(log.read_text(errors="replace").strip().splitlines()[-4:])
        raise EngineError(f"Building the job image failed; the end of {log}: {tail}") from broken


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(stream.read, 1 << 20), b"")


def gzip_layer(blocks: Iterable[bytes], path: Path) -> Layer:
    """Compresses a tar stream into `path`, with both digests on the way."""
    inner, outer, size = hashlib.sha256(), hashlib.sha256(), 0
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)  # 31: gzip header, no name, no time
    with open(path, "wb") as file:

        def emit(data: bytes) -> None:
            outer.update(data)
            file.write(data)

        for block in blocks:
            inner.update(block)
            emit(packer.compress(block))
        emit(packer.flush())
        size = file.tell()
    return Layer(path, f"sha256:{outer.hexdigest()}", size, f"sha256:{inner.hexdigest()}")


def encode(document: dict[str, Any]) -> bytes:
    """A document as the bytes that its digest is of."""
    return json.dumps(document, indent=1).encode()
