from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from lab import engine, image

ROOTFS = image.HERE / "rootfs"


def nothing(line: str) -> None:
    """A `say` that nobody listens to."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(engine.CACHE_VARIABLE, str(tmp_path / "cache"))
    return engine.cache_dir()


DEB822 = """Types: deb
# a remark
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://deb.example.com/node
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/node.gpg
"""


def test_the_hosts_mirror_is_used_without_other_archives() -> None:
    assert image.debian_sources({"debian.sources": DEB822}) == [
        "deb http://mirror.example/debian bookworm main",
        "deb http://mirror.example/debian bookworm-updates main",
    ]


def test_one_line_sources() -> None:
    text = (
        "# deb http://old.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m.example/debian bookworm main\n"
        "deb-src http://m.example/debian bookworm main\n"
        "deb [signed-by=/etc/apt/keyrings/docker.asc] https://docker.example/debian bookworm main\n"
        "deb http://cloud.example sdk-bookworm main\n"
    )
    assert image.debian_sources({"sources.list": text}) == ["deb http://m.example/debian bookworm main"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "deb http://archive.example/ubuntu noble main\n",
        "deb http://m.example/debian trixie main\n",
        "deb mirror+file:/etc/apt/mirrors/debian.list bookworm main\n",
        "deb file:/srv/mirror bookworm main\n",
    ],
)
def test_hosts_without_a_mirror_of_the_suite_get_debians(text: str) -> None:
    assert image.debian_sources({"sources.list": text}) == image.DEFAULT_SOURCES


def test_a_disabled_stanza_is_left_out() -> None:
    assert image.debian_sources({"debian.sources": "Enabled: no\n" + DEB822}) == image.DEFAULT_SOURCES


def test_only_apt_options_that_decide_whether_packages_can_be_had() -> None:
    dump = 'Acquire::http::Proxy "http://p:3128";\nAcquire::Check-Valid-Until "false";\nDPkg::Post-Invoke:: "evil";\nAPT "";\n'
    assert image.apt_options(dump) == ['Acquire::http::Proxy "http://p:3128";', 'Acquire::Check-Valid-Until "false";']


def test_recipe_hash_is_12_hex_digits_and_sees_every_byte() -> None:
    base = image.recipe_hash({"a": b"1", "b": b"2"}, ["word"])
    assert re.fullmatch("[0-9a-f]{12}", base)
    others = [({"a": b"12", "b": b""}, ["word"]), ({"a": b"1", "b": b"3"}, ["word"]), ({"a": b"1", "b": b"2"}, ["w"])]
    assert base not in {image.recipe_hash(files, words) for files, words in others}
    assert base == image.recipe_hash({"b": b"2", "a": b"1"}, ["word"])


def test_the_recipe_has_all_its_files() -> None:
    files = image.recipe_files()
    assert "customize.sh" in files
    assert "rootfs/usr/local/sbin/lab-init" in files
    assert not [name for name in files if name.endswith((".py", ".pyc"))]


def test_bootstrap_command_has_packages_sources_and_options() -> None:
    argv = image.bootstrap_command(Path("/w/customize.sh"), ["deb http://m s main"], ['A "b";'])
    assert argv[0] == "mmdebstrap" and argv[-3:] == ["bookworm", "-", "deb http://m s main"]
    assert "--customize-hook=/w/customize.sh" in argv and '--aptopt=A "b";' in argv
    include = next(word for word in argv if word.startswith("--include="))
    assert {"systemd-sysv", "openssh-server", "docker.io", "cloud-init", "rsync", "xfsprogs"} <= set(
        include.removeprefix("--include=").split(",")
    )


def test_oldest_keeps_the_wanted_one_and_the_newest() -> None:
    found = [(1.0, "a"), (4.0, "d"), (2.0, "b"), (3.0, "c")]
    assert image.oldest(found, keep="a", count=3) == ["b"]
    assert image.oldest(found, keep="d", count=3) == ["a"]
    assert image.oldest(found[:2], keep="a", count=3) == []


class FakeEngine:
    """Images and imports of an engine."""

    def __init__(self) -> None:
        self.tags: set[str] = set()
        self.imported: list[bytes] = []

    def inspect_image(self, tag: str) -> None:
        if tag not in self.tags:
            raise docker.errors.ImageNotFound("no")

    def import_image_from_data(self, data: Any, repository: str, tag: str) -> None:
        self.imported.append(b"".join(data))
        self.tags.add(f"{repository}:{tag}")

    def remove_image(self, tag: str, force: bool = False) -> None:
        self.tags.discard(tag)

    def images(self, repository: str) -> list[dict[str, Any]]:
        return [{"Created": 1, "RepoTags": [tag]} for tag in sorted(self.tags)]

    def close(self) -> None:
        pass


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    made = FakeEngine()
    monkeypatch.setattr(engine, "api", lambda timeout: made)
    monkeypatch.setattr(image, "bootstrap_command", lambda *a: ["echo", "tarball"])
    monkeypatch.setattr(image, "_authorities", dict)
    return made


needs_zstd = pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is one of the lab's Debian packages")


@needs_zstd
def test_the_image_is_built_once_and_then_taken_from_engine_or_cache(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = image.ensure_image(nothing)
    assert re.fullmatch(r"experiments-spot-lab/machine:[0-9a-f]{12}", tag)
    assert fake.imported == [b"tarball\n"]
    monkeypatch.setattr(image, "_build", lambda *a: pytest.fail("built again"))
    assert image.ensure_image(nothing) == tag
    fake.tags.clear()  # an engine that was cleaned
    assert image.ensure_image(nothing) == tag
    assert fake.imported == [b"tarball\n"] * 2


@needs_zstd
def test_a_failing_build_is_one_error_and_leaves_no_tarball(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setattr(
        image, "bootstrap_command", lambda *a: ["sh", "-c", "echo 'E: cannot reach the mirror' >&2; exit 3"]
    )
    with pytest.raises(engine.EngineError, match="cannot reach the mirror"):
        image.ensure_image(nothing)
    assert not [p for p in cache.iterdir() if "tar.zst" in p.name]
    assert not fake.tags


@needs_zstd
def test_a_damaged_tarball_is_removed(fake: FakeEngine, cache: Path) -> None:
    tag = image.ensure_image(nothing)
    tarball = cache / f"machine-{tag.split(':')[1]}.tar.zst"
    tarball.write_bytes(tarball.read_bytes()[:-3])
    fake.tags.clear()
    with pytest.raises(engine.EngineError, match="damaged"):
        image.ensure_image(nothing)
    assert not tarball.exists() and not fake.tags


def test_blocks_are_all_of_the_stream() -> None:
    assert list(image._blocks(io.BytesIO(b"abcde"), 2)) == [b"ab", b"cd", b"e"]


@pytest.mark.parametrize(
    "script", [image.HERE / "customize.sh", image.HERE / "job.sh", *ROOTFS.glob("usr/local/sbin/*")]
)
def test_scripts_are_executable_and_parse(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0


def console(tmp_path: Path) -> str:
    """What lab-init's host_keys prints, run for real over a directory of its own."""
    text = (ROOTFS / "usr/local/sbin/lab-init").read_text().replace("/etc/ssh/", f"{tmp_path}/")
    function = re.search(r"^host_keys\(\) \{.*?^\}$", text, re.DOTALL | re.MULTILINE)
    assert function is not None
    done = subprocess.run(["sh", "-c", f"{function[0]}\nhost_keys"], capture_output=True, text=True, check=True)
    return done.stdout


def test_lab_init_does_nothing_unless_it_is_the_first_process() -> None:
    done = subprocess.run([ROOTFS / "usr/local/sbin/lab-init"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == "" and "first process of a lab machine" in done.stderr


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="openssh-client is one of the lab's Debian packages")
def test_host_keys_are_made_once_and_shown_in_the_words_of_cloud_init(tmp_path: Path) -> None:
    first, second = console(tmp_path), console(tmp_path)
    block = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----\n(.*)-----END SSH HOST KEY KEYS-----\n", re.DOTALL)
    keys = block.search(first)
    assert keys is not None
    assert [line.split()[0] for line in keys[1].splitlines()] == ["ecdsa-sha2-nistp256", "ssh-ed25519"]
    again = block.search(second)
    assert again is not None and again[1] == keys[1]
    prints = [line for line in first.splitlines() if "SHA256:" in line]
    assert len(prints) == 2 and all(re.match(r"<14>\w{3} [ \d]\d \d\d:\d\d:\d\d cloud-init: 256 ", p) for p in prints)
    assert "-----BEGIN SSH HOST KEY FINGERPRINTS-----" in first


def test_no_identity_is_part_of_the_recipe() -> None:
    customize = (image.HERE / "customize.sh").read_text()
    assert 'rm -f "$root"/etc/ssh/ssh_host_*' in customize
    assert ': >"$root/etc/machine-id"' in customize
    assert not [name for name in image.recipe_files() if "ssh_host" in name or name.endswith("machine-id")]
