# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""AWS clients for action plugins, with the options and the helpers that the modules of amazon.aws have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from ansible.errors import AnsibleActionFail
from ansible.module_utils.basic import missing_required_lib
from ansible_collections.amazon.aws.plugins.module_utils.botocore import get_aws_connection_info

from ansible_collections.experiments.spot.plugins.module_utils._experiment import sdk

# Imported here and not in run(): the strategy imports the plugin once, and the workers it forks inherit the library.
try:
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

    HAS_SDK = True
except ImportError:  # said in client()
    HAS_SDK = False

    class BotoCoreError(Exception):  # type: ignore[no-redef]
        """Never raised."""

    class ClientError(Exception):  # type: ignore[no-redef]
        """Never raised."""


sdk.preload("ec2")

__all__ = ["BotoCoreError", "Caller", "ClientError", "client", "ec2_client"]


class Caller:
    """Stands in for a module where amazon.aws wants one."""

    def __init__(self, name: str, params: Mapping[str, Any]) -> None:
        self._name = name
        self.params = params

    def fail_json(self, msg: str, **_details: Any) -> NoReturn:
        """Ends the task with one clear message."""
        raise AnsibleActionFail(msg)


def client(
    service: str, name: str, params: Mapping[str, Any], config: Mapping[str, Any] | None = None
) -> tuple[Any, str]:
    """A client for a service and its region.

    Args:
        service: its name in the SDK.
        name: the action plugin, for messages.
        params: its options, with those of amazon.aws.
        config: of botocore, such as timeouts.

    Raises:
        AnsibleActionFail: boto3 is missing, or no region is known.
    """
    caller = Caller(name, params)
    region, endpoint, options = get_aws_connection_info(caller)
    if not HAS_SDK:
        caller.fail_json(missing_required_lib("boto3"))
    settings = Config(user_agent_extra="experiments.spot", **(config or {}))
    if given := options.pop("aws_config", None):
        settings = settings.merge(given)
    try:
        session = sdk.session(options.pop("profile_name", None))
        made = session.client(service, region_name=region, endpoint_url=endpoint, config=settings, **options)
    except NoRegionError:
        caller.fail_json(f"{name} needs a region: none is in its options, the environment or the AWS configuration.")
    except (ValueError, BotoCoreError) as error:
        caller.fail_json(f"Cannot use AWS's {service}: {error}")
    return made, region or ""


def ec2_client(name: str, params: Mapping[str, Any]) -> tuple[Any, str]:
    """A client for EC2 and its region; see ``client``."""
    return client("ec2", name, params)
