"""docker_info reads what others wrote: os-release, sysfs, docker's own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.modules import docker_info

Answers = dict[str, tuple[int, str]]


def engine(answers: Answers) -> dict[str, object]:
    def run(argv: list[str]) -> tuple[int, str, str]:
        rc, out = answers.get(argv[1], (127, ""))
        return rc, out, ""

    return docker_info.engine(run)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ID=debian\nVERSION_ID="12"\n', ("Debian", "debian", "12")),
        ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n', ("Debian", "ubuntu", "24.04")),
        ('ID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"\n', ("RedHat", "amzn", "2023")),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', ("RedHat", "rocky", "")),
        ("ID=arch\n", ("Arch", "arch", "")),
        ("", ("", "", "")),
    ],
)
def test_distribution(text: str, expected: tuple[str, str, str]) -> None:
    assert docker_info.parse_os_release(text) == expected


def test_gpus_are_display_controllers_of_nvidia(tmp_path: Path) -> None:
    devices = {
        "0000:00:1e.0": ("0x10de", "0x030200"),  # the GPU
        "0000:00:1f.1": ("0x10de", "0x040300"),  # its audio device
        "0000:00:03.0": ("0x1d0f", "0x030000"),  # Amazon's display
    }
    for name, (vendor, kind) in devices.items():
        folder = tmp_path / "sys/bus/pci/devices" / name
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(vendor + "\n")
        (folder / "class").write_text(kind + "\n")
    assert docker_info.find_gpus(str(tmp_path)) == ["0000:00:1e.0"]
    assert docker_info.find_gpus(str(tmp_path / "none")) == []


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.127.05  Tue Oct  8 03:22:07 UTC 2024\nGCC", "550.127.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n", "570.86.15"),
        ("", None),
    ],
)
def test_driver(tmp_path: Path, text: str, version: str | None) -> None:
    folder = tmp_path / "proc/driver/nvidia"
    folder.mkdir(parents=True)
    (folder / "version").write_text(text)
    assert docker_info.driver_version(str(tmp_path)) == version


def test_no_docker() -> None:
    found = engine({})
    assert (found["installed"], found["version"], found["running"], found["enabled"]) == (False, None, False, False)
    assert found["runtimes"] == []


def test_docker_without_its_engine() -> None:
    found = engine({"version": (1, "27.1\n"), "info": (1, " null\n"), "is-enabled": (1, "disabled\n")})
    assert (found["installed"], found["version"], found["running"]) == (True, "27.1", False)
    assert found["server_version"] is None and not found["enabled"]


def test_docker_that_runs() -> None:
    info = '20.10.24+dfsg1 {"runc":{"path":"runc"},"nvidia":{"path":"nvidia-container-runtime"}}\n'
    found = engine({"version": (0, "20.10.24\n"), "info": (0, info), "is-enabled": (0, "enabled\n")})
    assert found["running"] and found["server_version"] == "20.10.24+dfsg1" and found["enabled"]
    assert found["runtimes"] == ["nvidia", "runc"]


@pytest.mark.parametrize(("text", "expected"), [("", {}), ('{"a": 1}', {"a": 1}), ("{", None), ("[]", None)])
def test_daemon_json(text: str, expected: dict[str, int] | None) -> None:
    assert docker_info.parse_daemon_json(text) == expected
