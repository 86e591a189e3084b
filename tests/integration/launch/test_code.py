"""Code from git and a job without a container: a server of the test, real machines, an interruption, both modes of recovery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.git_server import Repo, SshServer, git, make_repo, ssh_server

from .conftest import User, interrupt, until

pytestmark = pytest.mark.lab

PROFILE = """
extends: lab
channels: []
volumes:
  - {name: "{{ experiment }}-data", size: 1, mount_point: /data}
code:
  repository: REPOSITORY
  version: main
  path: /home/admin/train
  deploy_key: KEY
  known_hosts: ["KNOWN"]
job:
  name: scripts
  image: null
  command: null
  mounts: []
  scripts: [prepare.sh, train.py --epochs 2]
"""
SELF = """
extends: git
access: {instance_profile: spot-git}
recovery: {mode: self, bucket: "s3://spot-git-tests/experiments"}
"""
# The first generation waits for its end, the next one goes on and ends well.
TRAIN = """
import json, os, signal, sys, time
state = os.environ["SPOT_STATE_DIR"]
def stop(*_):
    open(f"{state}/checkpoint", "w").write("saved")
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
me = {"commit": os.environ["SPOT_COMMIT"], "argv": sys.argv[1:], "uid": os.getuid(), "cwd": os.getcwd()}
json.dump(me, open(f"{state}/run{os.environ['SPOT_GENERATION']}.json", "w"))
while os.path.exists("WAIT") and not os.path.exists(f"{state}/checkpoint"):
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def served(user: User, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[User, Repo, SshServer]]:
    folder = tmp_path_factory.mktemp("git")
    repo = make_repo(folder / "repos")
    repo.push("prepare.sh", "echo prepared >> $SPOT_STATE_DIR/order\n")
    repo.push("WAIT", "")
    repo.push("train.py", TRAIN)
    # The gateway of the lab's machines, where the registry is as well.
    with ssh_server(folder / "ssh", "registry.lab", "0.0.0.0") as server:
        text = PROFILE.replace("REPOSITORY", server.url(repo)).replace("KEY", str(server.key))
        (user.folder / "profiles/git.yml").write_text(text.replace("KNOWN", server.known_hosts))
        (user.folder / "profiles/git-self.yml").write_text(SELF)
        yield user, repo, server


def test_the_next_generation_goes_on_with_the_same_commit(served: tuple[User, Repo, SshServer]) -> None:
    user, repo, server = served
    first = repo.commits[-1]
    # The folder where the command is typed is a clone with changes.
    git(user.folder, "init", "--quiet")
    git(user.folder, "remote", "add", "origin", server.url(repo))
    text = user.play("launch", "-e", "profile=git", "-e", "wait=false")
    assert f"Warning: {user.folder} has changes that are not committed" in text
    assert text.index("not committed") < text.index("TASK [experiments.spot.capacity")
    assert f"at {first[:12]} (main) in /home/admin/train" in text
    (instance,) = user.alive("git")
    until(lambda: "run1" in user.ssh(instance, "git", "ls /data/git"))
    (row,) = user.status("-e", "experiment=git")
    assert (row["job_state"], row["commit"]) == ("running", first)
    assert user.ssh(instance, "git", "ls -d /run/experiments-spot-code; docker ps --quiet || true").strip() == ""

    repo.push("train.py", "raise SystemExit('somebody pushed this meanwhile')\n")
    interrupt(user, instance, notice=15)
    text = user.play("resume", "-e", "profile=git")
    assert first[:12] in text and "succeeded" in text
    (second,) = user.alive("git")
    ledger: dict[str, Any] = json.loads(user.ssh(second, "git", "cat /data/git/ledger.json"))
    assert [(run["state"], run["generation"], run["code"]["commit"]) for run in ledger["runs"]] == [
        ("interrupted", 1, first), ("succeeded", 2, first),
    ]  # fmt: skip
    run = json.loads(user.ssh(second, "git", "cat /data/git/run2.json"))
    assert run == {"commit": first, "argv": ["--epochs", "2"], "uid": 1000, "cwd": "/home/admin/train"}
    assert user.ssh(second, "git", "cat /data/git/order").split() == ["prepared", "prepared"]


def test_an_instance_that_sets_itself_up_gets_the_code_too(served: tuple[User, Repo, SshServer]) -> None:
    user, repo, server = served
    repo.push("train.py", TRAIN.replace("WAIT", "never"))
    iam = user.client("iam")
    iam.create_role(RoleName="spot-git", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}')
    iam.create_instance_profile(InstanceProfileName="spot-git")
    iam.add_role_to_instance_profile(InstanceProfileName="spot-git", RoleName="spot-git")
    user.client("s3").create_bucket(Bucket="spot-git-tests")
    user.play("launch", "-e", "profile=git-self")
    (instance,) = user.alive("git-self")
    until(lambda: user.told("spot-git-tests", "git-self")["job"]["state"] == "succeeded")
    until(lambda: [row["job_state"] for row in user.status("-e", "experiment=git-self")] == ["succeeded"])
    assert user.status("-e", "experiment=git-self")[0]["commit"] == repo.commits[-1]
    owner = user.ssh(
        instance, "git-self", "stat --format=%U /home/admin/train/train.py; ls -A /run/experiments-spot-code || true"
    )
    assert owner.split() == ["admin"]
    s3 = user.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket="spot-git-tests")["Contents"]]
    secret = server.key.read_text().splitlines()[1].encode()
    holders = [key for key in keys if secret in s3.get_object(Bucket="spot-git-tests", Key=key)["Body"].read()]
    assert [key.rpartition("/")[2] for key in holders] == ["secrets.json"]


SWEEP = """
extends: git
capacity: {instance_types: [t3.medium, t3.large], count: 2}
job:
  name: sweep
  scripts: [sweep.py $(n)]
  matrix: {n: [a, b, c, d]}
"""
# One combination fails, and the last one waits for its end in the first generation.
SWEEP_SCRIPT = """
import os, sys, time
name, generation = sys.argv[1], os.environ["SPOT_GENERATION"]
print("combination", name, os.environ["n"], "in generation", generation, flush=True)
open(os.environ["SPOT_STATE_DIR"] + "/commit", "w").write(os.environ["SPOT_COMMIT"])
time.sleep(600 if name == "d" and generation == "1" else 0)
sys.exit(3 if name == "b" else 0)
"""


def test_a_matrix_is_shared_by_two_instances_and_resumed_on_its_own(served: tuple[User, Repo, SshServer]) -> None:
    user, repo, _server = served
    repo.push("sweep.py", SWEEP_SCRIPT)
    (user.folder / "profiles/sweep.yml").write_text(SWEEP)
    user.play("launch", "-e", "profile=sweep", "-e", "wait=false")

    def states() -> list[str]:
        return [row["job_state"] for row in user.status("-e", "experiment=sweep")]

    until(lambda: states() == ["succeeded", "running, 1/2 (1 failed)"])
    first, second = (row["instance_id"] for row in user.status("-e", "experiment=sweep"))
    interrupt(user, second, notice=15)
    text = user.play("resume", "-e", "profile=sweep", fails=True)
    assert "1 of 2 combinations failed: n=b (exit code 3)" in text and "-e rerun=failed" in text
    (third,) = set(user.alive("sweep")) - {first, second}
    ledger: dict[str, Any] = json.loads(user.ssh(third, "sweep", "cat /data/sweep/ledger.json"))
    assert [run["state"] for run in ledger["runs"]] == ["interrupted", "failed"]
    told = {one["name"]: (one["state"], one["generation"]) for one in ledger["combinations"].values()}
    assert told == {"n=b": ("failed", 1), "n=d": ("succeeded", 2)}
    logs = user.ssh(third, "sweep", "cat /data/sweep/logs/generation-00[12].txt")
    said = [line for line in logs.splitlines() if line.startswith("combination")]
    assert said == [
        "combination b b in generation 1",
        "combination d d in generation 1",
        "combination d d in generation 2",
    ]
    commits = [user.ssh(one, "sweep", "cat /data/sweep/matrix/*/commit; echo") for one in (first, third)]
    assert [text.strip() for text in commits] == [2 * repo.commits[-1]] * 2, "the same one on all instances"
