# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Writes the entries for `ssh spot-NAME` on the controller; documentation in modules/ssh_config.py."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.experiments.spot.plugins.module_utils._files import alone, read_text, write_text
from ansible_collections.experiments.spot.plugins.plugin_utils import _sshconfig
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.schema import (
    EXPERIMENT_FORM,
    EXPERIMENT_PATTERN,
)

display = Display()

SPEC: dict[str, Any] = {
    "experiment": {"type": "str", "required": True},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "private_key_file": {"type": "path"},
    "known_hosts_file": {"type": "path", "default": "~/.ssh/experiments.spot/known_hosts"},
    "config_file": {"type": "path", "default": "~/.ssh/experiments.spot/config"},
    "user_config_file": {"type": "path", "default": "~/.ssh/config"},
}
NOTHING: dict[str, Any] = {"changed": False, "hosts": [], "ssh": ""}


@dataclass
class Change:
    """A file as it is and as it is to be."""

    path: str
    before: str
    after: str
    mode: int | None = None
    """Permissions that it must have; those of a file that is not ours are its own matter."""

    written: bool = False

    @property
    def needed(self) -> bool:
        """Whether it is not, or was not before it was written, as it is to be."""
        wrong = self.mode is not None and os.path.exists(self.path) and mode_of(self.path) != self.mode
        return self.before != self.after or wrong or self.written

    def diff(self) -> dict[str, str]:
        """What changes, for --diff."""
        headers = {"before_header": self.path, "after_header": self.path}
        return {**headers, "before": self.before, "after": self.after}

    def write(self) -> None:
        """Write it, through a link to where that points."""
        real = os.path.realpath(self.path)
        make_private(os.path.dirname(real))
        write_text(real, self.after, self.mode or (mode_of(real) if os.path.exists(real) else 0o600))


def make_private(folder: str) -> None:
    """Make a folder and those above it, for the owner alone. (The mode of os.makedirs is that of the last one only.)"""
    if not os.path.isdir(folder):
        make_private(os.path.dirname(folder))
        os.makedirs(folder, mode=0o700, exist_ok=True)


def mode_of(path: str) -> int:
    """Permissions of a file."""
    return stat.S_IMODE(os.stat(path).st_mode)


def place_of(variables: Mapping[str, Any], known_hosts: str) -> _sshconfig.Place:
    """Where an inventory host is, from its connection variables."""
    return _sshconfig.Place(
        rank=int(variables["spot_rank"]),
        instance_id=str(variables["spot_instance_id"]),
        address=str(variables["ansible_host"]),
        user=str(variables.get("ansible_user") or ""),
        port=int(variables.get("ansible_port") or 22),
        private_key_file=os.path.expanduser(str(variables.get("ansible_ssh_private_key_file") or "")),
        known_hosts=known_hosts,
        generation=int(variables.get("spot_generation") or 1),
    )


def same_home() -> bool:
    """Whether ~ is to ssh what it is to us."""
    try:
        return pwd.getpwuid(os.getuid()).pw_dir == os.path.expanduser("~")
    except KeyError:
        return False


class ActionModule(ActionBase):
    """Writes or removes the entries of an experiment."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(SPEC)
        if args["state"] == "absent":
            return {**result, **self._absent(args)}
        if not re.fullmatch(EXPERIMENT_PATTERN, args["experiment"]):
            raise AnsibleActionFail(f"experiment {args['experiment']!r} is not {EXPERIMENT_FORM}")
        hostvars = (task_vars or {}).get("hostvars", {})
        places = [place_of(hostvars[name], args["known_hosts_file"]) for name in args["hosts"]]
        wrong = _sshconfig.problems(places)
        if wrong:
            raise AnsibleActionFail("; ".join(wrong))
        if not places:  # all instances are being taken: the next ones replace them
            return {**result, **NOTHING}
        return {**result, **self._answer(args, [_sshconfig.entry(args["experiment"], place) for place in places])}

    def _absent(self, args: dict[str, Any]) -> dict[str, Any]:
        """Without the entries, and without both halves of the key: first what lets in, then what knows of it."""
        # A name that no experiment of ours can have would be a path to something else.
        key: str = (args["private_key_file"] if re.fullmatch(EXPERIMENT_PATTERN, args["experiment"]) else None) or ""
        gone = [path for path in (key, f"{key}.pub") if key and os.path.lexists(path)]
        for path in gone if not self._task.check_mode else []:
            try:
                os.unlink(path)
            except OSError as error:
                raise AnsibleActionFail(f"The key {path} cannot be removed: {error.strerror}") from error
        answer = self._answer(args, [])
        diffs = [{"before_header": path, "after_header": path, "before": "a key\n", "after": ""} for path in gone]
        return {**answer, "changed": answer["changed"] or bool(gone), "diff": [*diffs, *answer["diff"]]}

    def _answer(self, args: dict[str, Any], entries: list[_sshconfig.Entry]) -> dict[str, Any]:
        """A file that cannot be written is told and no reason to stop: the instances can be reached without it."""
        config = args["config_file"]
        answer: dict[str, Any] = {**NOTHING, "diff": []}
        for own in (True, False) if entries else (True,):
            try:
                change = self._bring_about(args, entries, own)
            except OSError as error:
                return {**answer, "warnings": [_warning(own, error, config)]}
            answer["changed"] |= change.needed
            answer["diff"] += [change.diff()] if change.needed else []
            if entries:
                answer["hosts"] = answer["hosts"] or _sshconfig.called(change.after, args["experiment"])
                answer["ssh"] = f"ssh -F {shlex.quote(config)}" if own else "ssh"
        return answer

    def _bring_about(self, args: dict[str, Any], entries: list[_sshconfig.Entry], own: bool) -> Change:
        """Change one of the two files, ours or the user's, outside of check mode."""
        config = args["config_file"]
        folder = os.path.dirname(config)
        dry = bool(self._task.check_mode) or not (entries or os.path.exists(config))
        if not dry:
            make_private(folder)
        # One lock for both: several runs of a user launch at once.
        with alone(f"{config}.lock", dry):
            before = read_text(config if own else args["user_config_file"])
            if own:
                change = Change(config, before, _sshconfig.changed(before, args["experiment"], entries), 0o600)
            else:
                after = _sshconfig.with_include(before, config, os.path.expanduser("~"), same_home())
                change = Change(args["user_config_file"], before, after)
            if change.needed and not dry:
                change.write()
                change = replace(change, written=True)
        return change


def _warning(own: bool, error: OSError, config: str) -> str:
    """What to do about a file that cannot be written."""
    why = f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
    if own:
        return f"no entry for ssh was written ({why}); access.ssh_config: false in the profile leaves it out"
    return f"your ssh configuration cannot be changed ({why}); put this line at its top: Include {config}"
