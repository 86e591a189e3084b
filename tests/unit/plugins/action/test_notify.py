"""The action notify."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.experiments.spot.plugins.action import notify

# A port of this machine at which nobody answers.
NOBODY = "http://127.0.0.1:9/secret"
ARGS = {"experiment": "digits", "event": "end", "text": "well"}


@pytest.fixture()
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    shown: list[str] = []
    monkeypatch.setattr(notify.display, "warning", lambda text, *_a, **_k: shown.append(text), raising=False)
    return shown


def test_nothing_is_asked_for(make_action: Any, warnings: list[str]) -> None:
    done = make_action(notify, ARGS, transport="local").run()
    assert (done["changed"], done["told"], done["failed_ways"], warnings) == (False, [], [], [])


def test_what_cannot_be_told_is_a_warning_without_the_secret(
    make_action: Any, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    topic = {"topic": "arn:aws:sns:us-west-2:123456789012:experiments-spot", "endpoint_url": "http://127.0.0.1:9"}
    done = make_action(notify, {**ARGS, "webhook": NOBODY, **topic}, transport="local").run()
    assert not done.get("failed") and done["told"] == []
    assert [line.partition(":")[0] for line in warnings] == ["notify.webhook", "notify.topic"]
    assert warnings == done["failed_ways"] and "secret" not in str(done) and "\n" not in "".join(warnings)


def test_a_program_that_fails_says_why(make_action: Any, warnings: list[str], tmp_path: Any, monkeypatch: Any) -> None:
    program = tmp_path / "notify-send"
    program.write_text("#!/bin/sh\necho 'no display' >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    make_action(notify, {**ARGS, "desktop": True}, transport="local").run()
    assert warnings == ["notify.desktop: no display"]


def test_check_mode_tells_nothing(make_action: Any, warnings: list[str]) -> None:
    done = make_action(notify, {**ARGS, "webhook": NOBODY}, transport="local", check_mode=True).run()
    assert (done["told"], warnings) == ([], [])


def test_the_topic_says_the_region() -> None:
    args = {"topic": "arn:aws:sns:eu-west-1:123456789012:x", "region": "us-east-1", "endpoint_url": None}
    sns = notify.sns_of({**dict.fromkeys(notify.aws_argument_spec()), **args, "access_key": "a", "secret_key": "b"})
    assert sns.meta.region_name == "eu-west-1" and sns.meta.config.read_timeout == 5


def test_an_event_that_is_none(make_action: Any) -> None:
    with pytest.raises(AnsibleActionFail, match="event"):
        make_action(notify, {**ARGS, "event": "party"}, transport="local").run()
