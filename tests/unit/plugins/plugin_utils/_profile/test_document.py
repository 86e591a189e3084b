from __future__ import annotations

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.document import (
    Document,
    Loose,
    Origin,
    assign,
    merge,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.load import load_text
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.schema import SCHEMA

BASE = """\
capacity: {instance_types: [a.b, c.d], count: 2}
image: {ssm_parameter: /x, root_volume_size: 20}
volumes: [{name: a, mount_point: /a}]
job: {image: x, command: y}
"""


def lay(text: str) -> Document:
    return merge(load_text(BASE, "base.yml", "/base")[0], load_text(text, "top.yml", "/top")[0])


def test_sections_are_merged_and_lists_replaced() -> None:
    data = lay("capacity: {instance_types: [e.f]}\nvolumes: []\n").data
    assert data["capacity"] == {"instance_types": ["e.f"], "count": 2}
    assert data["volumes"] == []


def test_origins_follow_the_values() -> None:
    merged = lay("\ncapacity: {count: 3}\nvolumes: [{name: b}]\n")
    assert merged.origin(("capacity", "count")) == Origin("top.yml", 2, "/top")
    assert merged.origin(("capacity", "instance_types")) == Origin("base.yml", 1, "/base")
    assert merged.origin(("volumes", 0, "name")).file == "top.yml"
    assert merged.origin(("volumes", 0, "mount_point")).file == "top.yml", "it is gone with the old list"


def test_another_image_replaces_the_inherited_one() -> None:
    assert lay("image: {id: ami-1}\n").data["image"] == {"id": "ami-1", "root_volume_size": 20}
    assert lay("image: {root_volume_size: 30}\n").data["image"] == {"ssm_parameter": "/x", "root_volume_size": 30}
    assert lay("image: {id: }\n").data["image"]["ssm_parameter"] == "/x", "an empty value chooses nothing"


def test_null_drops_a_section() -> None:
    assert lay("job: null\n").data["job"] is None


def test_merging_leaves_the_base_alone() -> None:
    base = load_text(BASE, "base.yml")[0]
    merge(base, load_text("capacity: {count: 5}\n", "top.yml")[0]).data["volumes"].append(1)
    assert base.data["capacity"]["count"] == 2
    assert len(base.data["volumes"]) == 1


def test_a_section_written_as_something_else_replaces_it() -> None:
    assert lay("capacity: many\n").data["capacity"] == "many"


def test_assign_makes_missing_sections_and_keeps_wrong_ones() -> None:
    document = lay("runtime: wrong\naccess: \n")
    origin = Origin("-e")
    assign(document, ("access", "port"), Loose("23"), origin)
    assign(document, ("runtime", "gpu"), "none", origin)
    assign(document, ("image", "id"), "ami-1", origin, SCHEMA["image"])
    assert document.data["access"] == {"port": "23"}
    assert document.origin(("access", "port")) == origin
    assert document.data["runtime"] == "wrong"
    assert document.data["image"] == {"id": "ami-1", "root_volume_size": 20}
