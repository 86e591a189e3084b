"""AWS takes an instance, an event says so, and the experiment goes on: the commands that the rulebook runs, as a user has them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._fleet.index import index_from

from .conftest import ROOT, User

pytestmark = pytest.mark.lab

QUEUE = "tests-events"
BARE = """---
description: Machines and nothing on them
region: us-east-1
capacity:
  instance_types: [t3.medium, t3.large]
  count: 2
image:
  ssm_parameter: /aws/service/debian/daily/bookworm/latest/amd64
  root_volume_size: 8
access:
  remote_user: admin
runtime:
  docker: false
"""


@pytest.fixture(scope="module")
def queue(user: User) -> Iterator[str]:
    """URL of the queue, made as the guide says, and two instances that run."""
    (user.folder / "profiles/evented.yml").write_text(BARE)
    user.play("events", "-e", f"queue={QUEUE}")
    user.play("launch", "-e", "profile=evented")
    yield user.client("sqs").get_queue_url(QueueName=QUEUE)["QueueUrl"]
    user.play("close", "-e", "profile=evented")
    user.play("events", "-e", f"queue={QUEUE}", "-e", "state=absent")
    assert user.client("events").list_rules()["Rules"] == []
    assert user.client("sqs").list_queues().get("QueueUrls", []) == []


def message(user: User, queue: str) -> dict[str, Any]:
    """The next event, taken off the queue as the event source does."""
    sqs = user.client("sqs")
    (found,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20, MaxNumberOfMessages=1)["Messages"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=found["ReceiptHandle"])
    event: dict[str, Any] = json.loads(found["Body"])
    return event


def resumption(event: dict[str, Any]) -> list[str]:
    """What the rulebook gives to resume.yml."""
    given = {
        "instance_id": event["detail"]["instance-id"],
        "region": event["region"],
        "profiles_dir": "",
        "wait": False,
    }
    return ["-e", json.dumps(given)]


def ranks(user: User) -> dict[str, str]:
    """Instance -> rank of those that are alive, each rank once."""
    filters = [{"Name": "instance-id", "Values": user.alive("evented")}]
    found = user.client().describe_instances(Filters=filters)["Reservations"]
    instances = [instance for reservation in found for instance in reservation["Instances"]]
    tags = {one["InstanceId"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]} for one in instances}
    alive = {name: str(index_from(tags[name]["spot:rank"], name)) for name in tags}
    assert sorted(alive.values()) == ["0", "1"]
    return alive


def changed(text: str) -> set[int]:
    return {int(number) for number in re.findall(r"changed=(\d+)", text)}


def calls(user: User, action: str) -> int:
    return user.changing_calls().count(action)


def test_second_setup_changes_nothing(user: User, queue: str) -> None:
    before = user.changing_calls()
    assert changed(user.play("events", "-e", f"queue={QUEUE}")) == {0}
    assert changed(user.play("events", "-e", f"queue={QUEUE}", "--check")) == {0}
    assert user.changing_calls() == before


def test_check_mode_makes_nothing(user: User, queue: str) -> None:
    text = user.play("events", "-e", "queue=tests-events-other", "--check")
    assert changed(text) == {2}
    assert [rule["Name"] for rule in user.client("events").list_rules()["Rules"]] == [QUEUE]
    assert user.client("sqs").list_queues()["QueueUrls"] == [queue]


def test_sudden_death_reaches_the_queue_and_is_replaced_under_its_rank(user: User, queue: str) -> None:
    before = ranks(user)
    taken = min(before)
    user.control("interrupt", instance_id=taken, notice=None)
    event = message(user, queue)
    assert (event["source"], event["region"]) == ("aws.ec2", "us-east-1")
    assert event["detail-type"] == "EC2 Instance State-change Notification"
    assert event["detail"] == {"instance-id": taken, "state": "terminated"}
    user.play("resume", *resumption(event))
    after = ranks(user)
    (new,) = set(after) - set(before)
    assert after == {**{name: rank for name, rank in before.items() if name != taken}, new: before[taken]}


def test_the_same_event_again_does_nothing(user: User, queue: str) -> None:
    before, fleets = ranks(user), calls(user, "CreateFleet")
    gone = [one["instance-id"] for one in user.control("events") if one.get("state") == "terminated"][-1]
    text = user.play("resume", *resumption({"detail": {"instance-id": gone}, "region": "us-east-1"}))
    assert f"evented needs nothing after {gone}: all instances run" in text
    assert (ranks(user), calls(user, "CreateFleet"), changed(text)) == (before, fleets, {0})


def test_two_events_at_the_same_moment_launch_once(user: User, queue: str) -> None:
    before = ranks(user)
    for name in before:
        user.control("interrupt", instance_id=name, notice=None)
    events = [message(user, queue) for _ in before]
    assert {event["detail"]["instance-id"] for event in events} == set(before)
    runs = [user.start("resume", *resumption(event)) for event in events]
    texts = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(texts)
    assert not set(ranks(user)) & set(before)
    assert len(user.alive("evented")) == 2


def test_notice_is_answered_before_the_end(user: User, queue: str) -> None:
    before = ranks(user)
    taken = min(before)
    user.control("interrupt", instance_id=taken, notice=120)
    event = message(user, queue)
    assert event["detail-type"] == "EC2 Spot Instance Interruption Warning"
    assert event["detail"] == {"instance-id": taken, "instance-action": "terminate"}
    user.play("resume", *resumption(event))
    alive = user.alive("evented")
    assert taken in alive and len(alive) == 3, "the new one does not wait for the end of the old one"
    user.client().terminate_instances(InstanceIds=[taken])
    assert message(user, queue)["detail"] == {"instance-id": taken, "state": "terminated"}
    assert sorted(ranks(user).values()) == ["0", "1"]


def test_a_recommendation_alone_changes_nothing(user: User, queue: str) -> None:
    before = ranks(user)
    user.control("interrupt", instance_id=min(before), rebalance=True)
    event = message(user, queue)
    assert event["detail-type"] == "EC2 Instance Rebalance Recommendation"
    assert event["detail"] == {"instance-id": min(before)}
    assert "needs nothing" in user.play("resume", *resumption(event))
    assert ranks(user) == before


def test_what_the_user_ends_is_not_started_again(user: User, queue: str) -> None:
    before, fleets = ranks(user), calls(user, "CreateFleet")
    user.client().terminate_instances(InstanceIds=[min(before)])
    event = message(user, queue)
    text = user.play("resume", *resumption(event))
    assert f"evented needs nothing after {min(before)}" in text
    assert len(user.alive("evented")) == 1 and calls(user, "CreateFleet") == fleets
    assert "is not resumed" in user.play("resume", "-e", "profile=evented", fails=True), "who types it wants to know"


def test_instances_of_others_are_left_alone(user: User, queue: str) -> None:
    ec2 = user.client()
    image = user.client("ssm").get_parameter(Name="/aws/service/debian/daily/bookworm/latest/amd64")["Parameter"][
        "Value"
    ]
    options = {"ImageId": image, "InstanceType": "t3.medium", "MinCount": 1, "MaxCount": 1}
    other = ec2.run_instances(**options, InstanceMarketOptions={"MarketType": "spot"})["Instances"][0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[other])
    event = message(user, queue)
    assert event["detail"]["instance-id"] == other
    text = user.play("resume", *resumption(event))
    assert f"{other} is not ours: it has no tags" in text and changed(text) == {0}
    unknown = {"detail": {"instance-id": "i-0123456789abcdef0"}, "region": "us-east-1"}
    assert "AWS does not know it" in user.play("resume", *resumption(unknown))


def test_a_queue_that_lets_nobody_send_gets_nothing(user: User, queue: str) -> None:
    """The policy is what lets the rule send, and setting up once more puts it back."""
    user.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": ""})
    (alive,) = user.alive("evented")
    user.control("interrupt", instance_id=alive, rebalance=True)
    assert "does not let" in user.control("events")[-1]["outcome"]
    assert changed(user.play("events", "-e", f"queue={QUEUE}")) == {1}
    user.control("interrupt", instance_id=alive, rebalance=True)
    assert user.control("events")[-1]["outcome"] == "sent"


def test_it_runs_by_its_full_name_from_anywhere(user: User, queue: str) -> None:
    """ansible-rulebook runs a copy of the playbook in an empty folder."""
    empty = user.folder / "elsewhere"
    empty.mkdir()
    copy = empty / "experiments.spot.resume"
    shutil.copy(ROOT / "playbooks/resume.yml", copy)
    for playbook in ("experiments.spot.resume", str(copy)):
        command = [
            str(Path(sys.executable).parent / "ansible-playbook"),
            playbook,
            "-e",
            "instance_id=i-0123456789abcdef0",
        ]
        environ = {**user.env, "AWS_REGION": "us-east-1"}
        done = subprocess.run(command, cwd=empty, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "AWS does not know it" in done.stdout, done.stdout + done.stderr
