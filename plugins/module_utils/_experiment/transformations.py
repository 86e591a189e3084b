# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Pure functions from the shapes of boto3 to the shapes the modules return. No API calls, inputs are not changed."""

from __future__ import annotations

import getpass
import re
from datetime import datetime, timezone
from typing import Any

Resource = dict[str, Any]

ALIVE = frozenset({"pending", "running"})
# Source: EC2 API InstanceState; what is on its way out still holds its volumes, groups and addresses.
LEAVING = frozenset({"shutting-down", "stopping"})
GONE = frozenset({"terminated"})


def tags_of(resource: Resource) -> dict[str, str]:
    """The ``Tags`` list of a resource as a dict."""
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags") or []}


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """A dict as a ``Tags`` list, sorted by key so that equal tags give equal data."""
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]


def number(text: str | None, default: int = 0) -> int:
    """A non-negative integer out of a tag, ``default`` when it is none (tags can be edited by hand)."""
    return int(text) if text and text.isdigit() else default


def owner_of(arn: str) -> str:
    """The user part of a caller's ARN.

    ``…:user/alice`` is alice, ``…:assumed-role/Admin/alice@example.org`` is alice@example.org; the account's
    root has no user, so the local user name stands in. Source: IAM user guide, IAM identifiers.
    """
    path = arn.rsplit(":", 1)[-1]
    return path.rsplit("/", 1)[-1] if "/" in path else local_user()


def local_user() -> str:
    """Name of the local user, ``unknown`` where the machine has none for this uid."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def instance(raw: Resource) -> Resource:
    """One EC2 instance as the modules return it."""
    tags = tags_of(raw)
    launched = raw.get("LaunchTime")
    return {
        "instance_id": raw["InstanceId"],
        "state": raw["State"]["Name"],
        "type": raw["InstanceType"],
        "zone": raw.get("Placement", {}).get("AvailabilityZone"),
        "public_ip": raw.get("PublicIpAddress"),
        "private_ip": raw.get("PrivateIpAddress"),
        "launch_time": launched.isoformat() if isinstance(launched, datetime) else launched,
        "generation": number(tags.get("spot:generation"), 1),
        "lifecycle": raw.get("InstanceLifecycle") or "on-demand",
        "subnet_id": raw.get("SubnetId"),
    }


def instance_type(raw: Resource) -> Resource:
    """One instance type: vcpus, memory_mib, gpus, architectures, spot (bool). Source: EC2 API InstanceTypeInfo."""
    cards = raw.get("GpuInfo", {}).get("Gpus") or []
    return {
        "instance_type": raw["InstanceType"],
        "vcpus": raw.get("VCpuInfo", {}).get("DefaultVCpus"),
        "memory_mib": raw.get("MemoryInfo", {}).get("SizeInMiB"),
        "gpus": sum(int(card.get("Count", 0)) for card in cards),
        "architectures": raw.get("ProcessorInfo", {}).get("SupportedArchitectures") or [],
        "spot": "spot" in (raw.get("SupportedUsageClasses") or ["spot"]),
    }


def image(raw: Resource) -> Resource:
    """One image: id, name, architecture, root device and the size (GiB) of its root snapshot. Source: EC2 API Image."""
    root = raw.get("RootDeviceName")
    sizes = [
        mapping["Ebs"].get("VolumeSize")
        for mapping in raw.get("BlockDeviceMappings") or []
        if mapping.get("DeviceName") == root and mapping.get("Ebs")
    ]
    return {
        "id": raw["ImageId"],
        "name": raw.get("Name"),
        "architecture": raw.get("Architecture"),
        "root_device_name": root,
        "root_snapshot_size": sizes[0] if sizes else None,
        "state": raw.get("State"),
    }


def newest_image(raws: list[Resource]) -> Resource | None:
    """The image with the latest creation date (ISO text, so it sorts as text), None for no image."""
    return max(raws, key=lambda raw: (raw.get("CreationDate") or "", raw["ImageId"]), default=None)


def volume(raw: Resource) -> Resource:
    """One EBS volume: ids, size (GiB), type, zone, state, holders (instance ids), tags. Source: EC2 API Volume."""
    attachments = raw.get("Attachments") or []
    return {
        "volume_id": raw["VolumeId"],
        "size": raw.get("Size"),
        "type": raw.get("VolumeType"),
        "zone": raw.get("AvailabilityZone"),
        "state": raw.get("State"),
        "iops": raw.get("Iops"),
        "throughput": raw.get("Throughput"),
        "instance_ids": sorted(one["InstanceId"] for one in attachments if one.get("State") != "detached"),
        "delete_on_termination": any(one.get("DeleteOnTermination") for one in attachments),
        "tags": tags_of(raw),
        "created": raw.get("CreateTime"),
    }


def ended(raw: Resource) -> datetime | None:
    """When a stopped or terminated instance stopped to cost, None when AWS does not say.

    Source: EC2 API Instance, StateTransitionReason: ``User initiated (2026-01-31 12:34:56 GMT)``.
    """
    match = re.search(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)", raw.get("StateTransitionReason") or "")
    return datetime.strptime(match.group(1), "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc) if match else None


def price_table(history: list[Resource]) -> dict[tuple[str, str], float]:
    """``(type, zone)`` -> USD per hour, the newest entry of each. Source: EC2 API SpotPrice (prices are strings)."""
    prices: dict[tuple[str, str], float] = {}
    for entry in sorted(history, key=lambda one: str(one.get("Timestamp", ""))):
        prices[entry["InstanceType"], entry["AvailabilityZone"]] = float(entry["SpotPrice"])
    return prices


def on_demand_prices(products: list[Resource], types: list[str]) -> dict[str, float | None]:
    """USD per hour by instance type out of a price list, None where it is not known. Source: Price List Query API."""
    by_type: dict[str, list[Resource]] = {name: [] for name in types}
    for product in products:
        name = product.get("product", {}).get("attributes", {}).get("instanceType", "")
        by_type.setdefault(name, []).append(product)
    return {name: on_demand_price(by_type[name]) for name in types}


def on_demand_price(products: list[Resource]) -> float | None:
    """USD per hour out of a price list, None unless exactly one price remains. Source: Price List Query API."""
    prices = {
        float(dimension["pricePerUnit"]["USD"])
        for product in products
        for offer in product.get("terms", {}).get("OnDemand", {}).values()
        for dimension in offer.get("priceDimensions", {}).values()
        if "USD" in dimension.get("pricePerUnit", {})
    } - {0.0}
    return prices.pop() if len(prices) == 1 else None
