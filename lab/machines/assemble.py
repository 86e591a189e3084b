"""What a lab stands on: engine, machine image, network, registry.

Every step finds what is there already, or takes its time and says so.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

from lab import engine, image, registry
from lab.machines import network
from lab.machines.cleanup import Progress
from lab.machines.containers import Image, Login
from lab.machines.notes import write_image
from lab.machines.slots import Slot


def ensure_engine(progress: Progress) -> None:
    """Packages of the host, and an engine that answers."""
    progress("packages and docker engine")
    engine.install_packages(say=progress)
    engine.ensure_engine(say=progress)


def wake_engine(progress: Progress) -> None:
    """An engine that answers where there can be one: containers of a lab outlive a restart of the host."""
    try:
        engine.ensure_engine(say=progress)
    except engine.EngineError as error:
        progress(f"containers cannot be looked for: {error}")


def prepare(slot: Slot, progress: Progress) -> None:
    """Everything the daemon needs; the engine answers. Both images are made side by side: each waits much for disk."""
    progress(f"network {slot.vpc_cidr} on {slot.bridge}")
    network.ensure_network(engine.api(), slot)
    progress("registry, job image and machine image")
    own = registry.Registry(slot.gateway, slot.path)
    own.start(say=progress)
    with ThreadPoolExecutor(max_workers=1) as pool:
        job = pool.submit(registry.ensure_job_image, own, say=progress)
        tag = image.ensure_image(say=progress)
        write_image(slot, describe(tag, engine.probe(tag, say=progress)))
        job.result()


def describe(tag: str, options: engine.RunOptions) -> Image:
    """Image and run options as what the daemon needs to know."""
    host_config = options.host_config(engine.api())
    login = Login(image.LOGIN_USER)
    return Image(tag, host_config, login, options.command, options.stop_signal, options.environment)


def dismantle(slot: Slot, progress: Progress) -> None:
    """End what is not a container: the registry of this lab."""
    progress("stopping the registry")
    with contextlib.suppress(OSError):
        registry.Registry(slot.gateway, slot.path).stop()
