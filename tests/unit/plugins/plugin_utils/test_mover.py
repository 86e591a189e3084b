"""What the ends of a copy mean, and the profile of the instance that copies."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.filter.mover_profile import mover_profile
from ansible_collections.experiments.spot.plugins.plugin_utils import _mover
from ansible_collections.experiments.spot.plugins.plugin_utils._mover import End, MoverError, end_of, ends_of

FILES = {"program": "/p/mover.py", "sdk": "/p/sdk.tar.gz"}
VOLUMES = [
    {"volume_id": "vol-1", "name": "data", "experiment": "one"},
    {"volume_id": "vol-2", "name": "data", "experiment": "two"},
    {"volume_id": "vol-3", "name": "words", "experiment": "one"},
]


@pytest.mark.parametrize(
    ("given", "end"),
    [
        ("s3://mine", End("s3", "mine", "")),
        ("s3://mine/a b/c/", End("s3", "mine", "a b/c")),
        ("efs:team", End("efs", "team", "")),
        ("efs:fs-0123456789abcdef0/x", End("efs", "fs-0123456789abcdef0", "x")),
        ("ebs://vol-01234567/x/y", End("ebs", "vol-01234567", "x/y")),
    ],
)
def test_ends(given: str, end: End) -> None:
    assert end_of(given, "source") == end


@pytest.mark.parametrize("given", ["", "s3:mine", "s3://M", "efs:", "/data", "nfs:x", "efs:team/a/../../b", "s3:///x"])
def test_no_ends(given: str) -> None:
    with pytest.raises(MoverError, match=r"^target="):
        end_of(given, "target")


def test_all_mistakes_at_once() -> None:
    with pytest.raises(MoverError) as caught:
        ends_of("x", "y")
    assert "source=x" in str(caught.value) and "target=y" in str(caught.value)
    assert str(caught.value).count("s3://BUCKET/PREFIX") == 1


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("s3://one/x", "s3://two/x", "aws s3 sync"),
        ("efs:a/x", "efs:a/x/y", "within"),
        ("efs:a", "efs:a/x", "within"),
        ("ebs:a/x", "ebs:a/xy", ""),
    ],
)
def test_contradictions(source: str, target: str, told: str) -> None:
    if not told:
        assert ends_of(source, target)
        return
    with pytest.raises(MoverError, match=told):
        ends_of(source, target)


@pytest.mark.parametrize(("name", "told"), [("none", "no such volume"), ("data", "vol-1 .experiment one., vol-2")])
def test_volumes_that_are_not_one(name: str, told: str) -> None:
    with pytest.raises(MoverError, match=told):
        _mover.volume_of(End("ebs", name, ""), VOLUMES)


def made(source: str, target: str) -> dict[str, Any]:
    found = mover_profile([source, target], "datasync", FILES, VOLUMES)
    assert not found["problem"]
    return found


def test_same_ends_are_the_same_experiment() -> None:
    one = made("s3://mine/x", "efs:team")
    assert one["experiment"] == made("s3://mine/x/", "efs:team/")["experiment"]
    assert one["experiment"] != made("s3://mine/y", "efs:team")["experiment"]


def test_from_s3_to_a_file_system() -> None:
    profile = made("s3://mine/x", "efs:fs-01234567/in/here")["profile"]
    assert profile["job"]["command"][2:] == ["s3://mine/x", "/target/in/here"]
    assert profile["file_systems"] == [
        {
            "name": "fs-01234567",
            "file_system_id": "fs-01234567",
            "mount_point": "/mnt/target",
            "read_only": False,
        }
    ]
    assert profile["job"]["mounts"] == ["~/mover:/mover:ro", "/mnt/target:/target"]
    assert profile["job"]["at_end"] == "terminate" and profile["job"]["keep_on_failure"] == 0
    assert {one["local_path"] for one in profile["channels"]} == set(FILES.values())


def test_the_source_is_never_written() -> None:
    profile = made("ebs:words/x", "efs:team")["profile"]
    assert profile["volumes"] == [
        {"name": "mover-source", "volume_id": "vol-3", "mount_point": "/mnt/source", "read_only": True}
    ]
    assert "/mnt/source:/source:ro" in profile["job"]["mounts"]
    assert profile["job"]["command"][2:] == ["/source/x", "/target"]


def test_the_filter_tells_what_is_wrong() -> None:
    assert "no such volume" in mover_profile(["ebs:none", "efs:x"], "datasync", FILES, VOLUMES)["problem"]
