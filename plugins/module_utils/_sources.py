# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The text of our own modules, which other programs are made of. PRIVATE to the collection."""

from __future__ import annotations

from types import ModuleType
from typing import Any


def source_of(module: ModuleType) -> str:
    """Text of a module, wherever it was loaded from.

    Sources: importlib.abc.InspectLoader.get_source, which the zip has in which Ansible sends modules; the loader of
    collections (ansible.utils.collection_loader), which serves plugins, answers in bytes.
    """
    loader: Any = module.__loader__
    text = loader.get_source(module.__name__)
    return text.decode("utf-8") if isinstance(text, bytes) else str(text)
