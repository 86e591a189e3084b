"""Take away everything of a lab, from labels and its directory alone: also after a crash, and again and again."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from docker.errors import APIError, DockerException, NotFound

from lab import engine
from lab.machines import network, nfs
from lab.machines.disks import release_all
from lab.machines.slots import Slot

Progress = Callable[[str], None]


def quiet(_line: str) -> None:
    """Progress nobody wants to see."""


def client() -> Any | None:
    """The engine, None where none answers (then none of its containers runs either)."""
    try:
        api = engine.api()
        api.ping()
    except (DockerException, OSError):  # the SDK lets connection errors of its HTTP library through, which are OSErrors
        return None
    return api


def remove_everything(slot: Slot, progress: Progress = quiet) -> None:
    """Containers, their volumes, loop devices, firewall rules, routes, bridge, disks."""
    api = client()
    if api:
        remove_containers(api, slot, progress)
        remove_volumes(api, slot)
    nfs.end_all(slot)
    held = release_all(slot.path)
    if held:
        progress(f"still in use, freed by the kernel when let go: {', '.join(held)}")
    network.remove_rules(slot.name)
    if api:
        network.remove_network(api, slot)
    else:
        network.remove_bridge(slot)
    for part in ("disks", "consoles"):
        shutil.rmtree(slot.path / part, ignore_errors=True)


def remove_containers(api: Any, slot: Slot, progress: Progress) -> None:
    """Four at a time; twenty machines in a few seconds."""
    found = api.containers(all=True, filters={"label": f"{network.LABEL}={slot.name}"})
    if found:
        progress(f"removing {len(found)} container{'s' if len(found) > 1 else ''}")
    in_parallel([row["Id"] for row in found], lambda identifier: remove_container(api, identifier))


def remove_container(api: Any, identifier: str) -> None:
    """One container; a removal already under way is as good."""
    with contextlib.suppress(NotFound, APIError):
        api.remove_container(identifier, force=True, v=True)


def remove_volumes(api: Any, slot: Slot) -> None:
    """docker volumes of machines."""
    found = api.volumes(filters={"label": f"{network.LABEL}={slot.name}"})["Volumes"] or []
    for row in found:
        with contextlib.suppress(APIError):
            api.remove_volume(row["Name"], force=True)


def in_parallel(items: Iterable[str], work: Callable[[str], None]) -> None:
    """Do something to all items, and wait."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, items))


def forget(slot: Slot) -> None:
    """Give the slot back: its directory goes, notes and log included."""
    shutil.rmtree(slot.path, ignore_errors=True)
