# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The notice watcher as files: its package, its configuration and its unit. Pure functions.

PRIVATE to the collection.
"""

from __future__ import annotations

import json
import os
import urllib.parse
from typing import Any

from .clocks import parse_iso

UNIT = "experiments-spot-notice.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
CONF_DIR = "/etc/experiments-spot"
CONFIG_PATH = f"{CONF_DIR}/notice.json"
BASE_DIR = "/usr/local/lib/experiments-spot"
PACKAGE_DIR = f"{BASE_DIR}/notice"
RUN_DIR = "/run/experiments-spot"
# The program takes a fifth of it; the rest is for nvidia-smi, which it asks.
MEMORY = "128M"
CONFIG_KEYS: tuple[str, ...] = ("experiment", "generation", "rank", "instance_id", "region")
CONFIG_KEYS += ("period", "rebalance", "expires", "end_after", "idle_limit", "webhook", "volumes")
CONFIG_KEYS += ("job_unit", "grace", "reserve", "ledger", "detach", "imds_endpoint", "ec2_endpoint")


def check_params(params: dict[str, Any]) -> list[str]:
    """All mistakes that the types of the options cannot tell. The webhook, maybe a secret, stands in no message."""
    errors = ["period must be more than 0"] if params["period"] <= 0 else []
    errors += [f"{key} must not be negative" for key in ("grace", "reserve", "idle_limit") if params[key] < 0]
    after = params["end_after"] or {}
    errors += [f"end_after.{key} must not be negative" for key, seconds in after.items() if (seconds or 0) < 0]
    if params["period"] > 60:
        errors.append(f"period {params['period']:g} is too long: a notice comes two minutes ahead")
    if params["expires"] and parse_iso(params["expires"]) is None:
        errors.append(f"expires {params['expires']!r} is no time in UTC such as 2026-01-02T03:04:05Z")
    for key in ("webhook", "imds_endpoint", "ec2_endpoint"):
        errors += check_url(key, params[key])
    for volume in params["volumes"]:
        errors += check_volume(volume["volume_id"], volume["mount_point"])
    return errors


def check_url(key: str, url: str | None) -> list[str]:
    """Mistakes of an address."""
    if not url:
        return []
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        return [f"{key} is no usable address"]
    if not usable or parts.username:
        return [f"{key} must be http:// or https:// and a host, without user and password"]
    return [f"{key} must be http://"] if key == "imds_endpoint" and parts.scheme != "http" else []


def check_volume(volume_id: str, mount_point: str) -> list[str]:
    """Mistakes of one volume."""
    errors = []
    if not volume_id.startswith("vol-"):
        errors.append(f"volumes: {volume_id!r} is no volume id; they look like vol-0123456789abcdef0")
    if not os.path.isabs(mount_point) or os.path.normpath(mount_point) == "/":
        errors.append(f"volumes: mount_point {mount_point!r} is no absolute path of a directory below /")
    return errors


def config_document(params: dict[str, Any]) -> dict[str, Any]:
    """Content of the configuration."""
    document = {key: params[key] for key in CONFIG_KEYS if params[key] is not None}
    if "end_after" in document:
        document["end_after"] = {key: value for key, value in document["end_after"].items() if value is not None}
    volumes = [{**volume, "mount_point": os.path.normpath(volume["mount_point"])} for volume in params["volumes"]]
    return {"schema": 1, **document, "volumes": volumes}


def json_text(document: dict[str, Any]) -> str:
    """A document as text that does not change by itself."""
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def shown(document: dict[str, Any]) -> dict[str, Any]:
    """A configuration for the diff: the path of a webhook often is its password."""
    if not document.get("webhook"):
        return document
    parts = urllib.parse.urlsplit(str(document["webhook"]))
    return {**document, "webhook": f"{parts.scheme}://{parts.hostname}/…"}


def unit_text(experiment: str | None) -> str:
    """The systemd unit of the watcher.

    Nothing here may give the watcher a mount name space of its own, as ProtectSystem, PrivateDevices and their like do:
    where mounts are not shared, its copy of a mount would keep a volume busy after everybody else has unmounted it.
    Source: systemd.exec(5), systemd.service(5), systemd.resource-control(5).
    """
    about = f" of experiment {experiment}" if experiment else ""
    return f"""# Written by experiments.spot; changes here are lost when the watcher is set up again.
[Unit]
Description=Watcher for notices of AWS{about}
After=network-online.target docker.service
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
TimeoutStartSec=30
WorkingDirectory={BASE_DIR}
ExecStart=/usr/bin/python3 -B -u -m notice.watcher {CONFIG_PATH}
Restart=always
RestartSec=2
RestartPreventExitStatus=78
RuntimeDirectory={os.path.basename(RUN_DIR)}
RuntimeDirectoryPreserve=yes
OOMScoreAdjust=-900
MemoryMax={MEMORY}
TasksMax=16
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_KILL CAP_SYS_ADMIN CAP_SYS_PTRACE
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @debug @module @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""
