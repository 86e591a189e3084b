from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.experiments.spot.plugins.action import profile as action
from ansible_collections.experiments.spot.plugins.modules import profile as documented
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.schema import walk

TEXT = """\
description: mine
extends: default
region: us-east-1
owner: "{{ lookup('env', 'SPOT_TEST_OWNER') }}"
job:
  image: python:3
  command: echo {{ experiment }} {{ who }}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/mine.yml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "EXPERIMENTS_SPOT_SSH_CIDR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("SPOT_TEST_OWNER", "alice")
    monkeypatch.setattr(action, "load_extra_vars", lambda loader: {})
    return tmp_path


def run(args: dict[str, Any], **variables: Any) -> dict[str, Any]:
    loader = DataLoader()
    task = SimpleNamespace(args=args, async_val=0, check_mode=False, diff=False, action="profile", collections=[])
    context = SimpleNamespace(check_mode=False, diff=False, verbosity=0)
    templar = Templar(loader=loader, variables={})
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    plugin = action.ActionModule(task, connection, context, loader, templar, None)
    return plugin.run(task_vars={"who": "you", **variables})


def test_a_profile_next_to_where_the_command_is_typed(here: Path) -> None:
    result = run({"name": "mine"})
    assert "failed" not in result
    assert result["changed"] is False
    assert result["file"] == str(here / "profiles/mine.yml")
    assert result["profile"]["job"]["command"] == ["echo", "mine", "you"]
    assert result["profile"]["capacity"]["market"] == "spot"
    assert (result["experiment"], result["region"], result["caller_cidr"]) == ("mine", "us-east-1", None)
    assert result["experiment_option"] == ""
    assert result["tags"] == {
        "spot:experiment": "mine",
        "spot:profile": "mine",
        "spot:job": "job",
        "spot:owner": "alice",
    }
    assert type(result["profile"]["owner"]) is str


def test_the_experiment_of_the_command(here: Path) -> None:
    result = run({"name": "mine", "experiment": "e1"})
    assert result["tags"]["spot:experiment"] == "e1"
    assert result["experiment_option"] == " -e experiment=e1"


@pytest.mark.parametrize(
    ("folder", "option"),
    [("own", " -e profiles_dir={}/own"), ("my own", """ -e '{{"profiles_dir": "{}/my own"}}'""")],
)
def test_what_is_typed_again_names_the_directory_of_the_profile(here: Path, folder: str, option: str) -> None:
    (here / "profiles").rename(here / folder)
    assert run({"name": "mine", "dirs": [str(here / folder)]})["experiment_option"] == option.format(here)


def test_another_job(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "load_extra_vars", lambda loader: {"image": "python:4", "command": "a"})
    result = run({"name": "mine", "job": {"image": "python:4", "command": "a {{ who }}"}, "job_params": "lr=0.1"})
    job = result["profile"]["job"]
    assert (job["image"], job["command"], job["env"]) == ("python:4", ["a", "you"], {"lr": "0.1"})


def test_mistakes_in_parameters_are_told_with_those_of_the_profile(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "load_extra_vars", lambda loader: {"capacity.count": "x"})
    text = run({"name": "mine", "job_params": "lr"})["msg"]
    assert "-e job_params" in text and "-e capacity.count" in text
    monkeypatch.setattr(action, "load_extra_vars", lambda loader: {})
    assert run({"name": "mine", "job_params": "lr"})["failed"] is True


def test_the_command_line_wins(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"capacity.count": "3", "job.env.WHO": "{{ who }}", "job.env.TOKEN": "x", "profile": "mine", "other": 1}
    monkeypatch.setattr(action, "load_extra_vars", lambda loader: extra)
    result = run({"name": "mine"})
    assert result["profile"]["capacity"]["count"] == 3
    assert result["profile"]["job"]["env"] == {"WHO": "you", "TOKEN": "x"}
    assert result["_ansible_no_log"] is True, "the environment may hold secrets"


def test_programs_that_are_missing_are_told_before_anything_is_launched(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless nothing is to be copied, machines are not reached by ssh, or nothing is launched."""
    (here / "profiles/bare.yml").write_text("extends: default\nregion: us-east-1\n")
    (here / "profiles/copies.yml").write_text(
        "extends: bare\nchannels: [{direction: in, local_path: r/, remote_path: ~/x}]\n"
    )
    monkeypatch.setenv("PATH", str(here))
    told = run({"name": "copies"})["msg"]
    assert "rsync is missing on this machine; install it (Debian, Ubuntu: apt-get install rsync)" in told
    assert "ssh is missing on this machine; install it (Debian, Ubuntu: apt-get install openssh-client)" in told
    assert "rsync" not in run({"name": "bare"})["msg"]
    assert "failed" not in run({"name": "bare", "hosts_only": True})
    assert "failed" not in run({"name": "copies", "local_files": False})


def test_what_only_looks_needs_no_files_here(here: Path) -> None:
    """Who has moved the code away can still close the experiment by its profile."""
    channels = "channels: [{direction: out, local_path: gone/, remote_path: ~/x}]\n"
    (here / "profiles/moved.yml").write_text(f"extends: default\nregion: us-east-1\n{channels}")
    assert "gone/ does not exist" in run({"name": "moved"})["msg"]
    looked = run({"name": "moved", "local_files": False})
    assert "failed" not in looked and looked["profile"]["channels"][0]["local_path"] == f"{here}/profiles/gone/"


SECRETS = {
    "code.token": "code: {repository: https://example.org/a.git, token: abc}\n",
    "job.registry_password": "job: {image: a.example/b:1, command: x, registry_username: u, registry_password: abc}\n",
    "job.env": "job: {image: python:3, command: x, env: {A: abc}}\n",
    "recovery.webhook": "recovery: {webhook: https://example.org/abc}\n",
    "notify.webhook": "notify: {webhook: https://example.org/abc}\n",
}


@pytest.mark.parametrize("key", [path for path, key in walk() if key.secret])
def test_a_profile_with_any_secret_is_not_shown(here: Path, key: str) -> None:
    (here / "profiles/plain.yml").write_text("extends: default\nregion: us-east-1\n")
    (here / "profiles/secret.yml").write_text("extends: default\nregion: us-east-1\n" + SECRETS[key])
    plain, secret = run({"name": "plain"}), run({"name": "secret"})
    assert plain["has_secrets"] is False and "_ansible_no_log" not in plain
    assert secret.get("msg", "") == "" and secret["has_secrets"] is secret["_ansible_no_log"] is True


def test_directories_given_come_first(here: Path) -> None:
    (here / "team").mkdir()
    (here / "team/mine.yml").write_text("extends: default\nregion: eu-west-1\n")
    assert run({"name": "mine", "dirs": ["team"]})["region"] == "eu-west-1"
    assert run({"name": "mine", "profiles_dir": "team"})["region"] == "eu-west-1"
    assert "-e profiles_dir=" in run({"name": "mine", "dirs": ["none"]})["msg"]


def test_the_playbooks_profiles_come_after_ones_own(here: Path) -> None:
    (here / "books/profiles").mkdir(parents=True)
    for name in ("mine", "theirs"):
        (here / f"books/profiles/{name}.yml").write_text("extends: default\nregion: eu-west-1\n")
    assert run({"name": "theirs"}, playbook_dir=str(here / "books"))["region"] == "eu-west-1"
    assert run({"name": "mine"}, playbook_dir=str(here / "books"))["region"] == "us-east-1"


@pytest.mark.parametrize("name", ["", "mien"])
def test_an_unknown_profile_lists_all(here: Path, name: str) -> None:
    result = run({"name": name})
    assert result["failed"] is True
    for known in ("mine", "default", "cpu", "g5", "p2"):
        assert f"\n  {known} " in result["msg"]


def test_all_mistakes_in_one_message(here: Path) -> None:
    text = TEXT.replace("{{ who }}", "{{ nobody }}").replace("image:", "imag:") + "access: {ssh_cidr: 0.0.0.0/0}\n"
    (here / "profiles/mine.yml").write_text(text)
    result = run({"name": "mine"})
    assert result["failed"] is True
    assert result["msg"].splitlines()[0] == "3 mistakes in the profile:"
    assert "'nobody' is undefined" in result["msg"]
    assert "\n3. profiles/mine.yml:8: access.ssh_cidr: " in result["msg"]
    assert "Traceback" not in result["msg"]


def test_broken_templates_are_mistakes_too(here: Path) -> None:
    (here / "profiles/mine.yml").write_text(TEXT.replace("{{ who }}", "{{ 1 + }} {{ lookup('nothing') }}"))
    message = run({"name": "mine"})["msg"]
    assert message.startswith("profiles/mine.yml:7: job.command: the template cannot be filled in: ")
    assert "\n" not in message


def test_the_address_is_asked_only_when_wanted_and_needed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, float]] = []

    def open_url(url: str, timeout: float) -> Any:
        asked.append((url, timeout))
        return SimpleNamespace(read=lambda size: b"203.0.113.7\n")

    monkeypatch.setattr(action, "open_url", open_url)
    assert run({"name": "mine"})["caller_cidr"] is None
    assert asked == []
    assert run({"name": "mine", "resolve_caller": True})["caller_cidr"] == "203.0.113.7/32"
    assert asked == [("https://checkip.amazonaws.com", 5)]
    monkeypatch.setenv("EXPERIMENTS_SPOT_SSH_CIDR", "10.1.2.3/32")
    assert run({"name": "mine", "resolve_caller": True})["caller_cidr"] == "10.1.2.3/32"
    assert len(asked) == 1


def test_the_region_of_the_environment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "config").write_text("[default]\nregion = eu-north-1\n[profile other]\nregion = eu-south-1\n")
    assert action.aws_region() == "eu-north-1"
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert action.aws_region() == "eu-south-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-1")
    assert action.aws_region() == "us-west-1"
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert action.aws_region() == "us-west-2"


def test_a_broken_aws_configuration_is_a_message(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "profiles/bare.yml").write_text("extends: default\n")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    message = run({"name": "bare"})["msg"]
    assert "AWS configuration: region: " in message
    assert "nobody" in message


def test_the_documentation_names_the_arguments() -> None:
    import yaml

    options = yaml.safe_load(documented.DOCUMENTATION)["options"]
    assert set(options) == set(action.SPEC)
    for name, spec in action.SPEC.items():
        assert {key: options[name].get(key) for key in spec} == spec
