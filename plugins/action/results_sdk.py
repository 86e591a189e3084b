# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Packs the AWS SDK for an instance; documentation in modules/results_sdk.py."""

from __future__ import annotations

import hashlib
import os
import tempfile
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.experiments.spot.plugins.module_utils._self import bundle

PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
ROOT = "experiments-spot/sdk"
SKIPPED = ("/data/ec2/", "/examples-")


def entries() -> list[bundle.Entry]:
    """Files of the SDK that S3 needs, by their names in the archive.

    Raises:
        BundleError: the SDK is not installed here.
    """
    found = [entry for name in PACKAGES for entry in bundle.walk(bundle.package_path(name), _name(name))]
    kept = [one for one in found if bundle.is_needed_data(one[0]) and not any(part in one[0] for part in SKIPPED)]
    return [(name.replace("python/", f"{ROOT}/", 1), path) for name, path in kept]


def _name(package: str) -> str:
    return f"python/{os.path.basename(bundle.package_path(package))}"


def digest_of(found: list[bundle.Entry]) -> str:
    """What tells two SDKs apart, without reading them: names and sizes."""
    text = "\n".join(f"{name} {os.path.getsize(path)}" for name, path in sorted(found))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class ActionModule(ActionBase):
    """Runs on the controller, which has the SDK."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        try:
            found = entries()
        except bundle.BundleError as error:
            raise AnsibleActionFail(str(error)) from None
        stamp = f"{ROOT}/{digest_of(found)}.complete"
        path = os.path.join(tempfile.mkdtemp(dir=constants.DEFAULT_LOCAL_TMP), "sdk.tar.gz")
        with open(path, "wb") as target:
            bundle.write(target, found, {stamp: ""})
        return {**result, "changed": False, "path": path, "stamp": stamp, "size": os.path.getsize(path)}
