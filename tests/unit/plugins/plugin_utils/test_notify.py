"""News, and the ways to tell them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from ansible_collections.experiments.spot.plugins.plugin_utils import _notify
from tests.unit.hook import Hook

NEWS = _notify.News("digits", "failure", "i-1 (rank 0): failed, exit code 3\n", "2026-11-27T12:00:00+00:00")


@pytest.fixture()
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


def test_webhook_gets_json_with_text_for_people(hook: Hook) -> None:
    _notify.post(hook.url, NEWS)
    ((path, told),) = hook.told
    assert path == "/secret"
    assert told == {
        "experiment": "digits",
        "event": "failure",
        "time": NEWS.time,
        "text": "digits: something has failed\ni-1 (rank 0): failed, exit code 3",
    }


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_refuses_or_leads_elsewhere_is_an_error(hook: Hook, status: int) -> None:
    hook.status = status
    with pytest.raises(OSError, match=str(status)):
        _notify.post(hook.url, NEWS)
    assert [path for path, _told in hook.told] == ["/secret"]


@pytest.mark.slow
def test_topic_gets_a_message_with_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        options = {"endpoint_url": f"http://{host}:{port}", "region_name": "us-east-1"}
        sns, sqs = boto3.client("sns", **options), boto3.client("sqs", **options)
        topic = sns.create_topic(Name="experiments-spot")["TopicArn"]
        queue = sqs.create_queue(QueueName="q")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        only = {"FilterPolicy": json.dumps({"event": ["failure"]})}
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=only)
        _notify.publish(sns, topic, NEWS)
        _notify.publish(sns, topic, _notify.News("digits", "start", "i-1", NEWS.time))
        (message,) = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    finally:
        server.stop()
    told = json.loads(message["Body"])
    assert told["Subject"] == "digits: something has failed"
    assert told["Message"] == f"digits: something has failed\n\ni-1 (rank 0): failed, exit code 3\n\n{NEWS.time}"
    assert {key: value["Value"] for key, value in told["MessageAttributes"].items()} == {
        "experiment": "digits",
        "event": "failure",
    }


def test_desktop_takes_the_program_that_is_there() -> None:
    linux = _notify.desktop_command(NEWS, lambda name: name if name == "notify-send" else None)
    assert linux[0] == "notify-send" and "--urgency=critical" in linux and linux[-2:] == [NEWS.title, NEWS.body]
    mac = _notify.desktop_command(NEWS, lambda name: name if name == "osascript" else None)
    assert mac[0] == "osascript" and mac[-2:] == [NEWS.title, NEWS.body]
    assert _notify.desktop_command(NEWS, lambda _name: None) == []


def test_desktop_runs_a_program_with_the_text_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "notify-send"
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {tmp_path}/shown\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    news = _notify.News("digits", "end", "$(id) -e `x`\n'", NEWS.time)
    _notify.show(_notify.desktop_command(news))
    shown = (tmp_path / "shown").read_text().split("|")[:-1]
    assert shown == ["--app-name=experiments.spot", "--urgency=normal", "--", news.title, "$(id) -e `x`\n'"]


def test_one_way_that_fails_hinders_no_other() -> None:
    gone: list[str] = []

    def fail() -> None:
        raise RuntimeError("no")

    told, failed = _notify.tell({"webhook": fail, "desktop": lambda: gone.append("x")}, str)
    assert (told, failed, gone) == (["desktop"], ["notify.webhook: no"], ["x"])


def test_what_is_told_fits() -> None:
    long = _notify.News("e" * 200, "end", "x" * 20000, NEWS.time)
    seen: dict[str, Any] = {}
    _notify.publish(type("Sns", (), {"publish": lambda _self, **given: seen.update(given)})(), "arn", long)
    assert len(seen["Subject"]) <= 100 and len(seen["Message"]) < 9000
