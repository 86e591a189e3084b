"""The one process of a lab: the API, the machines behind it and their metadata service."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from typing import Any

from werkzeug.serving import BaseWSGIServer, make_server

from lab.aws.app import create_app
from lab.aws.config import Config
from lab.machines import imds, network
from lab.machines.docker_machines import DockerMachines
from lab.machines.notes import read_image
from lab.machines.slots import METADATA_PORT, Slot

LOG = logging.getLogger("lab")


def servers(slot: Slot, app: Any) -> list[BaseWSGIServer]:
    """The API for the host, and for machines that call AWS themselves."""
    addresses = ("127.0.0.1", slot.gateway)
    return [make_server(address, slot.port, app, threaded=True) for address in addresses]


def serve(slot: Slot) -> None:
    """Run until SIGTERM. What is left on the host then is `down`'s, which a crash needs anyway."""
    began = time.monotonic()
    setup_log()
    machines = DockerMachines(slot, read_image(slot))
    config = Config(vpc_cidr=slot.vpc_cidr, public_cidr=slot.public_cidr, speed=slot.speed, efs_delay=1.0)
    app = create_app(machines, config)
    imds.serve((slot.gateway, METADATA_PORT), imds.Service(machines.by_address, machines.notices))
    network.add_rules(slot)
    for server in servers(slot, app):
        threading.Thread(target=server.serve_forever, name="api", daemon=True).start()
    LOG.info("lab %s answers on %s after %.1f s", slot.name, slot.endpoint, time.monotonic() - began)
    wait_for_signal()
    LOG.info("lab %s ends", slot.name)
    logging.shutdown()
    os._exit(0)  # workers may wait for the engine; nothing they hold outlives the process


def wait_for_signal() -> None:
    """Until somebody wants this process to end."""
    asked = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: asked.set())
    asked.wait()


def setup_log() -> None:
    """Everything of ours to standard error, which is the log file."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"
    )
    for noisy in ("werkzeug", "urllib3", "docker", "botocore"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
