# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The user data of an instance: a shell script that writes what must be there before anybody comes. Pure functions.

For an instance that sets itself up, a small Python program; for any with a time limit, a timer of systemd.

Source: EC2 User Guide "Run commands when you launch an EC2 instance with user data input": at most 16 KB; cloud-init
documentation, "User-data scripts".
"""

from __future__ import annotations

import base64
import gzip
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

from .._notice import clocks, ec2, imds
from .._sources import source_of
from . import fleet, loader, store

LIMIT = 16 * 1024
# As instances see it, where that differs from what this machine uses.
ENDPOINT_VARIABLE = "EXPERIMENTS_SPOT_INSTANCE_ENDPOINT_URL"
UNIT = "experiments-spot-self.service"
LIMIT_NAME = "experiments-spot-limit"
# So long after the time limit, and after the grace of the job, systemd ends what the notice watcher has not ended in
# order: results may still be on their way. orphans.yml waits as long for the default grace.
LATE = 600
PARTS = {"_notice": (clocks, imds, ec2), "_self": (store, fleet, loader)}
START = "import sys\n\nfrom spot._self import loader\n\nsys.exit(loader.main(sys.argv))\n"
# Ends a file within the script; no line of a program of ours.
END = "END OF FILE"


class UserDataError(Exception):
    """The user data would be refused by EC2."""


def config(bucket_url: str, experiment: str, region: str, endpoint: str) -> dict[str, Any]:
    """What the instance must know to begin.

    Args:
        bucket_url: `s3://bucket` or `s3://bucket/prefix`.
        experiment: name of the experiment.
        region: region of the instance.
        endpoint: URL of an API that is not AWS's as the instance sees it, '' for AWS's.
    """
    bucket, prefix = place(bucket_url, experiment)
    known = {"schema": 1, "experiment": experiment, "bucket": bucket, "prefix": prefix, "region": region}
    return {**known, "endpoint": endpoint}


def instance_endpoint(environ: Mapping[str, str]) -> str:
    """URL of an API that is not AWS's, as instances reach it; '' for AWS's own.

    Source: AWS SDK reference guide, "Service-specific endpoints", AWS_ENDPOINT_URL.
    """
    return environ.get(ENDPOINT_VARIABLE) or environ.get("AWS_ENDPOINT_URL") or ""


def is_loopback(url: str) -> bool:
    """Whether a URL means the machine that uses it, so that instances cannot."""
    host = urllib.parse.urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def place(bucket_url: str, experiment: str) -> tuple[str, str]:
    """Bucket and prefix of an experiment's objects."""
    bucket, _slash, prefix = bucket_url[len("s3://") :].partition("/")
    return bucket, f"{prefix.strip('/')}/{experiment}".lstrip("/")


def program() -> dict[str, str]:
    """Path to text of the program that fetches the bundle."""
    files = {"start.py": START, "spot/__init__.py": ""}
    for package, modules in PARTS.items():
        files[f"spot/{package}/__init__.py"] = ""
        for module in modules:
            files[f"spot/{package}/{module.__name__.rpartition('.')[2]}.py"] = source_of(module)
    return files


def unit() -> str:
    """The unit that runs loader and keeper, also after a reboot."""
    return f"""[Unit]
Description=Sets this instance up, and ends its fleet when its job is over
After=network-online.target docker.service cloud-init.service
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=/usr/bin/python3 -u {loader.BASE}/loader/start.py {loader.BASE}/config.json
Restart=on-failure
RestartSec=30
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
"""


def limit_units(seconds: int) -> dict[str, str]:
    """Names to texts of the units that power the machine off so long after its boot, whatever hangs until then.

    Neither Python nor a role has a part in it: a set-up that never ends, and a program that tries for ever what it may
    not do, end with the instance. Source: systemd.timer(5), OnBootSec.
    """
    timer = f"""[Unit]
Description=The time limit of this instance, should nothing else have ended it

[Timer]
OnBootSec={seconds}
AccuracySec=1

[Install]
WantedBy=timers.target
"""
    service = """[Unit]
Description=Ends this instance: its time limit is over

[Service]
Type=oneshot
ExecStart=systemctl poweroff
StandardOutput=journal+console
StandardError=journal+console
"""
    return {f"{LIMIT_NAME}.timer": timer, f"{LIMIT_NAME}.service": service}


def limit_of(profile: Mapping[str, Any]) -> int | None:
    """Seconds from boot to the end of an instance that hangs, None where the profile has no time limit."""
    limit = profile["capacity"]["time_limit"]
    return int(limit) + int((profile["job"] or {}).get("stop_grace") or 0) + LATE if limit else None


def script(configuration: dict[str, Any], limit: int | None = None) -> str:
    """The user data as text: a shell script that writes the program, its configuration and its units.

    Args:
        configuration: see `config`.
        limit: see `limit_of`.
    """
    files = {f"{loader.BASE}/loader/{path}": text for path, text in program().items()}
    files[f"{loader.BASE}/config.json"] = json.dumps(configuration, sort_keys=True) + "\n"
    files[f"/etc/systemd/system/{UNIT}"] = unit()
    folders = sorted({path.rpartition("/")[0] for path in files})
    return f"""#!/bin/sh
# Written by experiments.spot: this instance sets itself up from s3://{configuration["bucket"]}/{configuration["prefix"]}/
set -eu
umask 077
mkdir -p {" ".join(folders)}
{_written(files)}{_timer(limit) if limit else ""}systemctl daemon-reload
systemctl enable {UNIT}
systemctl start --no-block {UNIT}
"""


def limit_script(limit: int) -> str:
    """The user data of an instance that is set up from outside: the timer, should nobody come or everybody go."""
    return f"""#!/bin/sh
# Written by experiments.spot: this instance ends at its time limit.
set -eu
{_timer(limit)}"""


def _timer(limit: int) -> str:
    files = {f"/etc/systemd/system/{name}": text for name, text in limit_units(limit).items()}
    return f"{_written(files)}systemctl daemon-reload\nsystemctl enable --now {LIMIT_NAME}.timer\n"


def _written(files: dict[str, str]) -> str:
    """Shell that writes files, paths to texts."""
    return "".join(f"cat >{path} <<'{END}'\n{files[path]}{END}\n" for path in sorted(files))


def encoded(text: str) -> str:
    """The user data as a launch template holds them: compressed, which cloud-init knows, and in base64.

    Args:
        text: see `script` and `limit_script`.

    Raises:
        UserDataError: EC2 would refuse them.

    Source: EC2 API RequestLaunchTemplateData.UserData; cloud-init documentation, "Gzip compressed content".
    """
    packed = gzip.compress(text.encode(), 9, mtime=0)
    if len(packed) > LIMIT:
        raise UserDataError(f"the user data have {len(packed)} bytes, EC2 takes {LIMIT}")
    return base64.b64encode(packed).decode()
