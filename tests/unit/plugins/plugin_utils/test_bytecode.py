"""Modules of the collection come from byte code that is made once; what has changed is compiled again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
PROGRAM = """
import sys
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([sys.argv[1]])
from ansible_collections.experiments.spot.plugins.plugin_utils import _bytecode
_bytecode.use()
_bytecode.use()
from ansible_collections.amazon.aws.plugins.module_utils import retries
from ansible_collections.experiments.spot.plugins import filter
from ansible_collections.experiments.spot.plugins.plugin_utils import _bytecode, _text
from ansible_collections.experiments.spot.plugins.filter import table
assert sys.meta_path.count(_bytecode.Finder) == 1
print([type(one.__spec__.loader).__name__ for one in (retries, filter, _text, table)], _text.usd(1))
"""
LOADERS = "['_AnsibleCollectionLoader', '_AnsibleCollectionLoader', 'SourceFileLoader', 'SourceFileLoader']"


@pytest.fixture
def collections(tmp_path: Path) -> Path:
    """One of the user's own, with ours in it."""
    spot = tmp_path / "ansible_collections/experiments/spot"
    shutil.copytree(ROOT / "plugins", spot / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "meta", spot / "meta")
    return tmp_path


def told(collections: Path) -> str:
    argv = [sys.executable, "-c", PROGRAM, str(collections)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(argv, env=clean, capture_output=True, text=True, check=True).stdout.strip()


def test_compiled_once(collections: Path) -> None:
    assert told(collections) == f"{LOADERS} $1.00"
    source = collections / "ansible_collections/experiments/spot/plugins/plugin_utils/_text.py"
    (made,) = source.parent.glob("__pycache__/_text.*.pyc")
    before = made.stat().st_mtime_ns
    assert told(collections) == f"{LOADERS} $1.00"
    assert made.stat().st_mtime_ns == before
    source.write_text(source.read_text() + "\ndef usd(amount):\n    return 'changed'\n")
    assert told(collections) == f"{LOADERS} changed"


def test_where_nothing_can_be_written(collections: Path) -> None:
    plugins = collections / "ansible_collections/experiments/spot/plugins"
    for folder in (plugins / "plugin_utils", plugins / "filter"):
        (folder / "__pycache__").touch()  # root may write everywhere, but not below a file
    assert told(collections) == f"{LOADERS} $1.00"
    assert not list(plugins.glob("plugin_utils/**/_text.*.pyc"))
