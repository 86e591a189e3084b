# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The inventory for whoever asks for it, and not for the playbooks that find their instances by themselves."""

from __future__ import annotations

DOCUMENTATION = r"""
name: auto
short_description: Read inventory files, unless a playbook of this collection runs that finds its instances by itself
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Does what P(ansible.builtin.auto#inventory) does, with one exception. The playbooks of this collection find their
    instances by themselves, at the same time as everything else that they read, so for them the file is left unread.
    That spares every launch a call to AWS and about a second.
  - ansible-inventory, ansible and your own playbooks see the instances.
  - C(experiments.spot.provision) sees every inventory that it is given with C(-i), and not the one of this collection.
  - Files without a plugin are read as P(ansible.builtin.yaml#inventory) or P(ansible.builtin.ini#inventory), by their
    ending. Each file is read in one way only, so that a mistake in it is told once.
notes:
  - Name it in C(enable_plugins) in place of V(auto), as the C(ansible.cfg) of this collection does.
"""

EXAMPLES = r"""
# ansible.cfg
# [defaults]
# inventory = inventory/spot.aws_ec2.yml
# [inventory]
# enable_plugins = host_list, experiments.spot.auto
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleParserError
from ansible.plugins.inventory.auto import InventoryModule as Auto
from ansible.plugins.loader import inventory_loader

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "experiments.spot."
OWN = ROOT / "inventory"


def finds_its_hosts(playbooks: Iterable[str]) -> bool:
    """Whether all that is run belongs to this collection, by path or by name, and there is something that is run.

    Args:
        playbooks: What the command line names: paths, or `experiments.spot.launch`. A pattern of hosts is neither.
    """
    named = list(playbooks)
    return bool(named) and all(one.startswith(COLLECTION) or _is_ours(Path(one)) for one in named)


def _is_ours(path: Path) -> bool:
    return path.suffix == ".yml" and path.is_file() and path.resolve().parent in (ROOT, ROOT / "playbooks")


def stays_unread(path: str, playbooks: Iterable[str]) -> bool:
    """Whether nobody who runs asks for an inventory file.

    Args:
        path: The file.
        playbooks: What the command line names.
    """
    named = list(playbooks)
    if not finds_its_hosts(named):
        return False
    given = any(one == f"{COLLECTION}provision" or Path(one).name == "provision.yml" for one in named)
    return not given or OWN in Path(path).resolve().parents


def static_plugin(path: str) -> str:
    """Plugin for a file that names none, by its ending; "" for one that has to name its plugin or is a program."""
    suffix = Path(path).suffix
    if suffix in (".yml", ".yaml", ".json"):
        return "ansible.builtin.yaml"
    return "ansible.builtin.ini" if os.path.isfile(path) and not os.access(path, os.X_OK) else ""


class InventoryModule(Auto):
    """P(ansible.builtin.auto#inventory) and static files, silent for our own playbooks."""

    NAME = "experiments.spot.auto"

    def verify_file(self, path: str) -> bool:
        """Whether it is a file to read, of any plugin or of none."""
        return os.path.isfile(path) and bool(static_plugin(path))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Adds what the file tells, or nothing."""
        if stays_unread(path, context.CLIARGS.get("args") or ()):
            return
        plugin = static_plugin(path)
        if plugin == "ansible.builtin.yaml" and "plugin" in (loader.load_from_file(path, cache="none") or {}):
            super().parse(inventory, loader, path, cache=cache)
            return
        static = inventory_loader.get(plugin)
        if not static.verify_file(path):
            raise AnsibleParserError(f"{path} is no inventory")
        inventory._target_plugin = static  # as the base does: whether templates in it are trusted is its affair
        static.parse(inventory, loader, path, cache=cache)
