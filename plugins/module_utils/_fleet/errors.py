# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The exception of the fleet's API calls and the handler that raises it."""

from __future__ import annotations

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.errors import AWSErrorHandler
from ansible_collections.amazon.aws.plugins.module_utils.exceptions import AnsibleAWSError

MISSING_FLEET_CODES = ["InvalidFleetId.NotFound", "InvalidFleetID.NotFound", "fleetIdDoesNotExist"]


class AnsibleFleetError(AnsibleAWSError):
    """An API call about a fleet failed; ``exception`` holds botocore's error, ``message`` what was tried."""


class FleetErrorHandler(AWSErrorHandler):
    """Turns the errors of botocore into AnsibleFleetError; a fleet that does not exist is "missing"."""

    _CUSTOM_EXCEPTION = AnsibleFleetError

    @classmethod
    def _is_missing(cls) -> Any:
        return is_boto3_error_code(MISSING_FLEET_CODES)


def action_of(error: AnsibleAWSError) -> str:
    """Return what was tried, as an infinitive such as ``create the fleet``."""
    text = str(error.message or "call AWS")
    for prefix in ("Failed to ", "Timeout trying to "):
        if text.startswith(prefix):
            return text[len(prefix) :]
    return text
