"""Which lab uses what: every name gets a slot, and the slot decides port, bridge and address ranges.

So several labs live side by side, a lab that comes up again gets what it had, and what a crashed lab left can be found
from its name alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import json
import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lab import engine
from lab.machines.shell import run

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")
SLOTS = 32
API_PORT = 5600
METADATA_PORT = 1338
DEFAULT_ROOT = "/var/lib/experiments-spot-lab"


class SlotError(Exception):
    """No lab can be had under these conditions; the text says what to do."""


@dataclass(frozen=True)
class Slot:
    """What one lab owns on the host. `directory` holds its disks, log and notes; `speed` divides its delays."""

    name: str
    number: int
    vpc_cidr: str
    directory: str
    speed: float = 1.0

    @property
    def port(self) -> int:
        """TCP port of the API, on 127.0.0.1 and on the gateway."""
        return API_PORT + self.number

    @property
    def bridge(self) -> str:
        """The network device (Linux allows 15 characters, so the name of the lab does not fit)."""
        return f"br-spotlab{self.number}"

    @property
    def network(self) -> str:
        """Name of the docker network."""
        return f"experiments-spot-lab-{self.name}"

    @property
    def gateway(self) -> str:
        """The host as machines see it: first address of the VPC."""
        return str(ipaddress.ip_network(self.vpc_cidr)[1])

    @property
    def public_cidr(self) -> str:
        """Public addresses: a piece of the benchmark range, so that no real address is hidden. Source: RFC 2544."""
        return f"198.{18 + self.number // 16}.{self.number % 16 * 16}.0/20"

    @property
    def endpoint(self) -> str:
        """What goes into AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def path(self) -> Path:
        """`directory` as a path."""
        return Path(self.directory)


def root() -> Path:
    """Where labs keep their state: EXPERIMENTS_SPOT_LAB_DIR, else a directory of the system."""
    return Path(os.environ.get("EXPERIMENTS_SPOT_LAB_DIR") or DEFAULT_ROOT)


def check_name(name: str) -> str:
    """Return the name.

    Raises:
        SlotError: the name does not fit.
    """
    if not NAME.fullmatch(name):
        raise SlotError(f"--name {name!r}: a lab's name has 1 to 30 lower-case letters, digits and inner hyphens")
    return name


def candidates(number: int) -> list[str]:
    """Address ranges a slot may use, best first. Slot 0 has the range of AWS's default VPCs."""
    own = f"10.{200 + number}.0.0/16"
    spare = [f"10.{160 + number}.0.0/16", f"172.{16 + number % 15}.0.0/16"]
    return (["172.31.0.0/16"] if number == 0 else []) + [own, *spare]


def free_range(wanted: Collection[str], taken: Collection[str]) -> str:
    """The first range that overlaps nothing.

    Raises:
        SlotError: all overlap.
    """
    others = [ipaddress.ip_network(other, strict=False) for other in taken]
    for cidr in wanted:
        if not any(ipaddress.ip_network(cidr).overlaps(other) for other in others):
            return cidr
    raise SlotError(f"no free address range among {', '.join(wanted)}: the host has routes to {', '.join(taken)}")


def route_ranges(routes: list[dict[str, object]], own: Collection[str] = ()) -> list[str]:
    """Destinations in the output of `ip -json route show`, default routes and the devices `own` left out."""
    found = [str(r["dst"]) for r in routes if r.get("dst") not in (None, "default") and r.get("dev") not in own]
    return [dst for dst in found if ":" not in dst]


def allocate(name: str, known: Collection[Slot], routes: list[dict[str, object]], directory: str) -> Slot:
    """The slot of a lab: its old one, else the lowest free one.

    Raises:
        SlotError: too many labs, or no free address range.
    """
    for slot in known:
        if slot.name == name:
            return slot
    used = {slot.number for slot in known}
    number = next((n for n in range(SLOTS) if n not in used), None)
    if number is None:
        raise SlotError(f"{SLOTS} labs exist already; take one down with: lab/lab down --name NAME")
    taken = [*route_ranges(routes), *(slot.vpc_cidr for slot in known)]
    return Slot(name, number, free_range(candidates(number), taken), directory)


def load(name: str) -> Slot | None:
    """The slot a lab has, None when it has none."""
    try:
        return Slot(**json.loads((root() / name / "slot.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def labs() -> list[Slot]:
    """All labs that have a slot on this host."""
    found = [load(path.parent.name) for path in sorted(root().glob("*/slot.json"))]
    return [slot for slot in found if slot]


def claim(name: str, speed: float | None = None) -> Slot:
    """Get the slot of a lab, a new one where it has none, and write it down; without a speed it keeps the one it has.

    Raises:
        SlotError: see `allocate`.
    """
    with locked("slots"):
        routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all", "type", "unicast"]) or "[]")
        slot = allocate(name, labs(), routes, str(root() / name))
        slot = replace(slot, speed=speed or slot.speed)
        slot.path.mkdir(parents=True, exist_ok=True)
        engine.write_atomically(slot.path / "slot.json", (json.dumps(asdict(slot)) + "\n").encode())
    return slot


@contextlib.contextmanager
def locked(what: str, say: Callable[[str], None] = lambda _line: None) -> Iterator[None]:
    """Let one process at a time do something; released by the kernel also when the process dies."""
    root().mkdir(parents=True, exist_ok=True)
    with open(root() / f".{what}.lock", "w", encoding="ascii") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process works on this lab; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
