"""What a person types, and what comes back."""

from __future__ import annotations

import subprocess

import pytest

from lab import cli
from lab.machines.slots import Slot

SLOT = Slot("demo", 1, "10.201.0.0/16", "/state/demo")


@pytest.fixture(autouse=True)
def no_labs(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPERIMENTS_SPOT_LAB_DIR", str(tmp_path))
    monkeypatch.delenv("EXPERIMENTS_SPOT_LAB", raising=False)


def test_status_of_a_lab_that_is_down_is_3(capsys):
    assert cli.main(["status"]) == 3
    assert "lab default is down" in capsys.readouterr().out


def test_env_before_the_first_up_says_what_to_type(capsys):
    assert cli.main(["env", "--name", "x"]) == 1
    assert "lab/lab up" in capsys.readouterr().err


def test_a_bad_name_is_one_line(capsys):
    assert cli.main(["status", "--name", "../x"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("verb", ["up", "down"])
def test_without_root_the_command_to_type_is_shown(verb, capsys, monkeypatch):
    monkeypatch.setattr(cli.os, "geteuid", lambda: 1000)
    assert cli.main([verb]) == 1
    assert f"lab/lab {verb}" in capsys.readouterr().err.replace("lab/lab/lab", "lab/lab")


def test_down_of_nothing_is_fine(capsys, monkeypatch):
    monkeypatch.setattr(cli.os, "geteuid", lambda: 0)
    assert cli.main(["down", "--name", "never"]) == 0
    assert "is not there" in capsys.readouterr().err


def test_the_name_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("EXPERIMENTS_SPOT_LAB", "blue")
    assert cli.parser().parse_args(["up"]).name == "blue"


def test_environment_is_all_a_tool_needs():
    lines = cli.environment(SLOT, {})
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:5601" in lines
    assert "export AWS_DEFAULT_REGION=us-east-1" in lines
    assert "export EXPERIMENTS_SPOT_SSH_CIDR=10.201.0.1/32" in lines
    assert "export EXPERIMENTS_SPOT_INSTANCE_ENDPOINT_URL=http://10.201.0.1:5601" in lines
    assert lines[-1] == "unset AWS_PROFILE AWS_SESSION_TOKEN"


def test_a_proxy_is_kept_out_of_the_way():
    assert cli.no_proxy({"PATH": "/bin"}) == []
    found = cli.no_proxy({"HTTP_PROXY": "http://proxy:3128", "no_proxy": "example.org"})
    assert found == ["export NO_PROXY=example.org,127.0.0.1 no_proxy=example.org,127.0.0.1"]
    assert cli.no_proxy({"http_proxy": "x", "NO_PROXY": "127.0.0.1"})[0].count("127.0.0.1") == 2


def test_the_daemon_never_sees_the_callers_credentials():
    found = cli.daemon_environment({"AWS_PROFILE": "work", "AWS_SECRET_ACCESS_KEY": "s", "PATH": "/bin"})
    assert found["PATH"] == "/bin"
    assert not {"AWS_PROFILE", "AWS_SECRET_ACCESS_KEY"} & set(found)


def test_a_daemon_that_ends_at_once_is_told_with_its_log(tmp_path):
    slot = Slot("demo", 31, "10.231.0.0/16", str(tmp_path))
    (tmp_path / "daemon.log").write_text("no such bridge\n")
    child = subprocess.Popen(["sh", "-c", "exit 7"])
    with pytest.raises(cli.LabError, match=r"ended with status 7:\nno such bridge"):
        cli.await_answer(slot, child)


def test_table_lines_up():
    assert cli.table([["A", "BB"], ["ccc", "d"]]) == ["A    BB", "ccc  d"]


def test_report_shows_machines_and_volumes():
    instance = {
        "InstanceId": "i-1",
        "State": {"Name": "running"},
        "InstanceType": "t3.medium",
        "Placement": {"AvailabilityZone": "us-east-1a"},
        "PrivateIpAddress": "10.201.0.4",
        "Tags": [{"Key": "Name", "Value": "demo"}],
    }
    volume = {"VolumeId": "vol-1", "State": "available", "Size": 8, "AvailabilityZone": "us-east-1a"}
    text = "\n".join(cli.report(SLOT, [instance], [volume], {"calls": [1, 2]}))
    assert "2 calls" in text
    assert "i-1       demo  running  t3.medium  us-east-1a  10.201.0.4  -" in text
    assert "vol-1   -     available  8    us-east-1a  -" in text


def test_progress_counts_seconds(capsys):
    times = iter([10.0, 12.5])
    cli.Progress(clock=lambda: next(times))("machine image")
    assert capsys.readouterr().err == "lab    2.5 s  machine image\n"
