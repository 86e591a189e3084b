from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from lab import engine


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(engine.CACHE_VARIABLE, str(tmp_path / "cache"))
    return engine.cache_dir()


def nothing(line: str) -> None:
    """A `say` that nobody listens to."""


def test_cache_dir_follows_the_environment_and_exists(tmp_path: Path) -> None:
    assert engine.cache_dir() == tmp_path / "cache"
    assert engine.cache_dir().is_dir()


def test_packages_are_named_once_and_in_order() -> None:
    assert engine.packages_for(["zstd", "losetup", "dockerd", "zstd"]) == ["docker.io", "mount", "zstd"]


def test_missing_packages_are_those_of_missing_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_there", lambda need: need not in ("zstd", "dockerd"))
    monkeypatch.setattr(engine, "engine_answers", lambda: False)
    assert engine.missing_packages() == ["docker.io", "zstd"]


def test_an_engine_that_answers_needs_no_dockerd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_there", lambda need: need != "dockerd")
    monkeypatch.setattr(engine, "engine_answers", lambda: True)
    assert engine.missing_packages() == []


def test_install_without_root_tells_the_exact_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_as_root", lambda: None)
    with pytest.raises(engine.EngineError, match="sudo apt-get install --yes --no-install-recommends zstd"):
        engine.install_packages(["zstd"], nothing)


def test_install_without_apt_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.shutil, "which", lambda *a, **k: None)
    with pytest.raises(engine.EngineError, match="zstd"):
        engine.install_packages(["zstd"], nothing)


def test_install_of_nothing_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.subprocess, "run", lambda *a, **k: pytest.fail("ran something"))
    assert engine.install_packages([], nothing) == []


def install(monkeypatch: pytest.MonkeyPatch, systemd: bool, code: int = 0) -> list[list[str]]:
    calls: list[list[str]] = []

    def run(argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(list(argv))
        return subprocess.CompletedProcess(argv, code, "", "E: no network")

    monkeypatch.setattr(engine, "_as_root", lambda: ["sudo", "-n"])
    monkeypatch.setattr(engine, "_systemd", lambda: systemd)
    monkeypatch.setattr(engine.shutil, "which", lambda *a, **k: "/usr/bin/apt-get")
    monkeypatch.setattr(engine.subprocess, "run", run)
    return calls


def test_install_updates_and_installs_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = install(monkeypatch, systemd=False)
    assert engine.install_packages(["zstd", "rsync"], nothing) == ["zstd", "rsync"]
    assert calls[0] == ["sudo", "-n", "apt-get", "update", "-qq"]
    assert calls[1][:4] == ["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive"]
    assert calls[1][-3:-1] == ["zstd", "rsync"]
    assert len(calls) == 2


def test_two_installations_at_once_are_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """apt-get fails where another one runs: its lock waits for nobody."""
    apt = tmp_path / "apt-get"
    apt.write_text(f"#!/bin/sh\nmkdir {tmp_path}/lock && sleep 0.2 && rmdir {tmp_path}/lock\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv(engine.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(engine, "_as_root", lambda: [])
    monkeypatch.setattr(engine, "_systemd", lambda: False)
    with ThreadPoolExecutor() as pool:
        done = [pool.submit(engine.install_packages, [name], nothing) for name in ("chromium", "nfs-common")]
        assert [one.result() for one in done] == [["chromium"], ["nfs-common"]]


def test_the_service_of_the_registry_package_does_not_keep_port_5000(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = install(monkeypatch, systemd=True)
    engine.install_packages(["docker-registry"], nothing)
    assert calls[-1] == ["sudo", "-n", "systemctl", "disable", "--now", "docker-registry"]


def test_a_failing_apt_is_one_error_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, systemd=False, code=100)
    with pytest.raises(engine.EngineError, match="E: no network"):
        engine.install_packages(["zstd"], nothing)


@pytest.mark.parametrize(
    ("installed", "systemd", "command"),
    [
        (True, True, "sudo systemctl start docker"),
        (True, False, "sudo sh -c 'dockerd >>"),
        (False, True, "sudo apt-get install --yes --no-install-recommends docker.io"),
    ],
)
def test_no_engine_and_no_root_gives_a_command(
    monkeypatch: pytest.MonkeyPatch, installed: bool, systemd: bool, command: str
) -> None:
    monkeypatch.setattr(engine, "_there", lambda need: installed)
    monkeypatch.setattr(engine, "_systemd", lambda: systemd)
    monkeypatch.setattr(engine, "_engine_problem", lambda: FileNotFoundError("docker.sock"))
    monkeypatch.setattr(engine.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(engine.getpass, "getuser", lambda: "alice")
    with pytest.raises(engine.EngineError) as caught:
        engine.ensure_engine(nothing)
    assert command in str(caught.value)


def test_a_refused_socket_names_the_group_and_the_user() -> None:
    said = engine.explain(docker.errors.DockerException("PermissionError(13, 'Permission denied')"), "alice")
    assert "sudo usermod --append --groups docker alice" in said


def test_an_engine_that_answers_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_engine_problem", lambda: None)
    monkeypatch.setattr(engine, "_start_engine", lambda say: pytest.fail("started a second engine"))
    monkeypatch.setattr(engine, "raise_kernel_limits", list)
    engine.ensure_engine(nothing)


def test_no_dockerd_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.shutil, "which", lambda *a, **k: None)
    with pytest.raises(engine.EngineError, match=r"docker\.io"):
        engine._start_engine(nothing)


def test_a_dockerd_that_ends_is_told_with_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "ENGINE_LOG", tmp_path / "log")
    (tmp_path / "log").write_text("one\nfailed to start daemon: no iptables\n")
    monkeypatch.setattr(engine, "engine_answers", lambda: False)
    with subprocess.Popen(["true"]) as ended, pytest.raises(engine.EngineError, match="no iptables"):
        ended.wait()
        engine._wait_for_engine(ended)  # type: ignore[arg-type]


def test_kernel_limits_are_raised_and_never_lowered(tmp_path: Path) -> None:
    names = list(engine.KERNEL_LIMITS)
    for name, value in zip(names, (128, 99_999_999), strict=True):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    assert engine.raise_kernel_limits(tmp_path) == names[:1]
    assert int((tmp_path / names[0]).read_text()) == engine.KERNEL_LIMITS[names[0]]
    assert int((tmp_path / names[1]).read_text()) == 99_999_999


def test_kernel_limits_without_the_files_do_nothing(tmp_path: Path) -> None:
    assert engine.raise_kernel_limits(tmp_path) == []


@pytest.mark.parametrize("options", engine.CANDIDATES)
def test_run_options_survive_json(options: engine.RunOptions) -> None:
    assert engine.RunOptions.from_json(options.to_json()) == options


def client() -> docker.APIClient:
    return docker.APIClient(version="1.41")


def test_host_config_gives_a_machine_its_own_proc() -> None:
    config = engine.CANDIDATES[1].host_config(client(), network_mode="net")
    assert config["MaskedPaths"] == [] and config["ReadonlyPaths"] == []
    assert config["CapAdd"] == ["ALL"] and config["CapDrop"] == ["SYS_RESOURCE"]
    assert config["DeviceCgroupRules"] == ["b 7:* rmw"]
    assert config["NetworkMode"] == "net"
    assert not config.get("Privileged")


def test_privileged_comes_after_what_shows_less_of_the_host() -> None:
    assert [c.privileged for c in engine.CANDIDATES].index(True) >= 2


def test_create_makes_a_console_and_a_volume_for_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}
    one = client()
    monkeypatch.setattr(
        one, "create_container", lambda image, command, **k: made.update(k, command=command) or {"Id": "x"}
    )
    assert engine.RunOptions().create(one, "image", name="i-1", environment={"A": "b"}) == "x"
    assert made["tty"] and made["volumes"] == ["/var/lib/docker"] and made["name"] == "i-1"
    assert made["environment"] == {"container": "docker", "SYSTEMD_COLORS": "0", "A": "b"}
    assert made["command"] == ["/usr/local/sbin/lab-init"]


class FakeEngine:
    """An engine on which only one of the candidates boots."""

    def __init__(self, boots: engine.RunOptions | None) -> None:
        self.boots = boots
        self.tried: list[engine.RunOptions] = []
        self.id = "AAAA"

    def info(self) -> dict[str, Any]:
        return {"ID": self.id, "ServerVersion": "1"}

    def close(self) -> None:
        pass

    def problem(self, _client: Any, _image: str, options: engine.RunOptions) -> str | None:
        self.tried.append(options)
        return None if options == self.boots else "unable to apply caps"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    made = FakeEngine(engine.CANDIDATES[1])
    monkeypatch.setattr(engine, "api", lambda: made)
    monkeypatch.setattr(engine, "_boot_problem", made.problem)
    return made


def test_probe_takes_the_first_that_boots_and_remembers_it(fake: FakeEngine) -> None:
    assert engine.probe("image:1", nothing) == engine.CANDIDATES[1]
    assert fake.tried == list(engine.CANDIDATES[:2])
    assert engine.probe("image:1", nothing) == engine.CANDIDATES[1]
    assert len(fake.tried) == 2


def test_another_engine_or_image_is_probed_anew(fake: FakeEngine) -> None:
    engine.probe("image:1", nothing)
    engine.probe("image:2", nothing)
    fake.id = "BBBB"
    engine.probe("image:2", nothing)
    assert len(fake.tried) == 6


def test_when_nothing_boots_the_error_has_each_reason(fake: FakeEngine) -> None:
    fake.boots = None
    with pytest.raises(engine.EngineError) as caught:
        engine.probe("image:1", nothing)
    assert str(caught.value).count("unable to apply caps") == len(engine.CANDIDATES)
    assert not list(engine.cache_dir().glob("probe-*.json"))


def test_write_atomically_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    for data in (b"one", b"two"):
        engine.write_atomically(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["file"]


def test_a_lock_is_waited_for_and_that_is_said() -> None:
    said: list[str] = []
    order: list[str] = []

    waiting = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        waiting.set()

    def second() -> None:
        with engine.locked("image", say):
            order.append("second")

    thread = threading.Thread(target=second)
    with engine.locked("image", nothing):
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert "waiting" in said[0]


def test_heartbeat_says_what_lasts_and_what_is_done() -> None:
    said: list[str] = []
    beaten = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) > 1:
            beaten.set()

    with engine.heartbeat("Building", say, every=0.001):
        assert beaten.wait(10)
    assert said[0] == "Building ..."
    assert said[1].startswith("Building: ")
    assert said[-1].startswith("Building: done in ")


def test_heartbeat_of_a_failure_does_not_say_done() -> None:
    said: list[str] = []
    with pytest.raises(ValueError, match="no"), engine.heartbeat("Building", said.append):
        raise ValueError("no")
    assert said == ["Building ..."]


def test_probe_key_changes_with_the_list_of_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    before = engine.probe_key({"ID": "a"}, "image")
    changed = (dataclasses.replace(engine.CANDIDATES[0], cap_drop=("SYS_TIME",)),)
    monkeypatch.setattr(engine, "CANDIDATES", changed)
    assert engine.probe_key({"ID": "a"}, "image") != before
    assert json.loads(changed[0].to_json())["cap_drop"] == ["SYS_TIME"]
