"""The user data: small enough, a script that a shell takes, and a program that runs where only Python is."""

from __future__ import annotations

import base64
import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._self import loader, userdata

CONFIG = userdata.config("s3://my-bucket/some/prefix/", "mnist", "eu-west-1", "")


def test_place_of_the_objects() -> None:
    assert userdata.place("s3://b", "x") == ("b", "x")
    assert userdata.place("s3://b/a/c/", "x") == ("b", "a/c/x")


def test_it_is_small_reproducible_and_what_cloud_init_takes() -> None:
    found = base64.b64decode(userdata.encoded(userdata.script(CONFIG)))
    assert len(found) < userdata.LIMIT * 3 // 4, "room for what is to come"
    assert userdata.encoded(userdata.script(CONFIG)) == userdata.encoded(
        userdata.script(dict(reversed(CONFIG.items())))
    )
    text = gzip.decompress(found).decode()
    assert text.startswith("#!/bin/sh\n") and "s3://my-bucket/some/prefix/mnist/" in text
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_systemd_ends_an_instance_that_hangs_at_its_time_limit() -> None:
    """Whatever the program tries for ever: the timer is there before it is started, and stays after a reboot."""
    profile = {"capacity": {"time_limit": 3600}, "job": {"stop_grace": 120}}
    limit = userdata.limit_of(profile)
    assert limit == 3600 + 120 + userdata.LATE
    text = gzip.decompress(base64.b64decode(userdata.encoded(userdata.script(CONFIG, limit)))).decode()
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    commands = [line for line in text.splitlines() if line.startswith("systemctl ")]
    assert commands[:2] == ["systemctl daemon-reload", f"systemctl enable --now {userdata.LIMIT_NAME}.timer"]
    alone = userdata.limit_script(limit)
    subprocess.run(["sh", "-n"], input=alone, text=True, check=True)
    assert [line for line in alone.splitlines() if line.startswith("systemctl ")] == commands[:2]
    assert f"OnBootSec={limit}\n" in text and "ExecStart=systemctl poweroff\n" in text
    assert len(base64.b64decode(userdata.encoded(userdata.script(CONFIG, limit)))) < userdata.LIMIT * 3 // 4


def test_without_a_time_limit_there_is_no_timer() -> None:
    assert userdata.limit_of({"capacity": {"time_limit": None}, "job": None}) is None
    assert userdata.LIMIT_NAME not in userdata.script(CONFIG)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not here")
    for name, text in userdata.limit_units(4260).items():
        (tmp_path / name).write_text(text.replace("=systemctl ", "=/bin/true "))
    names = [str(tmp_path / name) for name in userdata.limit_units(4260)]
    done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_too_much_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(userdata, "LIMIT", 1000)
    with pytest.raises(userdata.UserDataError, match="EC2 takes 1000"):
        userdata.encoded(userdata.script(CONFIG))


def test_the_program_needs_nothing_but_python(tmp_path: Path) -> None:
    """The script without its last lines, in another folder, by an interpreter that sees no packages."""
    text = (
        userdata.script(CONFIG).replace(loader.BASE, str(tmp_path / "self")).replace("/etc/systemd", f"{tmp_path}/etc")
    )
    subprocess.run(["sh"], input=text.partition("systemctl daemon-reload")[0], text=True, check=True)
    start = (tmp_path / "self/loader/start.py").read_text()
    code = start.replace("sys.exit(loader.main(sys.argv))", "print(loader.read_config(sys.argv[1])['bucket'])")
    (tmp_path / "self/loader/start.py").write_text(code)
    command = [sys.executable, "-S", "-E", f"{tmp_path}/self/loader/start.py", f"{tmp_path}/self/config.json"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "my-bucket\n"
    assert (tmp_path / "self/config.json").stat().st_mode & 0o077 == 0


def test_no_line_of_a_file_ends_it_early() -> None:
    texts = [*userdata.program().values(), userdata.unit()]
    assert not [text for text in texts if userdata.END in text.splitlines()]


def test_each_file_ends_with_a_line_end() -> None:
    """Without it the mark that ends a file would be a part of its last line."""
    texts = [*userdata.program().values(), userdata.unit()]
    assert all(text.endswith("\n") for text in texts if text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [("http://127.0.0.1:5601", True), ("http://localhost", True), ("http://[::1]:1", True), ("", False), ("https://s3.example.org", False), ("http://10.1.2.3:4", False)],
)  # fmt: skip
def test_addresses_that_mean_this_machine(url: str, expected: bool) -> None:
    assert userdata.is_loopback(url) is expected


def test_the_address_for_instances_wins() -> None:
    environ = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", userdata.ENDPOINT_VARIABLE: "http://10.0.0.1:1"}
    assert userdata.instance_endpoint(environ) == "http://10.0.0.1:1"
    assert userdata.instance_endpoint({}) == ""
