"""What `up` tells the daemon: which image to boot and how."""

from __future__ import annotations

import dataclasses
import json

from lab.machines.containers import Image, Login
from lab.machines.slots import Slot


def write_image(slot: Slot, image: Image) -> None:
    """Write it down in the lab's directory."""
    (slot.path / "image.json").write_text(json.dumps(dataclasses.asdict(image)) + "\n")


def read_image(slot: Slot) -> Image:
    """Read it."""
    note = json.loads((slot.path / "image.json").read_text())
    note["login"] = Login(**note["login"])
    note["command"] = tuple(note["command"])
    return Image(**note)
