"""A lab's network: a bridge that is its VPC, /32 routes that are public addresses, a rule for the metadata service."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from pathlib import Path
from typing import Any

from lab.machines.shell import CommandError, attempt, run
from lab.machines.slots import METADATA_PORT, Slot

LABEL = "experiments-spot-lab"  # on every container, volume and network; its value is the lab's name
METADATA_ADDRESS = "169.254.169.254"
REGISTRY_PORT = 5000
NFS_PORT = 2049


def comment(name: str) -> str:
    """How a lab marks its firewall rules."""
    return f"{LABEL}:{name}"


def rules(slot: Slot) -> list[tuple[str, str, list[str]]]:
    """Rules of this lab's bridge as (table, chain, rule).

    Machines, and nobody else, are led to their metadata service; and a host that refuses what comes in must let them
    reach the services of the lab.
    """
    mark = ["-m", "comment", "--comment", comment(slot.name)]
    imds = ["-i", slot.bridge, "-d", METADATA_ADDRESS, "-p", "tcp", "--dport", "80", *mark]
    ports = ",".join(str(port) for port in (METADATA_PORT, REGISTRY_PORT, slot.port))
    services = ["-i", slot.bridge, "-d", slot.gateway, "-p", "tcp", "-m", "multiport", "--dports", ports, *mark]
    files = ["-i", slot.bridge, "-p", "tcp", "--dport", str(NFS_PORT), *mark]
    return [
        ("nat", "PREROUTING", [*imds, "-j", "DNAT", "--to-destination", f"{slot.gateway}:{METADATA_PORT}"]),
        ("filter", "INPUT", [*services, "-j", "ACCEPT"]),
        ("filter", "INPUT", [*files, "-j", "ACCEPT"]),
    ]


def add_rules(slot: Slot) -> None:
    """Insert the rules unless they are there."""
    for table, chain, rule in rules(slot):
        if not attempt(["iptables", "-w", "-t", table, "-C", chain, *rule]):
            run(["iptables", "-w", "-t", table, "-I", chain, *rule])


def marked_rules(saved: str, name: str) -> list[list[str]]:
    """Arguments that delete a lab's rules of one table, from the output of `iptables-save`."""
    mark = re.compile(rf'--comment "?{re.escape(comment(name))}"?(\s|$)')
    lines = [line for line in saved.splitlines() if line.startswith("-A ") and mark.search(line)]
    return [["-D", *(word.strip('"') for word in line.split()[1:])] for line in lines]


def remove_rules(name: str) -> None:
    """Delete every rule this lab has left."""
    for table in ("nat", "filter"):
        try:
            saved = run(["iptables-save", "-t", table])
        except CommandError:
            continue
        for rule in marked_rules(saved, name):
            attempt(["iptables", "-w", "-t", table, *rule])


def ensure_network(docker: Any, slot: Slot) -> None:
    """Create the bridge unless it is there."""
    if any(net["Name"] == slot.network for net in docker.networks(names=[slot.network])):
        return
    docker.create_network(
        slot.network,
        driver="bridge",
        ipam={"Driver": "default", "Config": [{"Subnet": slot.vpc_cidr, "Gateway": slot.gateway}]},
        options={"com.docker.network.bridge.name": slot.bridge},
        labels={LABEL: slot.name},
    )


def add_public_address(slot: Slot, pid: int, public: str, private: str) -> None:
    """Make a public address answer: on the machine's loopback, and a host route that leads there."""
    run(["nsenter", "--net", "--target", str(pid), "ip", "address", "replace", f"{public}/32", "dev", "lo"])
    run(["ip", "route", "replace", f"{public}/32", "via", private, "dev", slot.bridge])


def remove_public_address(slot: Slot, public: str) -> None:
    """Take the host route away; the address goes with the machine."""
    if public:
        attempt(["ip", "route", "del", f"{public}/32", "dev", slot.bridge])


def remove_bridge(slot: Slot) -> None:
    """Delete a bridge that no docker network owns any more (its routes go with it)."""
    if Path(f"/sys/class/net/{slot.bridge}").exists():
        attempt(["ip", "link", "delete", slot.bridge])


def host_name(private_ip: str) -> str:
    """The name EC2 gives a machine by its address."""
    return "ip-" + str(ipaddress.ip_address(private_ip)).replace(".", "-")


def remove_network(docker: Any, slot: Slot) -> None:
    """Remove the docker network and, should docker have lost it, the bridge."""
    from docker.errors import APIError  # noqa: PLC0415  the rest of this module works without the SDK

    with contextlib.suppress(APIError):
        docker.remove_network(slot.network)
    remove_bridge(slot)
