"""How a machine is made."""

from __future__ import annotations

import io
import tarfile

from lab_views import view

from lab.aws.config import DAILY, IMAGES
from lab.machines import containers
from lab.machines.containers import Image, Login
from lab.machines.disks import Device
from lab.machines.notes import read_image, write_image
from lab.machines.slots import Slot

SLOT = Slot("demo", 1, "10.201.0.0/16", "/state/demo")
IMAGE = Image("lab/machine:1", {"CapAdd": ["ALL"], "Mounts": [{"Target": "/ca"}]}, command=("/init",))


def test_specification_puts_the_machine_at_its_address():
    body = containers.specification(view(), SLOT, IMAGE)
    network = body["NetworkingConfig"]["EndpointsConfig"]["experiments-spot-lab-demo"]
    assert network["IPAMConfig"]["IPv4Address"] == "172.31.0.4"
    assert body["HostConfig"]["NetworkMode"] == "experiments-spot-lab-demo"
    assert body["Hostname"] == "ip-172-31-0-4"
    assert body["Tty"] is True
    assert body["Cmd"] == ["/init"]


def test_specification_can_be_found_and_cleaned_up_by_label():
    body = containers.specification(view(), SLOT, IMAGE)
    assert body["Labels"]["experiments-spot-lab"] == "demo"
    volume = body["HostConfig"]["Mounts"][-1]
    assert volume["Target"] == "/var/lib/docker"
    assert volume["VolumeOptions"]["Labels"] == {"experiments-spot-lab": "demo"}


def test_specification_keeps_what_the_engine_needs_and_does_not_change_it():
    body = containers.specification(view(), SLOT, IMAGE)
    assert body["HostConfig"]["CapAdd"] == ["ALL"]
    assert body["HostConfig"]["Mounts"][0] == {"Target": "/ca"}
    assert IMAGE.host_config["Mounts"] == [{"Target": "/ca"}]


def test_the_key_pair_is_the_users_alone():
    login = Login("admin", "/home/admin", 1000, 1001)
    data = containers.archive(containers.authorized_keys(login, "ssh-ed25519 AAAA k \n"))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        folder, file = tar.getmembers()
        assert tar.extractfile(file).read() == b"ssh-ed25519 AAAA k\n"
    assert (folder.name, folder.mode, folder.isdir()) == ("home/admin/.ssh", 0o700, True)
    assert (file.name, file.mode, file.uid, file.gid) == ("home/admin/.ssh/authorized_keys", 0o600, 1000, 1001)


def test_no_key_pair_puts_nothing():
    assert containers.authorized_keys(Login(), "") == []


def test_user_data_leaves_a_mark_but_never_the_data():
    assert containers.user_data_mark(b"") == []
    assert [file.data for file in containers.user_data_mark(b"secret")] == [b""]


def test_only_a_daily_image_has_no_docker():
    release = next(image for image in IMAGES if image.name.startswith("debian-12-amd64-2"))
    assert containers.without_docker(release.name) == [] == containers.without_docker("")
    files = containers.without_docker(DAILY.name)
    assert {file.path.rpartition("/")[2] for file in files} == {"docker.service", "docker.socket", "containerd.service"}
    assert all(file.data == b"" for file in files)


def test_device_files_are_written_also_when_the_last_disk_is_gone():
    assert b"nvme1n1" in containers.device_files([Device("vol-1", 1, "/dev/loop0", 7, 0)])[0].data
    assert b"nvme" not in containers.device_files([])[0].data


def test_the_note_for_the_daemon_comes_back_whole(tmp_path):
    slot = Slot("demo", 1, "10.201.0.0/16", str(tmp_path))
    write_image(slot, IMAGE)
    assert read_image(slot) == IMAGE
