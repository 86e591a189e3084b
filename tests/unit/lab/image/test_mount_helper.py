"""The mount helper of a machine refuses what a kernel's NFS client would refuse; it mounts nothing here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab import image

HELPER = image.HERE / "rootfs/usr/local/sbin/lab-mount-nfs4"
GOOD = "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport"


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    """The helper with a directory of the test, and a `mount` that only says what it is asked to do."""
    served = tmp_path / "efs"
    (served / "fs-1/sub").mkdir(parents=True)
    (served / "10.0.0.9").symlink_to("fs-1")
    (tmp_path / "mount").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "mount").chmod(0o755)
    script = tmp_path / "helper"
    text = HELPER.read_text().replace("/lab/efs", str(served)).replace("/proc/filesystems", "/dev/null")
    script.write_text(text.replace("mount --no-mtab", f"{tmp_path}/mount --no-mtab"))
    script.chmod(0o755)
    return script


def run(helper: Path, spec: str, options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(helper), spec, "/mnt/x", "-o", options], capture_output=True, text=True, check=False)


def test_it_binds_what_the_lab_serves_at_the_address(helper: Path) -> None:
    done = run(helper, "10.0.0.9:/sub", f"rw,{GOOD},ro")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"--no-mtab --bind {helper.parent}/efs/10.0.0.9/sub /mnt/x",
        "--no-mtab -o remount,bind,ro /mnt/x",
    ]


@pytest.mark.parametrize(
    ("spec", "options", "words"),
    [
        ("10.0.0.8:/", GOOD, "Connection timed out"),
        ("10.0.0.9:/none", GOOD, "No such file or directory"),
        ("10.0.0.9:/", "hard", "Protocol not supported"),
        ("10.0.0.9:/", f"{GOOD},nconnect=4", "nconnect is not supported"),
        ("10.0.0.9:/", f"{GOOD},nosuchoption", "incorrect mount option"),
    ],
)
def test_it_refuses_as_an_nfs_client_does(helper: Path, spec: str, options: str, words: str) -> None:
    done = run(helper, spec, options)
    assert done.returncode == 32
    assert words in done.stderr
