# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What git says when it does not work, in words that say what to do. Pure functions.

PRIVATE to the collection.
"""

from __future__ import annotations

import re

from .repository import is_commit, parse

# What git, ssh or ansible.builtin.git says -> what it means and what to do. The first match counts.
REASONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("host key verification failed", "host key is known for", "remote host identification has changed"),
        "its host key is not the one that is known; compare it with what the operator of {host} publishes, and give it "
        "in code.known_hosts",
    ),
    (
        ("error in libcrypto", "invalid format", "bad permissions", "passphrase"),
        "the key of code.deploy_key is not usable; it must be a private key without a passphrase",
    ),
    (
        ("permission denied (", "publickey", "too many authentication failures"),
        "the server refuses the key; add the public half of code.deploy_key to the repository (read access)",
    ),
    (
        (
            "http basic: access denied",
            "authentication failed",
            "invalid username or",
            "returned error: 403",
            "returned error: 401",
            "access denied",
        ),
        "the server refuses the login; give code.token with read access, for CodeCommit a role with codecommit:GitPull",
    ),
    (
        ("could not read username", "could not read password", "terminal prompts disabled"),
        "it asks for a login; give code.token, or correct the address: private and missing repositories look the same",
    ),
    (
        ("could not resolve host", "name or service not known", "temporary failure in name resolution"),
        "the name of the server is not known; correct code.repository, or see that the instance reaches the Internet",
    ),
    (
        (
            "connection refused",
            "timed out",
            "timeout",
            "network is unreachable",
            "no route to host",
            "failed to connect",
            "couldn't connect",
            "unable to connect",
            "connection reset",
            "connection closed by",
            "early eof",
            "rpc failed",
            "the remote end hung up",
        ),
        "the server does not answer; see that it runs and that the network of the instance lets it out",
    ),
    (("certificate", "ssl"), "its certificate is not trusted by the instance"),
    (
        ("no space left on device",),
        "no space is left for it; use a larger volume or image.root_volume_size",
    ),
    (
        ("local modifications exist", "would be overwritten"),
        "files of it were changed on the instance; keep what you need of them, then git checkout them or remove the "
        "directory",
    ),
    (
        (
            "repository not found",
            "does not appear to be a git repository",
            "repository does not exist",
            "not found: did",
        ),
        "there is no such repository, or the login may not see it",
    ),
    (
        ("submodule",),
        "a submodule cannot be fetched; its address must let the same login in, or set code.submodules: false",
    ),
)
MISSING = (
    "failed to checkout",
    "could not determine remote revision",
    "remote branch",
    "couldn't find remote ref",
    "unadvertised object",
    "not our ref",
    "did not match any file",
    "unknown revision",
    "reference is not a tree",
    "failed to fetch branch",
)


def explain(text: str, repository: str, version: str, path: str) -> str:
    """One line: what did not work with which repository, and what to do.

    Args:
        text: What git or its module said.
        repository: Its address.
        version: Branch, tag or commit that was wanted, "" for the default branch.
        path: Where it was to go.
    """
    said = last_line(text)
    lower = _without_names(text, repository, path)
    where = f"code of {repository}"
    for signs, meaning in REASONS:
        if any(sign in lower for sign in signs):
            return f"{where} did not get to {path}: {meaning.format(host=host_of(repository))} ({said})"
    if any(sign in lower for sign in MISSING):
        return f"{where}: {_missing(version)} ({said})"
    return f"{where} did not get to {path}: {said}"


def _without_names(text: str, repository: str, path: str) -> str:
    """In lower case, without address and path: names like ssl-tests or timeout.git are no reasons."""
    server = "/".join(repository.split("/")[:3]) if "://" in repository else ""
    for name in (repository, server, path):
        if name.count("/") or ":" in name:
            text = text.replace(name, "")
    return text.lower()


def _missing(version: str) -> str:
    if is_commit(version):
        return f"no branch or tag of it holds the commit {version}; push it, or name another one in code.version"
    if not version or version == "HEAD":
        return "it has no commit, or no default branch; push one, or name a branch in code.version"
    return (
        f"there is no branch, tag or commit {version}; push it, or correct code.version (a commit needs all 40 digits)"
    )


def host_of(repository: str) -> str:
    """Server of an address, for messages."""
    found = parse(repository)
    return (found.host if found else "") or "the server"


def last_line(text: str) -> str:
    """The line that says most: the last that git marks as fatal or an error, else the last one."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    told = [line for line in lines if re.match(r"(remote: )?(fatal|error|ERROR|ssh):|.*(denied|failed)", line)]
    useful = [line for line in told if "Could not read from remote" not in line] or told or lines
    return useful[-1][:300] if useful else "git said nothing"
