"""The main job under Mitogen, whose strategy brings connections, sudo and a way to run modules of its own."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path

import pytest

from .conftest import User

pytestmark = pytest.mark.lab

DEMO = ("-e", "profile=lab")
# Two epochs are enough to see that it ran.
SHORT = '{"job": {"command": "python3 /code/train.py --epochs 2 --results /data/lab/results"}}'


def mitogen() -> dict[str, str]:
    """What Mitogen tells its users to set."""
    found = find_spec("ansible_mitogen")
    assert found and found.origin
    folder = Path(found.origin).parent / "plugins/strategy"
    return {"ANSIBLE_STRATEGY": "mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS": str(folder)}


def test_the_main_job_from_launch_to_close(user: User) -> None:
    user.env |= mitogen()
    user.play("launch", *DEMO, "-e", SHORT)
    with (user.folder / "results/lab/metrics.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    (instance,) = user.alive("lab")
    # Ansible's own sudo says BECOME-SUCCESS before each module; Mitogen's starts one Python that gets its code by a pipe.
    became = user.ssh(instance, "lab", "sudo journalctl -t sudo -o cat")
    assert "zlib.decompress" in became and "BECOME-SUCCESS" not in became
    (row,) = user.status()
    assert (row["experiment"], row["job_state"], row["instance_id"]) == ("lab", "succeeded", instance)
    user.play("close", *DEMO, "-e", "delete_volumes=all")
    assert user.alive("lab") == [] and user.tagged("lab") == {}
