"""AWS takes a machine: what it is told from inside, what becomes of it and of its volume, what others hear."""

from __future__ import annotations

import json
import subprocess

import pytest
from lab_driver import lab_command
from test_lab_metadata import IMDS, STATUS, TOKEN, get

SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}
PERSISTENT = {
    "MarketType": "spot",
    "SpotOptions": {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"},
}


def order(lab, *words: str) -> subprocess.CompletedProcess[str]:
    verb, *rest = words
    return subprocess.run([*lab_command(verb, lab.name), *rest], capture_output=True, text=True, check=False)


def status(machine, path: str) -> str:
    return machine.run(f'{STATUS} -H "X-aws-ec2-metadata-token: $({TOKEN})" {IMDS}/meta-data/{path}')


def request(lab, machine) -> tuple[str, str]:
    wanted = [{"Name": "instance-id", "Values": [machine.instance_id]}]
    (one,) = lab.ec2.describe_spot_instance_requests(Filters=wanted)["SpotInstanceRequests"]
    return one["State"], one["Status"]["Code"]


@pytest.fixture
def queue(lab):
    """A queue with all that EventBridge tells about instances."""
    sqs, bus = lab.client("sqs"), lab.client("events")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus.put_rule(Name="r", EventPattern=json.dumps({"source": ["aws.ec2"]}))
    bus.put_targets(Rule="r", Targets=[{"Id": "q", "Arn": arn}])
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": [statement]})})
    yield lambda: [json.loads(m["Body"]) for m in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]]
    sqs.delete_queue(QueueUrl=url)
    bus.remove_targets(Rule="r", Ids=["q"])
    bus.delete_rule(Name="r")


def test_notice_then_the_end_and_the_volume_is_free(lab, queue):
    # Source: EC2 User Guide "Spot Instance interruption notices", "Spot request status"
    machine = lab.launch(**SPOT)
    volume = lab.volume(machine.describe()["Placement"]["AvailabilityZone"])
    link = lab.attach(volume, machine)
    machine.run(f"sudo mkfs.ext4 -q {link} && sudo mount {link} /mnt && echo data | sudo tee /mnt/file && sync")
    assert status(machine, "spot/instance-action") == "404"
    assert order(lab, "interrupt", machine.instance_id, "--rebalance").returncode == 0
    assert "noticeTime" in json.loads(get(machine, "meta-data/events/recommendations/rebalance"))
    assert status(machine, "spot/instance-action") == "404"

    done = order(lab, "interrupt", machine.instance_id, "--notice", "6")
    assert "has its notice" in done.stdout, done.stderr
    told = json.loads(get(machine, "meta-data/spot/instance-action"))
    assert told["action"] == "terminate"
    assert get(machine, "meta-data/spot/termination-time") == told["time"]
    assert request(lab, machine) == ("active", "marked-for-termination")
    assert machine.state == "running"

    machine.until("terminated")
    assert machine.describe()["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert request(lab, machine) == ("closed", "instance-terminated-no-capacity")
    assert not machine.reachable()
    lab.until_volume(volume, "available")
    kinds = [(e["detail-type"].split()[-1], e["detail"].get("state")) for e in queue()]
    assert kinds[:2] == [("Notification", "pending"), ("Notification", "running")]
    assert {("Recommendation", None), ("Warning", None), ("Notification", "terminated")} <= set(kinds)

    heir = lab.launch(Placement={"AvailabilityZone": machine.describe()["Placement"]["AvailabilityZone"]})
    link = lab.attach(volume, heir)
    assert heir.run(f"sudo mount {link} /mnt && cat /mnt/file") == "data"
    lab.terminate(heir)
    lab.ec2.delete_volume(VolumeId=volume)


def test_sudden_end(lab):
    machine = lab.launch(**SPOT)
    assert "without a notice" in order(lab, "interrupt", machine.instance_id[:12], "--none").stdout
    machine.until("terminated")
    assert request(lab, machine) == ("closed", "instance-terminated-no-capacity")


def test_a_stopped_one_comes_back_with_its_disk_when_there_is_capacity(lab):
    # Source: EC2 User Guide "Behavior of Spot Instance interruptions", stop
    machine = lab.launch(InstanceMarketOptions=PERSISTENT)
    machine.run("echo kept > mark")
    assert order(lab, "interrupt", machine.instance_id, "--notice", "1").returncode == 0
    machine.until("stopped")
    assert request(lab, machine) == ("disabled", "instance-stopped-no-capacity")
    assert order(lab, "capacity", "t3.medium=any").returncode == 0
    machine.up()
    assert machine.run("cat mark") == "kept"
    assert status(machine, "spot/instance-action") == "404"
    lab.terminate(machine)


def test_what_cannot_be_taken_is_one_line(lab, machine):
    spot = lab.order(**SPOT)[0]
    for name, word in ((machine.instance_id, "On-Demand"), ("i-0123456789abcdef0", "is no instance")):
        done = order(lab, "interrupt", name)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert word in done.stderr
        assert spot.instance_id in done.stderr
    lab.terminate(spot)


def test_speed_of_a_lab_that_is_up(lab):
    machine = lab.launch(**SPOT)
    assert order(lab, "up", "--speed", "40").returncode == 0
    assert "speed 40" in order(lab, "status").stdout
    told = order(lab, "interrupt", machine.instance_id).stdout
    assert order(lab, "up", "--speed", "1").returncode == 0
    assert "in 3 s" in told
    machine.until("terminated")
