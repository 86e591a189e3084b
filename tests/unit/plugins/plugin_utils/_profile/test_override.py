from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.document import Document
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.load import load_text
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.override import override
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.problem import Problem
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.validate import Setting, examine

TEXT = """\
region: us-east-1
capacity: {instance_types: [t3.medium], count: 1}
image: {ssm_parameter: /x}
volumes:
  - {name: data, mount_point: /data}
  - {name: "1", mount_point: /one}
"""


def lay(extra: dict[str, Any], text: str = TEXT) -> tuple[Document, list[Problem]]:
    return override(load_text(text, "p.yml")[0], extra, "/cwd")


@pytest.mark.parametrize(
    ("extra", "path", "value"),
    [
        ({"capacity.count": "3"}, ("capacity", "count"), 3),
        ({"capacity": {"count": 3}}, ("capacity", "count"), 3),
        ({"capacity": '{"count": 3}'}, ("capacity", "count"), 3),
        ({"capacity": {"wait": "7"}}, ("capacity", "instance_types"), ["t3.medium"]),
        (
            {"capacity.instance_types": "g5.xlarge,g6.xlarge"},
            ("capacity", "instance_types"),
            ["g5.xlarge", "g6.xlarge"],
        ),
        ({"capacity.max_price": "0.5"}, ("capacity", "max_price"), 0.5),
        ({"capacity.max_price": ""}, ("capacity", "max_price"), None),
        ({"access.allow_any_cidr": "true"}, ("access", "allow_any_cidr"), True),
        ({"image.id": "ami-01234567"}, ("image", "ssm_parameter"), None),
        ({"image": {"id": "ami-01234567"}}, ("image", "id"), "ami-01234567"),
        ({"volumes.data.size": "7"}, ("volumes", 0, "size"), 7),
        ({"volumes.0.size": "7"}, ("volumes", 0, "size"), 7),
        ({"volumes.1.size": "7"}, ("volumes", 1, "size"), 7),
        ({"volumes": []}, ("volumes",), []),
        ({"tags.team.sub": "x"}, ("tags",), {"team.sub": "x"}),
        ({"job.image": "x", "job.command": "a b", "job.env.LR": "0.1"}, ("job", "env"), {"LR": "0.1"}),
        ({"job": None}, ("job",), None),
        ({"region": "eu-west-1"}, ("region",), "eu-west-1"),
        ({"region": "eu-west-1"}, ("capacity", "regions"), []),
        ({"region": "eu-west-1, us-east-1"}, ("capacity", "regions"), ["eu-west-1", "us-east-1"]),
        ({"region": "eu-west-1,us-east-1"}, ("region",), "eu-west-1"),
        ({"owner": "me"}, ("owner",), "me"),
        ({"description": "x", "name": "y", "follow": "true"}, ("description",), ""),
    ],
)
def test_values_of_the_command_line(extra: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    document, problems = lay(extra)
    assert problems == []
    checked = examine(document, Setting("x"))
    assert checked.problems == []
    found: Any = checked.profile
    for part in path:
        found = found[part]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"capacity.cont": "3"}, "-e capacity.cont: unknown key; did you mean capacity.count?"),
        ({"capcity.count": "3"}, "-e capcity.count: unknown key; did you mean capacity?"),
        ({"spot_instance.image_id": "x"}, "-e spot_instance.image_id: a key of other tools; its keys now stand in"),
        ({"volumes.other.size": "3"}, '-e volumes.other.size: the profile has no volumes entry "other", only data, 1'),
        ({"volumes.9.size": "3"}, '-e volumes.9.size: the profile has no volumes entry "9"'),
        ({"volumes.data.siz": "3"}, "-e volumes.data.siz: unknown key; did you mean volumes[].size?"),
        ({"channels.0.delete": "true"}, "-e channels.0.delete: the profile has no channels"),
        ({"capacity.count.x": "3"}, "-e capacity.count.x: capacity.count has no keys of its own; use capacity.count"),
        ({"": "x", ".": "y"}, "-e .: unknown key"),
    ],
)
def test_wrong_names(extra: dict[str, Any], said: str) -> None:
    _document, problems = lay(extra)
    assert [problem.text.startswith(said) for problem in problems] == [True], problems


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"capacity.count": "many"}, '-e capacity.count: "many" is text, not a whole number'),
        ({"capacity": "many"}, '-e capacity: "many" is text; give its keys, -e capacity.KEY=VALUE, or JSON'),
        ({"job": "train"}, '-e job: "train" is text; give its keys'),
        ({"capacity": {"cont": 3}}, "-e capacity.cont: unknown key; did you mean capacity.count?"),
    ],
)
def test_wrong_values(extra: dict[str, Any], said: str) -> None:
    checked = examine(lay(extra)[0], Setting("x"))
    assert [problem.text.startswith(said) for problem in checked.problems] == [True], checked.problems


def test_a_path_of_the_command_line_starts_where_it_is_typed() -> None:
    document, _problems = lay({"channels": [{"direction": "out", "local_path": "src/", "remote_path": "~/src/"}]})
    assert examine(document, Setting("x")).profile["channels"][0]["local_path"] == "/cwd/src/"


SEVERAL = """\
capacity:
  instance_types: [t3.medium]
  regions: [us-east-1, eu-west-1]
  zones: [us-east-1a, eu-west-1b]
image: {ssm_parameter: /x}
"""


@pytest.mark.parametrize(
    ("extra", "region", "regions", "zones"),
    [
        ({}, "us-east-1", ["us-east-1", "eu-west-1"], ["us-east-1a", "eu-west-1b"]),
        ({"region": "eu-west-1"}, "eu-west-1", [], ["eu-west-1b"]),
        (
            {"region": "eu-west-1", "instance_id": "i-1"},
            "eu-west-1",
            ["us-east-1", "eu-west-1"],
            ["us-east-1a", "eu-west-1b"],
        ),
    ],
    ids=["as the profile says", "one of them", "an event says where its instance was"],
)
def test_a_region_of_several(extra: dict[str, Any], region: str, regions: list[str], zones: list[str]) -> None:
    document, problems = lay(extra, SEVERAL)
    checked = examine(document, Setting("x"))
    assert [*problems, *checked.problems] == []
    capacity = checked.profile["capacity"]
    assert (checked.profile["region"], capacity["regions"], capacity["zones"]) == (region, regions, zones)


def test_a_region_that_is_none() -> None:
    document, _problems = lay({"region": "us east,eu-west-1"})
    said = [problem.text for problem in examine(document, Setting("x")).problems]
    assert any("us east" in text and "a region such as us-east-1" in text for text in said), said
