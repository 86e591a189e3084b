"""The image of the lab's machines: Debian 12 with systemd, sshd, docker and cloud-init, from Debian packages only.

`rootfs/` is copied over the packages, `customize.sh` does the rest inside; what they are and the host's own certificate
authorities and package sources decide the tag, so that a changed recipe is another image.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import docker
import docker.errors

from lab import engine
from lab.engine import EngineError, Say

HERE = Path(__file__).resolve().parent
REPOSITORY = "experiments-spot-lab/machine"
SUITE = "bookworm"
LOGIN_USER = "admin"  # uid and gid 1000, as in Debian's own image at AWS
KEEP = 3  # images of older recipes that stay in the cache and in the engine: other checkouts may use them

PACKAGES = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "python3",
    "python3-apt",
    "sudo",
    "rsync",
    "ca-certificates",
    "curl",
    "iproute2",
    "procps",
    "kmod",
    "e2fsprogs",
    "xfsprogs",
    "nfs-common",
    "iptables",
    "docker.io",
    "cloud-init",
]
# Documentation, translations, and the parts of docker and containerd that no one calls: a third of the image.
EXCLUDED = [
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/i18n/*",
    "/usr/bin/ctr",
    "/usr/bin/dnet",
    "/usr/sbin/ovrouter",
    "/usr/bin/containerd-shim",
    "/usr/bin/containerd-shim-runc-v1",
]
DEFAULT_SOURCES = [
    f"deb http://deb.debian.org/debian {SUITE} main",
    f"deb http://deb.debian.org/debian {SUITE}-updates main",
    f"deb http://deb.debian.org/debian-security {SUITE}-security main",
]
HOST_AUTHORITIES = Path("/usr/local/share/ca-certificates")
# Of the host's apt configuration only what decides whether packages can be had at all.
APT_OPTIONS = re.compile(
    r'^Acquire::(?:(?:http|https)::Proxy|Check-Valid-Until|Check-Date|Max-FutureTime) "[^"]+";$', re.IGNORECASE
)


# --------------------------------------------------------------------------------------- what the host tells us


def _one_line(text: str) -> Iterator[dict[str, str]]:
    """Entries of a *.list file. Source: sources.list(5), one-line style."""
    for line in text.splitlines():
        found = re.match(
            r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uris>\S+)\s+(?P<suites>\S+)\s+(?P<components>.+)", line
        )
        if found:
            signed = re.search(r"signed-by=(\S+)", found["options"] or "")
            yield {**found.groupdict(""), "types": "deb", "signed-by": signed[1] if signed else ""}


def _deb822(text: str) -> Iterator[dict[str, str]]:
    """Stanzas of a *.sources file. Source: sources.list(5), deb822 style."""
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if ":" in line and not line.startswith(("#", " "))]
        fields = {key.strip().lower(): value.strip() for key, value in (line.split(":", 1) for line in lines)}
        if "uris" in fields and fields.get("enabled", "yes").lower() != "no":
            yield fields


def debian_sources(files: dict[str, str]) -> list[str]:
    """The host's own mirror of the image's suite as one-line entries, else Debian's.

    Args:
        files: Name of a file of apt's sources → its text.

    Returns:
        `deb URI SUITE COMPONENTS` lines. Other distributions, archives that are signed by somebody else and sources
        that only this host can reach (file:, mirror+file:, cdrom:) are left out.
    """
    lines = []
    for name, text in sorted(files.items()):
        for entry in _deb822(text) if name.endswith(".sources") else _one_line(text):
            if "deb" in entry.get("types", "").split() and _of_debian(entry):
                lines += _lines(entry)
    return lines if any(line.split()[2] == SUITE for line in lines) else list(DEFAULT_SOURCES)


def _of_debian(entry: dict[str, str]) -> bool:
    signed = entry.get("signed-by", "")
    return "main" in entry.get("components", "").split() and (not signed or "debian-archive" in signed)


def _lines(entry: dict[str, str]) -> list[str]:
    suites = [s for s in entry.get("suites", "").split() if re.fullmatch(SUITE + r"(-updates|-security)?", s)]
    uris = [u for u in entry["uris"].split() if u.startswith(("http://", "https://"))]
    return [f"deb {uri} {suite} main" for uri in uris for suite in suites]


def apt_options(dump: str) -> list[str]:
    """The lines of `apt-config dump` that the image's apt needs too."""
    return [line for line in dump.splitlines() if APT_OPTIONS.match(line)]


def host_sources() -> list[str]:
    """`debian_sources` of this machine."""
    directory = Path("/etc/apt/sources.list.d")
    files = [Path("/etc/apt/sources.list"), *directory.glob("*.list"), *directory.glob("*.sources")]
    return debian_sources({file.name: file.read_text(errors="replace") for file in files if file.is_file()})


def host_apt_options() -> list[str]:
    """`apt_options` of this machine."""
    if shutil.which("apt-config") is None:
        return []
    return apt_options(subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout)


# --------------------------------------------------------------------------------------------------- the recipe


def recipe_files(base: Path = HERE) -> dict[str, bytes]:
    """The files that make the image, by their path under `base`."""
    paths = [base / "customize.sh", *(p for p in (base / "rootfs").rglob("*") if p.is_file())]
    return {str(path.relative_to(base)): path.read_bytes() for path in sorted(paths)}


def recipe_hash(files: dict[str, bytes], words: Iterable[str]) -> str:
    """12 hex digits of all that decides what is in the image."""
    digest = hashlib.sha256()
    for name, data in sorted(files.items()):
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    digest.update("\0".join(words).encode())
    return digest.hexdigest()[:12]


def bootstrap_command(customize: Path, sources: Sequence[str], options: Sequence[str]) -> list[str]:
    """The mmdebstrap call that writes the image as a tar stream to its standard output."""
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--include=" + ",".join(PACKAGES),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED),
        *(f"--aptopt={option}" for option in (*options, 'Acquire::Retries "3";')),
        f"--customize-hook={customize}",
        SUITE,
        "-",
        *sources,
    ]


def _authorities() -> dict[str, bytes]:
    if not HOST_AUTHORITIES.is_dir():
        return {}
    return {f"ca/{p.name}": p.read_bytes() for p in sorted(HOST_AUTHORITIES.rglob("*.crt")) if p.is_file()}


# ----------------------------------------------------------------------------------------------------- building


def ensure_image(say: Say = print) -> str:
    """Sees to it that the engine has the machine image: as it is there, from the cache, or built.

    Args:
        say: Gets one line per step, and one every ten seconds of a long one.

    Returns:
        Its tag, `experiments-spot-lab/machine:<12 hex digits>`.

    Raises:
        EngineError: The build failed; has the end of its log and where the whole log is.
    """
    files = {**recipe_files(), **_authorities()}
    sources, options = host_sources(), host_apt_options()
    version = recipe_hash(files, [*bootstrap_command(Path("customize.sh"), sources, options)])
    tag = f"{REPOSITORY}:{version}"
    client = engine.api(timeout=600)
    try:
        if not has_image(client, tag):
            with engine.locked("image", say):
                if not has_image(client, tag):
                    _provide(client, version, files, bootstrap_words=(sources, options), say=say)
    finally:
        client.close()
    return tag


def has_image(client: docker.APIClient, tag: str) -> bool:
    """Whether the engine has an image of that tag."""
    try:
        client.inspect_image(tag)
    except docker.errors.ImageNotFound:
        return False
    return True


def _provide(
    client: docker.APIClient,
    version: str,
    files: dict[str, bytes],
    bootstrap_words: tuple[list[str], list[str]],
    say: Say,
) -> None:
    tarball = engine.cache_dir() / f"machine-{version}.tar.zst"
    if not tarball.exists():
        with engine.heartbeat("Building the machine image from Debian packages (once, about a minute)", say):
            _build(tarball, files, *bootstrap_words)
    with engine.heartbeat("Loading the machine image into the engine", say):
        try:
            load(client, tarball, version)
        except (EngineError, docker.errors.APIError) as error:
            tarball.unlink()  # a damaged file would fail for ever
            raise EngineError(f"The cached machine image was damaged and is removed; start again. ({error})") from error
    _forget_old(client, keep=version)


def _build(tarball: Path, files: dict[str, bytes], sources: list[str], options: list[str]) -> None:
    log = tarball.with_name("machine-build.log")
    new = tarball.with_name(f".{tarball.name}.{os.getpid()}")
    with tempfile.TemporaryDirectory(prefix="lab-image-") as work, open(log, "wb") as errors, open(new, "wb") as out:
        os.chmod(work, 0o755)  # mmdebstrap may drop its own rights
        customize = _unpack(Path(work), files)
        try:
            _pipe(bootstrap_command(customize, sources, options), ["zstd", "-q", "-3", "-T0"], out, errors)
        except (subprocess.CalledProcessError, OSError) as error:
            new.unlink()
            tail = log.read_text(errors="replace").strip().splitlines()[-4:]
            raise EngineError(f"Building the machine image failed; the end of {log}: {' | '.join(tail)}") from error
        os.fsync(out.fileno())
    os.replace(new, tarball)


def _unpack(work: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (work / "customize.sh").chmod(0o755)
    return work / "customize.sh"


def _pipe(first: Sequence[str], second: Sequence[str], out: IO[bytes], errors: IO[bytes]) -> None:
    """Runs `first | second > out`; raises CalledProcessError when either fails."""
    environment = os.environ | {"PATH": engine.SEARCH_PATH, "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(first, stdout=subprocess.PIPE, stderr=errors, env=environment) as source:
        done = subprocess.run(second, stdin=source.stdout, stdout=out, stderr=errors, check=False)
    for argv, code in ((first, source.returncode), (second, done.returncode)):
        if code:
            raise subprocess.CalledProcessError(code, argv[0])


def load(client: docker.APIClient, tarball: Path, version: str) -> None:
    """Imports a root file system (tar, zstd) as `REPOSITORY:version`; raises EngineError when the file is damaged."""
    with subprocess.Popen(["zstd", "-q", "-dc", str(tarball)], stdout=subprocess.PIPE) as unpack:
        client.import_image_from_data(_blocks(unpack.stdout), repository=REPOSITORY, tag=version)
    if unpack.returncode:
        client.remove_image(f"{REPOSITORY}:{version}", force=True)
        raise EngineError(f"{tarball} is not a complete zstd file")


def _blocks(stream: IO[bytes] | None, size: int = 1 << 20) -> Iterator[bytes]:
    while stream is not None and (block := stream.read(size)):
        yield block


def oldest(named: Iterable[tuple[float, str]], keep: str, count: int = KEEP) -> list[str]:
    """Of (time, version) pairs the versions to remove: all but `keep` and the newest, `count` in all."""
    others = sorted((pair for pair in named if pair[1] != keep), reverse=True)
    return [version for _, version in others[count - 1 :]]


def _forget_old(client: docker.APIClient, keep: str) -> None:
    tarballs = {p.name[8:-8]: p for p in engine.cache_dir().glob("machine-*.tar.zst")}
    for version in oldest(((p.stat().st_mtime, v) for v, p in tarballs.items()), keep):
        tarballs[version].unlink(missing_ok=True)
    images = [(i["Created"], tag.split(":")[1]) for i in client.images(REPOSITORY) for tag in i["RepoTags"] or []]
    for version in oldest(images, keep):
        try:
            client.remove_image(f"{REPOSITORY}:{version}")
        except docker.errors.APIError:  # a machine of another lab uses it
            continue
