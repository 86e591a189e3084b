from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.problem import ProfileError
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.resolve import Request, resolve, search_dirs
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.schema import SCHEMA
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.validate import Setting

BASE = "region: us-east-1\ncapacity: {instance_types: [t3.medium]}\nimage: {id: ami-01234567}\n"


def render(text: str, variables: Mapping[str, Any]) -> Any:
    """A stand-in for Jinja: {{ name }} only."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in variables:
            raise ValueError(f"'{match[1]}' is undefined")
        return str(variables[match[1]])

    return re.sub(r"\{\{ *(\w+) *\}\}", value, text)


def ask(folder: Path, name: str, **more: Any) -> dict[str, Any]:
    setting = Setting("", more.pop("experiment", ""), str, str(folder), "/home/me")
    return resolve(Request(name, [str(folder)], setting, more.pop("extra", {}), render))[1].profile


def fails(folder: Path, name: str, **more: Any) -> list[str]:
    with pytest.raises(ProfileError) as error:
        ask(folder, name, **more)
    return [problem.text for problem in error.value.problems]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yml").write_text(BASE)
    return tmp_path


def test_templates_see_the_experiment_and_the_directory(folder: Path) -> None:
    text = "extends: base\nchannels: [{direction: in, local_path: 'r/{{ experiment }}/', remote_path: '{{ where }}'}]\n"
    (folder / "x.yml").write_text(
        text.replace("{{ where }}", "/data/{{ profile_name }}") + "owner: '{{ profile_dir }}'\n"
    )
    profile = ask(folder, "x", experiment="e1")
    assert profile["channels"][0]["local_path"] == f"{folder}/r/e1/"
    assert profile["channels"][0]["remote_path"] == "/data/x"
    assert profile["owner"] == str(folder)
    assert ask(folder, "x")["experiment"] == "x"


def test_what_a_template_gives_is_converted(folder: Path) -> None:
    (folder / "x.yml").write_text("extends: base\nexperiment: four\ncapacity: {count: '{{ profile_name }}'}\n")
    (folder / "4.yml").write_text((folder / "x.yml").read_text())
    assert ask(folder, "4")["capacity"]["count"] == 4


def test_a_template_that_fails_hides_no_other_mistake(folder: Path) -> None:
    text = "extends: base\ncapacity:\n  instance_types: ['{{ nope }}']\n  count: 0\nimage: {id: '{{ nope }}'}\n"
    (folder / "x.yml").write_text(text)
    assert fails(folder, "x") == [
        "x.yml:3: capacity.instance_types[0]: the template cannot be filled in: 'nope' is undefined; see the variable's "
        "name, or put the text in {% raw %} … {% endraw %}",
        "x.yml:4: capacity.count: 0 is out of range; allowed: a whole number, 1 to 10,000 instances",
        "x.yml:5: image.id: the template cannot be filled in: 'nope' is undefined; see the variable's name, or put the "
        "text in {% raw %} … {% endraw %}",
    ]


@pytest.mark.parametrize("key", sorted(set(SCHEMA) - {"extends", "experiment"}))
@pytest.mark.parametrize("value", ["'{{ nope }}'", "['{{ nope }}']"])
def test_a_whole_section_that_cannot_be_filled_in_is_a_mistake_of_that_key_alone(
    folder: Path, key: str, value: str
) -> None:
    (folder / "x.yml").write_text(f"extends: base\n{key}: {value}\n")
    texts = fails(folder, "x")
    assert "cannot be filled in: 'nope' is undefined" in texts[0]
    # A list in the place of a mapping is a second one, and then its mistakes are the whole section's.
    assert [text for text in texts[1:] if key not in text.partition(": ")[2].partition(":")[0]] == []
    assert not [text for text in texts if "Unknown" in text]


def test_mistakes_come_by_file_and_line(folder: Path) -> None:
    (folder / "mid.yml").write_text("extends: base\naccess: {port: 0}\nruntime: {gpu: x}\n")
    (folder / "x.yml").write_text("extends: mid\njob: {imag: x}\n")
    places = [text.split(": ")[:2] for text in fails(folder, "x", extra={"capacity.count": "no"})]
    assert [place[0] for place in places] == ["-e capacity.count", "mid.yml:2", "mid.yml:3", *["x.yml:2"] * 2]
    assert ["mid.yml:2", "access.port"] in places
    assert ["mid.yml:3", "runtime.gpu"] in places


def test_a_file_that_cannot_be_read_has_one_mistake(folder: Path) -> None:
    (folder / "x.yml").write_text("a: [\n")
    (folder / "y.yml").write_text("extends: x\ncapcity: {}\n")
    (folder / "z.yml").write_text("extends: nobody\njob: {gpus: x}\n")
    assert len(fails(folder, "x")) == 1
    assert [text.split(":")[0] for text in fails(folder, "y")] == ["x.yml", "y.yml"]
    assert len(fails(folder, "z")) == 2


def test_local_files_are_checked_with_the_rest(folder: Path) -> None:
    (folder / "x.yml").write_text(
        "extends: base\nregion: x\nchannels: [{direction: out, local_path: none/, remote_path: ~/x}]\n"
    )
    texts = fails(folder, "x")
    assert len(texts) == 2
    assert "none/ does not exist" in texts[1]


def test_directories_in_their_order_and_once() -> None:
    dirs = search_dirs(["mine"], "/cwd", "/books", "/builtin/profiles")
    assert dirs == ["/cwd/mine", "/cwd/profiles", "/books/profiles", "/builtin/profiles"]
    assert search_dirs([], "/cwd", "/cwd", "/cwd/profiles") == ["/cwd/profiles"]


WORDS = ["extends", "base", "capacity", "count", "volumes", "name", "x", "image", "id", "job", "env", "region", "null"]
BITS = st.sampled_from(
    [*WORDS, ":", ": ", "\n", "\n  ", "- ", "[", "]", "{", "}", ", ", "'", '"', "3", "&a ", "*a", "<<", "{{ x }}"]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(BITS, max_size=30).map("".join) | st.text(max_size=40))
def test_any_text_gives_a_message_or_a_profile(folder: Path, text: str) -> None:
    (folder / "any.yml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        profile = ask(folder, "any")
    except ProfileError as error:
        assert error.problems
        assert str(error)
    else:
        assert profile["region"] == "us-east-1"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.lists(st.sampled_from([*WORDS, "0", ""]), min_size=1, max_size=4).map(".".join),
        st.text(max_size=6) | st.none() | st.integers() | st.dictionaries(st.sampled_from(WORDS), st.text(max_size=3)),
        max_size=3,
    )
)
def test_any_command_line_gives_a_message_or_a_profile(folder: Path, extra: dict[str, Any]) -> None:
    try:
        ask(folder, "base", extra=extra)
    except ProfileError as error:
        assert all(problem.text for problem in error.problems)


def test_the_bare_word_on_is_a_key_of_a_channel(folder: Path) -> None:
    (folder / "x.yml").write_text(
        "extends: base\nchannels: [{direction: in, local_path: r/, remote_path: /data/, on: [end], hosts: first}]\n"
    )
    channel = ask(folder, "x", experiment="e1")["channels"][0]
    assert (channel["on"], channel["hosts"], channel["recursive"], channel["delay"]) == (["end"], ["first"], False, 1.0)
