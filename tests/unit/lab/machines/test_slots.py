"""Labs side by side do not share a port, a bridge or an address."""

from __future__ import annotations

import ipaddress
import threading

import pytest

from lab.machines import slots
from lab.machines.slots import Slot, SlotError

ROUTES = [
    {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
    {"dst": "192.0.2.0/24", "dev": "eth0"},
    {"dst": "172.17.0.0/16", "dev": "docker0"},
    {"dst": "198.18.0.4", "dev": "br-spotlab0"},
]


def slot(number: int, name: str = "a", cidr: str = "172.31.0.0/16") -> Slot:
    return Slot(name, number, cidr, f"/state/{name}")


def test_first_lab_has_the_range_of_a_default_vpc():
    found = slots.allocate("a", [], ROUTES, "/state/a")
    assert (found.number, found.vpc_cidr, found.port) == (0, "172.31.0.0/16", 5600)
    assert found.gateway == "172.31.0.1"
    assert found.endpoint == "http://127.0.0.1:5600"


def test_second_lab_shares_nothing_with_the_first():
    first = slot(0)
    second = slots.allocate("b", [first], ROUTES, "/state/b")
    assert second.port != first.port
    assert second.bridge != first.bridge
    assert second.network != first.network
    for mine, other in ((second.vpc_cidr, first.vpc_cidr), (second.public_cidr, first.public_cidr)):
        assert not ipaddress.ip_network(mine).overlaps(ipaddress.ip_network(other))


def test_a_lab_keeps_its_slot():
    known = [slot(0, "a"), slot(3, "b", "10.203.0.0/16")]
    assert slots.allocate("b", known, ROUTES, "/elsewhere") is known[1]


def test_the_lowest_free_slot_is_used():
    known = [slot(0, "a"), slot(2, "c", "10.202.0.0/16")]
    assert slots.allocate("b", known, ROUTES, "/state/b").number == 1


def test_a_range_the_host_routes_is_left_alone():
    taken = [*ROUTES, {"dst": "172.31.5.0/24", "dev": "eth1"}]
    assert slots.allocate("a", [], taken, "/state/a").vpc_cidr == "10.200.0.0/16"


def test_no_range_is_one_clear_error():
    with pytest.raises(SlotError, match=r"no free address range.*10\.0\.0\.0/8"):
        slots.free_range(["10.200.0.0/16"], ["10.0.0.0/8"])


def test_too_many_labs_says_what_to_type():
    known = [slot(n, f"l{n}") for n in range(slots.SLOTS)]
    with pytest.raises(SlotError, match="lab/lab down --name"):
        slots.allocate("one-more", known, [], "/state/x")


def test_every_slot_fits_the_kernel_and_the_benchmark_range():
    all_slots = [slot(n) for n in range(slots.SLOTS)]
    publics = [ipaddress.ip_network(s.public_cidr) for s in all_slots]
    assert all(len(s.bridge) <= 15 for s in all_slots)
    assert len(set(publics)) == slots.SLOTS
    assert all(net.subnet_of(ipaddress.ip_network("198.18.0.0/15")) for net in publics)


def test_route_ranges_drops_default_ipv6_and_own_devices():
    routes = [*ROUTES, {"dst": "fd00::/64", "dev": "eth0"}]
    assert slots.route_ranges(routes, own=["br-spotlab0"]) == ["192.0.2.0/24", "172.17.0.0/16"]


@pytest.mark.parametrize("name", ["a", "lab-2", "x" * 30])
def test_good_names(name):
    assert slots.check_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a/b", "a.b", "x" * 31, "a b"])
def test_bad_names(name):
    with pytest.raises(SlotError, match="lower-case letters"):
        slots.check_name(name)


def test_claim_is_kept_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPERIMENTS_SPOT_LAB_DIR", str(tmp_path))
    monkeypatch.setattr(slots, "run", lambda _argv: "[]")
    first, second = slots.claim("one"), slots.claim("two")
    assert slots.claim("one") == first == slots.load("one")
    assert {lab.name for lab in slots.labs()} == {"one", "two"}
    assert first.number != second.number


def test_a_lab_that_is_claimed_again_can_be_read_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPERIMENTS_SPOT_LAB_DIR", str(tmp_path))
    slot = slots.claim("demo")
    writer = threading.Thread(target=lambda: [slots.claim("demo") for _ in range(50)])
    writer.start()
    seen = []
    while writer.is_alive():
        seen.append(slots.load("demo"))
    assert set(seen) == {slot}


def test_a_damaged_note_is_no_lab(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPERIMENTS_SPOT_LAB_DIR", str(tmp_path))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "slot.json").write_text('{"name": "bro')
    assert slots.load("broken") is None
    assert slots.labs() == []


def test_a_lab_keeps_its_speed_until_it_gets_another_one(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPERIMENTS_SPOT_LAB_DIR", str(tmp_path))
    monkeypatch.setattr(slots, "run", lambda _command: "[]")
    assert slots.claim("a").speed == 1
    assert slots.claim("a", 20).speed == 20
    assert slots.claim("a").speed == 20
    assert slots.load("a").speed == 20


def test_a_slot_written_down_before_there_were_speeds(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPERIMENTS_SPOT_LAB_DIR", str(tmp_path))
    (tmp_path / "old").mkdir()
    (tmp_path / "old/slot.json").write_text(
        '{"name": "old", "number": 0, "vpc_cidr": "10.0.0.0/16", "directory": "/x"}'
    )
    assert slots.load("old").speed == 1
