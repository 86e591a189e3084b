# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pusher as files: its package, its configuration and its units. Pure functions.

PRIVATE to the collection.
"""

from __future__ import annotations

import json
import posixpath
from typing import Any

from . import plan

BASE_DIR = "/usr/local/lib/experiments-spot"
PACKAGE_DIR = f"{BASE_DIR}/results"
CONFIG_PATH = "/etc/experiments-spot/results.json"
SERVICE = "experiments-spot-results@.service"
SERVICES = "experiments-spot-results@*.service"  # every push that systemd knows. Source: systemctl(1), PATTERN
TIMER = "experiments-spot-results.timer"
SERVICE_PATH = f"/etc/systemd/system/{SERVICE}"
TIMER_PATH = f"/etc/systemd/system/{TIMER}"
# The SDK runs on these; the newest first. Source: boto3 on PyPI, Requires-Python.
LEAST_PYTHON = (3, 10)
PYTHONS = ("/usr/bin/python3", *(f"/usr/bin/python3.{minor}" for minor in range(14, 9, -1)))


def check_params(params: dict[str, Any]) -> list[str]:
    """All mistakes that the types of the options cannot tell."""
    errors = []
    if not params["bucket"].startswith("s3://"):
        errors.append(f"bucket {params['bucket']!r} is not s3://BUCKET or s3://BUCKET/PREFIX")
    errors += [f"paths: {path!r} is not absolute" for path in params["paths"] if not path.startswith("/")]
    if not params["paths"]:
        errors.append("paths is empty: name the directories that hold results")
    if params["interval"] < 0:
        errors.append("interval must not be negative")
    try:
        plan.names_of(params["paths"], params["state_dir"] or "")
    except plan.PlanError as error:
        errors.append(f"paths: {error}")
    return errors


def config_document(params: dict[str, Any]) -> dict[str, Any]:
    """Content of the configuration."""
    place = plan.place_of(params["bucket"], params["experiment"], params["rank"], params["count"])
    keys: tuple[str, ...] = (
        "experiment",
        "generation",
        "rank",
        "instance_id",
        "exclude",
        "checkpoints",
        "interval",
        "storage_class",
    )
    keys += ("kms_key_id", "region", "endpoint", "restore", "state_dir")
    state_dir = posixpath.normpath(params["state_dir"]) if params["state_dir"] else ""
    return {
        "schema": 1,
        **{key: params[key] for key in keys if params[key] is not None},
        "state_dir": state_dir,
        "bucket": place.bucket,
        "prefix": place.prefix,
        "directories": plan.names_of(params["paths"], state_dir),
    }


def json_text(document: dict[str, Any]) -> str:
    """A document as text that does not change by itself."""
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def service_text(python: str) -> str:
    """The unit of one push; its instance is the mode.

    Source: systemd.service(5), systemd.unit(5) ("%i").
    """
    return f"""# Written by experiments.spot; changes here are lost when the pusher is set up again.
[Unit]
Description=Results of the experiment into their bucket (%i)
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=oneshot
WorkingDirectory={BASE_DIR}
ExecStart={python} -B -u -m results.pusher push %i
TimeoutStartSec=infinity
TimeoutStopSec=20
Nice=5
IOSchedulingClass=best-effort
IOSchedulingPriority=6
"""


def timer_text(interval: int) -> str:
    """The timer of the pushes while the job runs: a pause of so many seconds after each."""
    return f"""# Written by experiments.spot; changes here are lost when the pusher is set up again.
[Unit]
Description=Results of the experiment into their bucket, every {interval} s

[Timer]
OnActiveSec={interval}
OnUnitInactiveSec={interval}
AccuracySec=1
Unit={SERVICE.replace("@", "@periodic")}

[Install]
WantedBy=timers.target
"""
