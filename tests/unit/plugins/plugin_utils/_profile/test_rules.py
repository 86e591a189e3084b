from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.problem import Problem
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.rules import SIZES, cidr
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.schema import VOLUME

Check = Callable[..., tuple[dict[str, Any] | None, list[Problem]]]


def volume(name: str = "b", mount_point: str = "/b", **more: Any) -> dict[str, Any]:
    return {"name": name, "mount_point": mount_point, **more}


def channel(direction: str = "out", local: str = "src/", remote: str = "~/src/", **more: Any) -> dict[str, Any]:
    return {"direction": direction, "local_path": local, "remote_path": remote, **more}


def file_system(name: str = "team", mount_point: str = "/team", **more: Any) -> dict[str, Any]:
    return {"name": name, "mount_point": mount_point, **more}


def code(repository: str = "git@github.com:alice/train.git", **more: Any) -> dict[str, Any]:
    return {"repository": repository, **more}


FS = "fs-0123456789abcdef0"
VOL = "vol-0123456789abcdef0"
ECR_IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/train:3"
TWO = ["us-east-1", "eu-west-1"]
# Two regions, with an image in each.
BOTH: dict[str, Any] = {"capacity.regions": TWO, "image": {"ssm_parameter": "/x"}}


@pytest.mark.parametrize(
    ("changes", "path", "said"),
    [
        ({"image": {}}, "image", "give one of image.id, image.ids, image.ssm_parameter, image.name"),
        ({"image.ssm_parameter": "/x"}, "image.ssm_parameter", "image.id and image.ssm_parameter exclude each other"),
        ({"image": {"name": "debian-*"}}, "image.owner", "anybody may publish an image of that name"),
        ({"image.owner": "self"}, "image.owner", "goes only with image.name"),
        ({"capacity.zones": ["eu-west-1a"]}, "capacity.zones[0]", '"eu-west-1a" is not in the region us-east-1'),
        ({"capacity.regions": ["eu-west-1"]}, "region", "us-east-1 is not one of capacity.regions (eu-west-1)"),
        ({"capacity.regions": TWO}, "image.id", "image.ids: {us-east-1: ami-…, eu-west-1: ami-…}"),
        (
            {"image": {"ids": {"eu-west-1": "ami-01234567"}}},
            "image.ids",
            "there is none for us-east-1; add us-east-1: ",
        ),
        (
            {"image": {"ids": {"us-east-1": "x"}}},
            "image.ids.us-east-1",
            '"x" is not allowed; allowed: ami- and 8 or 17',
        ),
        ({"image": {"ids": {"here": "ami-01234567"}}}, "image.ids.here", "a region such as us-east-1"),
        ({**BOTH, "capacity.zones": ["us-east-1a"]}, "capacity.zones", "none of them is in eu-west-1"),
        ({**BOTH, "capacity.subnet_ids": ["subnet-01234567"]}, "capacity.subnet_ids", "it belongs to one region"),
        (
            {**BOTH, "access.security_group_ids": ["sg-01234567"]},
            "access.security_group_ids",
            "it belongs to one region",
        ),
        ({**BOTH, "volumes": [volume(volume_id=VOL)]}, "volumes[0].volume_id", "it belongs to one region"),
        ({**BOTH, "volumes": [volume(snapshot_id="snap-01234567")]}, "volumes[0].snapshot_id", "name one region only"),
        (
            {**BOTH, "capacity.iam_fleet_role": "arn:aws:iam::123456789012:role/fleet"},
            "capacity.iam_fleet_role",
            "it belongs to one region",
        ),
        (
            {
                **BOTH,
                "recovery.mode": "self",
                "recovery.bucket": "s3://bucket",
                "access.instance_profile": "role",
            },
            "recovery.mode",
            "a fleet keeps its instance in one region",
        ),
        ({"capacity.market": "on-demand", "capacity.max_price": 1}, "capacity.max_price", "only with market spot"),
        (
            {"capacity.market": "on-demand", "capacity.on_demand": "fallback"},
            "capacity.on_demand",
            "all instances are On-Demand",
        ),
        ({"capacity.on_demand": "base"}, "capacity.on_demand_base", "1 to capacity.count (1), it is 0"),
        (
            {"capacity.on_demand": "base", "capacity.on_demand_base": 2},
            "capacity.on_demand_base",
            "1 to capacity.count (1), it is 2",
        ),
        ({"capacity.on_demand_base": 1}, "capacity.on_demand_base", "goes only with on_demand base"),
        (
            {"capacity.iam_fleet_role": "arn:aws:iam::123456789012:role/fleet", "capacity.on_demand": "fallback"},
            "capacity.iam_fleet_role",
            "goes only with Spot capacity",
        ),
        ({"access.ssh_cidr": "0.0.0.0/0"}, "access.ssh_cidr", "lets the whole Internet knock"),
        ({"access.ssh_cidr": "128.0.0.0/1"}, "access.ssh_cidr", "lets the whole Internet knock"),
        ({"access.ssh_cidr": "10.0.0.5/24"}, "access.ssh_cidr", "did you mean 10.0.0.0/24?"),
        ({"access.ssh_cidr": "::1/128"}, "access.ssh_cidr", "is no IPv4 network"),
        ({"access.key_name": "k"}, "access.key_name", "set access.private_key_file"),
        ({"volumes": [volume("a"), volume("a", "/c")]}, "volumes[1].name", 'the name "a" stands twice'),
        (
            {"capacity.count": 3, "volumes": [volume("a"), volume("a-2", "/c")]},
            "volumes[1].name",
            'is that of volume "a" on another instance',
        ),
        (
            {"volumes": [volume(volume_id=VOL), volume("c", "/c", volume_id=VOL)]},
            "volumes[1].volume_id",
            "stands twice",
        ),
        ({"volumes": [volume(device="/dev/sdf"), volume("c", "/c", device="/dev/sdf")]}, "volumes[1].device", "twice"),
        ({"capacity.count": 2, "volumes": [volume(volume_id=VOL)]}, "volumes[0].volume_id", "the 2 instances"),
        ({"volumes": [volume(volume_id=VOL, snapshot_id="snap-01234567")]}, "volumes[0].snapshot_id", "new volume"),
        ({"volumes": [volume(read_only=True)]}, "volumes[0].read_only", "a new volume could not be filled"),
        (
            {"volumes": [volume(snapshot_id="snap-01234567", read_only=True, size=9)]},
            "volumes[0].size",
            "the size of its snapshot",
        ),
        (
            {"volumes": [volume(volume_id=VOL, read_only=True, options="rw,noatime")]},
            "volumes[0].options",
            "rw contradicts read_only",
        ),
        ({"volumes": [volume(volume_id=VOL, read_only=True, owner="me")]}, "volumes[0].owner", "nothing is changed"),
        ({"volumes": [volume(partition=1)]}, "volumes[0].partition", "a new volume has no partitions"),
        ({"volumes": [volume(volume_id=VOL, partition=0)]}, "volumes[0].partition", "0"),
        (
            {"volumes": [volume(f"v{number}", f"/v{number}") for number in range(27)]},
            "volumes",
            "most types take 26 besides the system disk",
        ),
        (
            {"volumes": [volume("b", "/b", volume_id=VOL, read_only=True)], "job.state_dir": "/b/x"},
            "job.state_dir",
            "which is read_only",
        ),
        ({"volumes": [volume(type="st1", size=100)]}, "volumes[0].size", "allowed: 125 to 16,384 GiB"),
        ({"volumes": [volume(type="io2", size=10)]}, "volumes[0].iops", "io2 needs it"),
        ({"volumes": [volume(type="gp2", iops=3000)]}, "volumes[0].iops", "only with gp3, io1 and io2, not gp2"),
        ({"volumes": [volume(iops=2999)]}, "volumes[0].iops", "allowed: at least 3000"),
        ({"volumes": [volume(size=10, iops=5001)]}, "volumes[0].iops", "500 a GiB, so at most 5000"),
        ({"volumes": [volume(type="gp2", throughput=200)]}, "volumes[0].throughput", "only with gp3, not gp2"),
        ({"volumes": [volume(throughput=1000)]}, "volumes[0].throughput", "needs 4000 IOPS"),
        ({"volumes": [volume(mount_point="/")]}, "volumes[0].mount_point", "/ belongs to the system"),
        ({"volumes": [volume(mount_point="/usr/local")]}, "volumes[0].mount_point", "belongs to the system"),
        ({"volumes": [volume(mount_point="//etc/")]}, "volumes[0].mount_point", "/etc belongs to the system"),
        ({"volumes": [volume(mount_point="/home/ubuntu")]}, "volumes[0].mount_point", "is the home directory"),
        ({"volumes": [volume(mount_point="/home/ubuntu/.ssh")]}, "volumes[0].mount_point", "holds the keys"),
        ({"volumes": [volume(mount_point="/data/../etc")]}, "volumes[0].mount_point", "contains .."),
        ({"volumes": [volume(mount_point="data")]}, "volumes[0].mount_point", "an absolute path"),
        ({"volumes": [volume("a"), volume("c", "/b/")]}, "volumes[1].mount_point", "/b stands twice"),
        ({"volumes": [volume("a", "/d/x"), volume("c", "/d")]}, "volumes[1].mount_point", "would hide /d/x"),
        ({"channels": [channel(remote="/etc/")]}, "channels[0].remote_path", "belongs to the system"),
        ({"channels": [channel(remote="~/.ssh/")]}, "channels[0].remote_path", "holds the keys"),
        ({"channels": [channel(remote="~/", delete=True)]}, "channels[0].delete", "it would empty /home/ubuntu/"),
        ({"channels": [channel("in", "./", "/data/", delete=True)]}, "channels[0].delete", "it would empty /work dir/"),
        ({"channels": [channel("in", "~/", "/data/", delete=True)]}, "channels[0].delete", "it would empty /home/me/"),
        ({"channels": [channel(), channel(local="b/", delete=True)]}, "channels[1].remote_path", "one of them deletes"),
        (
            {"channels": [channel(delete=True), channel(local="b/", remote="~/src/data/")]},
            "channels[1].remote_path",
            "one of them deletes",
        ),
        (
            {"channels": [channel(local="/w/a/", remote="~/a/"), channel("in", "/w/a/", "~/a/out/")]},
            "channels[1].local_path",
            "brings back what channels[0] sends",
        ),
        (  # from a source without a slash at its end, the path begins with its name
            {
                "channels": [
                    channel(local="/w/a", remote="~/x/", exclude=["/out"]),
                    channel("in", "/w/a/out/", "~/x/a/out/"),
                ]
            },
            "channels[1].local_path",
            "brings back what channels[0] sends",
        ),
        (
            {
                "channels": [
                    channel(local="/w/a/", remote="~/a/", exclude=["other/"]),
                    channel("in", "/w/a/out/", "~/a/out/"),
                ]
            },
            "channels[1].local_path",
            "brings back what channels[0] sends",
        ),
        (
            {"channels": [channel(name="a"), channel(remote="~/b/", name="a")]},
            "channels[1].name",
            "channels[0] has the same name",
        ),
        ({"channels": [channel(direction="up")]}, "channels[0].direction", '"up" is not allowed'),
        ({"channels": [channel(on=["end"])]}, "channels[0].on", "has nothing to do at the end"),
        ({"channels": [channel(on=["later"])]}, "channels[0].on[0]", '"later" is not allowed'),
        ({"channels": [channel("in", "r/", "/data/", owner="me")]}, "channels[0].owner", "belongs to you"),
        ({"channels": [channel(hosts=["all", "0"])]}, "channels[0].hosts", "too many"),
        ({"channels": [channel(hosts=[2])], "capacity.count": 2}, "channels[0].hosts", "there is no rank 2"),
        ({"channels": [channel(bwlimit="fast")]}, "channels[0].bwlimit", '"fast" is not allowed'),
        ({"channels": [channel(chmod="rwx")]}, "channels[0].chmod", '"rwx" is not allowed'),
        ({"runtime.docker": False}, "runtime.docker", "job.image runs in a container"),
        ({"runtime.gpu": "none", "job.gpus": "all"}, "job.gpus", "does not go with runtime.gpu none"),
        ({"runtime.gpu": "required", "job.gpus": "none"}, "job.gpus", "does not go with runtime.gpu required"),
        ({"job.registry_username": "me"}, "job.registry_password", "it is missing, and job.registry_username is given"),
        ({"job.registry_password": "p"}, "job.registry_username", "it is missing, and job.registry_password is given"),
        ({"job.image": ECR_IMAGE}, "access.instance_profile", "cannot pull from Amazon ECR"),
        ({"job.archive": "~/i.tar", "job.build": {"context": "~/c"}}, "job.archive", "job.build is given too"),
        ({"job": {"command": "x", "archive": "/i.tar"}}, "job.image", "it is missing, and job.archive is given"),
        ({"job.build": {}}, "job.build.context", "it is missing, and there is no code to build from"),
        ({"job.env": {"SPOT_RANK": "1"}}, "job.env.SPOT_RANK", "names that start with SPOT_"),
        ({"job.env": {"A": "1"}, "job.secrets": ["A", "B"]}, "job.secrets[1]", "B is not in job.env"),
        ({"job.matrix": {"SPOT_X": [1]}}, "job.matrix.SPOT_X", "names that start with SPOT_"),
        ({"job.matrix": {"lr": [1]}, "job.env": {"lr": "2"}}, "job.matrix.lr", "it stands in job.env too"),
        (
            {"job.matrix": {"a": list(range(17)), "b": list(range(16))}},
            "job.matrix",
            "its lists make 272 combinations; allowed: at most 256",
        ),
        (
            {"job.matrix": {"lr": [1, 2]}, "capacity.count": 3},
            "capacity.count",
            "3 instances share 2 combinations, so some would have nothing to do; use at most 2",
        ),
        ({"job.matrix": {"lr": []}}, "job.matrix.lr", "the list is empty; give a list with at least one value"),
        ({"job.retries": -1}, "job.retries", "-1 is out of range; allowed: a whole number, 0 to 100 times"),
        ({"job.mounts": ["/a:/x", "/b:/x/:ro"]}, "job.mounts[1]", "/x in the container stands twice"),
        ({"job.mounts": ["/a:/"]}, "job.mounts[0]", "replace the whole image"),
        ({"job.mounts": ["/a:/data/good"]}, "job.mounts[0]", "the state directory is mounted already"),
        ({"job.state_dir": "/etc/x"}, "job.state_dir", "belongs to the system"),
        ({"job.extra_args": ["--name=x"]}, "job.extra_args[0]", "the job's unit names the container"),
        ({"tags": {"a": "x" * 257}}, "tags.a", "allowed: at most 256"),
        ({"code": {}}, "code.repository", "it is missing"),
        ({"code": code("nothing")}, "code.repository", "an address such as https://github.com/alice/train.git"),
        ({"code": code("https://h/x?y=z")}, "code.repository", "is no address of a repository"),
        ({"code": code("https://me:hunter2@h/x")}, "code.repository", "a password stands in the address"),
        ({"code": code("git@git.example:x")}, "code.known_hosts", "no host key of git.example is given"),
        (
            {"code": code("ssh://a@git.example:2222/x", known_hosts=["git.example ssh-ed25519 AAAA"])},
            "code.known_hosts",
            "no host key of [git.example]:2222 is given",
        ),
        ({"code": code(known_hosts=["github.com"])}, "code.known_hosts[0]", "as ssh-keyscan prints it"),
        ({"code": code(version="--upload-pack=x")}, "code.version", "the name of a branch or tag"),
        ({"code": code(version="a..b")}, "code.version", "the name of a branch or tag"),
        ({"code": code("https://h/a/x", deploy_key="k")}, "code.deploy_key", "use git@h:a/x.git, or code.token"),
        ({"code": code(token="t")}, "code.token", "a token is of no use with ssh"),
        ({"code": code("http://h/x", token="t")}, "code.token", "http would send it in the clear"),
        ({"code": code("codecommit::eu-west-1://x")}, "access.instance_profile", "cannot read from CodeCommit"),
        (
            {"code": code("codecommit::eu-west-1://x", token="t"), "access.instance_profile": "p"},
            "code.token",
            "CodeCommit opens by the role",
        ),
        ({"code": code(path="~/")}, "code.path", "is the home directory"),
        ({"code": code(path="/data")}, "code.path", "/data is a mount point; use a directory in it"),
        ({"code": code(path="/data/good")}, "code.path", "job.state_dir (/data/good) lies in it"),
        (
            {"code": code(), "channels": [channel(remote="~/train/src/")]},
            "channels[0].remote_path",
            "it would write over the code in /home/ubuntu/train",
        ),
        ({"job": {"command": "x", "scripts": ["a.py"]}}, "job.scripts", "command and scripts exclude each other"),
        ({"job": {"image": "x", "scripts": ["a.py"]}}, "job.scripts", "scripts run without a container"),
        ({"job": {"scripts": ["a.py 'x"]}}, "job.scripts[0]", "its quotes do not match"),
        ({"job": {"command": "x", "mounts": ["/a:/b"]}}, "job.mounts", "it goes only with job.image"),
        ({"job": {"command": "x", "shm_size": "8g"}}, "job.shm_size", "it goes only with job.image"),
        ({"job.workdir": "~/x"}, "job.workdir", "there is no ~ in a container"),
        ({"runtime.extra_python_packages": ["numpy"]}, "runtime.extra_python_packages", "does not see it"),
        (
            {"runtime.python_requirements": "r.txt", "job": {"command": "x"}},
            "runtime.python_requirements",
            "r.txt is relative, and there is no code",
        ),
        ({"runtime.python_virtual_env": "/etc/x", "job": None}, "runtime.python_virtual_env", "belongs to the system"),
    ],
)
def test_what_does_not_go_together(check: Check, changes: dict[str, Any], path: str, said: str) -> None:
    profile, problems = check(changes)
    assert profile is None
    assert [(problem.path, said in problem.text) for problem in problems] == [(path, True)], problems


@pytest.mark.parametrize(
    "changes",
    [
        {"image": {"name": "debian-*", "owner": "136693071363"}},
        {"image": {"ssm_parameter": "/aws/x"}},
        {"capacity.zones": ["us-east-1a", "us-east-1-bos-1a"]},
        {"access.ssh_cidr": "0.0.0.0/0", "access.allow_any_cidr": True},
        {"access.ssh_cidr": "198.51.100.0/24"},
        {"access.key_name": "k", "access.private_key_file": "k.pem"},
        {"volumes": [volume("a", "/d"), volume("c", "/d/x")]},
        {"volumes": [volume("a", "/d"), volume("c", "/dx")]},
        {"volumes": [volume("a"), volume("a-2", "/c")]},
        {"volumes": [volume(size=10, iops=5000, throughput=1250)]},
        {"volumes": [volume(type="io1", size=4, iops=100)]},
        {"volumes": [volume(volume_id=VOL, type="io2")]},
        {"volumes": [volume(mount_point="/mnt"), volume("o", "/opt")]},
        {"volumes": [volume(mount_point="/home/ubuntu/data")]},
        {"channels": [channel("in", "results/", "/var/log/")]},
        {"channels": [channel(), channel(local="b/")]},
        {"channels": [channel(local="/w/"), channel("in", "/w/results/", "/data/results/")]},
        *(
            {
                "channels": [
                    channel(local="/w/", remote="~/w/", exclude=[pattern]),
                    channel("in", "/w/results/one/", "~/w/results/one/"),
                ]
            }
            for pattern in ("results", "results/", "/results", "/results/one/", "res*", "one")
        ),
        {"channels": [channel(hosts="first", on=["launch"], owner="www-data:1000", chmod="D755,F644,u+x")]},
        {"channels": [channel(hosts=[0, "1"], bwlimit="1.5m", delete=True)], "capacity.count": 2},
        {"channels": [channel(remote="/srv/code/", delete=True)]},
        {"job.mounts": ["/data:/data", "~/src:/src:ro"]},
        {"job.image": ECR_IMAGE, "access.instance_profile": "p"},
        {"job.image": ECR_IMAGE, "job.registry_username": "AWS", "job.registry_password": "a token"},
        {"job.extra_args": ["--ipc=host"]},
        {"runtime.docker": False, "job": None},
        {"runtime.docker": False, "job": {"command": "python3 x.py"}},
        {"code": code(), "channels": [channel(remote="~/other/")]},
        {"code": code("codecommit::eu-west-1://x"), "access.instance_profile": "p"},
        {"code": code("https://github.com/a/b", token="t", token_user="me", version="v1.0+x/y")},
        {"code": code("git@git.example:x", known_hosts=["git.example ssh-ed25519 AAAA"])},
        {"runtime.python_virtual_env": "/opt/pytorch", "job": {"scripts": ["a.py --x 'y z'", "b.sh"]}},
    ],
)
def test_what_goes_together(check: Check, changes: dict[str, Any]) -> None:
    assert check(changes)[1] == []


def test_a_bare_address_is_one_address(check: Check) -> None:
    profile, _problems = check({"access.ssh_cidr": "203.0.113.7"})
    assert profile is not None
    assert profile["access"]["ssh_cidr"] == "203.0.113.7/32"


def test_rules_do_not_judge_by_wrong_values(check: Check) -> None:
    changes = {"image.id": "ami", "access.private_key_file": 3, "access.key_name": "k", "volumes.0.type": "gp9"}
    _profile, problems = check({**changes, "volumes.0.iops": 5})
    assert {problem.path for problem in problems} == {
        "image.id",
        "access.private_key_file",
        "volumes[0].type",
        "volumes[0].iops",
    }


def test_every_type_of_volume_has_its_sizes() -> None:
    assert set(SIZES) == set(VOLUME["type"].choices)


@pytest.mark.parametrize("given", ["", "a", "1.2.3", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/", "1.2.3.4/32/1"])
def test_no_network(given: str) -> None:
    with pytest.raises(ValueError, match="is no IPv4 network; allowed"):
        cidr(given)


SELF = {
    "recovery.mode": "self",
    "recovery.bucket": "s3://mine/experiments",
    "access.instance_profile": "workers",
    "capacity.count": 1,
}


def test_instances_that_set_themselves_up(check: Check) -> None:
    profile, problems = check(SELF)
    assert problems == [] and profile is not None
    assert profile["recovery"]["bucket"] == "s3://mine/experiments"


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"recovery.bucket": None}, "recovery.bucket", "s3://BUCKET/PREFIX"),
        ({"access.instance_profile": None}, "access.instance_profile", "docs/self.md"),
        ({"capacity.count": 2}, "capacity.count", "runs one instance"),
        ({"capacity.on_demand": "fallback"}, "capacity.on_demand", "does not use it"),
        (
            {"capacity.iam_fleet_role": "arn:aws:iam::123456789012:role/fleet"},
            "capacity.iam_fleet_role",
            "uses EC2 Fleet",
        ),
        ({"recovery.mode": "controller"}, "recovery.bucket", "only with recovery.mode self"),
        ({"notify.webhook": "https://example.org/x"}, "notify.webhook", "recovery.webhook is what an instance tells"),
        ({"notify.desktop": True}, "notify.desktop", "no machine of yours is there"),
        ({"recovery.bucket": "my-bucket"}, "recovery.bucket", "s3://BUCKET"),
        ({"recovery.bucket": "s3://Under_Score"}, "recovery.bucket", "s3://BUCKET"),
    ],
)
def test_what_instances_that_set_themselves_up_need(
    check: Check, changes: dict[str, Any], path: str, words: str
) -> None:
    _profile, problems = check({**SELF, **changes})
    assert [problem.path for problem in problems] == [path]
    assert words in str(problems[0])


@pytest.mark.parametrize(
    ("changes", "path", "said"),
    [
        ({"file_systems": [file_system(mount_point="/etc")]}, "file_systems[0].mount_point", "belongs to the system"),
        ({"file_systems": [file_system(mount_point="/data")]}, "file_systems[0].mount_point", "stands twice"),
        ({"file_systems": [file_system(mount_point="/a/../b")]}, "file_systems[0].mount_point", "contains .."),
        (
            {"file_systems": [file_system(mount_point="/srv/x")], "volumes": [volume("data", "/srv/x/deep")]},
            "file_systems[0].mount_point",
            "/srv/x would hide /srv/x/deep",
        ),
        (
            {"file_systems": [file_system(mount_point="/team/in"), file_system("b", "/team")]},
            "file_systems[1].mount_point",
            "of file systems, list /team first",
        ),
        (
            {"file_systems": [file_system(file_system_id=FS), file_system(mount_point="/c", file_system_id=FS[:-1])]},
            "file_systems[1].file_system_id",
            'the name "team" means fs-0123456789abcdef0 above',
        ),
        (
            {"file_systems": [file_system(throughput_mode="provisioned")]},
            "file_systems[0].provisioned_throughput",
            "it is missing",
        ),
        (
            {"file_systems": [file_system(provisioned_throughput=5)]},
            "file_systems[0].provisioned_throughput",
            "goes only with throughput_mode provisioned",
        ),
        (
            {"file_systems": [file_system(performance_mode="maxIO")]},
            "file_systems[0].performance_mode",
            "does not go with elastic",
        ),
        (
            {"file_systems": [file_system(access_point={"path": "/x"}, access_point_id="fsap-01234567")]},
            "file_systems[0].access_point_id",
            "exclude each other",
        ),
        (
            {"file_systems": [file_system(access_point={"path": "/x"}, transit_encryption="none")]},
            "file_systems[0].transit_encryption",
            "only with encryption on the way",
        ),
        (
            {"file_systems": [file_system(access_point={"path": "/x"}, path="/y")]},
            "file_systems[0].path",
            "has a root of its own",
        ),
        ({"file_systems": [file_system(transition_to_ia=31)]}, "file_systems[0].transition_to_ia", "not offered"),
        (
            {"file_systems": [file_system(encrypted=False, kms_key_id="alias/x")]},
            "file_systems[0].kms_key_id",
            "goes only with encrypted true",
        ),
        (
            {"file_systems": [file_system()], "capacity.count": 2, "job.state_dir": "/team/state"},
            "job.state_dir",
            "would write one ledger in /team/state",
        ),
        ({"file_systems": [file_system(access_point={})]}, "file_systems[0].access_point.path", "it is missing"),
        ({"file_systems": [file_system(transit_encryption="tls")]}, "file_systems[0].transit_encryption", "required"),
    ],
)
def test_mistakes_about_file_systems(check: Check, changes: dict[str, Any], path: str, said: str) -> None:
    profile, problems = check(changes)
    assert profile is None
    assert [problem.path for problem in problems] == [path]
    assert said in problems[0].text


def test_the_state_of_one_instance_lies_on_the_first_place_that_lasts(check: Check) -> None:
    one = check({"volumes": [], "file_systems": [file_system("ro", "/ro", read_only=True), file_system()]})[0]
    assert one is not None
    assert one["job"]["state_dir"] == "/team/good"
    assert (one["file_systems"][1]["owner"], one["file_systems"][1]["transit_encryption"]) == ("ubuntu", "auto")
    many = check({"capacity.count": 2})[0]
    assert many is not None
    assert many["job"]["state_dir"] == "/home/ubuntu/good"


def test_a_file_system_may_be_mounted_twice_and_on_a_volume(check: Check) -> None:
    both = [file_system(mount_point="/data/team", path="/a"), file_system(mount_point="/team", path="/b")]
    profile, problems = check({"file_systems": both})
    assert (problems, profile is not None) == ([], True)


def test_several_regions(check: Check) -> None:
    profile, problems = check({**BOTH, "capacity.zones": ["us-east-1a", "eu-west-1b"]})
    assert problems == []
    assert profile is not None
    assert (profile["region"], profile["capacity"]["regions"]) == ("us-east-1", TWO)


def test_the_first_region_stands_for_region(check: Check) -> None:
    profile, problems = check({**BOTH, "region": None, "capacity.regions": ["us-west-2", "eu-west-1"]})
    assert (problems, profile and profile["region"]) == ([], "us-west-2")


def test_all_that_belongs_to_one_region_is_told_at_once(check: Check) -> None:
    changes = {"capacity.regions": TWO, "capacity.subnet_ids": ["subnet-01234567"], "volumes": [volume(volume_id=VOL)]}
    _profile, problems = check(changes)
    assert {problem.path for problem in problems} == {"image.id", "capacity.subnet_ids", "volumes[0].volume_id"}


RESULTS = {"results.bucket": "s3://mine/runs", "access.instance_profile": "workers"}


def test_results_are_completed(check: Check) -> None:
    profile, problems = check({**RESULTS, "results.pull": "out", "results.paths": ["~/a/", "/data/b"]})
    assert problems == [] and profile is not None
    assert profile["results"]["paths"] == ["/home/ubuntu/a", "/data/b"]
    assert (profile["results"]["pull"], profile["results"]["interval"]) == ("/work dir/out", 60)
    profile, _problems = check({"results.paths": []})
    assert profile is not None and profile["results"]["paths"] == [profile["job"]["state_dir"]]


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"access.instance_profile": None}, "access.instance_profile", "docs/results.md"),
        ({"results.bucket": None}, "results.bucket", "s3://BUCKET"),
        ({"results.bucket": "mine"}, "results.bucket", "s3://BUCKET"),
        ({"results.paths": ["/etc/x"]}, "results.paths[0]", "belongs to the system"),
        ({"results.paths": ["/a/out", "/b/out"]}, "results.paths", "rename one of them"),
        ({"results.interval": -1}, "results.interval", "0 to 86,400"),
        ({"job": None}, "results.paths", "there is no job"),
    ],
)
def test_what_results_need(check: Check, changes: dict[str, Any], path: str, words: str) -> None:
    _profile, problems = check({**RESULTS, **changes})
    assert [problem.path for problem in problems] == [path]
    assert words in str(problems[0])
