from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.document import UNKNOWN, Document
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.problem import Problem
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.schema import SCHEMA, Key, walk
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.validate import (
    Setting,
    examine,
    local_path,
    validate,
)

Check = Callable[..., tuple[dict[str, Any] | None, list[Problem]]]

NORMAL = {
    "name": str,
    "description": str,
    "region": str,
    "experiment": str,
    "owner": str,
    "capacity": dict,
    "recovery": dict,
    "image": dict,
    "access": dict,
    "volumes": list,
    "file_systems": list,
    "channels": list,
    "code": type(None),
    "runtime": dict,
    "job": dict,
    "notify": dict,
    "results": type(None),
    "tags": dict,
}


def test_the_normalised_profile_has_all_keys(check: Check) -> None:
    profile, problems = check()
    assert problems == []
    assert profile is not None
    assert {name: type(value) for name, value in profile.items()} == NORMAL
    for section in ("capacity", "image", "access", "runtime", "notify", "job"):
        assert set(profile[section]) == set(SCHEMA[section].keys)
    assert set(profile["volumes"][0]) == set(SCHEMA["volumes"].keys)
    assert set(profile["channels"][0]) == set(SCHEMA["channels"].keys)


def test_defaults_that_are_worked_out(check: Check) -> None:
    profile, _problems = check({"access.remote_user": "admin"})
    assert profile is not None
    assert profile["experiment"] == profile["name"] == "good"
    assert profile["access"]["remote_group"] == "admin"
    assert (profile["volumes"][0]["owner"], profile["volumes"][0]["group"]) == ("admin", "admin")
    assert profile["job"]["state_dir"] == "/data/good"
    assert profile["channels"][0]["remote_path"] == "/home/admin/results/"
    assert profile["channels"][0]["local_path"] == "/work dir/results/"


def test_defaults_of_root_without_a_volume(check: Check) -> None:
    profile, problems = check({"access.remote_user": "root", "volumes": [], "job.mounts": ["~/src/:/src:ro"]})
    assert problems == []
    assert profile is not None
    assert profile["job"]["state_dir"] == "/root/good"
    assert profile["job"]["mounts"] == ["/root/src/:/src:ro"]


def test_a_profile_without_a_job(check: Check) -> None:
    profile, problems = check({"job": None})
    assert problems == []
    assert profile is not None
    assert profile["job"] is None


def test_two_results_share_no_lists(check: Check) -> None:
    first, _problems = check()
    second, _problems = check()
    assert first is not None
    assert second is not None
    first["capacity"]["zones"].append("x")
    assert second["capacity"]["zones"] == []
    assert SCHEMA["capacity"].keys["zones"].default == []


@pytest.mark.parametrize(
    ("changes", "path", "said"),
    [
        ({"capcity": {}}, "capcity", "unknown key; did you mean capacity?"),
        ({"capacity.instance_typ": []}, "capacity.instance_typ", "unknown key; did you mean capacity.instance_types?"),
        ({"count": 3}, "count", "unknown key; did you mean capacity.count?"),
        ({"volumes.0.mountpoint": "/x"}, "volumes[0].mountpoint", "did you mean volumes[0].mount_point?"),
        ({"persistent_volumes": []}, "persistent_volumes", "a key of other tools; use volumes"),
        ({"spot_fleet": {"iam_fleet_role": "x"}}, "spot_fleet", "its iam_fleet_role is capacity.iam_fleet_role now"),
        ({"qqqq": 1}, "qqqq", "unknown key; known here: description, extends"),
        ({"capacity.count": "3"}, "capacity.count", '"3" is text, not a whole number'),
        ({"capacity.market": "sopt"}, "capacity.market", 'one of spot, on-demand; did you mean "spot"?'),
        ({"capacity.instance_types": []}, "capacity.instance_types", "it is empty; allowed: 1 to 300 entries"),
        ({"capacity.instance_types": None}, "capacity.instance_types", "it is missing"),
        ({"capacity.instance_types": ["p2xlarge"]}, "capacity.instance_types[0]", "FAMILY.SIZE such as g5.xlarge"),
        ({"capacity": ["x"]}, "capacity", '["x"] is a list; allowed: a mapping of keys to values'),
        ({"volumes": {"name": "x"}}, "volumes", "is a mapping; allowed: a list of mappings, such as name"),
        ({"volumes.0": "data"}, "volumes[0]", '"data" is text, not a mapping of keys to values'),
        ({"volumes.0.mode": 0o755}, "volumes[0].mode", 'octal digits in quotes, "0755" (put it in quotes)'),
        ({"volumes.0.volume_id": "vol-12"}, "volumes[0].volume_id", "vol- and 8 or 17 hexadecimal digits"),
        ({"image.id": "ami-xyz"}, "image.id", "ami- and 8 or 17 hexadecimal digits"),
        ({"capacity.subnet_ids": ["sg-01234567"]}, "capacity.subnet_ids[0]", "subnet- and 8 or 17"),
        ({"access.security_group_ids": ["default"]}, "access.security_group_ids[0]", "sg- and 8 or 17"),
        ({"region": "us-east-1a"}, "region", "a region such as us-east-1"),
        ({"region": None}, "region", "it is missing; set it here, or AWS_REGION"),
        ({"experiment": "My Exp"}, "experiment", "1 to 40 lower-case letters"),
        ({"tags": {"spot:owner": "x"}}, "tags.spot:owner", "not Name and not starting with aws: or spot:"),
        ({"tags": {"Name": "x"}}, "tags.Name", "not Name"),
        ({"channels.0.direction": "up"}, "channels[0].direction", "one of in, out"),
        ({"channels.0.remote_path": "code/"}, "channels[0].remote_path", "starts with / or ~/"),
        ({"job.image": "Bad Image"}, "job.image", "an image such as python:3.12-slim"),
        ({"job": {"name": "x"}}, "job", "it says nothing to run; give command or scripts"),
        ({"job": {"image": "x"}}, "job.command", "[] runs the image's own command"),
        ({"job.mounts": ["/data"]}, "job.mounts[0]", "/host/path:/container/path"),
        ({"job.env": {"A-B": "x"}}, "job.env.A-B", "letters, digits and underscores"),
        ({"job.user": 1000}, "job.user", "put it in quotes"),
    ],
)
def test_single_mistakes(check: Check, changes: dict[str, Any], path: str, said: str) -> None:
    profile, problems = check(changes)
    assert profile is None
    assert [problem.path for problem in problems] == [path]
    assert said in problems[0].text
    assert problems[0].text.startswith(f"x.yml: {path}: ")


def test_all_mistakes_at_once(check: Check) -> None:
    _profile, problems = check(
        {
            "capacity": {"instance_typ": ["x"], "count": "3"},
            "image": {},
            "region": "nowhere",
            "volumes": [{"nam": "a"}],
            "job.network": "vpn",
        }
    )
    assert {problem.path for problem in problems} == {
        "capacity.instance_typ",
        "capacity.instance_types",
        "capacity.count",
        "image",
        "region",
        "volumes[0].nam",
        "volumes[0].name",
        "volumes[0].mount_point",
        "job.network",
    }


def test_the_old_sections_name_a_key_for_each_of_theirs(check: Check) -> None:
    old = {"instance_type": "p2.xlarge", "identity_file": "~/k.pem", "ebs_optimized": True, "remote_group": "x"}
    _profile, problems = check({"spot_instance": old})
    said = {problem.path: problem.text for problem in problems}
    assert "use capacity.instance_types" in said["spot_instance.instance_type"]
    assert "use access.private_key_file" in said["spot_instance.identity_file"]
    assert "remove it" in said["spot_instance.ebs_optimized"]
    assert "access.remote_group" in said["spot_instance.remote_group"]


def test_secrets_are_in_no_message(check: Check) -> None:
    _profile, problems = check({"job.env": {"TOKEN": "s3cr3t\nline", "OTHER": ["s3cr3t"]}})
    assert len(problems) == 2
    assert "s3cr3t" not in repr(problems)


def test_a_problem_as_data(check: Check) -> None:
    _profile, problems = check({"capacity.market": "sopt"})
    assert problems == [
        Problem(
            "x.yml",
            "capacity.market",
            '"sopt" is not allowed',
            'allowed: one of spot, on-demand; did you mean "spot"?',
            '"sopt"',
            "one of spot, on-demand",
            "spot",
            None,
        )
    ]


def test_what_is_missing_is_no_news_when_the_document_is_incomplete() -> None:
    assert examine(Document({}), Setting("x"), complete=False).problems == []
    assert {problem.path for problem in examine(Document({}), Setting("x")).problems} == {
        "region",
        "capacity.instance_types",
        "image",
    }


def test_unknown_values_are_not_judged(good: dict[str, Any]) -> None:
    good["capacity"]["instance_types"] = [UNKNOWN]
    good["image"]["id"] = UNKNOWN
    good["volumes"] = UNKNOWN
    checked = examine(Document(good), Setting("x"))
    assert checked.problems == []
    assert not checked.ok("image", "id")
    assert not checked.ok("volumes", 0, "size")


@pytest.mark.parametrize(
    ("given", "said"), [("My Exp", "-e experiment=my-exp"), ("__", "-e experiment=my-experiment"), ("a" * 41, "a" * 40)]
)
def test_a_profile_whose_name_is_no_experiment(good: dict[str, Any], given: str, said: str) -> None:
    _profile, problems = validate(good, "x.yml", Setting(given))
    assert [problem.path for problem in problems] == ["experiment"]
    assert said in problems[0].text
    assert problems[0].file == "x.yml"
    assert validate(good, "x.yml", Setting(given, "fine"))[1] == []
    assert validate(good, "x.yml", Setting("fine", given))[1][0].text.startswith(f'-e experiment: "{given}" is no name')


def test_the_region_of_the_environment_is_asked_only_when_needed(good: dict[str, Any]) -> None:
    asked: list[str] = []

    def region() -> str:
        asked.append("x")
        return "eu-west-1"

    assert validate(good, "x.yml", Setting("x", region=region))[0]["region"] == "us-east-1"  # type: ignore[index]
    assert asked == []
    del good["region"]
    assert validate(good, "x.yml", Setting("x", region=region))[0]["region"] == "eu-west-1"  # type: ignore[index]


@pytest.mark.parametrize(
    ("path", "full"),
    [
        ("src/", "/base/src/"),
        ("src", "/base/src"),
        ("../src/.", "/src"),
        ("~/x/", "/home/me/x/"),
        ("~", "/home/me"),
        ("/", "/"),
        ("~other/x", "/base/~other/x"),
        ("/a//b/", "/a/b/"),
    ],
)
def test_local_paths_keep_their_slash(path: str, full: str) -> None:
    assert local_path(path, "/base", "/home/me") == full


# ---- any input gives problems or a full profile, never an exception

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.sampled_from(
        ["", "/", "~/", "auto", "0.0.0.0/0", "/data", "/data/x", "/etc", "/a:/b", "us-east-1", "ami-01234567"]
    ),
)
ANY = st.recursive(
    ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | ODD, inner, max_size=3),
    max_leaves=8,
)


def like(key: Key) -> st.SearchStrategy[Any]:
    """Values of a key's kind, right and wrong ones."""
    if key.kind == "section":
        return section(key.keys) | ANY
    if key.kind == "items":
        return st.lists(section(key.keys) | ANY, max_size=3) | ANY
    if key.choices:
        return st.sampled_from(key.choices) | ANY
    simple: dict[str, st.SearchStrategy[Any]] = {
        "int": st.integers(0, 100_000),
        "float": st.floats(0, 10),
        "bool": st.booleans(),
        "texts": st.lists(ODD, max_size=3),
        "argv": st.text(max_size=10) | st.lists(ODD, max_size=3),
        "map": st.dictionaries(st.text(max_size=5), ODD, max_size=3),
    }
    return simple.get(key.kind, st.text(max_size=12) | ODD) | ANY


def section(keys: Any) -> st.SearchStrategy[dict[Any, Any]]:
    known = st.fixed_dictionaries({}, optional={name: like(key) for name, key in keys.items()})
    return st.builds(
        lambda right, extra: {**right, **extra}, known, st.dictionaries(st.text(max_size=6), ANY, max_size=1)
    )


@settings(max_examples=100, deadline=None)
@given(section(SCHEMA) | ANY)
def test_any_data_gives_problems_or_a_full_profile(data: Any) -> None:
    profile, problems = validate(data, "x.yml", Setting("x", "", lambda: "us-east-1", "/cwd", "/home/me"))
    assert (profile is None) == bool(problems)
    for problem in problems:
        assert problem.text.startswith("x.yml: ")
        assert "\n" not in problem.text
    if profile is not None:
        assert set(profile) == set(NORMAL)
        json.dumps(profile)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([path for path, key in walk() if "." in path and not key.keys]), ANY)
def test_one_odd_value_anywhere(path: str, value: Any) -> None:
    data: dict[str, Any] = {
        "region": "us-east-1",
        "capacity": {"instance_types": ["t3.medium"]},
        "image": {"id": "ami-01234567"},
        "volumes": [{"name": "a", "mount_point": "/data"}],
        "file_systems": [{"name": "a", "mount_point": "/team", "access_point": {"path": "/x"}}],
        "channels": [{"direction": "out", "local_path": "x", "remote_path": "~/x"}],
        "job": {"image": "x", "command": []},
    }
    *above, name = path.split(".")
    parent: Any = data
    for part in above:
        parent = parent[part[:-2]][0] if part.endswith("[]") else parent.setdefault(part, {})
    parent[name] = value
    profile, problems = validate(data, "x.yml", Setting("x"))
    assert (profile is None) == bool(problems)
    assert all(problem.text.startswith("x.yml: ") for problem in problems)


def test_code_and_a_job_without_a_container_are_completed(check: Check) -> None:
    profile, problems = check(
        {
            "code": {"repository": "git@github.com:alice/train.git", "deploy_key": "keys/deploy"},
            "job": {"scripts": ["train.py"]},
            "runtime.python_requirements": "requirements.txt",
        }
    )
    assert problems == [] and profile is not None
    assert (profile["code"]["path"], profile["code"]["deploy_key"]) == ("/home/ubuntu/train", "/work dir/keys/deploy")
    assert profile["runtime"]["python_requirements"] == "/home/ubuntu/train/requirements.txt"
    assert profile["runtime"]["python_virtual_env"] == "/home/ubuntu/.venvs/good"
    assert (profile["job"]["workdir"], profile["job"]["user"]) == ("/home/ubuntu/train", "ubuntu")


def test_a_token_is_in_no_message(check: Check) -> None:
    _profile, problems = check(
        {"code": {"repository": "https://github.com/a/b", "token": "hunter 2", "toke": "hunter 2"}}
    )
    assert len(problems) == 2 and not any("hunter" in problem.text for problem in problems)
