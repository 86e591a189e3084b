# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The collection's own Python modules, from their byte code.

Ansible's loader of collections compiles each source file anew in each process, a fifth of a second for a launch.
Python's own loader keeps what it has compiled beside the source, where it may write.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

OURS = "ansible_collections.experiments.spot.plugins."


@functools.cache
def _folder(path: str) -> FileFinder:
    return FileFinder(path, (SourceFileLoader, SOURCE_SUFFIXES))


class Finder:
    """Leaves to Ansible what is not ours, and packages without a file of their own.

    Source: docs.python.org, importlib.abc.MetaPathFinder.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Where a module is."""
        if not name.startswith(OURS):
            return None
        found = (_folder(one).find_spec(name, target) for one in path or ())
        return next((spec for spec in found if spec and spec.has_location), None)


def use() -> None:
    """From now on in this process, and in those that it forks."""
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)
