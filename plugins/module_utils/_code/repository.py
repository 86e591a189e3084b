# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The address of a repository, and what git needs to be let in there. Pure functions.

PRIVATE to the collection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

# Host keys as their operators publish them, each compared with the published SHA-256 fingerprint.
# Sources: docs.github.com "GitHub's SSH key fingerprints", docs.gitlab.com "SSH host keys fingerprints",
# support.atlassian.com "Configure SSH and two-step verification" of Bitbucket Cloud.
WELL_KNOWN = {
    "github.com": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
    "gitlab.com": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf",
    "bitbucket.org": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIazEu89wgQZ4bqs3d63QSMzYVa0MuJ2e2gKTKqu+UUO",
}
SCP = re.compile(r"(?:(?P<user>[A-Za-z0-9._-]+)@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<path>[^/:\s][^:\s]*)")
CODECOMMIT = re.compile(r"codecommit(?:::(?P<region>[a-z0-9-]+))?://(?:(?P<profile>[\w.-]+)@)?(?P<name>[\w.-]{1,100})")
# Source: AWS CodeCommit user guide, "Regions and Git connection endpoints".
CODECOMMIT_HOST = re.compile(r"git-codecommit(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
PORTS = {"ssh": 22, "https": 443, "http": 80, "git": 9418}
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Repository:
    """Where a repository is.

    Attributes:
        kind: ssh, https, http, git or codecommit.
        host: Name of the server, "" where the tools of AWS find it.
        path: What it is called there, without slashes around it and without .git.
        port: Port of the server.
        user: User to log in as, "" for none.
        password: Whether the address holds a password.
        region: Region of CodeCommit, "" where the address does not say it.
    """

    kind: str
    host: str
    path: str
    port: int = 0
    user: str = ""
    password: bool = False
    region: str = ""

    @property
    def name(self) -> str:
        """Last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def identity(self) -> tuple[str, str]:
        """The same for the same repository, by whichever way one gets there."""
        return (f"codecommit {self.region}" if self.kind == "codecommit" else self.host), self.path

    @property
    def known_host(self) -> str:
        """The server as known_hosts names it. Source: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"."""
        return self.host if self.port == PORTS["ssh"] else f"[{self.host}]:{self.port}"


def parse(address: str) -> Repository | None:
    """The parts of an address, None when it is none that is known here."""
    commit = CODECOMMIT.fullmatch(address)
    if commit:
        return Repository("codecommit", "", commit["name"], user=commit["profile"] or "", region=commit["region"] or "")
    if "://" not in address:
        found = SCP.fullmatch(address)
        return found and Repository("ssh", found["host"].lower(), _bare(found["path"]), 22, found["user"] or "")
    try:
        url = urlsplit(address)
        port = url.port
    except ValueError:
        return None
    path = _bare(url.path)
    if url.scheme not in PORTS or not url.hostname or not path or url.query or url.fragment:
        return None
    of_aws = CODECOMMIT_HOST.fullmatch(url.hostname)
    if of_aws and url.scheme == "https":
        return Repository("codecommit", url.hostname, path.rpartition("/")[2], 443, region=of_aws["region"])
    secret = url.password is not None
    return Repository(url.scheme, url.hostname, path, port or PORTS[url.scheme], url.username or "", secret)


def _bare(path: str) -> str:
    path = path.strip("/")
    return path[: -len(".git")] if path.endswith(".git") else path


def same(one: str, other: str) -> bool:
    """Whether two addresses mean one repository."""
    first, second = parse(one), parse(other)
    return bool(first and second and first.identity == second.identity)


def is_commit(version: str) -> bool:
    """Whether a version is a whole commit, which never means another one."""
    return bool(COMMIT.fullmatch(version))


def host_keys(lines: Iterable[str]) -> list[str]:
    """Lines of known_hosts: those given, and the published ones of well-known servers.

    Source: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
    """
    given = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    named = {name for line in given for name in line.split()[0].split(",")}
    return given + [f"{host} {key}" for host, key in WELL_KNOWN.items() if host not in named]


def knows_host(repository: Repository, lines: Iterable[str]) -> bool:
    """Whether there may be a host key for the server; a hashed name or a pattern may be any."""
    names = [name for line in host_keys(lines) for name in _names(line)]
    wanted = repository.known_host
    return any(name == wanted or name.startswith("|") or "*" in name or "?" in name for name in names)


def _names(line: str) -> list[str]:
    parts = line.split()
    return (parts[1] if parts[0].startswith("@") and len(parts) > 1 else parts[0]).lower().split(",")


def ssh_options(known_hosts: str) -> str:
    """Options of ssh: only the host keys of that file count. Source: ssh_config(5)."""
    wanted = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "ConnectTimeout": "20",
        "BatchMode": "yes",
    }
    return " ".join(f"-o {name}={value}" for name, value in wanted.items())


def credentials_line(repository: Repository, user: str, token: str) -> str:
    """The line of git-credential-store for a token. Source: git-credential-store(1), "STORAGE FORMAT"."""
    port = "" if repository.port == PORTS.get(repository.kind) else f":{repository.port}"
    return f"{repository.kind}://{quote(user, safe='')}:{quote(token, safe='')}@{repository.host}{port}\n"


@dataclass(frozen=True)
class Way:
    """How an instance gets at a repository: the address for git, and its environment, which holds no secret."""

    url: str
    environment: dict[str, str]
    problem: str = ""


def way(address: str, tools: Iterable[str], credentials: str = "", region: str = "") -> Way:
    """How to get at a repository.

    Args:
        address: Of the repository.
        tools: Which of `aws` and `git-remote-codecommit` the instance has.
        credentials: File of git-credential-store with the token, "" for none.
        region: Region of the experiment, for an address of CodeCommit that names none.
    """
    found = parse(address)
    if found is None:
        return Way(address, {}, f"{address} is no address of a repository")
    if found.kind == "codecommit":
        return _way_to_codecommit(found, address, tools, region)
    settings = {"credential.helper": f"store --file={credentials}"} if credentials else {}
    return Way(address, environment(settings))


def _way_to_codecommit(found: Repository, address: str, tools: Iterable[str], region: str) -> Way:
    """Source: AWS CodeCommit user guide, "Setup steps for HTTPS connections with git-remote-codecommit" and "… with the
    AWS CLI credential helper"."""
    region = found.region or region
    if "git-remote-codecommit" in tools and not found.host:
        return Way(f"codecommit::{region}://{address.partition('://')[2]}", environment({}))
    if "aws" in tools:
        profile = f" --profile {found.user}" if found.user else ""
        helper = f"!aws{profile} codecommit credential-helper $@"
        url = address if found.host else f"https://git-codecommit.{region}.amazonaws.com/v1/repos/{found.name}"
        return Way(url, environment({"credential.helper": helper, "credential.UseHttpPath": "true"}))
    what = "CodeCommit needs git-remote-codecommit or the AWS CLI on the instance, and the image has neither"
    return Way(address, {}, f"{what}; use an image with one of them, such as those of Amazon")


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Environment of git for settings of its configuration, instead of those of the machine for the same purpose.

    Source: git-config(1), "GIT_CONFIG_COUNT": since 2.31. An empty helper forgets those before it.
    """
    pairs = [("credential.helper", ""), *settings.items()]
    out = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8", "GIT_CONFIG_COUNT": str(len(pairs))}
    for index, (name, value) in enumerate(pairs):
        out |= {f"GIT_CONFIG_KEY_{index}": name, f"GIT_CONFIG_VALUE_{index}": value}
    return out


def settings_of(params: dict[str, Any], tools: Iterable[str]) -> dict[str, Any]:
    """What the role needs to let git in: url, environment, options of ssh, lines of known_hosts.

    Args:
        params: repository, region, known_hosts, secrets (a folder) and token (whether there is one).
        tools: see `way`.
    """
    found = parse(params["repository"])
    credentials = f"{params['secrets']}/credentials" if params["token"] else ""
    one = way(params["repository"], tools, credentials, params["region"] or "")
    is_ssh = found is not None and found.kind == "ssh"
    return {
        "url": one.url,
        "environment": one.environment,
        "problem": one.problem,
        "ssh_opts": ssh_options(f"{params['secrets']}/known_hosts"),
        "known_hosts": host_keys(params["known_hosts"]),
        "ssh": is_ssh,
    }
