"""Several regions: the one that has capacity is used, later generations may move, and nothing is left in any of them."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from .conftest import User

pytestmark = pytest.mark.lab

# Neither is the region of the user's environment, so nothing is found by chance.
WEST, IRELAND = "us-west-2", "eu-west-1"
REGIONS = (WEST, IRELAND)
TYPES = ["t3.medium", "t3.large", "m5.large"]  # of the profile lab
NOTHING: dict[str, dict[str, list[str]]] = {WEST: {}, IRELAND: {}}
TRAINING = f"""
extends: lab
capacity: {{regions: [{WEST}, {IRELAND}], wait: 5}}
image: {{ssm_parameter: /aws/service/debian/release/12/latest/amd64}}
channels:
  - {{direction: out, local_path: CODE/, remote_path: /home/admin/digits/, exclude: [__pycache__]}}
  - {{direction: in, remote_path: "/data/far/results/", local_path: results/far/}}
volumes:
  - {{name: far-data, size: 1, mount_point: /data}}
job:
  name: digits
  image: registry.lab:5000/experiments/shell:1
  command: [sh, -c, mkdir -p /data/far/results && cp /code/train.py /data/far/results/]
  mounts: ["/home/admin/digits:/code:ro"]
"""
MACHINES = f"""
extends: lab
image: {{ssm_parameter: /aws/service/debian/daily/bookworm/latest/amd64}}
capacity: {{regions: [{WEST}, {IRELAND}], wait: 5}}
channels: []
volumes: []
job: null
runtime: {{docker: false}}
"""


@pytest.fixture(scope="module")
def far(user: User) -> User:
    code = Path(__file__).resolve().parents[3] / "examples/digits"
    # The profile lab names a region, and a region stands for itself alone.
    (user.folder / "profiles/lab.yml").write_text(
        (code.parents[1] / "profiles/lab.yml").read_text().replace("\nregion: us-east-1\n", "\n")
    )
    (user.folder / "profiles/far.yml").write_text(TRAINING.replace("CODE", str(code)))
    (user.folder / "profiles/machines.yml").write_text(MACHINES)
    return user


def where(user: User, experiment: str) -> dict[str, list[str]]:
    """Region -> instances there."""
    found = {region: user.alive(experiment, region) for region in ("us-east-1", *REGIONS)}
    return {region: ids for region, ids in found.items() if ids}


def by_price(user: User) -> list[str]:
    """The regions, that of the cheapest pool first."""
    now = datetime.now(timezone.utc)
    asked = {"InstanceTypes": TYPES, "StartTime": now, "EndTime": now}

    def price(region: str) -> float:
        found = user.client(region=region).describe_spot_price_history(**asked)["SpotPriceHistory"]
        return min(float(one["SpotPrice"]) for one in found)

    return sorted(REGIONS, key=price)


def test_a_region_that_refuses_everything_leads_to_the_next_one(far: User) -> None:
    best, other = by_price(far)
    far.control("capacity", type="*", zone=best, count=0)
    text = far.play("launch", "-e", "profile=far")
    assert f"Region {best} is asked first, then {other}." in text
    assert f"t3.medium in {best}a: no capacity" in text
    assert f"[far] {best} refused; asking {other}" in text
    assert list(where(far, "far")) == [other]
    assert list((far.folder / "results/far").iterdir()) != []
    assert far.tagged("far", best) == {}  # a region that refused is empty again


def test_it_is_found_in_its_region_and_close_leaves_nothing(far: User) -> None:
    (region,) = where(far, "far")
    rows = far.status("-e", "profile=far")
    assert [(row["experiment"], row["zone"][:-1], row["job_state"]) for row in rows] == [("far", region, "succeeded")]
    far.play("sync", "-e", "profile=far", "-e", "direction=in")
    far.play("close", "-e", "profile=far", "-e", "delete_volumes=far-data")
    assert {one: far.tagged("far", one) for one in REGIONS} == NOTHING


def test_what_aws_took_is_launched_in_another_region(far: User) -> None:
    best, other = by_price(far)
    far.play("launch", "-e", "profile=machines")
    (taken,) = where(far, "machines")[best]
    far.control("capacity", type="*", zone=best, count=0)
    far.control("interrupt", instance_id=taken, notice=None)
    text = far.play("resume", "-e", "profile=machines")
    assert "generation 2)" in text
    assert list(where(far, "machines")) == [other]
    far.play("close", "-e", "experiment=machines", "-e", f"region={','.join(REGIONS)}")
    assert {one: far.tagged("machines", one) for one in REGIONS} == NOTHING


def test_all_regions_refuse(far: User) -> None:
    far.control("capacity", type="*", zone="*", count=0)
    text = far.play("launch", "-e", "profile=machines", "-e", "capacity.wait=0", fails=True)
    assert "Could not launch machines in any region" in text
    for region in REGIONS:
        assert f"t3.medium in {region}a" in text
    assert {one: far.tagged("machines", one) for one in REGIONS} == NOTHING
