"""Firewall rules of a lab are its own and can be found again."""

from __future__ import annotations

from lab.machines import network
from lab.machines.slots import Slot

SLOT = Slot("demo", 1, "10.201.0.0/16", "/state/demo")
SAVED = """*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 169.254.169.254/32 -i br-spotlab1 -p tcp -m tcp --dport 80 -m comment --comment "experiments-spot-lab:demo" -j DNAT --to-destination 10.201.0.1:1338
-A PREROUTING -d 169.254.169.254/32 -i br-spotlab2 -p tcp -m comment --comment "experiments-spot-lab:demo-2" -j DNAT --to-destination 10.202.0.1:1338
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
COMMIT
"""


def test_rules_are_for_this_bridge_only():
    assert all(rule[:2] == ["-i", "br-spotlab1"] for _table, _chain, rule in network.rules(SLOT))


def test_machines_are_led_to_their_metadata_service():
    table, chain, rule = network.rules(SLOT)[0]
    assert (table, chain) == ("nat", "PREROUTING")
    assert rule[rule.index("-d") + 1] == "169.254.169.254"
    assert rule[-1] == "10.201.0.1:1338"


def test_only_the_labs_services_are_opened():
    table, chain, rule = network.rules(SLOT)[1]
    assert (table, chain) == ("filter", "INPUT")
    assert rule[rule.index("--dports") + 1] == "1338,5000,5601"
    assert rule[rule.index("-d") + 1] == "10.201.0.1"


def test_every_rule_carries_the_labs_mark():
    for _table, chain, rule in network.rules(SLOT):
        assert network.marked_rules(f"-A {chain} {' '.join(rule)}", "demo") == [["-D", chain, *rule]]


def test_marked_rules_are_this_labs_and_no_other_ones():
    rules = network.marked_rules(SAVED, "demo")
    assert len(rules) == 1
    assert rules[0][:2] == ["-D", "PREROUTING"]
    assert "experiments-spot-lab:demo" in rules[0]
    assert rules[0][-1] == "10.201.0.1:1338"


def test_marked_rules_of_a_lab_without_rules():
    assert network.marked_rules(SAVED, "other") == []


def test_host_name_is_ec2s():
    assert network.host_name("172.31.4.9") == "ip-172-31-4-9"
