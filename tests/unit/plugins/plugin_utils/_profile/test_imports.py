"""Every field of the formats that people have is carried over or named, and what comes out is a right profile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.experiments.spot.plugins.plugin_utils._profile import draft
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.imports import (
    KINDS,
    MARKS,
    Import,
    ImportFailed,
    convert,
    read,
    recognise,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.load import load_file, load_text
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.validate import Setting, examine

ROOT = Path(__file__).resolve().parents[5]
START = load_file(str(ROOT / "profiles/default.yml"), "default.yml")[0].data
SETTING = Setting("mine", "", lambda: "us-east-1", "/work", "/home/alice")

PORTAL_GUN: dict[str, Any] = {
    "spot_instance": {
        "instance_type": "p2.xlarge",
        "image_id": "ami-0123456789abcdef0",
        "key_pair_name": "mine",
        "identity_file": "~/.ssh/mine.pem",
        "security_group_id": "sg-0123456789abcdef0",
        "availability_zone": "eu-west-1a",
        "subnet_id": "subnet-12345678",
        "ebs_optimized": True,
        "remote_group": "ubuntu",
        "remote_user": "ubuntu",
        "python_virtual_env": "pytorch",
        "extra_python_packages": ["tqdm"],
    },
    "spot_fleet": {"iam_fleet_role": "arn:aws:iam::123456789012:role/aws-ec2-spot-fleet-tagging-role"},
    "persistent_volumes": [
        {"volume_id": "vol-0123456789abcdef0", "device": "/dev/xvdf", "mount_point": "/home/ubuntu/workspace"}
    ],
    "channels": [
        {"direction": "out", "local_path": "src/", "remote_path": "src", "recursive": True, "delay": 2.5},
        {"direction": "in", "local_path": "out/", "remote_path": "/data/out/"},
    ],
}
# The sample of 000 with ids as AWS makes them.
LAUNCH: dict[str, Any] = {
    "Placement": {"AvailabilityZone": "eu-west-1a", "Tenancy": "default", "GroupName": "near"},
    "ImageId": "ami-0123456789abcdef0",
    "KeyName": "mykey@example",
    "BlockDeviceMappings": [
        {
            "DeviceName": "/dev/xvda",
            "Ebs": {
                "DeleteOnTermination": True,
                "VolumeType": "gp2",
                "VolumeSize": 80,
                "SnapshotId": "snap-12345678",
                "Encrypted": False,
                "Iops": 3000,
            },
        },
        {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 500}},
        {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
    ],
    "EbsOptimized": False,
    "SecurityGroups": [{"GroupName": "ssh", "GroupId": "sg-12345678"}, "default"],
    "SubnetId": "subnet-12345678",
    "Monitoring": {"Enabled": False},
    "IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/some-iam"},
    "InstanceType": "p2.xlarge",
    "UserData": "c2VjcmV0",
}
REQUEST: dict[str, Any] = {
    "SpotInstanceRequests": [
        {
            "SpotInstanceRequestId": "sir-12345678",
            "SpotPrice": "0.500000",
            "Type": "persistent",
            "State": "active",
            "Status": {"Code": "fulfilled"},
            "InstanceInterruptionBehavior": "stop",
            "LaunchedAvailabilityZone": "eu-west-1a",
            "ValidUntil": "2026-01-01T00:00:00Z",
            "Tags": [{"Key": "team", "Value": "vision"}, {"Key": "aws:x", "Value": "y"}, {"Key": "Name", "Value": "n"}],
            "LaunchSpecification": LAUNCH,
        }
    ]
}
SPOT_CONNECT: dict[str, Any] = {
    "firewall_ingress": ("tcp", 22, 22, "203.0.113.0/24"),
    "image_id": "ami-0859ec69e0492368e",
    "instance_type": "t2.micro",
    "price": "0.15",
    "min_price": 0.1,
    "region": "us-west-2",
    "scripts": ["a.sh"],
    "username": "ec2-user",
    "efs_mount": True,
}
STACK = [
    {"ParameterKey": name, "ParameterValue": value}
    for name, value in {
        "KeyName": "aws-ec2",
        "InstanceType": "t2.large",
        "SSHLocation": "192.208.238.80/32",
        "Timeout": "90",
    }.items()
]
# Aliases of aliases, billions of values.
BOMB = "".join(f"{name}: &{name} [{', '.join([f'*{below}'] * 9)}]\n" for below, name in zip("abcdefgh", "bcdefghi"))
FILES = {"portal_gun": PORTAL_GUN, "launch_specification": LAUNCH, "spot_connect": SPOT_CONNECT, "stack_config": STACK}


def make(data: Any, kind: str = "", name: str = "mine") -> tuple[Import, dict[str, Any]]:
    """The import, and the profile as a launch reads it out of the file."""
    found = convert(data, kind or recognise(data), name)
    draft.complete(found, START, SETTING)
    written = draft.text(found, "FILE")
    document, problems = load_text(written, "mine.yml")
    assert problems == []
    checked = examine(document, SETTING)
    assert checked.problems == []
    assert document.data == found.profile
    assert not any(mark in line for line in written.splitlines() if not line.startswith("#") for mark in MARKS)
    return found, checked.profile


def leaves(data: Any, path: str = "") -> Iterator[str]:
    """Paths of all values of a file as the report names them."""
    if isinstance(data, dict) and data:
        for name, value in data.items():
            yield from leaves(value, f"{path}.{name}" if path else name)
    elif isinstance(data, list) and data:
        for index, value in enumerate(data):
            yield from leaves(value, f"{path}[{index}]")
    else:
        yield path


def named(found: Import) -> set[str]:
    return {source for source, _ in (*found.carried, *found.left)}


def told(path: str, sources: set[str]) -> bool:
    """Whether a field, or the part of the file around it, is carried over or named."""
    return any(path == source or path.startswith((f"{source}.", f"{source}[")) for source in sources)


@pytest.mark.parametrize("kind", FILES)
def test_every_field_is_carried_over_or_named(kind: str) -> None:
    found, _profile = make(FILES[kind])
    data = FILES[kind]
    if kind == "stack_config":
        data = {one["ParameterKey"]: one["ParameterValue"] for one in STACK}
    assert [path for path in leaves(data) if not told(path, named(found))] == []


def test_every_field_of_a_request_too() -> None:
    found, profile = make(REQUEST)
    assert [path for path in leaves(REQUEST["SpotInstanceRequests"][0]) if not told(path, named(found))] == []
    assert profile["capacity"]["max_price"] == 0.5
    assert profile["tags"] == {"team": "vision"}
    left = dict(found.left)
    assert "recovery" in left["Type"]
    assert left["InstanceInterruptionBehavior"].startswith('capacity.interruption_behavior: "stop" is not allowed')


@pytest.mark.parametrize("kind", FILES)
def test_a_field_that_nobody_knows_is_named(kind: str) -> None:
    more = {"ParameterKey": "Colour", "ParameterValue": "red"}
    data: Any = [*STACK, more] if kind == "stack_config" else {**FILES[kind], "Colour": "red"}
    assert dict(make(data)[0].left)["Colour"] == "no field of this name is known"


@pytest.mark.parametrize("kind", FILES)
def test_the_kind_is_seen(kind: str) -> None:
    assert recognise(FILES[kind]) == kind
    assert recognise(read(json.dumps(FILES[kind]))) == kind
    assert recognise(read(repr(FILES[kind]))) == kind


def test_portal_gun() -> None:
    profile = make(PORTAL_GUN)[1]
    capacity, access = profile["capacity"], profile["access"]
    assert profile["region"] == "eu-west-1"
    assert (capacity["instance_types"], capacity["zones"]) == (["p2.xlarge"], ["eu-west-1a"])
    assert capacity["subnet_ids"] == ["subnet-12345678"]
    assert capacity["iam_fleet_role"].endswith("aws-ec2-spot-fleet-tagging-role")
    assert profile["image"]["id"] == "ami-0123456789abcdef0"
    assert (access["key_name"], access["private_key_file"]) == ("mine", "/home/alice/.ssh/mine.pem")
    assert access["security_group_ids"] == ["sg-0123456789abcdef0"]
    (volume,) = profile["volumes"]
    assert (volume["name"], volume["volume_id"]) == ("workspace", "vol-0123456789abcdef0")
    assert (volume["device"], volume["mount_point"]) == ("/dev/xvdf", "/home/ubuntu/workspace")
    out, back = profile["channels"]
    assert (out["direction"], out["recursive"], out["delay"]) == ("out", True, 2.5)
    assert out["remote_path"] == "/home/ubuntu/src"
    assert (back["direction"], back["recursive"], back["remote_path"]) == ("in", False, "/data/out/")


def test_what_goes_out_starts_where_it_did() -> None:
    """Portal Gun counted from where one typed, a profile counts from its own directory."""
    channels = make(PORTAL_GUN)[0].profile["channels"]
    assert [one["local_path"] for one in channels] == ["../src/", "out/"]


def test_a_launch_specification() -> None:
    found, profile = make(LAUNCH)
    assert profile["access"]["security_group_ids"] == ["sg-12345678"]
    assert (profile["image"]["root_volume_size"], profile["image"]["root_volume_type"]) == (80, "gp2")
    assert profile["access"]["instance_profile"] == "arn:aws:iam::123456789012:instance-profile/some-iam"
    left = dict(found.left)
    assert "sg-" in left["SecurityGroups[1]"]
    assert "size: 500" in left["BlockDeviceMappings[1]"]
    assert "mykey@example" in left["KeyName"]
    assert "c2VjcmV0" not in draft.text(found, "FILE")


def test_spot_connect() -> None:
    profile = make(SPOT_CONNECT)[1]
    assert profile["region"] == "us-west-2"
    assert (profile["capacity"]["instance_types"], profile["capacity"]["max_price"]) == (["t2.micro"], 0.15)
    assert (profile["access"]["remote_user"], profile["access"]["ssh_cidr"]) == ("ec2-user", "203.0.113.0/24")
    (shared,) = profile["file_systems"]
    assert (shared["name"], shared["mount_point"]) == ("mine", "/home/ec2-user/efs")


def test_an_open_firewall_is_not_carried_over() -> None:
    rules = [("tcp", 22, 22, "0.0.0.0/0"), ("tcp", 80, 80, "0.0.0.0/0")]
    found, profile = make({**SPOT_CONNECT, "firewall_ingress": rules})
    assert profile["access"]["ssh_cidr"] == "auto"
    assert {"firewall_ingress[0]", "firewall_ingress[1]"} <= set(dict(found.left))


def test_one_of_several_profiles_by_its_name() -> None:
    several = {"default": SPOT_CONNECT, "datasync": {**SPOT_CONNECT, "instance_type": "m5.large"}}
    assert make(several, name="datasync")[1]["capacity"]["instance_types"] == ["m5.large"]
    with pytest.raises(ImportFailed, match="default, datasync"):
        convert(several, "spot_connect", "mine")


@pytest.mark.parametrize(
    "data",
    [STACK, {"Parameters": FILES["stack_config"]}, {one["ParameterKey"]: one["ParameterValue"] for one in STACK}],
)
def test_stack_config(data: Any) -> None:
    profile = make(data["Parameters"] if isinstance(data, dict) and "Parameters" in data else data)[1]
    assert profile["capacity"]["instance_types"] == ["t2.large"]
    assert profile["capacity"]["time_limit"] == 5400
    assert profile["access"]["ssh_cidr"] == "192.208.238.80/32"


def test_what_a_launch_would_fill_in_stays_out() -> None:
    """A foreign file may not run lookups at the next launch."""
    spec = {**PORTAL_GUN, "spot_instance": {**PORTAL_GUN["spot_instance"], "remote_user": "{{ lookup('pipe', 'id') }}"}}
    found, profile = make(spec)
    assert profile["access"]["remote_user"] == "ubuntu"
    assert "template" in dict(found.left)["spot_instance.remote_user"]


def test_a_draft_of_portal_gun_that_nobody_filled_in() -> None:
    found, profile = make({"spot_instance": {"instance_type": "string (required)", "identity_file": "~/k.pem"}})
    assert dict(found.left)["spot_instance.instance_type"] == "nobody has filled it in yet"
    assert profile["capacity"]["instance_types"] == START["capacity"]["instance_types"]


def test_wrong_values_are_named_and_the_rest_stays() -> None:
    """The ids of the sample in 000 are none."""
    found, profile = make({**LAUNCH, "ImageId": "ami-12345", "SubnetId": "subnet-12345", "SecurityGroupIds": ["sg-1"]})
    left = dict(found.left)
    assert {"ImageId", "SubnetId", "SecurityGroupIds[0]"} <= set(left)
    assert left["ImageId"].startswith('image.id: "ami-12345" is not allowed; allowed: ami-')
    assert profile["image"]["ssm_parameter"] == START["image"]["ssm_parameter"]
    assert profile["access"]["security_group_ids"] == ["sg-12345678"]


def test_an_image_that_stands_in_has_its_own_user() -> None:
    found, profile = make({**SPOT_CONNECT, "image_id": "none"})
    assert profile["access"]["remote_user"] == "ubuntu"
    assert "ubuntu" in dict(found.left)["username"]


def test_of_several_volumes_the_wrong_one_goes() -> None:
    good, bad = PORTAL_GUN["persistent_volumes"][0], {"volume_id": "vol-1", "device": "sdf", "mount_point": "/b"}
    other = {"volume_id": "vol-12345678", "device": "/dev/xvdg", "mount_point": "/c"}
    found, profile = make({**PORTAL_GUN, "persistent_volumes": [bad, good, other, {"volume_id": "vol-87654321"}]})
    assert [one["volume_id"] for one in profile["volumes"]] == [None, good["volume_id"], "vol-12345678"]
    assert {"persistent_volumes[0].volume_id", "persistent_volumes[0].device", "persistent_volumes[3]"} <= set(
        dict(found.left)
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ('{"ImageId": "ami-1",', "neither JSON nor YAML: Expecting property name"),
        ("a: [", "neither JSON nor YAML: "),
        ("hello", 'it holds "hello"'),
        ("[" * 5000, "neither JSON nor YAML"),
        ('{"a":' * 80 + "1" + "}" * 80, "50 levels"),
        ("a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + BOMB + "ImageId: *i\n", "more than 20000 values"),
        ("ImageId: &a [*a]\n", "50 levels"),
    ],
)
def test_a_broken_file(text: str, said: str) -> None:
    with pytest.raises(ImportFailed, match=re.escape(said)):
        read(text)


@pytest.mark.parametrize("data", [{"AWSTemplateFormatVersion": "2010"}, {}, [], [1], {"a": {}}])
def test_a_foreign_file(data: Any) -> None:
    with pytest.raises(ImportFailed) as failed:
        recognise(data)
    assert all(kind in str(failed.value) for kind in KINDS)


def test_a_profile_of_ours() -> None:
    with pytest.raises(ImportFailed, match="already"):
        recognise(START)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_carry_over(kind: str) -> None:
    with pytest.raises(ImportFailed, match="nothing that could be carried over"):
        convert({"Colour": "red"}, kind, "mine")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(
        [
            "ami-12345678",
            "sg-12345678",
            "p2.xlarge",
            "us-east-1a",
            "10.0.0.0/24",
            "in",
            "out",
            "~/x",
            "/data",
            "{{ x }}",
        ]
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@st.composite
def mangled(draw: st.DrawFn) -> tuple[str, Any]:
    """One of the files with some of its values replaced."""
    kind = draw(st.sampled_from(sorted(FILES)))

    def value(data: Any) -> Any:
        if draw(st.integers(0, 5)) == 0:
            return draw(VALUES)
        if isinstance(data, dict):
            return {name: value(inner) for name, inner in data.items()}
        if isinstance(data, (list, tuple)):
            return [value(inner) for inner in data]
        return data

    data = FILES[kind]
    top = [value(one) for one in data] if isinstance(data, list) else {name: value(data[name]) for name in data}
    return kind, top


@pytest.mark.slow
@given(mangled())
def test_whatever_is_in_it_a_right_profile_comes_out_or_the_reason(given: tuple[str, Any]) -> None:
    kind, data = given
    try:
        found, _profile = make(data, kind)
    except ImportFailed as error:
        assert KINDS[kind] in str(error) or "several" in str(error)
        return
    if kind != "stack_config":
        assert [path for path in leaves(data) if not told(path, named(found))] == []
