# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The inventory for whoever asks for it, and not for the playbooks that find their instances by themselves."""

from __future__ import annotations

DOCUMENTATION = r"""
name: auto
short_description: Read inventory files that name their plugin, unless a playbook of this collection runs
version_added: 0.1.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Does what P(ansible.builtin.auto#inventory) does, with one exception. The playbooks of this collection find their
    instances by themselves, at the same time as everything else that they read, so for them the file is left unread.
    That spares every launch a call to AWS and about a second.
  - ansible-inventory, ansible and your own playbooks see the instances.
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

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.inventory.auto import InventoryModule as Auto

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "experiments.spot."


def finds_its_hosts(playbooks: Iterable[str]) -> bool:
    """Whether all that is run belongs to this collection, by path or by name, and there is something that is run.

    Args:
        playbooks: What the command line names: paths, or `experiments.spot.launch`. A pattern of hosts is neither.
    """
    named = list(playbooks)
    return bool(named) and all(one.startswith(COLLECTION) or _is_ours(Path(one)) for one in named)


def _is_ours(path: Path) -> bool:
    return path.suffix == ".yml" and path.is_file() and path.resolve().parent in (ROOT, ROOT / "playbooks")


class InventoryModule(Auto):
    """P(ansible.builtin.auto#inventory), silent for our own playbooks."""

    NAME = "experiments.spot.auto"

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Adds what the file tells, or nothing."""
        if not finds_its_hosts(context.CLIARGS.get("args") or ()):
            super().parse(inventory, loader, path, cache=cache)
