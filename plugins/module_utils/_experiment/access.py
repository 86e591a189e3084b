# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How an experiment's instances are reached: its key pair, and the security group that lets the caller in.

What is wanted and what differs are pure functions; ``ensure`` carries them out. Both resources have names of their own
and are tagged at their creation, so what another run has made, or this one before it was cut off, is found and used.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from . import api, keys, plan, transformations

Resource = dict[str, Any]

DUPLICATES = ("InvalidGroup.Duplicate", "InvalidKeyPair.Duplicate")
# A new group is not known to every call at once: 15 s in all.
PAUSES_S = (1.0, 2.0, 4.0, 8.0)


class AccessError(Exception):
    """Something of the same name is not the experiment's, or the private key cannot be used."""


@dataclass(frozen=True)
class Rule:
    """Who may reach which TCP port."""

    port: int
    cidr: str
    text: str = "caller"

    @property
    def permission(self) -> Resource:
        """``IpPermission`` of the EC2 API."""
        ranges, key = ("Ipv6Ranges", "CidrIpv6") if ":" in self.cidr else ("IpRanges", "CidrIp")
        return {
            "IpProtocol": "tcp",
            "FromPort": self.port,
            "ToPort": self.port,
            ranges: [{key: self.cidr, "Description": self.text}],
        }


@dataclass(frozen=True)
class Wish:
    """What is wanted.

    Attributes:
        experiment: its name; key pair and group are called ``spot-<experiment>``.
        tags: of both.
        public_key: line of the key that logs in, None for no key pair.
        vpc_id: where the group is.
        rule: who is let in, None for no group.
        group_id: of a group that is there already, empty when that is not known.
    """

    experiment: str
    tags: dict[str, str]
    public_key: str | None = None
    vpc_id: str = ""
    rule: Rule | None = None
    group_id: str = ""

    @property
    def name(self) -> str:
        """Name of the key pair and of the group."""
        return plan.resource_name(self.experiment)


@dataclass
class Seen:
    """What there is, None for what is not there."""

    key_pair: Resource | None = None
    group: Resource | None = None


@dataclass(frozen=True)
class Todo:
    """What differs.

    Attributes:
        import_key: the key pair is missing, or is another one.
        replace_key: it is another one.
        create_group: the group is missing.
        authorize: rules that are missing.
        revoke: rules that let somebody else in.
    """

    import_key: bool = False
    replace_key: bool = False
    create_group: bool = False
    authorize: list[Resource] = field(default_factory=list)
    revoke: list[Resource] = field(default_factory=list)

    @property
    def anything(self) -> bool:
        """Whether there is something to do."""
        return self.import_key or self.create_group or bool(self.authorize or self.revoke)


def todo(wish: Wish, seen: Seen) -> Todo:
    """What differs between what is wanted and what there is."""
    other_key = bool(wish.public_key and seen.key_pair and not _same_key(seen.key_pair, wish.public_key))
    import_key = bool(wish.public_key and (other_key or not seen.key_pair))
    if wish.rule is None:
        return Todo(import_key, other_key)
    rules = (seen.group or {}).get("IpPermissions") or []
    admitted = bool(seen.group) and plan.admits(seen.group or {}, wish.rule.port, wish.rule.cidr)
    return Todo(
        import_key,
        other_key,
        create_group=seen.group is None,
        authorize=[] if admitted else [wish.rule.permission],
        revoke=strangers(rules, wish.rule),
    )


def _same_key(key_pair: Resource, line: str) -> bool:
    """Whether AWS's public half is ours; one that AWS does not show is taken for ours."""
    remote = plan.public_key(key_pair.get("PublicKey"))
    return remote is None or remote == plan.public_key(line)


def strangers(rules: list[Resource], wanted: Rule) -> list[Resource]:
    """The rules, as far as they let others in than the caller, in the shape that takes them back."""
    found = []
    for rule in rules:
        others: Resource = {
            "IpRanges": [one for one in rule.get("IpRanges") or [] if one.get("CidrIp") != wanted.cidr],
            "Ipv6Ranges": [one for one in rule.get("Ipv6Ranges") or [] if one.get("CidrIpv6") != wanted.cidr],
            "PrefixListIds": rule.get("PrefixListIds") or [],
            "UserIdGroupPairs": rule.get("UserIdGroupPairs") or [],
        }
        others = {key: value for key, value in others.items() if value}
        if others:
            ports: Resource = {key: rule[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in rule}
            found.append(ports | others)
    return found


def foreign(group: Resource, experiment: str) -> str:
    """What is said about a group of our name that is not ours, '' for one that is."""
    if transformations.tags_of(group).get("spot:experiment") == experiment:
        return ""
    return (
        f"access.security_group_ids: the group {group['GroupName']} ({group['GroupId']}) was not made for this "
        "experiment (no tag spot:experiment); delete it, name it here to use it, or choose another experiment name"
    )


def told(wish: Wish, seen: Seen) -> Resource:
    """Key pair and group for a diff."""
    rules = (seen.group or {}).get("IpPermissions") or []
    ranges = [one for rule in rules for one in [*(rule.get("IpRanges") or []), *(rule.get("Ipv6Ranges") or [])]]
    entry: Resource = {}
    if wish.public_key:
        entry["key_pair"] = seen.key_pair["KeyName"] if seen.key_pair else None
    if wish.rule:
        entry["security_group"] = seen.group["GroupName"] if seen.group else None
        entry["lets_in"] = sorted(one.get("CidrIp") or one.get("CidrIpv6") for one in ranges)
    return entry


def told_after(wish: Wish) -> Resource:
    """The same when all is done."""
    entry: Resource = {"key_pair": wish.name} if wish.public_key else {}
    if wish.rule:
        entry |= {"security_group": wish.name, "lets_in": [wish.rule.cidr]}
    return entry


# Doing it


def look(ec2: Any, wish: Wish) -> Seen:
    """What there is, read in parallel.

    Raises:
        ApiError: a call failed.
        AccessError: the group of our name is somebody else's.
    """
    reads: dict[str, Callable[[], Any]] = {}
    if wish.public_key:
        reads["key_pair"] = partial(api.key_pairs_by_name, ec2, wish.name)
    if wish.rule:
        reads["group"] = partial(_groups, ec2, wish)
    answers, errors = api.gather(reads)
    if errors:
        raise next(iter(errors.values()))
    seen = Seen(**{kind: next(iter(found), None) for kind, found in answers.items()})
    if seen.group and foreign(seen.group, wish.experiment):
        raise AccessError(foreign(seen.group, wish.experiment))
    return seen


def _groups(ec2: Any, wish: Wish) -> list[Resource]:
    if wish.group_id:
        return api.security_groups_by_id(ec2, [wish.group_id])
    return api.security_groups_in(ec2, wish.name, wish.vpc_id)


def ensure(ec2: Any, wish: Wish, seen: Seen, sleep: Callable[[float], None] = time.sleep) -> Seen:
    """Make what is missing and return what there is then, with ids.

    What is there after all, because another run was faster or because nobody had looked, is looked at and used. The
    group comes first: one that is somebody else's is then found before anything is made.

    Raises:
        ApiError: a call failed.
        AccessError: the group of our name is somebody else's.
    """
    try:
        return _make(ec2, wish, seen, todo(wish, seen), sleep)
    except api.ApiError as error:
        if error.code not in DUPLICATES:
            raise
    seen = look(ec2, wish)
    return _make(ec2, wish, seen, todo(wish, seen), sleep)


def _make(ec2: Any, wish: Wish, seen: Seen, needed: Todo, sleep: Callable[[float], None]) -> Seen:
    group, key_pair = seen.group, seen.key_pair
    if needed.create_group:
        text = f"experiments.spot: ssh to experiment {wish.experiment}"
        group_id = api.create_security_group(ec2, wish.name, text, wish.vpc_id, wish.tags)
        group = {"GroupId": group_id, "GroupName": wish.name}
    if group and needed.authorize:
        _once_known(partial(api.authorize_ingress, ec2, group["GroupId"], needed.authorize), sleep)
    if group and needed.revoke:
        api.revoke_ingress(ec2, group["GroupId"], needed.revoke)
    if needed.replace_key:
        api.delete_key_pair(ec2, wish.name)
    if needed.import_key:
        key_id = api.import_key_pair(ec2, wish.name, wish.public_key or "", wish.tags)
        key_pair = {"KeyName": wish.name, "KeyPairId": key_id}
    return Seen(key_pair, group)


def _once_known(call: Callable[[], None], sleep: Callable[[float], None]) -> None:
    """Repeat a call about something new until AWS knows it everywhere."""
    for pause in (*PAUSES_S, None):
        try:
            return call()
        except api.ApiError as error:
            if pause is None or not error.code.endswith(".NotFound"):
                raise
            sleep(pause)
    return None


# The private key, which stays where it is made


def public_line(path: str, comment: str, make: bool) -> str | None:
    """The public half of a private key file, which is made (ed25519) when there is none.

    Args:
        path: the file, with its folder, absolute.
        comment: for a new key.
        make: False for check mode; then None when there is no file.

    Raises:
        AccessError: it cannot be made or read.
    """
    file = Path(path)
    if not file.exists():
        if not make:
            return None
        _generate(file, comment)
    line = keys.public_half(path) or _beside(path)
    if not line:
        raise AccessError(
            f"access.private_key_file: the public half of {path} cannot be told; is it a private key? "
            f"For one with a passphrase, put its public half beside it: ssh-keygen -y -f {path} > {path}.pub"
        )
    return line


def _generate(file: Path, comment: str) -> None:
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(file)]
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(file.parent, 0o700)
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        raise AccessError(f"the private key {file} cannot be made: {error}") from error
    if done.returncode and not file.exists():  # another run may have made it just now
        raise AccessError(f"the private key {file} cannot be made: {(done.stderr or done.stdout).strip()}")


def _beside(path: str) -> str | None:
    try:
        return Path(f"{path}.pub").read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError):
        return None
