"""Names and files of EBS volumes."""

from __future__ import annotations

import os

import pytest

from lab.machines import disks
from lab.machines.disks import GIB, Device, Disks


def device(index: int, volume_id: str = "vol-0abc") -> Device:
    return Device(volume_id, index, f"/dev/loop{index}", 7, index)


def test_link_is_udevs():
    # Source: EC2 User Guide "Amazon EBS volumes and NVMe", by-id links
    assert disks.by_id("vol-01324f611e2463981") == "nvme-Amazon_Elastic_Block_Store_vol01324f611e2463981"


def test_free_index_leaves_the_root_disk_and_fills_gaps():
    assert disks.free_index([]) == 1
    assert disks.free_index([device(1), device(3)]) == 2


def test_tmpfiles_has_node_and_link_of_every_device():
    text = disks.tmpfiles([device(2)])
    assert "b+ /dev/nvme2n1 0660 root disk - 7:2\n" in text
    assert "L+ /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0abc - - - - ../../nvme2n1\n" in text


def test_loops_below_takes_only_this_labs_files():
    listing = """{"loopdevices": [
        {"name": "/dev/loop0", "back-file": "/state/a/disks/vol-1.img"},
        {"name": "/dev/loop1", "back-file": "/state/a/disks/vol-2.img (deleted)"},
        {"name": "/dev/loop2", "back-file": "/state/ab/disks/vol-3.img"},
        {"name": "/dev/loop3", "back-file": null}]}"""
    assert disks.loops_below(listing, "/state/a") == [
        ("/dev/loop0", "/state/a/disks/vol-1.img"),
        ("/dev/loop1", "/state/a/disks/vol-2.img"),
    ]


def test_loops_below_of_a_host_without_loops():
    assert disks.loops_below("", "/state/a") == []


def test_a_new_volume_is_sparse_zeros(tmp_path):
    file = Disks(tmp_path).create("vol-1", 50)
    assert file.stat().st_size == 50 * GIB
    assert file.stat().st_blocks == 0


def test_a_volume_that_exists_keeps_its_data(tmp_path):
    store = Disks(tmp_path)
    file = store.create("vol-1", 1)
    with open(file, "r+b") as handle:
        handle.write(b"data")
    with open(store.create("vol-1", 1), "rb") as handle:
        assert handle.read(4) == b"data"


def test_a_volume_from_a_snapshot_has_its_data_and_its_own_size(tmp_path):
    store = Disks(tmp_path)
    with open(store.create("vol-1", 1), "r+b") as handle:
        handle.write(b"data")
    store.snapshot("vol-1", "snap-1")
    file = store.create("vol-2", 2, "snap-1")
    assert file.stat().st_size == 2 * GIB
    with open(file, "rb") as handle:
        assert handle.read(4) == b"data"


def test_a_volume_from_a_snapshot_of_nothing_is_empty(tmp_path):
    store = Disks(tmp_path)
    store.snapshot("vol-never-attached", "snap-1")
    assert store.create("vol-2", 1, "snap-1").stat().st_blocks == 0


def test_copy_keeps_holes_and_tells_how_far_it_is(tmp_path):
    told = []
    source = tmp_path / "source.img"
    with open(source, "wb") as handle:
        handle.truncate(GIB)
        for offset in (0, GIB // 2, GIB - 4096):
            os.pwrite(handle.fileno(), b"data" * 1024, offset)
    target = tmp_path / "target.img"
    disks.sparse_copy(source, target, told.append)
    assert target.stat().st_size == GIB and target.stat().st_blocks < 1024
    with open(target, "rb") as handle:
        for offset in (0, GIB // 2, GIB - 4096):
            assert os.pread(handle.fileno(), 4096, offset) == b"data" * 1024
    assert told == sorted(told) and told[-1] == 100 and 49 <= told[-2] <= 51


def test_delete_is_idempotent(tmp_path, monkeypatch):
    monkeypatch.setattr(disks, "attached_loops", lambda _directory: [])
    store = Disks(tmp_path)
    file = store.create("vol-1", 1)
    store.delete("vol-1")
    store.delete("vol-1")
    assert not file.exists()


def test_attach_uses_the_loop_device_a_volume_has(tmp_path, monkeypatch):
    store = Disks(tmp_path)
    monkeypatch.setattr(disks, "attached_loops", lambda _dir: [("/dev/null", str(store.file("vol-1")))])
    monkeypatch.setattr(disks, "run", lambda argv: pytest.fail(f"ran {argv}"))
    monkeypatch.setattr(disks, "keeps", lambda _loop, _file: True)
    found = store.attach("vol-1", 1, "", 4)
    assert (found.loop, found.index, found.node) == ("/dev/null", 4, "nvme4n1")


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_who_looks_at_a_disk_while_it_moves_takes_it_from_nobody(tmp_path):
    store = Disks(tmp_path)
    first = store.attach("vol-1", 1, "", 1)
    looks = os.open(first.loop, os.O_RDONLY)
    store.release("vol-1")  # waits until nobody looks
    try:
        second = store.attach("vol-1", 1, "", 2)
    finally:
        os.close(looks)
    assert store.loop("vol-1") == second.loop
    device = os.open(second.loop, os.O_RDONLY)
    assert os.lseek(device, 0, os.SEEK_END) == GIB and os.pread(device, 4096, 0) == bytes(4096)
    os.close(device)
    store.delete("vol-1")
    assert store.loop("vol-1") == "" and not disks.keeps(second.loop, str(store.file("vol-1")))


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_number_that_another_volume_got_meanwhile_stays_with_it(tmp_path, monkeypatch):
    mine, other = Disks(tmp_path / "mine"), Disks(tmp_path / "other")
    mine.create("vol-1", 1)
    taken = other.attach("vol-2", 2, "", 1)
    # What a look at all devices told before this one became free and the other lab got it.
    monkeypatch.setattr(mine, "loop", lambda _volume_id: taken.loop)
    mine.release("vol-1")
    assert other.loop("vol-2") == taken.loop
    again = mine.attach("vol-1", 1, "", 1)
    assert again.loop != taken.loop
    assert other.loop("vol-2") == taken.loop
    other.delete("vol-2")
    monkeypatch.undo()
    mine.delete("vol-1")
    assert mine.loop("vol-1") == other.loop("vol-2") == ""
