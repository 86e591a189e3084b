"""The action show."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.experiments.spot.plugins.action import show


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"msg": "a  b\n  'c'\n"}, ["a  b\n  'c'"]),
        ({"text": "x"}, ["x"]),
        ({"msg": ["a", 1]}, ["a\n1"]),
        ({"msg": "x", "quiet": True}, []),
    ],
)
def test_prints_verbatim(make_action, args, expected):
    plugin = make_action(show, args, transport="local")
    assert plugin.run()["changed"] is False
    assert plugin.shown == expected


def test_what_is_asked_for_is_shown_even_when_progress_is_not(make_action, monkeypatch):
    monkeypatch.setenv("EXPERIMENTS_SPOT_QUIET", "1")
    plugin = make_action(show, {"msg": "x"}, transport="local")
    plugin.run()
    assert plugin.shown == ["x"]


def test_without_text(make_action):
    with pytest.raises(AnsibleActionFail, match="msg"):
        make_action(show, {}).run()
