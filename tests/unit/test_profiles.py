"""The built-in profiles, and the profiles of the tests, are right."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.find import description, listing
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.resolve import Request, resolve
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.validate import Setting

ROOT = Path(__file__).resolve().parents[2]
HERE = f"{tempfile.gettempdir()}/somewhere"  # results can be written to it, whoever runs the test
BUILTIN = ["cpu", "datasync", "default", "g5", "g6", "gateway", "lab", "notebook", "p2"]


def fill(text: str, variables: Any) -> str:
    for name, value in variables.items():
        text = text.replace("{{ NAME }}".replace("NAME", name), value)
    return text


def read(name: str, cwd: str = HERE, experiment: str = "") -> dict[str, Any]:
    dirs = [str(ROOT / "profiles"), str(ROOT / "molecule/resources/profiles")]
    setting = Setting("", experiment, lambda: "us-west-2", cwd, f"{HERE}/home")
    return resolve(Request(name, dirs, setting, {}, fill))[1].profile


def test_the_names_are_those_that_users_know() -> None:
    assert [profile.name for profile in listing([str(ROOT / "profiles")], str(ROOT))] == BUILTIN


@pytest.mark.parametrize("name", [*BUILTIN, "molecule"])
def test_each_is_right_and_described(name: str) -> None:
    assert read(name)["experiment"] == name


@pytest.mark.parametrize("name", BUILTIN)
def test_each_is_for_beginners(name: str) -> None:
    found = next(profile for profile in listing([str(ROOT / "profiles")], str(ROOT)) if profile.name == name)
    assert 20 <= len(description(found)) <= 80
    assert Path(found.path).read_text().startswith("---\n# ")


@pytest.mark.parametrize("name", [name for name in BUILTIN if name != "default"])
def test_volumes_of_built_in_profiles_are_not_mixed_up(name: str) -> None:
    assert [volume["name"] for volume in read(name)["volumes"]] == (
        [] if name in ("datasync", "gateway", "notebook") else [f"{name}-data"]
    )


@pytest.mark.parametrize("name", BUILTIN)
def test_each_is_safe(name: str) -> None:
    profile = read(name)
    assert profile["access"]["ssh_cidr"] == "auto"
    assert profile["access"]["host_keys"] == "console"
    assert all(volume["encrypted"] for volume in profile["volumes"])
    assert profile["capacity"]["count"] == 1


def test_the_gateway_stays_and_holds_nothing_itself() -> None:
    profile = read("gateway")
    assert profile["capacity"]["market"] == "on-demand"
    assert profile["volumes"] == []
    assert [shared["name"] for shared in profile["file_systems"]] == ["shared"]


def test_p2_is_what_the_user_named() -> None:
    assert read("p2")["capacity"]["instance_types"] == ["p2.xlarge"]
    assert read("p2")["runtime"]["gpu"] == "required"


def test_results_land_where_the_command_is_typed_and_code_comes_from_the_checkout() -> None:
    profile = read("lab", f"{HERE}/typed", "e2")
    out, back = profile["channels"]
    assert out["local_path"] == f"{ROOT}/examples/digits/"
    assert back["local_path"] == f"{HERE}/typed/results/e2/"
    assert back["remote_path"] == "/data/e2/results/"
    assert profile["job"]["state_dir"] == "/data/e2"
    assert profile["job"]["command"][-1] == "/data/e2/results"
