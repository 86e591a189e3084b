# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Talking to an instance over OpenSSH: the argument lists, and what its messages mean. No shell on our side."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# One master connection for tasks, rsync and logs of an instance; the inventory sets the same path. It is named by the
# host key alias, which is the instance's id: that is short (a socket's path has at most 108 characters, and ssh adds 17
# of its own), and an address that AWS hands to another machine never meets the connection of its former owner.
CONTROL_DIRECTORY = "~/.ansible/cp"
CONTROL_NAME = "spot-%k-%r"

KEEP_ALIVE = ("ServerAliveInterval=15", "ServerAliveCountMax=4")
MULTIPLEX = ("ControlMaster=auto", "ControlPersist=10m")


@dataclass(frozen=True)
class Target:
    """Where and how to log in.

    Attributes:
        address: host name or IP address.
        user: login user, empty for ssh's own choice.
        port: TCP port.
        private_key_file: absolute path or None (agent or ssh's defaults).
        options: further ``Name=value`` options, in order; the first mention of a name wins, as in ssh.
        arguments: further ssh arguments, already split.
        executable: the ssh program.
    """

    address: str
    user: str = ""
    port: int = 22
    private_key_file: str | None = None
    options: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    executable: str = "ssh"


def control_path(directory: str = CONTROL_DIRECTORY) -> str:
    """Returns the ControlPath (with ssh's % tokens) that all connections to an instance share."""
    return os.path.join(os.path.expanduser(directory), CONTROL_NAME)


def quoted(value: str) -> str:
    """Quotes an option value as ssh's own option parser reads it (double quotes, when there is white space)."""
    return f'"{value}"' if any(char.isspace() for char in value) else value


def host_key_options(alias: str, known_hosts: str, checking: str = "yes") -> tuple[str, ...]:
    """Options that check the host key of an instance under its id, against our own file only."""
    return (
        f"HostKeyAlias={alias}",
        f"UserKnownHostsFile={quoted(known_hosts)}",
        f"StrictHostKeyChecking={checking}",
        "IdentitiesOnly=yes",
    )


def instance_target(
    alias: str,
    address: str,
    *,
    user: str,
    port: int,
    private_key_file: str | None,
    known_hosts: str,
    checking: str = "yes",
) -> Target:
    """The target of an instance: verified host key, its own key file, the shared master connection."""
    identities = host_key_options(alias, known_hosts, checking)
    if not private_key_file:
        identities = tuple(option for option in identities if not option.startswith("IdentitiesOnly"))
    options = (*identities, *MULTIPLEX, f"ControlPath={quoted(control_path())}", *KEEP_ALIVE)
    return Target(address, user, port, private_key_file, options)


def ssh_argv(target: Target, *command: str, timeout: int = 5) -> list[str]:
    """The argument list of ssh up to and with the remote command.

    Args:
        command: words of the remote command; ssh joins them for the login shell, quote with `remote_command`.
        timeout: seconds for the connection to come up.
    """
    return [*ssh_base(target, timeout), "--", target.address, *command]


def ssh_base(target: Target, timeout: int = 5) -> list[str]:
    """The argument list of ssh without host and command, as rsync's -e wants it."""
    argv = [target.executable, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={timeout}"]
    for option in target.options:
        argv += ["-o", option]
    if target.private_key_file:
        argv += ["-i", target.private_key_file]
    argv += ["-p", str(target.port)]
    if target.user:
        argv += ["-l", target.user]
    return [*argv, *target.arguments]


def remote_command(*words: str) -> str:
    """Quotes words for the login shell at the other end."""
    return " ".join(shlex.quote(word) for word in words)


def connection_target(option: Callable[[str], object]) -> Target:
    """Builds a target from the options of Ansible's ssh connection, so that its master connection is shared.

    Args:
        option: returns the value of a named option of the connection plugin, or None.
    """
    text = {name: str(option(name) or "") for name in CONNECTION_OPTIONS}
    split = [word for name in ("ssh_args", "ssh_common_args", "ssh_extra_args") for word in shlex.split(text[name])]
    directory = os.path.expanduser(text["control_path_dir"] or CONTROL_DIRECTORY)
    path = (text["control_path"] or os.path.join("%(directory)s", CONTROL_NAME.replace("%", "%%"))) % {
        "directory": directory
    }
    return Target(
        address=text["host"],
        user=text["remote_user"],
        port=int(text["port"] or 22),
        private_key_file=os.path.expanduser(text["private_key_file"]) or None,
        options=(f"ControlPath={quoted(path)}",),
        arguments=tuple(split) or multiplex_arguments(),
        executable=text["ssh_executable"] or "ssh",
    )


CONNECTION_OPTIONS = (
    "host",
    "remote_user",
    "port",
    "private_key_file",
    "ssh_args",
    "ssh_common_args",
    "ssh_extra_args",
    "control_path",
    "control_path_dir",
    "ssh_executable",
)


def multiplex_arguments() -> tuple[str, ...]:
    """The arguments that open and share a master connection, for connections that configure none."""
    return tuple(word for option in (*MULTIPLEX, *KEEP_ALIVE) for word in ("-o", option))


# ---------------------------------------------------------------------------------------------------------- messages

READY = "ready"
WAIT = "wait"
REFUSED = "refused"
MISMATCH = "mismatch"
WRONG_USER = "wrong_user"
BAD_KEY = "bad_key"
BAD_ADDRESS = "bad_address"
BAD_CONTROL_PATH = "bad_control_path"

# First match wins. Texts of OpenSSH (sshconnect.c, authfile.c) and of the images AWS offers, which let root in only to
# say which user to take (cloud-init, disable_root_opts). Everything else means "not yet".
SSH_MESSAGES: tuple[tuple[str, str], ...] = (
    ("please login as the user", WRONG_USER),
    ("host identification has changed", MISMATCH),
    ("host key verification failed", MISMATCH),
    ("host key is known for", MISMATCH),
    ("unprotected private key file", BAD_KEY),
    ("load key", BAD_KEY),
    ("permission denied", REFUSED),
    ("too many authentication failures", REFUSED),
    ("could not resolve hostname", BAD_ADDRESS),
    ("too long for unix domain socket", BAD_CONTROL_PATH),
    ("controlpath too long", BAD_CONTROL_PATH),
)


def classify_ssh(code: int, output: str) -> str:
    """Tells what an attempt to log in means.

    Args:
        code: ssh's exit code (255: its own error; else that of the remote command).
        output: stdout and stderr together.
    Returns: READY, WAIT, REFUSED, MISMATCH, WRONG_USER, BAD_KEY, BAD_ADDRESS or BAD_CONTROL_PATH.
    """
    if code == 0:
        return READY
    text = output.lower()
    return next((meaning for pattern, meaning in SSH_MESSAGES if pattern in text), WAIT)


@dataclass(frozen=True)
class Attempt:
    """One attempt to log in: what it means (see `classify_ssh`) and ssh's last line."""

    meaning: str
    message: str


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def run(argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Runs a short command and returns exit code and output as text; a command that hangs ends with code 255."""
    try:
        # Not as text: that would turn the carriage returns of progress bars into line ends.
        done = subprocess.run(list(argv), check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
        out, err = (data.decode("utf-8", "replace") for data in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(list(argv), done.returncode, out, err)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(list(argv), 255, "", f"no answer within {timeout:g} s")
    except FileNotFoundError:
        return subprocess.CompletedProcess(list(argv), 127, "", f"{argv[0]}: command not found")


def try_login(target: Target, timeout: float = 20) -> Attempt:
    """Logs in and asks who we are there; leaves the master connection open for those who come after.

    A master connection that is open already may be that of another user, when the profile has changed: then it is
    closed and the login tried once more.
    """
    result = run(ssh_argv(target, "id", "-un"), timeout)
    if result.returncode == 0 and target.user and result.stdout.strip() != target.user:
        close_master(target)
        result = run(ssh_argv(target, "id", "-un"), timeout)
    output = f"{result.stdout}\n{result.stderr}"
    return Attempt(classify_ssh(result.returncode, output), last_line(output))


def close_master(target: Target) -> None:
    """Ends the master connection, if there is one."""
    run([*ssh_base(target), "-O", "exit", "--", target.address], 5)


# ------------------------------------------------------------------------------------------------------- private keys


def private_key_problem(path: str) -> str | None:
    """Says what is wrong with a private key file, in one sentence with the remedy; None when it can be used.

    Looks at existence, mode (ssh refuses keys that others can read), readability by ssh-keygen and the public half
    beside it. A key with a passphrase is fine when an agent holds it.
    """
    file = Path(path)
    if not file.is_file():
        return f"private key file {path}: does not exist; give access.private_key_file or let a key be made"
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        return f"private key file {path}: mode {mode:04o} lets others read it; run: chmod 600 {shlex.quote(path)}"
    derived = run(["ssh-keygen", "-y", "-P", "", "-f", path], 10)
    if derived.returncode:
        return _unreadable_key(path, derived.stderr)
    return _public_half_problem(path, derived.stdout)


def _unreadable_key(path: str, message: str) -> str | None:
    if "passphrase" not in message:
        return f"private key file {path}: is not a private key that ssh can read ({last_line(message)})"
    if public_key_blob(_read(path + ".pub")) in _agent_blobs():
        return None
    return (
        f"private key file {path}: is protected by a passphrase and no agent holds it; run: ssh-add {shlex.quote(path)}"
    )


def _public_half_problem(path: str, derived: str) -> str | None:
    beside = _read(path + ".pub")
    if not beside or public_key_blob(beside) == public_key_blob(derived):
        return None
    return f"private key file {path}: does not belong to {path}.pub beside it; remove or replace one of the two"


def _agent_blobs() -> list[str]:
    listed = run(["ssh-add", "-L"], 5)
    return [public_key_blob(line) for line in listed.stdout.splitlines()] if listed.returncode == 0 else []


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def public_key_blob(line: str) -> str:
    """The base64 part of a public key line (``type base64 comment``), empty when there is none."""
    words = line.split()
    return words[1] if len(words) > 1 else ""


def same_key(private_key_file: str, public_line: str) -> bool | None:
    """Says whether a private key file belongs to a public key line; None when that cannot be told."""
    derived = run(["ssh-keygen", "-y", "-P", "", "-f", private_key_file], 10)
    mine, theirs = public_key_blob(derived.stdout), public_key_blob(public_line)
    return mine == theirs if mine and theirs else None
