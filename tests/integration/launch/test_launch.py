"""The main job as a user types it, in the order in which a user meets it. Each test looks at files, machines or the API."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.unit.hook import Hook

from .conftest import User

pytestmark = pytest.mark.lab

DEMO = ("-e", "profile=lab")


def recap(text: str) -> list[int]:
    """The `changed=` figures of the play recap."""
    return [int(number) for number in re.findall(r"changed=(\d+)", text)]


def metrics(user: User) -> list[int]:
    with (user.folder / "results/lab/metrics.csv").open() as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


def typed(user: User, program: str, *args: str) -> str:
    command = [str(Path(sys.executable).parent / program), *args]
    done = subprocess.run(command, cwd=user.folder, env=user.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_check_creates_nothing_and_tells_the_price(user: User) -> None:
    before = len(user.changing_calls())
    text = user.play("launch", *DEMO, "--check")
    assert "t3.medium" in text and "an hour" in text
    assert len(user.changing_calls()) == before
    assert user.tagged("lab") == {}


# What a launch asks whatever the number of instances; what hardly ever changes the check before it has asked and kept.
EVERY = {
    "AuthorizeSecurityGroupIngress": 1,
    "CreateFleet": 1,
    "CreateLaunchTemplate": 1,
    "CreateSecurityGroup": 1,
    "DescribeSpotPriceHistory": 1,
    "DescribeSubnets": 1,
    "DescribeTags": 1,
    "ImportKeyPair": 1,
}
# Besides, by time and not by number: DescribeInstances until the machines run, GetConsoleOutput until they show their
# keys (once an instance as a rule, AWS has no call for many), DescribeVolumes while one is attached.
WAITING = {"DescribeInstances", "GetConsoleOutput", "DescribeVolumes"}
MACHINES = '{"channels": [], "volumes": [], "job": null, "runtime": {"docker": false}}'


def budget(user: User, *args: str) -> tuple[dict[str, int], dict[str, int]]:
    """The calls of a first launch: those that are counted, and those that wait."""
    before = len(user.control("calls"))
    user.play("launch", *DEMO, *args)
    calls = Counter(call["action"] for call in user.control("calls")[before:])
    waits = {action: calls.pop(action, 0) for action in WAITING}
    return dict(calls), waits


def test_calls_of_a_launch_do_not_grow_with_the_number_of_instances(user: User) -> None:
    asked, waits = budget(user, "-e", "experiment=one", "-e", MACHINES)
    assert asked == EVERY
    # The plan, after CreateFleet, and while the machine starts.
    assert 3 <= waits["DescribeInstances"] <= 8 and waits["DescribeVolumes"] == 0
    asked, waits = budget(user, "-e", "experiment=five", "-e", MACHINES, "-e", "capacity.count=5")
    assert asked == {**EVERY, "CreateTags": 1}
    assert 3 <= waits["DescribeInstances"] <= 12
    assert 5 <= waits["GetConsoleOutput"] <= 15
    user.forget()


def test_first_launch_trains_and_brings_results(user: User) -> None:
    text = user.play("launch", *DEMO)
    assert metrics(user) == list(range(1, 31))
    assert (user.folder / "results/lab/learning-curve.png").read_bytes().startswith(b"\x89PNG")
    assert "on-demand" in text
    assert "ansible-playbook close.yml -e profile=lab" in text
    assert len(user.alive("lab")) == 1


def test_second_launch_changes_nothing(user: User) -> None:
    before = user.changing_calls()
    text = user.play("launch", *DEMO)
    assert set(recap(text)) == {0}
    assert user.changing_calls() == before
    # Each of its tasks is a process of Ansible, also one that is skipped.
    assert sum(int(number) for number in re.findall(r"(?:ok|skipped)=(\d+)", text)) <= 41


def test_status_tells_job_and_cost(user: User) -> None:
    (row,) = user.status()
    assert (row["experiment"], row["job_state"], row["instance_id"]) == ("lab", "succeeded", user.alive("lab")[0])
    assert 0 < row["cost_so_far"] < row["price"]
    assert "lab" in user.play("status")


def test_inventory_has_the_groups_and_reaches_the_host(user: User) -> None:
    hosts = typed(user, "ansible", "experiment_lab", "--list-hosts")
    assert user.alive("lab")[0] in hosts
    look = ("-m", "ansible.builtin.command", "-a", "findmnt -n -o FSTYPE /data")
    assert "ext4" in typed(user, "ansible", "profile_lab:&type_t3_medium", *look)
    assert user.alive("lab")[0] in typed(user, "ansible-inventory", "--graph", "experiment_lab")


def test_sync_brings_what_is_new(user: User) -> None:
    (user.folder / "results/lab/metrics.csv").unlink()
    user.play("sync", *DEMO, "-e", "direction=in")
    assert metrics(user) == list(range(1, 31))


def test_close_keeps_only_the_volume(user: User) -> None:
    text = user.play("close", *DEMO)
    assert set(user.tagged("lab")) == {"volume"}
    assert "lab-data" in text and "a month" in text
    assert user.alive("lab") == []
    assert not (Path(user.env["HOME"]) / ".ssh/experiments.spot/lab").exists()
    again = user.play("close", *DEMO)
    assert set(recap(again)) == {0}


def test_next_launch_goes_on_from_the_checkpoint_and_tells_it(user: User) -> None:
    longer = "python3 /code/train.py --epochs 36 --results /data/lab/results"
    hook, bin_dir = Hook(), user.folder / "bin"
    topic = user.client("sns").create_topic(Name="experiments-spot")["TopicArn"]
    bin_dir.mkdir()
    (bin_dir / "notify-send").write_text(f'#!/bin/sh\nfor last; do :; done; echo "$last" >> {user.folder}/shown\n')
    (bin_dir / "notify-send").chmod(0o755)
    news = ["-e", f"notify.webhook={hook.url}", "-e", f"notify.topic={topic}", "-e", "notify.desktop=true"]
    began = time.time()
    text = user.play(
        "launch", *DEMO, "-e", "follow=true", "-e", f'{{"job": {{"command": "{longer}"}}}}', *news,
        env={"PATH": f"{bin_dir}:{user.env['PATH']}"},
    )  # fmt: skip
    hook.close()
    assert [(told["experiment"], told["event"]) for _path, told in hook.told] == [("lab", "start"), ("lab", "end")]
    assert "succeeded" in hook.told[1][1]["text"] and hook.url not in text
    assert len((user.folder / "shown").read_text().splitlines()) == 2
    assert [call["action"] for call in user.control("calls") if call["time"] >= began].count("Publish") == 2
    assert metrics(user) == list(range(1, 37)), "epochs of both runs, none twice"
    assert "epoch 31" in text.lower() and "epoch 30 " not in text.lower()
    (volume,) = user.client().describe_volumes(Filters=[{"Name": "tag:spot:volume", "Values": ["lab-data"]}])["Volumes"]
    assert volume["Attachments"][0]["InstanceId"] == user.alive("lab")[0]


def test_close_all_needs_a_yes_and_deletes_named_volumes(user: User) -> None:
    text = user.play("close", "-e", "experiment=all", fails=True)
    assert "confirm=true" in text
    assert len(user.alive("lab")) == 1
    user.play("close", "-e", "experiment=all", "-e", "confirm=true", "-e", "delete_volumes=lab-data")
    assert user.tagged("lab") == {}
    assert user.status() == []
