"""Limits are raised while labs are up, and put back."""

from __future__ import annotations

import pytest

from lab.machines import host, slots


@pytest.fixture
def sysctl(tmp_path, monkeypatch):
    tree = tmp_path / "sys"
    (tree / "fs" / "inotify").mkdir(parents=True)
    (tree / "fs/inotify/max_user_instances").write_text("128\n")
    (tree / "fs/inotify/max_user_watches").write_text("9000000\n")
    monkeypatch.setattr(host, "SYSCTL", tree)
    monkeypatch.setenv("EXPERIMENTS_SPOT_LAB_DIR", str(tmp_path / "labs"))
    return tree / "fs/inotify"


def test_only_what_is_too_low_is_raised(sysctl):
    host.raise_limits()
    assert int((sysctl / "max_user_instances").read_text()) == 8192
    assert int((sysctl / "max_user_watches").read_text()) == 9000000


def test_the_value_before_the_first_lab_comes_back(sysctl):
    host.raise_limits()
    host.raise_limits()
    host.restore_limits()
    assert int((sysctl / "max_user_instances").read_text()) == 128
    assert not host.note().exists()


def test_nothing_is_put_back_while_a_lab_is_left(sysctl, monkeypatch):
    host.raise_limits()
    monkeypatch.setattr(slots, "labs", lambda: ["one"])
    host.restore_limits()
    assert int((sysctl / "max_user_instances").read_text()) == 8192
