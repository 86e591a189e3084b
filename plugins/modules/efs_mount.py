#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: mount an EFS file system."""

from __future__ import annotations

DOCUMENTATION = r"""
module: efs_mount
short_description: Mount an EFS file system
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Runs on the instance. Mounts a file system with the options that AWS recommends for NFS 4.1, or with
    amazon-efs-utils and TLS where that is installed, writes C(/etc/fstab) so that it survives a reboot and never
    stops one, and sets owner, group and mode of the mounted directory.
  - The server is reached by its DNS name, or by the address of the mount target where the VPC resolves no names.
  - The mount is hard, so a program that uses it waits while the server is gone and goes on when it is back. Nothing is
    unmounted lazily.
options:
  name:
    description: Name of the file system, for messages and for the entry of C(/etc/fstab).
    type: str
    default: efs
  file_system_id:
    description: ID of the file system. Required for O(state=mounted).
    type: str
  dns_name:
    description: DNS name of the file system.
    type: str
  address:
    description: Address of the mount target, used where O(dns_name) does not resolve.
    type: str
  mount_point:
    description:
      - Absolute path of the directory, made when missing. Required for O(state=mounted).
      - Without it the other states mean every file system that this module has mounted.
    type: str
  path:
    description: Directory of the file system to mount, made when missing.
    type: str
    default: /
  access_point_id:
    description: Access point to mount through. Needs amazon-efs-utils.
    type: str
  transit_encryption:
    description:
      - V(auto) encrypts with TLS where amazon-efs-utils is installed and is plain NFS inside the VPC otherwise.
        V(required) fails without it. V(none) is always plain NFS.
    type: str
    choices: [auto, required, none]
    default: auto
  options:
    description: More mount options; those of the same name replace the recommended ones.
    type: str
    default: ""
  read_only:
    description: Mount it read-only.
    type: bool
    default: false
  owner:
    description: Owner of the mounted directory (name or number). An access point decides it by itself.
    type: str
  group:
    description: Group of the mounted directory (name or number).
    type: str
  mode:
    description: Permissions of the mounted directory, octal, quoted.
    type: str
  timeout:
    description: Seconds to wait for the server.
    type: int
    default: 60
  state:
    description:
      - V(mounted) as described. V(unmounted) unmounts and keeps C(/etc/fstab).
      - V(absent) unmounts, removes the entry of C(/etc/fstab) and the empty directory.
    type: str
    choices: [mounted, unmounted, absent]
    default: mounted
requirements:
  - nfs-common (Debian, Ubuntu) or nfs-utils, or amazon-efs-utils
extends_documentation_fragment:
  - experiments.spot.attributes.changes
seealso:
  - module: experiments.spot.efs_file_system
"""

EXAMPLES = r"""
- name: Mount the file system
  experiments.spot.efs_mount:
    name: team-data
    file_system_id: fs-0123456789abcdef0
    dns_name: fs-0123456789abcdef0.efs.us-east-1.amazonaws.com
    address: 172.31.0.9
    mount_point: /mnt/team
    owner: ubuntu
    mode: "0775"

- name: Unmount all of them
  experiments.spot.efs_mount:
    state: unmounted
"""

RETURN = r"""
spec:
  description: What is mounted, as in the first field of C(/etc/fstab).
  type: str
  returned: success and state=mounted
  sample: fs-0123456789abcdef0.efs.us-east-1.amazonaws.com:/
encrypted_in_transit:
  description: Whether amazon-efs-utils mounts it with TLS.
  type: bool
  returned: success and state=mounted
steps:
  description: What was done, in order.
  type: list
  elements: str
  returned: success
  sample: [mkdir, reach, mount, fstab, owner]
"""

import contextlib
import dataclasses
import grp
import os
import pwd
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.experiments.spot.plugins.module_utils._ebs import fstab, probe
from ansible_collections.experiments.spot.plugins.module_utils._ebs.plan import unmount_failure
from ansible_collections.experiments.spot.plugins.module_utils._efs import mount as plans
from ansible_collections.experiments.spot.plugins.module_utils._efs.mount import Machine, Plan, Wanted
from ansible_collections.experiments.spot.plugins.module_utils._files import (
    alone,
    mode_number,
    read_text,
    user_number,
    write_text,
)
from ansible_collections.experiments.spot.plugins.module_utils._notice import system

FSTAB = "/etc/fstab"
LOCK = "/run/experiments-spot-ebs.lock"  # that of ebs_mount: both edit fstab
HELPERS = ("/sbin", "/usr/sbin")
ANSWER = 10  # seconds within which a mounted file system that is alive tells its size
CONNECT = 5  # seconds of one try to reach the server


class StepError(Exception):
    """A step failed; the message is for the user."""


def wanted_of(params: dict[str, Any]) -> tuple[Wanted, list[str]]:
    """The options as numbers, and all that is wrong with them."""
    errors: list[str] = []
    texts = ("name", "transit_encryption", "options", "read_only", "state", "timeout")
    wanted = Wanted(
        **{key: params[key] for key in texts},
        **{key: params[key] or "" for key in ("file_system_id", "dns_name", "address", "access_point_id")},
        mount_point=(params["mount_point"] or "").rstrip("/") or params["mount_point"] or "",
        path="/" + params["path"].strip("/"),
        uid=user_number(params["owner"], lambda name: pwd.getpwnam(name).pw_uid, "owner", errors),
        gid=user_number(params["group"], lambda name: grp.getgrnam(name).gr_gid, "group", errors),
        mode=mode_number(params["mode"], errors),
    )
    return wanted, errors


def run(argv: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a command; it is killed when the time is over, which works for NFS too.

    Raises:
        subprocess.TimeoutExpired: the time is over.
    """
    environment = {**os.environ, "LC_ALL": "C", "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    return subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False, env=environment)


def answers(mount_point: str) -> bool:
    """Whether what is mounted tells its size in time; the server may be gone."""
    try:
        run(["stat", "--file-system", "--format=%i", mount_point], ANSWER)
    except subprocess.TimeoutExpired:
        return False
    return True


def resolves(name: str) -> bool:
    """Whether a DNS name has an address."""
    with contextlib.suppress(OSError):
        return bool(name and socket.getaddrinfo(name, plans.NFS_PORT, socket.AF_INET, socket.SOCK_STREAM))
    return False


def read(wanted: Wanted) -> Machine:
    """Read the machine.

    Raises:
        StepError: what is mounted does not answer.
    """
    mounts = [one for one in probe.read_mounts() if one.mount_point == wanted.mount_point]
    if mounts and wanted.state == "mounted" and not answers(wanted.mount_point):
        raise StepError(plans.silent(wanted, ANSWER))
    # What is to be unmounted is not looked into: its server may be gone.
    place = probe.probe_place(wanted.mount_point) if wanted.state == "mounted" or not mounts else None
    return Machine(
        helper=any(os.path.exists(f"{folder}/mount.efs") for folder in HELPERS),
        nfs=any(os.path.exists(f"{folder}/mount.nfs4") for folder in HELPERS),
        resolves=wanted.state == "mounted" and resolves(wanted.dns_name),
        fstab=read_text(FSTAB),
        mounted=mounts[-1] if mounts else None,
        exists=place.exists if place else True,
        uid=place.uid if place else None,
        gid=place.gid if place else None,
        mode=place.mode if place else None,
    )


class Effects:
    """Each step of a plan is a small method of the same name."""

    def __init__(self, wanted: Wanted, machine: Machine, plan: Plan) -> None:
        self.wanted = wanted
        self.plan = plan
        self.server = wanted.dns_name if machine.resolves else wanted.address
        self.entry = plan.entry or fstab.Entry("", wanted.mount_point, "", "")

    def step_mkdir(self) -> None:
        """Make the mount point."""
        os.makedirs(self.wanted.mount_point, mode=0o755)

    def step_reach(self) -> None:
        """Wait until the port of NFS answers: mount itself would not say why it does not."""
        end, reason = time.monotonic() + self.wanted.timeout, ""
        while True:
            reason = connect(self.server)
            if not reason:
                return
            if time.monotonic() + 1 > end:
                raise StepError(plans.unreachable(self.wanted, self.server, reason))
            time.sleep(1)

    def step_mount(self) -> None:
        """Mount it; a directory of the file system that is missing is made first."""
        done = self._mount(self.entry.spec, self.wanted.mount_point)
        if done.returncode and "No such file or directory" in done.stderr and self.wanted.path != "/":
            self._make_path()
            done = self._mount(self.entry.spec, self.wanted.mount_point)
        if done.returncode:
            raise StepError(plans.mount_failure(self.wanted, done.stderr or f"mount ended with {done.returncode}"))

    def _mount(self, spec: str, mount_point: str) -> subprocess.CompletedProcess[str]:
        options = fstab.runtime_options(self.entry.options)
        argv = ["mount", "-t", self.entry.fs_type, "-o", options, spec, mount_point]
        try:
            return run(argv, self.wanted.timeout)
        except subprocess.TimeoutExpired:
            text = f"timed out after {self.wanted.timeout} s"
            return subprocess.CompletedProcess(argv, 32, "", text)

    def _make_path(self) -> None:
        """Make a directory of the file system, through its root."""
        root = self.entry.spec.partition(":")[0] + ":/"
        with tempfile.TemporaryDirectory(prefix="experiments-spot-efs-", dir="/run") as place:
            done = self._mount(root, place)
            if done.returncode:
                raise StepError(plans.mount_failure(self.wanted, done.stderr))
            try:
                os.makedirs(place + self.wanted.path, exist_ok=True)
            finally:
                run(["umount", place], self.wanted.timeout)

    def step_fstab(self) -> None:
        """Write the entry."""
        mode = os.stat(FSTAB).st_mode & 0o7777 if os.path.exists(FSTAB) else 0o644
        write_text(FSTAB, self.plan.fstab_text, mode)

    def step_owner(self) -> bool:
        """Set owner, group and mode of the mounted directory, where they differ."""
        wanted, place = self.wanted, probe.probe_place(self.wanted.mount_point)
        now = Machine(uid=place.uid, gid=place.gid, mode=place.mode)
        if not plans.owner_differs(wanted, now):
            return False
        os.chown(wanted.mount_point, -1 if wanted.uid is None else wanted.uid, -1 if wanted.gid is None else wanted.gid)
        if wanted.mode is not None:
            os.chmod(wanted.mount_point, wanted.mode)
        return True

    def step_unmount(self) -> None:
        """Unmount, never lazily: what is not written yet would be lost without a word."""
        mount_point = self.wanted.mount_point
        try:
            done = run(["umount", mount_point], self.wanted.timeout)
        except subprocess.TimeoutExpired as error:
            raise StepError(plans.silent(self.wanted, self.wanted.timeout)) from error
        if done.returncode and "not mounted" not in done.stderr:
            mount = system.mount_at(mount_point)
            holders = [str(one) for one in system.holders(mount.device, [])] if mount else []
            raise StepError(f"{mount_point} was not unmounted: {unmount_failure(done.stderr, holders)}")

    def step_rmdir(self) -> None:
        """Remove the mount point unless something lies in it."""
        if not os.listdir(self.wanted.mount_point):
            os.rmdir(self.wanted.mount_point)


def connect(server: str) -> str:
    """Try to reach the NFS port of a server: '' or why not, one word."""
    try:
        with socket.create_connection((server, plans.NFS_PORT), timeout=CONNECT):
            return ""
    except socket.gaierror:
        return "dns"
    except (TimeoutError, socket.timeout):  # two classes until Python 3.10
        return "timeout"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return str(error.strerror or error)


def work(module: AnsibleModule, wanted: Wanted) -> dict[str, Any]:
    """Read, decide and do for one mount point."""
    machine = read(wanted)
    decide = plans.plan_mounted if wanted.state == "mounted" else plans.plan_unmounted
    plan = decide(wanted, machine)
    if plan.errors:
        raise StepError("; ".join(plan.errors))
    before = plans.state_of(wanted, machine)
    effects = Effects(wanted, machine, plan)
    done = plan.steps if module.check_mode else [s for s in plan.steps if getattr(effects, f"step_{s}")() is not False]
    changing = [step for step in done if step != "reach"]
    result = {
        "changed": bool(changing),
        "steps": done,
        "diff": {"before": before, "after": plans.predict(before, wanted, plan) if changing else before},
    }
    if wanted.state == "mounted" and plan.entry:
        result.update(spec=plan.entry.spec, encrypted_in_transit=plan.entry.fs_type == "efs")
    return result


def unmount_all(module: AnsibleModule, wanted: Wanted) -> dict[str, Any]:
    """Unmount every file system that this module has mounted; each is tried, failures are told together."""
    steps: list[str] = []
    failures: list[str] = []
    for entry in plans.our_entries(read_text(FSTAB)):
        try:
            steps += work(module, dataclasses.replace(wanted, mount_point=entry.mount_point))["steps"]
        except StepError as error:
            failures.append(str(error))
    if failures:
        raise StepError("; ".join(failures))
    return {"changed": bool(steps), "steps": steps}


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """What the system refuses, as an error of a step."""
    try:
        yield
    except (OSError, subprocess.SubprocessError) as error:
        raise StepError(str(error)) from error


def do(module: AnsibleModule) -> dict[str, Any]:
    """The module's work.

    Raises:
        StepError: what is wrong, for the user.
    """
    wanted, errors = wanted_of(module.params)
    if errors:
        raise StepError("; ".join(errors))
    with in_words(), alone(LOCK, module.check_mode):
        return work(module, wanted) if wanted.mount_point else unmount_all(module, wanted)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "default": "efs"},
            "file_system_id": {"type": "str"},
            "dns_name": {"type": "str"},
            "address": {"type": "str"},
            "mount_point": {"type": "str"},
            "path": {"type": "str", "default": "/"},
            "access_point_id": {"type": "str"},
            "transit_encryption": {"type": "str", "choices": ["auto", "required", "none"], "default": "auto"},
            "options": {"type": "str", "default": ""},
            "read_only": {"type": "bool", "default": False},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "str"},
            "timeout": {"type": "int", "default": 60},
            "state": {"type": "str", "choices": ["mounted", "unmounted", "absent"], "default": "mounted"},
        },
        required_if=[("state", "mounted", ("mount_point", "file_system_id"))],
        supports_check_mode=True,
    )
    try:
        module.exit_json(**do(module))
    except StepError as error:
        module.fail_json(msg=f"efs_mount: {error}")


if __name__ == "__main__":
    main()
