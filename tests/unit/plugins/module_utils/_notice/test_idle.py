"""What uses an instance, and since when nothing does; the clock is the test's."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._notice import idle, system
from ansible_collections.experiments.spot.plugins.module_utils._notice.idle import Idle, Idleness, Use


@pytest.mark.parametrize(
    ("use", "used"),
    [
        (Use(), ""),
        (Use(cores=0.5, gpu=5.0), ""),
        (Use(cores=0.6), "0.6 processors"),
        (Use(gpu=6.0), "a GPU (6 %)"),
        (Use(cores=None), "not known yet"),
        (Use(login="ssh of ubuntu@pts/0", gpu=90.0), "ssh of ubuntu@pts/0"),
        (Use(job=True, login="x"), "the job"),
        (Use(stay=True, job=True), "/run/experiments-spot/stay is there"),
    ],
    ids=str,
)
def test_what_uses_it(use: Use, used: str) -> None:
    assert idle.used_by(use) == used


def test_it_counts_from_the_first_look_that_finds_nothing() -> None:
    found = Idle()
    assert not idle.reached(found, 0, 1e9)
    for up in (100.0, 160.0, 220.0):
        found = idle.after(found, "", up, 60)
    assert found == Idle(100.0, 220.0)
    assert not idle.reached(found, 300, 399) and idle.reached(found, 300, 400)
    assert idle.after(found, "the job", 230.0, 60) == Idle(None, 230.0)
    assert idle.after(Idle(None, 230.0), "", 290.0, 60).since == 290.0


def test_time_in_which_nobody_looked_is_no_idle_time() -> None:
    hibernated = idle.after(Idle(100.0, 160.0), "", 7360.0, 60)
    assert hibernated == Idle(7360.0, 7360.0)


def test_it_is_not_looked_at_each_time_it_is_asked() -> None:
    looks: list[Use] = []

    def look() -> Use:
        looks.append(Use())
        return looks[-1]

    found = Idleness(300, "unit", look)
    assert [up for up in range(0, 401, 5) if found.reached(up)] == list(range(300, 401, 5))
    assert len(looks) == 7


def test_processors() -> None:
    text = "cpu  100 0 50 800 50 0 0 0 9 9\ncpu0 1\ncpu1 1\ncpu23 1\nctxt 5\n"
    assert idle.processors(text) == (150.0, 1000.0, 3)
    assert [idle.processors(damaged) for damaged in ("", "cpu  x y")] == [(0.0, 0.0, 0)] * 2


def test_busy_processors_whatever_the_size_of_the_machine() -> None:
    """One of 96 that works is 1 %, and is seen."""
    assert idle.busy_cores((0.0, 0.0, 96), (100.0, 9600.0, 96)) == 1.0
    assert idle.busy_cores(None, (1.0, 1.0, 1)) is None
    assert idle.busy_cores((5.0, 10.0, 1), (5.0, 10.0, 1)) is None
    assert idle.busy_cores((5.0, 10.0, 1), (0.0, 0.0, 0)) is None


@pytest.mark.parametrize(
    ("title", "who"),
    [
        ("sshd: ubuntu@pts/0\0\0\0", "ubuntu@pts/0"),
        ("sshd-session: ec2-user@notty", "ec2-user@notty"),
        ("sshd: ubuntu", "ubuntu"),  # a tunnel alone
        ("sshd: ubuntu [priv]", ""),
        ("sshd: root [net]", ""),
        ("sshd: [accepted]", ""),
        ("sshd: unknown [priv]", ""),
        ("sshd: /usr/sbin/sshd -D [listener] 1 of 10-100 startups", ""),
        ("/usr/sbin/sshd\0-D\0", ""),
        ("", ""),
    ],
)
def test_who_only_knocks_is_not_logged_in(title: str, who: str) -> None:
    assert idle.connection(title) == who


@pytest.mark.parametrize(
    ("name", "title", "found"),
    [
        ("sshd", "sshd: ubuntu@notty", "ssh of ubuntu@notty"),
        ("sshd", "sshd: root [net]", ""),
        ("tmux: server", "tmux", "tmux: server (pid 70)"),
        ("ssm-session-wor", "/usr/bin/ssm-session-worker x", "ssm-session-wor (pid 70)"),
        ("bash", "sshd: ubuntu@notty", ""),
    ],
)
def test_logins(machine: Any, name: str, title: str, found: str) -> None:
    machine.process(70, comm=f"{name}\n", cmdline=title)
    assert idle.login() == found


@pytest.mark.parametrize(
    ("said", "use"),
    [("echo 3; echo 41", 41.0), ("echo '[N/A]'", 0.0), ("echo 50; exit 9", 0.0), ("echo No devices were found", 0.0)],
)
def test_gpus(machine: Any, said: str, use: float) -> None:
    assert idle.busiest_gpu() == 0.0, "no driver, no GPU"
    machine.program("nvidia-smi", said)
    assert idle.busiest_gpu() == use


def test_a_gpu_is_not_asked_while_something_else_is_known(machine: Any) -> None:
    machine.program("nvidia-smi", f"echo asked >> {machine.root}/calls; echo 0")
    found = Idleness(300, "unit")
    machine.tick(0, 500)
    assert found.use().cores is None and "asked" not in machine.calls
    machine.tick(0, 500)
    assert found.use() == Use() and "asked" in machine.calls


def test_processes(machine: Any) -> None:
    machine.process(70, comm="cat\n", cmdline="cat\0-n\0")
    assert ("70", "cat") in system.processes() and system.command_line("70") == "cat\0-n\0"
    assert system.command_line("71") == ""
