# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""AWS clients for action plugins, with the options and the helpers that the modules of amazon.aws have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from ansible.errors import AnsibleActionFail
from ansible_collections.amazon.aws.plugins.module_utils.botocore import boto3_conn, get_aws_connection_info

# Imported here and not in run(): the strategy imports the plugin once, and the workers it forks inherit the library.
try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:  # the helpers of amazon.aws say what is missing

    class BotoCoreError(Exception):  # type: ignore[no-redef]
        """Never raised."""

    class ClientError(Exception):  # type: ignore[no-redef]
        """Never raised."""


__all__ = ["BotoCoreError", "Caller", "ClientError", "ec2_client"]


class Caller:
    """Stands in for a module where amazon.aws wants one."""

    def __init__(self, name: str, params: Mapping[str, Any]) -> None:
        self._name = name
        self.params = params

    def fail_json(self, msg: str, **_details: Any) -> NoReturn:
        """Ends the task with one clear message."""
        raise AnsibleActionFail(msg)


def ec2_client(name: str, params: Mapping[str, Any]) -> tuple[Any, str]:
    """A client for EC2 and its region.

    Args:
        name: the action plugin, for messages.
        params: its options, with those of amazon.aws.

    Raises:
        AnsibleActionFail: boto3 is missing, or no region is known.
    """
    caller = Caller(name, params)
    region, endpoint, options = get_aws_connection_info(caller)
    return boto3_conn(caller, "client", "ec2", region=region, endpoint=endpoint, **options), region or ""
