"""prices.yml and images.yml as a user types them."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from .conftest import User

pytestmark = pytest.mark.lab


def shown(text: str) -> Any:
    """The JSON that was printed."""
    found = re.search(r"(?m)^[\[{]$", text)
    assert found, text
    return json.JSONDecoder().raw_decode(text, found.start())[0]


def test_prices(user: User) -> None:
    """A need in a narrow terminal without colour, with a picture; the same as JSON; a picture that has no place."""
    before = user.changing_calls()
    plain = {"COLUMNS": "40", "NO_COLOR": "1"}
    text = user.play("prices", "-e", "gpus=1", "-e", "pools=3", "-e", "plot=cheap.svg", env=plain)
    assert "\x1b" not in text
    start = text.index("type ")
    lines = text[start:].splitlines()[:4]
    assert all(len(line) <= 40 for line in lines) and "now/h" in lines[0]
    picture = ElementTree.parse(user.folder / "cheap.svg").getroot()
    drawn = [one for one in picture.iter() if one.tag.endswith("path") and len(one)]
    found = shown(user.play("prices", "-e", "gpus=1", "-e", "pools=3", "-e", "format=json"))
    assert len(found["pools"]) == len(drawn) == 3
    assert [line.split()[:2] for line in lines[1:]] == [[one["instance_type"], one["zone"]] for one in found["pools"]]

    wrong = user.play("prices", "-e", "profile=g5", "-e", "plot=/proc/none.svg", fails=True)
    assert "g5.xlarge" in wrong and "plot=/proc/none.svg cannot be written: The destination" in wrong
    wrong = user.play("prices", "-e", "format=xml", "-e", "plot=no/x.png", fails=True)
    for part in ("say what for", "format=xml", "plot=no/x.png: the picture is an SVG", "there is no folder"):
        assert part in wrong
    assert user.changing_calls() == before


def test_line_of_an_image_makes_a_profile_whole(user: User) -> None:
    text = user.play("images", "-e", "search=pytorch")
    line = next(line.strip() for line in text.splitlines() if line.startswith("  image: "))
    profile = f"capacity: {{instance_types: [g5.xlarge]}}\naccess: {{remote_user: ubuntu}}\n{line}\n"
    (user.folder / "profiles/found.yml").write_text(profile)
    (image,) = shown(user.play("images", "-e", "search=pytorch", "-e", "format=json"))
    assert image["ssm_parameter"] in line
    assert "g5.xlarge" in user.play("launch", "-e", "profile=found", "--check")
    (user.folder / "profiles/found.yml").write_text(profile.replace("/latest/", "/oldest/"))
    assert "oldest" in user.play("launch", "-e", "profile=found", "--check", fails=True)
