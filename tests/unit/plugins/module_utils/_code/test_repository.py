"""Addresses of repositories, and git let in by them at real servers."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._code import repository as rep
from ansible_collections.experiments.spot.plugins.module_utils._code.problems import explain
from tests.unit.git_server import Repo, SshServer, http_server, key, make_repo, ssh_server

TOKEN = "s3cr/t+%@:"


@pytest.mark.parametrize(
    ("address", "kind", "host", "path", "port"),
    [
        ("https://github.com/alice/train.git", "https", "github.com", "alice/train", 443),
        ("git@github.com:alice/train.git", "ssh", "github.com", "alice/train", 22),
        ("ssh://git@Host.example:2222/srv/train.git/", "ssh", "host.example", "srv/train", 2222),
        ("git://host/train", "git", "host", "train", 9418),
        ("codecommit::us-east-1://train", "codecommit", "", "train", 0),
        ("codecommit://train", "codecommit", "", "train", 0),
        ("https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/train", "codecommit",
         "git-codecommit.eu-west-1.amazonaws.com", "train", 443),
    ],
)  # fmt: skip
def test_addresses(address: str, kind: str, host: str, path: str, port: int) -> None:
    found = rep.parse(address)
    assert found and (found.kind, found.host, found.path, found.port, found.name) == (
        kind, host, path, port, "train",
    )  # fmt: skip


@pytest.mark.parametrize(
    "address",
    [
        "",
        "train",
        "/srv/train.git",
        "ext::sh -c id",
        "ftp://h/x",
        "https://host",
        "https://h/x?a=b",
        "ssh://h:x/y",
        "-o:x",
    ],
)
def test_no_addresses(address: str) -> None:
    assert rep.parse(address) is None


def test_one_repository_has_many_addresses() -> None:
    assert rep.same("git@github.com:alice/train.git", "https://x:y@GitHub.com/alice/train")
    assert rep.same("codecommit::eu-west-1://train", "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/train")
    assert not rep.same("git@github.com:alice/train.git", "git@github.com:bob/train.git")
    assert not rep.same("codecommit::eu-west-1://train", "codecommit::us-east-1://train")
    assert not rep.same("", "")


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ("", False),
        ("git.example ssh-ed25519 AAAA", False),
        ("[git.example]:2222 ssh-ed25519 AAAA", True),
        ("other,[git.example]:2222 ssh-ed25519 AAAA", True),
        ("@cert-authority [*.example]:2222 ssh-ed25519 AAAA", True),
        ("|1|hash= ssh-ed25519 AAAA", True),
        ("# [git.example]:2222", False),
    ],
)
def test_servers_are_known_by_their_keys(line: str, known: bool) -> None:
    found = rep.parse("ssh://git@git.example:2222/train")
    assert found and rep.knows_host(found, [line] if line else []) is known


def test_the_published_keys_are_those_of_the_published_fingerprints(tmp_path: Path) -> None:
    published = {
        "github.com": "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU",
        "gitlab.com": "SHA256:eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8",
        "bitbucket.org": "SHA256:ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM",
    }
    (tmp_path / "keys").write_text("".join(f"{host} {one}\n" for host, one in rep.WELL_KNOWN.items()))
    told = subprocess.run(["ssh-keygen", "-lf", str(tmp_path / "keys")], capture_output=True, text=True, check=True)
    assert {line.split()[2]: line.split()[1] for line in told.stdout.splitlines()} == published


def test_codecommit_by_whichever_tool_is_there() -> None:
    by_helper = rep.way("codecommit::eu-west-1://train", ["aws", "git-remote-codecommit"])
    assert by_helper.url == "codecommit::eu-west-1://train"
    by_aws = rep.way("codecommit://train", ["aws"], region="us-west-2")
    assert by_aws.url == "https://git-codecommit.us-west-2.amazonaws.com/v1/repos/train"
    assert "!aws codecommit credential-helper $@" in by_aws.environment.values()
    assert by_aws.environment["GIT_CONFIG_COUNT"] == "3"
    assert "has neither" in rep.way("codecommit::eu-west-1://train", []).problem


# ---- real servers


def clone(url: str, target: Path, env: dict[str, str], *more: str) -> tuple[int, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "clone", "--quiet", *more, url, str(target)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**clean, "HOME": str(target.parent), **env},
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="module")
def repo(base: Path) -> Repo:
    return make_repo(base / "repos")


@pytest.fixture(scope="module")
def ssh(base: Path) -> Iterator[SshServer]:
    with ssh_server(base / "ssh") as server:
        yield server


def ssh_env(folder: Path, known: str, private: Path) -> dict[str, str]:
    (folder / "known_hosts").write_text(f"{known}\n")
    options = rep.ssh_options(str(folder / "known_hosts"))
    return {"GIT_SSH_COMMAND": f"ssh {options} -o IdentitiesOnly=yes -i {private}", **rep.environment({})}


def test_ssh_with_a_deploy_key_and_a_verified_host(ssh: SshServer, repo: Repo, tmp_path: Path) -> None:
    rc, err = clone(ssh.url(repo), tmp_path / "out", ssh_env(tmp_path, ssh.known_hosts, ssh.key))
    assert rc == 0, err
    assert (tmp_path / "out/train.py").read_text() == "print('first')\n"
    assert (tmp_path / "known_hosts").read_text() == f"{ssh.known_hosts}\n", "nothing is added to it"


def test_a_server_with_another_key_is_not_trusted(ssh: SshServer, repo: Repo, tmp_path: Path) -> None:
    other = Path(f"{key(tmp_path / 'other')}.pub").read_text().rpartition(" ")[0]
    for known in (f"[127.0.0.1]:{ssh.port} {other}", ""):
        rc, err = clone(ssh.url(repo), tmp_path / "out", ssh_env(tmp_path, known, ssh.key))
        told = explain(err, ssh.url(repo), "", "/code")
        assert rc and "its host key is not the one that is known" in told and "code.known_hosts" in told
        assert not (tmp_path / "out").exists()


def test_a_key_that_the_server_refuses(ssh: SshServer, repo: Repo, tmp_path: Path) -> None:
    rc, err = clone(ssh.url(repo), tmp_path / "out", ssh_env(tmp_path, ssh.known_hosts, key(tmp_path / "other")))
    assert rc and "the server refuses the key; add the public half of code.deploy_key" in explain(err, "x", "", "/code")


def test_a_repository_that_is_not_there(ssh: SshServer, repo: Repo, tmp_path: Path) -> None:
    url = ssh.url(repo).replace("train.git", "nothing.git")
    rc, err = clone(url, tmp_path / "out", ssh_env(tmp_path, ssh.known_hosts, ssh.key))
    assert rc and "there is no such repository" in explain(err, url, "", "/code")


def test_nobody_answers(repo: Repo, tmp_path: Path, ssh: SshServer) -> None:
    rc, err = clone(f"ssh://a@127.0.0.1:1{repo.bare}", tmp_path / "out", ssh_env(tmp_path, "", ssh.key))
    assert rc and "the server does not answer" in explain(err, "x", "", "/code")
    rc, err = clone("https://nowhere.invalid/x.git", tmp_path / "out", rep.environment({}))
    assert rc and "the name of the server is not known" in explain(err, "x", "", "/code")


@pytest.mark.slow
def test_http_with_a_token(repo: Repo, tmp_path: Path) -> None:
    with http_server(repo.bare.parent, "git", TOKEN) as (address, seen):
        url = f"{address}/train.git"
        found = rep.parse(url)
        assert found
        (tmp_path / "credentials").write_text(rep.credentials_line(found, "git", TOKEN))
        rc, err = clone(url, tmp_path / "out", rep.way(url, [], str(tmp_path / "credentials")).environment)
        assert rc == 0, err
        assert seen and TOKEN not in (tmp_path / "out/.git/config").read_text()
        rc, err = clone(url, tmp_path / "two", rep.environment({}))
        assert rc and "it asks for a login; give code.token" in explain(err, url, "", "/code")
        (tmp_path / "credentials").write_text(rep.credentials_line(found, "git", "wrong"))
        rc, err = clone(url, tmp_path / "two", rep.way(url, [], str(tmp_path / "credentials")).environment)
        told = explain(err, url, "", "/code")
        assert rc and "the server refuses the login" in told and "wrong" not in told


@pytest.mark.slow
def test_codecommits_helper_logs_in_with_the_role(repo: Repo, tmp_path: Path) -> None:
    """With an aws command that answers as AWS's does: the login comes from it, and the repository is told to it."""
    tool = tmp_path / "bin/aws"
    tool.parent.mkdir()
    tool.write_text(
        f'#!/bin/sh\ncat > {tmp_path}/asked\necho "$@" >> {tmp_path}/asked\necho username=u\necho password=p\n'
    )
    tool.chmod(0o755)
    with http_server(repo.bare.parent, "u", "p") as (address, _seen):
        env = rep.way("codecommit::eu-west-1://train", ["aws"]).environment
        path = {"PATH": f"{tool.parent}:{os.environ['PATH']}"}
        rc, err = clone(f"{address}/train.git", tmp_path / "out", env | path)
        assert rc == 0, err
    asked = (tmp_path / "asked").read_text()
    assert "path=train.git" in asked and re.search(r"codecommit credential-helper (get|store|erase)", asked)
