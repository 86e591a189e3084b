# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a profile asks of this machine: are files and programs there, and may only their owner read the key?"""

from __future__ import annotations

import base64
import os
import shutil
import stat

from .validate import Checked


def local_files(checked: Checked) -> None:
    """Report local paths that cannot work, so that nothing is launched in vain."""
    _private_key(checked, "access")
    if checked.profile["code"]:
        _private_key(checked, "code")
    results = checked.profile["results"]
    if results and results["pull"] and checked.ok("results", "pull"):
        _destination(checked, ("results", "pull"), results["pull"])
    for index, channel in enumerate(checked.profile["channels"]):
        at = ("channels", index, "local_path")
        if not channel or not channel["local_path"] or not checked.ok(*at) or not checked.ok(*at[:2], "direction"):
            continue
        if channel["direction"] == "out":
            _source(checked, at, channel["local_path"], recursive=channel["recursive"])
        else:
            _destination(checked, at, channel["local_path"])


def programs(checked: Checked, ssh: bool) -> None:
    """Report what is not installed here; found out later, an instance would wait for it and be paid for.

    Args:
        checked: the profile.
        ssh: whether machines are reached by ssh.
    """
    wanted = {"ssh": ("access", "openssh-client", ssh), "rsync": ("channels", "rsync", checked.profile["channels"])}
    for program, (key, package, needed) in wanted.items():
        if needed and not shutil.which(program):
            todo = f"install it (Debian, Ubuntu: apt-get install {package})"
            checked.report((key,), f"{program} is missing on this machine", todo, program)


def _source(checked: Checked, at: tuple[str | int, ...], path: str, *, recursive: bool) -> None:
    if not os.path.exists(path.rstrip("/") or "/"):
        base = checked.document.origin(at).base
        checked.report(at, f"{path} does not exist", f"a relative path starts from {base or os.getcwd()}", path)
    elif path.endswith("/") and not os.path.isdir(path):
        checked.report(at, f"{path} is not a directory", "remove the slash at the end", path)
    elif not os.access(path, os.R_OK):
        checked.report(at, f"{path} cannot be read", "check its permissions", path)
    elif not recursive and checked.ok(*at[:2], "recursive") and not path.endswith("/") and os.path.isdir(path):
        todo = "add recursive: true, or a slash at the end for the files directly in it"
        checked.report(at, f"{path} is a directory, and recursive is false", todo, path)


def _destination(checked: Checked, at: tuple[str | int, ...], path: str) -> None:
    """The nearest part of the path that exists must be a directory that we may write to."""
    place = path.rstrip("/") or "/"
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        checked.report(at, f"{place} is not a directory", "bring the files to a directory", path)
    elif not os.access(place, os.W_OK | os.X_OK):
        checked.report(at, f"{place} cannot be written to", "check its permissions, or use another directory", path)


KEYS = {
    "access": ("private_key_file", "name an existing key, or remove it to have one made"),
    "code": ("deploy_key", "name an existing key whose public half the repository lets in"),
}


def _private_key(checked: Checked, section: str) -> None:
    key, missing = KEYS[section]
    path = checked.profile[section][key]
    at = (section, key)
    if not path or not checked.ok(*at):
        return None
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            return checked.report(at, f"{path} is not a file", "name the file of the private key", path)
        with open(path, "rb") as stream:
            start = stream.read(4096)
    except FileNotFoundError:
        return checked.report(at, f"{path} does not exist", missing, path)
    except OSError as error:
        return checked.report(at, f"{path} cannot be read: {error.strerror}", "check its permissions", path)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        what = f"{path} can be read by others (mode {stat.S_IMODE(mode):04o}), so ssh will refuse it"
        return checked.report(at, what, f"chmod 600 {path}", path)
    problem = _key_content(start) or (_passphrase(start) if section == "code" else None)
    return checked.report(at, f"{path} {problem[0]}", problem[1], path) if problem else None


def _passphrase(start: bytes) -> tuple[str, str] | None:
    """Nobody is there to type it. Source: OpenSSH, PROTOCOL.key: the cipher's name follows the magic and its length."""
    body = b"".join(line for line in start.splitlines() if line and not line.startswith(b"-"))
    try:
        cipher = base64.b64decode(body[:64]).partition(b"openssh-key-v1\0")[2][4:8]
    except ValueError:
        cipher = b"none"
    if b"ENCRYPTED" in start or cipher not in (b"", b"none"):
        return "has a passphrase", "make a key without one for this purpose alone: ssh-keygen -t ed25519 -N '' -f KEY"
    return None


def _key_content(start: bytes) -> tuple[str, str] | None:
    if start.startswith(b"PuTTY-User-Key-File"):
        return "is a key of PuTTY", "convert it: puttygen KEY.ppk -O private-openssh -o KEY"
    if start.startswith((b"ssh-", b"ecdsa-", b"sk-")):
        return "is the public half of a key", "name the private half, usually the same name without .pub"
    if b"PRIVATE KEY-----" not in start:
        return "is not a private key", "name a key that ssh can use"
    return None
