#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: tell what a machine has of docker and of GPUs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_info
short_description: Tell what a machine has of docker and of GPUs
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Runs on the instance and answers in one task everything that setting up docker depends on - engine, NVIDIA container
    toolkit, GPUs, distribution.
  - Nothing of it has to be there.
options:
  user:
    description: User of whom RV(user_in_group) is told.
    type: str
extends_documentation_fragment:
  - experiments.spot.attributes.looks
"""

EXAMPLES = r"""
- name: Look at docker
  experiments.spot.docker_info:
    user: ubuntu
  register: docker
"""

RETURN = r"""
installed:
  description: Whether the docker command is there.
  type: bool
  returned: success
version:
  description: Version of the docker command.
  type: str
  returned: success
  sample: 27.3.1
running:
  description: Whether the engine answers.
  type: bool
  returned: success
server_version:
  description: Version of the engine.
  type: str
  returned: success
enabled:
  description: Whether the engine starts at boot.
  type: bool
  returned: success
runtimes:
  description: Runtimes that the engine knows.
  type: list
  elements: str
  returned: success
  sample: [nvidia, runc]
daemon_json:
  description: Content of C(/etc/docker/daemon.json), null when it is not JSON.
  type: dict
  returned: success
nvidia_gpu:
  description: Whether the machine has an NVIDIA GPU.
  type: bool
  returned: success
nvidia_gpus:
  description: PCI addresses of the NVIDIA GPUs.
  type: list
  elements: str
  returned: success
  sample: ["0000:00:1e.0"]
nvidia_driver:
  description: Version of the loaded NVIDIA driver, null without one.
  type: str
  returned: success
  sample: 550.127.05
nvidia_toolkit:
  description: Whether C(nvidia-ctk) is there.
  type: bool
  returned: success
cdi:
  description: Whether there is a CDI specification for NVIDIA GPUs.
  type: bool
  returned: success
os_family:
  description: V(Debian), V(RedHat) or the distribution's own name.
  type: str
  returned: success
distribution:
  description: ID of the distribution (os-release).
  type: str
  returned: success
  sample: ubuntu
distribution_version:
  description: Version of the distribution (os-release).
  type: str
  returned: success
  sample: "24.04"
ecr_helper:
  description: Whether Amazon's credential helper for ECR is installed.
  type: bool
  returned: success
registries:
  description: Whether logins of registries are there from an earlier run.
  type: bool
  returned: success
architecture:
  description: Processor architecture as the kernel names it.
  type: str
  returned: success
  sample: x86_64
user_in_group:
  description: Whether O(user) is a member of the group docker.
  type: bool
  returned: success
"""

import glob
import grp
import json
import os
import platform
import pwd
import re
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.experiments.spot.plugins.module_utils._commands import Run, commands
from ansible_collections.experiments.spot.plugins.module_utils._os_release import parse_os_release

# Where the role docker keeps the logins of registries.
REGISTRIES = "/etc/experiments-spot/docker"
NVIDIA_VENDOR = "0x10de"
# PCI base class 03: display controllers; the same board also shows an audio device, which is none.
DISPLAY_CLASS = "0x03"


def read(path: str) -> str:
    """Text of a small file, '' when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def find_gpus(root: str = "/") -> list[str]:
    """PCI addresses of NVIDIA's display controllers, from sysfs, so that no lspci is needed."""
    found = []
    for device in glob.glob(os.path.join(root, "sys/bus/pci/devices/*")):
        vendor = read(os.path.join(device, "vendor")).strip()
        if vendor == NVIDIA_VENDOR and read(os.path.join(device, "class")).startswith(DISPLAY_CLASS):
            found.append(os.path.basename(device))
    return sorted(found)


def driver_version(root: str = "/") -> str | None:
    """Version of the loaded NVIDIA kernel module."""
    match = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", read(os.path.join(root, "proc/driver/nvidia/version")))
    return match.group(1) if match else None


def parse_daemon_json(text: str) -> dict[str, Any] | None:
    """Options of the engine; {} for none, None for what is not JSON."""
    if not text.strip():
        return {}
    try:
        options = json.loads(text)
    except ValueError:
        return None
    return options if isinstance(options, dict) else None


def in_group(user: str | None) -> bool:
    """Whether a user may talk to the engine."""
    try:
        group = grp.getgrnam("docker")
        return bool(user) and (user in group.gr_mem or pwd.getpwnam(str(user)).pw_gid == group.gr_gid)
    except KeyError:
        return False


def engine(run: Run) -> dict[str, Any]:
    """What the docker command and its engine say of themselves."""
    rc, out, _err = run(["docker", "version", "--format", "{{.Client.Version}}"])
    installed = rc != 127
    found: dict[str, Any] = {"installed": installed, "version": out.split("\n")[0].strip() or None}
    rc, out, _err = (
        run(["docker", "info", "--format", "{{.ServerVersion}} {{json .Runtimes}}"]) if installed else (1, "", "")
    )
    version, _space, runtimes = out.strip().partition(" ")
    running = rc == 0 and bool(version)
    found.update(running=running, server_version=version if running else None)
    found["runtimes"] = sorted(parse_daemon_json(runtimes) or {}) if running else []
    found["enabled"] = run(["systemctl", "is-enabled", "docker.service"])[1].strip() == "enabled"
    return found


def gather(user: str | None, run: Run, has: Callable[[str], bool]) -> dict[str, Any]:
    """Everything."""
    family, distribution, version = parse_os_release(read("/etc/os-release"))
    gpus = find_gpus()
    driver = driver_version()
    return {
        **engine(run),
        "daemon_json": parse_daemon_json(read("/etc/docker/daemon.json")),
        "nvidia_gpu": bool(gpus or driver),
        "nvidia_gpus": gpus,
        "nvidia_driver": driver,
        "nvidia_toolkit": has("nvidia-ctk"),
        "ecr_helper": has("docker-credential-ecr-login"),
        "registries": os.path.isdir(REGISTRIES),
        "cdi": any(os.path.exists(os.path.join(folder, "nvidia.yaml")) for folder in ("/etc/cdi", "/var/run/cdi")),
        "os_family": family,
        "distribution": distribution,
        "distribution_version": version,
        "architecture": platform.machine(),
        "user_in_group": in_group(user),
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec={"user": {"type": "str"}}, supports_check_mode=True)

    run = commands(module, optional=True)
    module.exit_json(
        changed=False, **gather(module.params["user"], run, lambda name: module.get_bin_path(name) is not None)
    )


if __name__ == "__main__":
    main()
