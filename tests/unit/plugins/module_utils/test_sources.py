"""The text of a module is the same, whoever has loaded it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionLoader

from ansible_collections.experiments.spot.plugins.module_utils import _sources
from ansible_collections.experiments.spot.plugins.module_utils._sources import source_of


def test_of_a_module_that_python_has_loaded() -> None:
    assert source_of(_sources) == Path(_sources.__file__).read_text()


def test_of_one_that_the_loader_of_collections_has_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = _AnsibleCollectionLoader.__new__(_AnsibleCollectionLoader)
    loader._fullname, loader._decoded_source, loader._source_code_path = _sources.__name__, None, _sources.__file__
    monkeypatch.setattr(_sources, "__loader__", loader)
    assert isinstance(loader.get_source(_sources.__name__), bytes), "ansible-core answers in text now"
    assert source_of(_sources) == Path(_sources.__file__).read_text()
