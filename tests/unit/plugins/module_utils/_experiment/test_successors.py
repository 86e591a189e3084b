"""What to take instead of a type that is not offered."""

from __future__ import annotations

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._experiment.successors import SUCCESSORS, suggestion


@pytest.mark.parametrize(
    ("wanted", "offered", "words"),
    [
        ("p2.xlarge", ["g4dn.xlarge", "g5.xlarge", "g6.xlarge", "c5.large"], "g4dn.xlarge, g5.xlarge, g6.xlarge"),
        ("p2.xlarge", ["g6.xlarge"], "g6.xlarge"),
        ("p2.xlarge", ["t3.medium"], "the region offers t3.medium"),
        ("g5.xlage", ["g5.xlarge", "m5.large"], "g5.xlarge"),
        ("nonsense", ["t3.medium", "t3.large"], "the region offers t3.large, t3.medium"),
        ("nonsense", [f"x{size}.large" for size in range(20)], "another region"),
        ("p2.xlarge", [], "another region"),
    ],
)
def test_suggestion(wanted: str, offered: list[str], words: str) -> None:
    assert words in suggestion(wanted, offered)


def test_no_successor_is_itself_retired() -> None:
    assert not {name for names in SUCCESSORS.values() for name in names} & set(SUCCESSORS)
