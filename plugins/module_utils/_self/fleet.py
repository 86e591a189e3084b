# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The fleet that keeps this instance: which one it is, and its end.

Part of what an instance in recovery mode `self` runs: Python 3.9, standard library only.
Source: EC2 API Reference "DescribeTags", "DeleteFleets"; EC2 User Guide "Tag an EC2 Fleet" (tag aws:ec2:fleet-id).
"""

from __future__ import annotations

import re
import time
import urllib.parse
from typing import Callable

from .._notice import ec2
from .._notice.imds import Imds

FLEET_TAG = "aws:ec2:fleet-id"


class FleetError(Exception):
    """The fleet is not known, or AWS does not delete it."""


def call(caller: ec2.Caller, form: dict[str, str], now: float) -> str:
    """One call of the EC2 API; the answer's XML.

    Raises:
        ApiError: AWS refuses or does not answer.
    """
    body = urllib.parse.urlencode({"Version": ec2.VERSION, **form})
    status, answer = ec2.post(caller.url, body, ec2.signed_headers(caller, body, now))
    if status != 200:
        code = ec2.text_of("Code", answer) or f"status {status}"
        raise ec2.ApiError(code, f"{form['Action']}: {ec2.text_of('Message', answer)}".partition(" Encoded auth")[0])
    return answer


def fleet_of(caller: ec2.Caller, instance_id: str, now: float) -> str:
    """Id of the fleet that launched an instance, '' for none.

    Raises:
        ApiError: see `call`.
    """
    filters = {"Filter.1.Name": "resource-id", "Filter.1.Value.1": instance_id}
    more = {"Filter.2.Name": "key", "Filter.2.Value.1": FLEET_TAG}
    return ec2.text_of("value", call(caller, {"Action": "DescribeTags", **filters, **more}, now))


def delete(imds: Imds, endpoint: str, instance_id: str, now: Callable[[], float] = time.time) -> str:
    """Delete the fleet of this instance, so that nothing follows it; the instance itself goes on.

    Returns:
        Id of the fleet.

    Raises:
        ApiError, ImdsError, FleetError: it is not deleted.
    """
    caller = ec2.caller_of(imds, None, endpoint or None)
    if caller is None:
        raise FleetError("the instance has no role, so it may not end its fleet")
    fleet_id = fleet_of(caller, instance_id, now())
    if not fleet_id:
        raise FleetError(f"{instance_id} does not belong to a fleet")
    form = {"Action": "DeleteFleets", "FleetId.1": fleet_id, "TerminateInstances": "false"}
    answer = call(caller, form, now())
    # Source: EC2 API DeleteFleetErrorItem; a fleet that is gone is what is wanted.
    failed = re.search(r"<unsuccessfulFleetDeletionSet>.*?<code>([^<]*)</code>", answer, re.DOTALL)
    if failed and failed.group(1) not in ("fleetIdDoesNotExist", "fleetNotInDeletableState"):
        raise FleetError(f"{fleet_id} is not deleted: {failed.group(1)}")
    return fleet_id
