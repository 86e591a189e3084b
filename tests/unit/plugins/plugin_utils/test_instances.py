"""The rules of waiting for instances, with a clock that obeys and a cloud that does as it is told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._hostkeys import KnownHosts, entries
from ansible_collections.experiments.spot.plugins.plugin_utils._instances import (
    ClockWithFutures,
    Settings,
    Waiter,
    Watched,
    console_tail,
    failure_message,
    hints_for,
    judge_state,
    next_step,
    state_reason,
    view_of,
)

from .test_hostkeys import BEGIN, BEGIN_F, END, END_F, ID1, ID2, ID3, A, B, line

CONSOLE = f"{BEGIN}\n{line(A)}\n{END}\n"
READY = _ssh.Attempt(_ssh.READY, "")
REFUSED = _ssh.Attempt(_ssh.REFUSED, "Permission denied (publickey).")
CLOSED = _ssh.Attempt(_ssh.WAIT, "Connection refused")
MISMATCH = _ssh.Attempt(_ssh.MISMATCH, "Host key verification failed.")


class FakeClock(ClockWithFutures):
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def wait_any(self, futures: Any, seconds: float) -> None:
        if not any(future.done() for future in futures):
            self.time += max(seconds, 0.01)


class AtOnce(Executor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def raw(name: str = ID1, state: str = "running", **more: Any) -> dict[str, Any]:
    return {
        "InstanceId": name,
        "State": {"Name": state},
        "InstanceType": "t3.medium",
        "Placement": {"AvailabilityZone": "us-east-1b"},
        "PublicIpAddress": "203.0.113.5",
        "PrivateIpAddress": "10.0.0.5",
        "KeyName": "spot-x",
        "OwnerId": "111111111111",
        **more,
    }


class Cloud:
    """Answers by time: each table maps seconds since the start to what is true from then on."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.start = clock, clock.time
        self.states: dict[str, list[tuple[float, dict[str, Any] | None]]] = {ID1: [(0, raw())]}
        self.consoles: list[tuple[float, str]] = [(0, CONSOLE)]
        self.logins: list[tuple[float, _ssh.Attempt]] = [(0, READY)]
        self.answers: list[tuple[float, bool]] = [(0, True)]
        self.opens: dict[str, float] = {}
        self.scanned: list[Any] = []
        self.problem: str | None = None
        self.calls: list[str] = []
        self.asked: list[list[str]] = []

    def at(self, table: list[tuple[float, Any]]) -> Any:
        return [value for since, value in table if since <= self.clock.time - self.start][-1]

    def describe(self, instance_ids: Any) -> list[dict[str, Any]]:
        self.calls.append("describe")
        self.asked.append(list(instance_ids))
        found = (self.at(self.states.get(name, [(0, None)])) for name in instance_ids)
        return [value for value in found if value]

    def console(self, instance_id: str) -> str:
        self.calls.append("console")
        return self.at(self.consoles)

    def knock(self, view: Any) -> bool:
        self.calls.append("knock")
        return self.at(self.answers)

    def scan(self, view: Any) -> list[Any]:
        self.calls.append("scan")
        return self.scanned

    def login(self, view: Any) -> _ssh.Attempt:
        self.calls.append("login")
        closed = self.clock.time - self.start < self.opens.get(view["instance_id"], 0)
        return _ssh.Attempt(_ssh.WAIT, "Connection refused") if closed else self.at(self.logins)

    def forget_connection(self, view: Any) -> None:
        self.calls.append("forget")

    def key_problem(self, view: Any) -> str | None:
        self.calls.append("key_problem")
        return self.problem


class World:
    def __init__(self, path: str) -> None:
        self.clock = FakeClock()
        self.cloud = Cloud(self.clock)
        self.known = KnownHosts(path)
        self.said: list[str] = []
        self.waiter: Any = None

    def wait(self, *names: str, state: str = "ssh", timeout: float = 300, **more: Any) -> list[Watched]:
        settings = Settings(state, timeout, label="[x] ", **more)
        self.waiter = Waiter(
            settings,
            self.cloud,
            self.known,
            say=self.said.append,
            executor=AtOnce(),
            region="us-east-1",
            clock=self.clock,
        )
        return self.waiter.run(names or [ID1])

    @property
    def seconds(self) -> float:
        return self.clock.time - self.cloud.start


@pytest.fixture
def world(tmp_path):
    return World(str(tmp_path / "known_hosts"))


def test_first_contact_takes_the_key_from_the_console(world):
    (watched,) = world.wait()
    assert (watched.done, watched.error, watched.verified) == (True, "", "console")
    assert world.cloud.calls == ["describe", "forget", "knock", "console", "login"]
    assert [(e.name, e.key, e.scope, e.how) for e in entries(world.known.read())] == [
        (ID1, A, "111111111111/us-east-1", "console")
    ]
    assert world.waiter.changed
    assert world.said == [
        f"[x] {ID1} t3.medium us-east-1b: ssh ready at 203.0.113.5 (host key: verified by the console) 0 s"
    ]


def test_the_console_is_asked_once_sshd_answers_and_not_before(world):
    world.cloud.answers = [(0, False), (12, True)]
    (watched,) = world.wait()
    assert watched.verified == "console"
    assert world.cloud.calls.count("console") == 1
    assert world.cloud.calls.count("knock") > 3


def test_keys_that_come_after_sshd_are_asked_for_ever_more_rarely(world):
    world.cloud.consoles = [(0, "booting"), (12, CONSOLE)]
    world.wait()
    assert world.cloud.calls.count("console") == 5  # after 0, 1, 3, 7 and 15 s
    assert world.seconds < 20


def test_behind_a_jump_host_nothing_answers_and_the_console_is_asked_all_the_same(world):
    world.cloud.answers = [(0, False)]
    (watched,) = world.wait()
    assert (watched.done, watched.verified) == (True, "console")
    assert world.cloud.calls.count("console") == 1
    assert world.seconds >= 20


def test_second_run_asks_no_console_and_writes_nothing(world):
    world.wait()
    world.cloud.calls.clear()
    (watched,) = world.wait()
    assert watched.done
    assert world.cloud.calls == ["describe", "login"]
    assert not world.waiter.changed


def test_a_fast_machine_is_noticed_fast(world):
    pending = raw(state="pending", PublicIpAddress=None)
    world.cloud.states[ID1] = [(0, None), (0.5, pending), (1.2, raw())]
    world.cloud.logins = [(0, CLOSED), (2.0, READY)]
    (watched,) = world.wait()
    assert watched.done
    assert 2.0 <= world.seconds <= 2.5


def test_a_slow_machine_is_polled_less_and_shows_life(world):
    world.cloud.states[ID1] = [(0, raw(state="pending")), (20, raw())]
    world.cloud.consoles = [(0, ""), (25, "booting"), (40, CONSOLE)]
    world.cloud.logins = [(0, CLOSED), (60, READY)]
    (watched,) = world.wait()
    assert watched.done
    assert 60 <= world.seconds <= 64
    assert len(world.cloud.calls) < 60
    assert world.said[:2] == [
        f"[x] {ID1} t3.medium us-east-1b: waiting for running (is pending) 5 s",
        f"[x] {ID1} t3.medium us-east-1b: waiting for running (is pending) 20 s",
    ]
    assert "waiting for host keys (console: no host keys yet) 35 s" in world.said[2]
    assert "waiting for ssh (Connection refused) 50 s" in world.said[3]
    assert len(world.said) == 5


@pytest.mark.parametrize("state", ["shutting-down", "terminated", "stopping"])
def test_an_instance_that_goes_is_seen_once_it_stands_still(world, state):
    reason = {"Code": "Server.SpotInstanceTermination", "Message": "no Spot capacity"}
    world.cloud.states[ID1] = [(0, raw()), (3, raw(state=state, StateReason=reason))]
    world.cloud.consoles = [(0, "")]
    (watched,) = world.wait()
    assert watched.error == f"is {state} (Server.SpotInstanceTermination: no Spot capacity)"
    assert world.seconds < 25


def test_machines_that_get_on_are_not_asked_about(world):
    """Twelve machines whose sshd answers one after the other, a minute in all: one describe, as for a single one."""
    names = [f"i-{number:017x}" for number in range(12)]
    for number, name in enumerate(names):
        world.cloud.states[name] = [(0, raw(name))]
        world.cloud.opens[name] = 5.0 * number
    assert all(watched.done for watched in world.wait(*names))
    assert world.seconds >= 55
    assert world.cloud.calls.count("describe") == 1


def test_one_that_fails_ends_the_wait_for_all(world):
    world.cloud.states[ID2] = [(0, raw(ID2, state="terminated"))]
    first, second = world.wait(ID1, ID2)
    assert second.error
    assert first.instance_id == ID1


def test_an_unknown_instance_has_time_to_appear_and_no_more(world):
    world.cloud.states = {}
    (watched,) = world.wait()
    assert "AWS does not know it" in watched.error
    assert 30 < world.seconds < 40


def test_no_public_address(world):
    world.cloud.states[ID1] = [(0, raw(PublicIpAddress=None))]
    (watched,) = world.wait()
    assert "has no public address" in watched.error
    (watched,) = world.wait(address="private")
    assert watched.done
    assert watched.view["address"] == "10.0.0.5"


def test_refused_once_is_no_reason_to_give_up(world):
    world.cloud.logins = [(0, REFUSED), (8, READY)]
    (watched,) = world.wait()
    assert watched.done
    assert world.cloud.calls.count("key_problem") == 1


def test_refused_for_long_is(world):
    world.cloud.logins = [(0, REFUSED)]
    (watched,) = world.wait()
    assert "login refused" in watched.error
    assert 20 <= world.seconds <= 25


def test_a_wrong_key_is_told_at_once(world):
    world.cloud.logins, world.cloud.problem = [(0, REFUSED)], "the private key k does not belong to the key pair spot-x"
    (watched,) = world.wait()
    assert watched.error == "login refused: the private key k does not belong to the key pair spot-x"
    assert world.seconds < 1


def test_a_foreign_host_key_is_refused_at_once(world):
    world.cloud.logins = [(0, MISMATCH)]
    (watched,) = world.wait()
    assert "the host key is not the one its console shows" in watched.error
    assert world.seconds < 1


def test_an_outdated_stored_key_is_renewed_from_the_console(world):
    world.known.set_keys(ID1, [B], "111111111111/us-east-1", "console")
    world.cloud.logins = [(0, MISMATCH), (0.2, READY)]
    (watched,) = world.wait()
    assert watched.done
    assert [e.key for e in entries(world.known.read())] == [A]


def test_a_stored_key_that_the_console_confirms_is_not_given_up(world):
    world.known.set_keys(ID1, [A], "111111111111/us-east-1", "console")
    world.cloud.logins = [(0, MISMATCH)]
    (watched,) = world.wait()
    assert "the host key is not the one" in watched.error
    assert world.cloud.calls.count("console") == 1


def test_fingerprints_are_compared_with_what_the_machine_offers(world):
    world.cloud.consoles = [(0, f"{BEGIN_F}\n256 SHA256:{A.fingerprint} root@x (ED25519)\n{END_F}")]
    world.cloud.scanned = [B, A]
    (watched,) = world.wait()
    assert watched.done
    assert [e.key for e in entries(world.known.read())] == [A]


def test_fingerprints_that_do_not_match_are_refused(world):
    world.cloud.consoles = [(0, f"{BEGIN_F}\n256 SHA256:{A.fingerprint} root@x (ED25519)\n{END_F}")]
    world.cloud.scanned = [B]
    (watched,) = world.wait()
    assert "not those whose fingerprints its console shows" in watched.error
    assert world.known.read() == ""


def test_accept_new_needs_no_console(world):
    (watched,) = world.wait(host_keys="accept-new")
    assert (watched.done, watched.verified) == (True, "accept-new")
    assert "console" not in world.cloud.calls


def test_a_connection_that_was_opened_unverified_is_closed_before_the_next_login(world):
    world.wait(host_keys="accept-new")
    world.known.path.write_text(f"{ID1} {A.type} {A.base64}\n")
    assert "forget" not in world.cloud.calls
    world.wait()
    assert world.cloud.calls[-5:] == ["describe", "forget", "knock", "console", "login"]


def test_keys_of_dead_instances_go_with_the_same_call(world):
    world.known.set_keys(ID2, [B], "111111111111/us-east-1", "console")
    world.known.set_keys(ID3, [B], "222222222222/us-east-1", "console")
    world.wait()
    assert {e.name for e in entries(world.known.read())} == {ID1, ID3}
    assert sorted(world.cloud.asked[0]) == [ID1, ID2, ID3]
    assert world.cloud.calls.count("describe") == 1


def test_running_needs_no_ssh(world):
    world.cloud.states[ID1] = [(0, raw(state="pending", PublicIpAddress=None)), (2, raw())]
    (watched,) = world.wait(state="running")
    assert watched.done
    assert set(world.cloud.calls) == {"describe"}


def test_terminated_waits_for_the_end(world):
    world.cloud.states[ID1] = [(0, raw(state="shutting-down")), (12, raw(state="terminated"))]
    world.cloud.states[ID2] = [(0, raw(ID2, state="running")), (20, None)]
    fleet = world.wait(ID1, ID2, state="terminated")
    assert all(watched.done for watched in fleet)
    assert 20 <= world.seconds <= 25
    assert any("waiting for the end (is running) 5 s" in text for text in world.said)


def test_timeout_says_how_far_it_came(world):
    world.cloud.logins = [(0, CLOSED)]
    (watched,) = world.wait(timeout=30)
    assert watched.error == "timed out after 30 s waiting for ssh (Connection refused)"
    assert 30 <= world.seconds < 31


def test_several_at_once(world):
    world.cloud.states[ID2] = [(0, raw(ID2, state="pending")), (7, raw(ID2))]
    fleet = world.wait(ID2, ID1, ID2)
    assert [watched.instance_id for watched in fleet] == [ID1, ID2]
    assert all(watched.done for watched in fleet)
    assert {e.name for e in entries(world.known.read())} == {ID1, ID2}


@pytest.mark.parametrize(
    ("view", "settings", "verified", "fingerprints", "expected"),
    [
        ({}, {}, None, set(), "describe"),
        ({"state": "pending", "address": "1"}, {}, None, set(), "describe"),
        ({"state": "running", "address": None}, {}, None, set(), "describe"),
        ({"state": "running", "address": "1"}, {}, None, set(), "knock"),
        ({"state": "running", "address": "1"}, {}, None, {"x"}, "scan"),
        ({"state": "running", "address": "1"}, {}, "console", set(), "login"),
        ({"state": "running", "address": "1"}, {"host_keys": "accept-new"}, None, set(), "login"),
        ({"state": "running", "address": "1"}, {"state": "running"}, None, set(), "done"),
    ],
)
def test_next_step(view, settings, verified, fingerprints, expected):
    watched = Watched(ID1, view=view, verified=verified, fingerprints=fingerprints)
    assert next_step(watched, Settings(**{"state": "ssh", "timeout": 1, **settings})) == expected


def test_judge_state_leaves_terminated_alone():
    assert judge_state({"state": "terminated"}, Settings("terminated", 1), 0) == ""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ""),
        ({"StateReason": {"Code": "Client.UserInitiatedShutdown"}}, "Client.UserInitiatedShutdown"),
        ({"StateReason": {"Code": "pending", "Message": "pending"}}, "pending"),
        ({"StateTransitionReason": "User initiated"}, "User initiated"),
    ],
)
def test_state_reason(given, expected):
    assert state_reason(given) == expected


def test_view_of_reads_tags_and_addresses():
    view = view_of(raw(Tags=[{"Key": "spot:generation", "Value": "3"}], InstanceLifecycle="spot"), "private")
    assert (view["generation"], view["address"], view["lifecycle"]) == (3, "10.0.0.5", "spot")
    assert view_of(raw(), "public")["lifecycle"] == "on-demand"


def test_error_text_has_what_to_check_and_the_console():
    console = "".join(f"line {number}\r\n" for number in range(30)) + "\x1b[0mlast\x07\n\n"
    watched = Watched(
        ID1, view=view_of(raw(), "public"), verified="console", error="timed out after 30 s waiting for ssh"
    )
    text = failure_message(watched, Settings("ssh", 30), {"remote_user": "admin", "port": 22}, console)
    assert text.startswith(f"{ID1} t3.medium us-east-1b: timed out after 30 s waiting for ssh\n")
    assert "check the security group: it must let your address in at port 22" in text
    assert "the login user admin" in text
    assert "last 20 lines of its console" in text
    assert "| line 29" in text
    assert "| line 9\n" not in text
    assert "\x07" not in text


def test_hints_follow_the_cause():
    watched = Watched(ID1, view={"key_name": "spot-x"}, error="timed out after 1 s")
    assert "the security group" in hints_for(watched, {})[0]
    watched.answers = True
    assert "host_keys: accept-new" in hints_for(watched, {})[0]
    watched.error = "login refused 5 times"
    assert "spot-x" in hints_for(watched, {})[1]
    watched.error = "is terminated"
    assert hints_for(watched, {}) == []


def test_console_tail_of_nothing():
    assert console_tail("") == []
