"""Orders of the API become containers, in order, and reports come back; docker is a stand-in here."""

from __future__ import annotations

import queue
import threading

import pytest
from docker.errors import APIError, NotFound
from lab_views import view

from lab.aws.machines import Notices, VolumeView
from lab.machines import docker_machines, network
from lab.machines.containers import Image
from lab.machines.disks import Device
from lab.machines.docker_machines import DockerMachines
from lab.machines.slots import Slot

ID = "i-0123456789abcdef0"
VOLUME = VolumeView("vol-1", 1, "", "/dev/sdf")


class FakeDocker:
    """Containers as entries of a dictionary: their State."""

    def __init__(self) -> None:
        self.states: dict[str, dict] = {}
        self.log: list[tuple] = []
        self.deaths: queue.Queue = queue.Queue()
        self.broken: set[str] = set()

    def _call(self, name, *args):
        self.log.append((name, *args))
        if name in self.broken:
            raise APIError(f"{name} is broken")

    def create_container_from_config(self, body, name):
        self._call("create", name)
        self.states[name] = {"Running": False, "Pid": 0, "ExitCode": 0}

    def put_archive(self, name, path, data):
        self._call("put", name)

    def start(self, name):
        self._call("start", name)
        self.states[name] = {"Running": True, "Pid": 4242, "ExitCode": 0}

    def stop(self, name, timeout):
        self._call("stop", name)
        self.die(name, 130)

    def kill(self, name, signal):
        self._call("kill", name, signal)

    def die(self, name, code):
        self.states[name] = {"Running": False, "Pid": 0, "ExitCode": code}
        self.deaths.put({"Actor": {"Attributes": {"experiments-spot-lab.instance": name, "exitCode": str(code)}}})

    def remove_container(self, name, force, v):
        self._call("remove", name)
        if self.states.pop(name, None) is None:
            raise NotFound("no such container")

    def remove_volume(self, name):
        self._call("remove_volume", name)

    def inspect_container(self, name):
        if name not in self.states:
            raise NotFound("no such container")
        return {"State": self.states[name]}

    def logs(self, name):
        return b"hello from the console"

    def events(self, decode, filters):
        while True:
            yield self.deaths.get()

    def did(self, name):
        return [entry for entry in self.log if entry[0] == name]


class FakeCloud:
    """Keeps reports in their order."""

    def __init__(self) -> None:
        self.reports: queue.Queue = queue.Queue()
        self.now = view()

    def view(self, instance_id):
        return self.now if instance_id == ID else None

    def __getattr__(self, name):
        return lambda *ids: self.reports.put((name, *ids))

    def next(self):
        return self.reports.get(timeout=10)

    def silent(self):
        return self.reports.empty()


class Lab:
    """A mirror on stand-ins: nothing of the host is touched."""

    def __init__(self, tmp_path, monkeypatch) -> None:
        self.routes: set[str] = set()
        self.shown: set[str] = set()
        self.busy = False
        monkeypatch.setattr(docker_machines, "BUSY_POLL", 0.02)
        monkeypatch.setattr(network, "add_public_address", lambda _s, _p, public, _private: self.routes.add(public))
        monkeypatch.setattr(network, "remove_public_address", lambda _s, public: self.routes.discard(public))
        monkeypatch.setattr(docker_machines, "show", lambda _dev, device: self.shown.add(device.node))
        monkeypatch.setattr(docker_machines, "hide", lambda _dev, device: self.shown.discard(device.node))
        monkeypatch.setattr(docker_machines, "is_busy", lambda _loop: self.busy)
        self.docker, self.cloud = FakeDocker(), FakeCloud()
        self.machines = DockerMachines(Slot("t", 0, "172.31.0.0/16", str(tmp_path)), Image("i:1"), self.docker)
        self.loops: set[str] = set()
        monkeypatch.setattr(self.machines.disks, "attach", self._attach)
        monkeypatch.setattr(self.machines.disks, "release", self.loops.discard)
        self.machines.connect(self.cloud)

    def _attach(self, volume_id, _size, _snapshot, index):
        self.loops.add(volume_id)
        return Device(volume_id, index, "/dev/loop9", 7, 9)

    def started(self, **changes):
        self.machines.start(view(**changes))
        assert self.cloud.next() == ("running", ID)
        return self


@pytest.fixture
def lab(tmp_path, monkeypatch):
    return Lab(tmp_path, monkeypatch)


def test_start_reports_running_with_disks_and_address(lab):
    lab.started(volumes=(VOLUME,))
    assert [entry[0] for entry in lab.docker.log] == ["create", "put", "put", "start"]
    assert lab.shown == {"nvme1n1"}
    assert lab.routes == {"198.18.0.1"}


def test_metadata_knows_the_caller_by_its_address(lab):
    lab.started()
    assert lab.machines.by_address("172.31.0.4").instance_id == ID
    assert lab.machines.by_address("172.31.0.5") is None


def test_a_failed_start_leaves_nothing_and_says_why(lab):
    lab.docker.broken.add("start")
    lab.machines.start(view(volumes=(VOLUME,)))
    name, instance_id, reason = lab.cloud.next()
    assert (name, instance_id) == ("failed", ID)
    assert "start is broken" in reason
    assert lab.docker.states == {}
    assert lab.loops == set()


def test_terminate_releases_everything_before_it_reports(lab):
    lab.started(volumes=(VOLUME,))
    lab.machines.terminate(ID)
    assert lab.cloud.next() == ("terminated", ID)
    assert (lab.docker.states, lab.loops, lab.routes) == ({}, set(), set())
    assert lab.docker.did("remove_volume") == [("remove_volume", f"experiments-spot-lab-{ID}")]
    assert lab.machines.by_address("172.31.0.4") is None


def test_terminate_of_an_unknown_instance_is_reported(lab):
    lab.machines.terminate("i-0never")
    assert lab.cloud.next() == ("terminated", "i-0never")


def test_terminate_while_the_start_waits_never_boots(lab):
    gate = threading.Event()
    lab.machines._lanes.put(ID, lambda: gate.wait(10))
    lab.machines.start(view())
    lab.machines.terminate(ID)
    gate.set()
    assert lab.cloud.next() == ("terminated", ID)
    assert lab.docker.did("create") == []


def test_the_console_outlives_the_machine(lab):
    lab.started()
    lab.machines.terminate(ID)
    lab.cloud.next()
    assert lab.machines.console_output(ID) == "hello from the console"
    assert lab.machines.console_output("i-0never") == "hello from the console"


def test_stop_and_start_keep_the_container_and_take_new_disks(lab):
    lab.started(volumes=(VOLUME,))
    lab.machines.stop(ID)
    assert lab.cloud.next() == ("stopped", ID)
    assert lab.routes == set()
    other = VolumeView("vol-2", 1, "", "/dev/sdg")
    lab.started(volumes=(other,), public_ip="198.18.0.9")
    assert len(lab.docker.did("create")) == 1
    assert lab.loops == {"vol-2"}
    assert lab.routes == {"198.18.0.9"}


def test_an_ordered_stop_is_not_taken_for_a_poweroff(lab):
    lab.started()
    lab.machines.stop(ID)
    lab.machines.start(view())
    assert [lab.cloud.next(), lab.cloud.next()] == [("stopped", ID), ("running", ID)]
    lab.machines.attach(VOLUME, ID)  # comes after the news of the death on the same lane
    assert lab.cloud.next() == ("attached", "vol-1", ID)
    assert lab.cloud.silent()


def test_poweroff_from_inside_is_reported(lab):
    lab.started()
    lab.docker.die(ID, 130)
    assert lab.cloud.next() == ("powered_off", ID)


def test_reboot_from_inside_boots_again_and_says_nothing(lab):
    lab.started(volumes=(VOLUME,))
    lab.docker.die(ID, 129)
    while len(lab.docker.did("start")) < 2:
        pass
    assert lab.cloud.silent()
    assert lab.shown == {"nvme1n1"}


def test_reboot_by_the_api_is_a_signal(lab):
    lab.started()
    lab.machines.reboot(ID)
    lab.machines.attach(VOLUME, ID)
    lab.cloud.next()
    assert lab.docker.did("kill") == [("kill", ID, "SIGRTMIN+5")]


def test_attach_twice_is_one_device(lab):
    lab.started()
    for _ in range(2):
        lab.machines.attach(VOLUME, ID)
        assert lab.cloud.next() == ("attached", "vol-1", ID)
    assert lab.shown == {"nvme1n1"}


def test_detach_of_a_mounted_volume_waits_for_the_umount(lab):
    lab.started(volumes=(VOLUME,))
    lab.busy = True
    lab.machines.detach("vol-1", ID)
    lab.machines.attach(VolumeView("vol-2", 1, "", "/dev/sdg"), ID)
    assert lab.cloud.next() == ("attached", "vol-2", ID)
    assert "vol-1" in lab.loops
    lab.busy = False
    assert lab.cloud.next() == ("detached", "vol-1", ID)
    assert lab.loops == {"vol-2"}
    assert lab.shown == {"nvme2n1"}


def test_force_takes_it_away_at_once(lab):
    lab.started(volumes=(VOLUME,))
    lab.busy = True
    lab.machines.detach("vol-1", ID, force=True)
    assert lab.cloud.next() == ("detached", "vol-1", ID)


def test_terminate_ends_a_waiting_detach(lab):
    lab.started(volumes=(VOLUME,))
    lab.busy = True
    lab.machines.detach("vol-1", ID)
    lab.machines.terminate(ID)
    assert lab.cloud.next() == ("terminated", ID)
    assert lab.machines._busy == {}


def test_a_notice_is_shown_until_the_machine_is_gone(lab):
    told = Notices({"action": "terminate", "time": "2026-11-21T12:02:00Z"})
    lab.started()
    lab.machines.notify(ID, told)
    assert lab.machines.notices(ID) == told
    lab.machines.terminate(ID)
    assert lab.cloud.next() == ("terminated", ID)
    lab.machines.notify(ID, told)
    assert lab.machines.notices(ID) == Notices()


def test_reset_ends_all(lab):
    lab.started()
    lab.machines.reset()
    assert lab.cloud.next() == ("terminated", ID)
    assert lab.docker.states == {}
