# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Clients of AWS for one module run: one session, one client a service, made when first asked for."""

from __future__ import annotations

import contextlib
import copy
import os
import threading
from typing import Any

with contextlib.suppress(ImportError):  # AnsibleAWSModule checks the SDK and says what to install.
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

from ansible_collections.amazon.aws.plugins.module_utils.botocore import get_aws_connection_info

from . import sdk
from .api import ApiError

# The Price List Query API answers only in a few regions. Source: AWS Billing user guide, price list endpoints.
PRICING_REGION = "us-east-1"
# Describe calls are retried by botocore; what a plan can do without is asked once.
PATIENT: Any = {"mode": "standard", "total_max_attempts": 5}
OPTIONAL: Any = {"mode": "standard", "total_max_attempts": 1}
OPTIONAL_SERVICES = ("pricing", "service-quotas")
# Their answers are the same in all regions.
GLOBAL_SERVICES = ("iam", "pricing", "sts")


class Clients:
    """boto3 clients with the module's credentials, endpoint and region.

    Args:
        module: the AnsibleAWSModule.
        region: region to use when the module's own option is not set.
    """

    def __init__(self, module: Any, region: str | None = None) -> None:
        configured, self._endpoint, credentials = get_aws_connection_info(module)
        self.region = module.params.get("region") or region or configured
        self._config = credentials.pop("aws_config", None)
        self._profile = credentials.pop("profile_name", None)
        self._credentials = credentials
        self._sessions: list[Any] = []
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._lock = threading.Lock()

    def in_region(self, region: str) -> Clients:
        """The clients of another region: of one session, so that each service's model is read once."""
        other = copy.copy(self)
        other.region = region
        return other

    def __call__(self, service: str) -> Any:
        """The client of a service. Safe to call from several threads.

        Raises:
            ApiError: there is no such named profile, no region, or the endpoint is no URL.
        """
        key = (service, None if service in GLOBAL_SERVICES else self.region)
        with self._lock:
            if key not in self._clients:
                try:
                    self._clients[key] = self._make(service)
                except (BotoCoreError, ValueError) as error:
                    raise ApiError(service, error) from error
            return self._clients[key]

    def whose(self) -> list[str] | None:
        """Access key, region and endpoint that decide whose answers they are; None without credentials.

        An access key belongs to one identity for ever, and is no secret.
        """
        with self._lock, contextlib.suppress(BotoCoreError, ValueError):
            key = self._credentials.get("aws_access_key_id")
            if not key:
                found = self._open().get_credentials()
                key = found.access_key if found else None
            return [key, str(self.region), str(self._endpoint or os.environ.get("AWS_ENDPOINT_URL"))] if key else None
        return None

    def _open(self) -> Any:
        if not self._sessions:
            self._sessions.append(sdk.session(self._profile))
        return self._sessions[0]

    def _make(self, service: str) -> Any:
        optional = service in OPTIONAL_SERVICES
        config = Config(
            retries=OPTIONAL if optional else PATIENT,
            connect_timeout=5 if optional else 10,
            read_timeout=10 if optional else 60,
            max_pool_connections=32,
            user_agent_extra="experiments.spot",
        )
        return self._open().client(
            service,
            region_name=PRICING_REGION if service == "pricing" else self.region,
            endpoint_url=self._endpoint,
            config=config.merge(self._config) if self._config else config,
            **self._credentials,
        )
