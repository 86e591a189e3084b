"""A new profile is written once, is right, and says all that a profile may say."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from ansible_collections.experiments.spot.plugins.action import profile_draft as action
from ansible_collections.experiments.spot.plugins.modules import profile_draft as documented
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.load import load_text
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.resolve import Request, resolve
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.schema import walk
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.validate import Setting, examine
from lab.aws.config import ACCESS_KEY, SECRET_KEY
from tests.unit.plugins.modules.fleet_lab import REGION, Api, serve

Run = Callable[..., dict[str, Any]]
ROOT = Path(__file__).resolve().parents[4]
AWS_SPEC = ("access_key", "secret_key", "region", "endpoint_url")


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    yield from serve()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def run(here: Path, make_action: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Run:
    def do(check_mode: bool = False, **args: Any) -> dict[str, Any]:
        monkeypatch.setattr(action, "display", type("Display", (), {})(), raising=False)
        return make_action(action, {"name": "mine", **args}, check_mode=check_mode).run(task_vars={})

    return do


def launched(folder: Path, name: str = "mine") -> dict[str, Any]:
    """The profile as a launch reads it."""
    setting = Setting("", "", str, str(folder), str(folder))
    return resolve(Request(name, [str(folder / "profiles")], setting))[1].profile


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def uncommented(text: str) -> str:
    """Each key that stands as a comment, at any depth, is taken out of it; explanations stay."""
    lines = []
    for line in text.splitlines():
        lines.append(
            "" if "##" in line else re.sub(r"^([ -]*)((?:# +)+)", lambda one: one[1] + one[2].replace("# ", ""), line)
        )
    return "\n".join(lines)


def test_a_draft_is_a_right_profile(run: Run, here: Path) -> None:
    result = run()
    assert result["changed"] is True
    profile = launched(here)
    assert profile["capacity"]["instance_types"] == ["t3.medium", "t3a.medium", "t3.large", "t3a.large"]
    assert profile["region"] == "us-east-1", "no region was known"


def test_the_region_of_the_environment_needs_no_line(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert run()["remarks"] == []
    assert "region" not in yaml.safe_load((here / "profiles/mine.yml").read_text())


def test_every_key_stands_in_a_draft_with_its_explanation(run: Run, here: Path) -> None:
    run()
    text = (here / "profiles/mine.yml").read_text()
    words = " ".join(re.sub(r"^[ #-]+", "", line) for line in text.splitlines())
    for path, key in walk():
        assert re.search(rf"^[ #-]*{path.rpartition('.')[2]}:", text, re.MULTILINE), path
        needed = key.required or path in ("description", "region", "image.ssm_parameter", "access.remote_user")
        given = needed or path in ("capacity", "image", "access")
        assert given or key.text.rstrip(".") in words, path
    assert max(map(len, text.splitlines())) <= 120


def test_every_key_can_be_taken_out_of_its_comment(run: Run, here: Path) -> None:
    run()
    head, body = (here / "profiles/mine.yml").read_text().split("\n\n", 1)
    assert head.startswith("---\n# ")
    document, problems = load_text(uncommented(body), "mine.yml")
    assert problems == []
    checked = examine(document, Setting("mine", "", lambda: "us-east-1", str(here), str(here)))
    # Keys are known, and defaults and samples allowed; what excludes each other may not stand together.
    assert [p.text for p in checked.problems if "unknown" in p.what or "not allowed" in p.what] == []
    assert len(document.data) == len([path for path, _ in walk() if "." not in path])


def test_what_exists_stays(run: Run, here: Path) -> None:
    run()
    before = (here / "profiles/mine.yml").read_bytes()
    again = run(from_file="nowhere.json")
    assert again["changed"] is False and again["msg"] == ["profiles/mine.yml is there already and stays as it is."]
    assert (here / "profiles/mine.yml").read_bytes() == before


def test_the_other_suffix_and_a_dead_link_count_too(run: Run, here: Path) -> None:
    (here / "profiles").mkdir()
    (here / "profiles/mine.yaml").write_text("a: b\n")
    (here / "profiles/other.yml").symlink_to("nowhere")
    assert run()["changed"] is False
    assert run(name="other")["changed"] is False
    assert files(here) == ["profiles/mine.yaml"]


def test_check_mode_shows_the_file_and_writes_nothing(run: Run, here: Path) -> None:
    result = run(check_mode=True)
    assert result["changed"] is True
    assert "  # count: 1\n" in result["diff"][0]["after"]
    assert files(here) == [] and not (here / "profiles").exists()
    run()
    assert (here / "profiles/mine.yml").read_text() == result["diff"][0]["after"]


def test_an_import_is_written_with_what_it_leaves_out(run: Run, here: Path) -> None:
    spec = {"spot_instance": {"instance_type": "g5.xlarge", "ebs_optimized": True, "evil": 1, "a\nregion: b": 2}}
    (here / "spec.json").write_text(json.dumps(spec))
    result = run(from_file="spec.json")
    text = (here / "profiles/mine.yml").read_text()
    assert launched(here)["capacity"]["instance_types"] == ["g5.xlarge"]
    assert result["carried"] == {"spot_instance.instance_type": "capacity.instance_types"}
    assert "#   spot_instance.ebs_optimized: remove it; every current type is optimised" in text
    assert "#   spot_instance.a?region: b: no field of this name is known" in text
    assert "  spot_instance.evil: no field of this name is known" in result["msg"]


def test_a_directory_of_the_team(run: Run, here: Path) -> None:
    (here / "spec.json").write_text(
        json.dumps({"spot_instance": {"instance_type": "g5.xlarge", "identity_file": "keys/k.pem"}})
    )
    run(from_file="spec.json", dir=str(here / "team/gpu"))
    assert "private_key_file: ../../keys/k.pem" in (here / "team/gpu/mine.yml").read_text()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"name": ""}, "no profile is named; give one with -e profile=NAME"),
        ({"name": "a/b"}, '"a/b" is no name of a profile'),
        ({"name": "../x"}, '"../x" is no name of a profile'),
        ({"from_kind": "terraform", "from_file": "x"}, "portal_gun (a Portal Gun specification)"),
        ({"from_kind": "portal_gun"}, "from_kind goes with a file"),
        ({"from_file": "x", "from_request": "sir-12345678"}, "exclude each other"),
        ({"from_request": "i-12345678"}, "no id of a Spot request"),
        ({"from_file": "nowhere.json"}, "nowhere.json cannot be read: No such file or directory"),
        ({"from_file": "."}, "cannot be read: Is a directory"),
        ({"from_file": "empty"}, "empty: it is empty; known: "),
        ({"from_file": "latin"}, "byte 4 is not UTF-8"),
        ({"from_file": "foreign"}, "foreign: nothing in it tells what it is; known: a Portal Gun"),
        ({"from_file": "broken"}, "neither JSON nor YAML"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(run: Run, here: Path, args: dict[str, Any], said: str) -> None:
    (here / "empty").write_text("")
    (here / "latin").write_bytes(b"caf\xe9")
    (here / "foreign").write_text("Resources: {}\n")
    (here / "broken").write_text('{"ImageId": ')
    before = files(here)
    result = run(**args)
    assert result["failed"] is True and said in result["msg"]
    assert files(here) == before


def test_all_mistakes_of_the_command_at_once(run: Run) -> None:
    message = run(name="A", from_kind="x", from_request="y")["msg"]
    assert len(message.splitlines()) == 4


def test_a_directory_that_cannot_be_written_to(run: Run, here: Path) -> None:
    (here / "profiles").write_text("a file")
    result = run()
    assert result["failed"] is True
    assert result["msg"].startswith("profiles/mine.yml cannot be written: ") and "-e profiles_dir" in result["msg"]


def test_a_spot_request_of_the_account(run: Run, here: Path, api: Api) -> None:
    api.control("reset")
    image = api.ec2.describe_images(Filters=[{"Name": "architecture", "Values": ["x86_64"]}])["Images"][0]["ImageId"]
    group = api.ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    launch = {
        "ImageId": image,
        "InstanceType": "m5.large",
        "SecurityGroupIds": [group],
        "Placement": {"AvailabilityZone": "us-east-1b"},
    }
    made = api.ec2.request_spot_instances(SpotPrice="0.09", LaunchSpecification=launch)
    request_id = made["SpotInstanceRequests"][0]["SpotInstanceRequestId"]
    aws = dict(zip(AWS_SPEC, (ACCESS_KEY, SECRET_KEY, REGION, api.url), strict=True))

    result = run(from_request=request_id, **aws)
    assert "failed" not in result, result.get("msg")
    profile = launched(here)
    assert profile["region"] == REGION
    assert profile["image"]["id"] == image
    assert profile["capacity"]["instance_types"] == ["m5.large"]
    assert profile["capacity"]["zones"] == ["us-east-1b"]
    assert profile["capacity"]["max_price"] == 0.09
    assert profile["access"]["security_group_ids"] == [group]
    assert f"the Spot request {request_id}" in (here / "profiles/mine.yml").read_text()

    gone = run(name="gone", from_request="sir-00000000", **aws)
    assert gone["failed"] is True
    assert (
        "Could not read the Spot request sir-00000000 in us-east-1: InvalidSpotInstanceRequestID.NotFound"
        in gone["msg"]
    )
    assert files(here) == ["profiles/mine.yml"]


def test_no_permission(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer: Any = {"Error": {"Code": "UnauthorizedOperation", "Message": "You are not authorized"}}

    class Client:
        def describe_spot_instance_requests(self, **_given: Any) -> None:
            raise ClientError(answer, "DescribeSpotInstanceRequests")

    monkeypatch.setattr(action, "ec2_client", lambda *_args: (Client(), "eu-west-1"))
    result = run(from_request="sir-12345678")
    assert result["failed"] is True and "ec2:DescribeSpotInstanceRequests" in result["msg"]
    assert files(here) == []


def test_options_are_documented_as_they_are() -> None:
    page = yaml.safe_load(importlib.import_module(documented.__name__).DOCUMENTATION)
    facts = ("type", "default", "required")
    assert {name: [one.get(fact) for fact in facts] for name, one in page["options"].items()} == {
        name: [one.get(fact) for fact in facts] for name, one in action.SPEC.items()
    }


@pytest.mark.slow
def test_what_one_types(here: Path) -> None:
    """The playbook: shown, written, and left alone; a mistake is one message without a traceback."""
    (here / "spec.json").write_text(json.dumps({"spot_instance": {"instance_type": "g5.xlarge", "evil": 1}}))

    def play(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ansible", "playbook", str(ROOT / "init.yml"), *words]
        environ = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "true"}
        return subprocess.run(command, cwd=here, env=environ, capture_output=True, text=True, check=False)

    shown = play("-e", "profile=mine", "-e", "from=spec.json", "--check")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "+  instance_types: [g5.xlarge]" in shown.stdout and "profiles/mine.yml would be written." in shown.stdout
    assert files(here) == ["spec.json"]

    written = play("-e", "profile=mine", "-e", "from=spec.json")
    assert "changed=1" in written.stdout and "spot_instance.evil: no field of this name is known" in written.stdout
    assert launched(here)["capacity"]["instance_types"] == ["g5.xlarge"]

    again = play("-e", "profile=mine", "-e", "from=spec.json")
    assert "changed=0" in again.stdout and "is there already and stays as it is" in again.stdout

    wrong = play("-e", "profile=Mine", "-e", "from_kind=x")
    assert wrong.returncode != 0 and "Traceback" not in wrong.stdout + wrong.stderr
    assert "is no name of a profile" in wrong.stdout and "is not known; one of" in wrong.stdout
