"""What is for sale: images, instance types, offerings, Spot prices."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models.instance_types import INSTANCE_TYPES, InstanceType

from lab.aws import filters, prices, rules
from lab.aws.errors import Refusal
from lab.aws.instances import tag_list
from lab.aws.response import LabResponse
from lab.aws.world import now

PRODUCTS = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")
OFFERING_FILTERS = filters.table({"instance-type": "InstanceType", "location": "Location"})
PRICE_FILTERS = filters.table(
    {
        "availability-zone": "AvailabilityZone",
        "instance-type": "InstanceType",
        "product-description": "ProductDescription",
        "spot-price": "SpotPrice",
        "timestamp": "Timestamp",
    }
)
IMAGE_FILTERS = filters.table(
    {
        "architecture": "Architecture",
        "block-device-mapping.snapshot-id": "BlockDeviceMappings.Ebs.SnapshotId",
        "creation-date": "CreationDate",
        "description": "Description",
        "ena-support": "EnaSupport",
        "hypervisor": "Hypervisor",
        "image-id": "ImageId",
        "image-type": "ImageType",
        "is-public": "Public",
        "name": "Name",
        "owner-alias": "ImageOwnerAlias",
        "owner-id": "OwnerId",
        "platform-details": "PlatformDetails",
        "root-device-name": "RootDeviceName",
        "root-device-type": "RootDeviceType",
        "state": "State",
        "virtualization-type": "VirtualizationType",
    }
)


def utc(value: Any) -> datetime | None:
    """moto parses timestamps to naive UTC."""
    if value is None:
        return None
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)


class Catalog(LabResponse):
    """Read-only actions."""

    def describe_images(self) -> ActionResult:
        """EC2 API DescribeImages."""
        args = self.args
        ids, owners = args.get("ImageIds") or [], args.get("Owners") or []
        wanted = [rules.image(self.world, i) for i in ids] or list(self.world.backend.amis.values())
        shapes = [self._image(i) for i in wanted]
        owners = [self.world.config.account_id if o == "self" else o for o in owners]
        if owners:
            shapes = [s for s in shapes if s["OwnerId"] in owners or s.get("ImageOwnerAlias") in owners]
        shapes = filters.apply(shapes, args.get("Filters", []), IMAGE_FILTERS)
        found, token = filters.page(shapes, args)
        return ActionResult({"Images": found, "NextToken": token})

    def _image(self, image: Any) -> dict[str, Any]:
        shape = {
            "ImageId": image.id,
            "Name": image.name,
            "Description": image.description,
            "OwnerId": image.owner_id,
            "ImageOwnerAlias": image.owner_alias,
            "ImageLocation": image.image_location,
            "ImageType": "machine",
            "State": image.state,
            "Public": bool(image.is_public),
            "Architecture": image.architecture,
            "RootDeviceName": image.root_device_name,
            "RootDeviceType": "ebs",
            "BlockDeviceMappings": image.block_device_mappings,
            "VirtualizationType": "hvm",
            "Hypervisor": "xen",
            "PlatformDetails": "Linux/UNIX",
            "UsageOperation": "RunInstances",
            "EnaSupport": True,
            "SriovNetSupport": "simple",
            "BootMode": image.boot_mode,
            "ImdsSupport": getattr(image, "imds_support", None),
            "CreationDate": image.creation_date.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "Tags": tag_list(self.world, image.id),
        }
        return {k: v for k, v in shape.items() if v is not None}

    def describe_instance_types(self) -> ActionResult:
        """EC2 API DescribeInstanceTypes: those the region sells. Source of the error: [ERR] InvalidInstanceType."""
        args = self.args
        names = args.get("InstanceTypes") or []
        unknown = [n for n in names if n not in INSTANCE_TYPES or not rules.offered_zones(self.world, n)]
        if unknown:
            raise Refusal(
                "InvalidInstanceType",
                f"The following supplied instance types do not exist: [{', '.join(unknown)}]",
            )
        names = names or [n for n in sorted(INSTANCE_TYPES) if rules.offered_zones(self.world, n)]
        found = [InstanceType(n) for n in names]
        for one in args.get("Filters", []):
            values = one.get("Values", [])
            found = [t for t in found if filters._matches(list(filters._flat([_value(t, one["Name"])])), values)]
        page, token = filters.page(found, args, 100)
        return ActionResult({"InstanceTypes": page, "NextToken": token})

    def describe_instance_type_offerings(self) -> ActionResult:
        """EC2 API DescribeInstanceTypeOfferings."""
        args = self.args
        kind = args.get("LocationType") or "region"
        ids = {z.name: z.zone_id for z in self.world.backend.describe_availability_zones()}
        asked = [v for f in args.get("Filters", []) if f.get("Name") == "instance-type" for v in f.get("Values", [])]
        offers = []
        for name in asked if asked and not any("*" in v or "?" in v for v in asked) else sorted(INSTANCE_TYPES):
            zones = rules.offered_zones(self.world, name)
            places = {
                "region": [self.world.config.region] if zones else [],
                "availability-zone": zones,
                "availability-zone-id": [ids[z] for z in zones],
            }.get(kind, [])
            offers += [{"InstanceType": name, "LocationType": kind, "Location": p} for p in places]
        found, token = filters.page(filters.apply(offers, args.get("Filters", []), OFFERING_FILTERS), args)
        return ActionResult({"InstanceTypeOfferings": found, "NextToken": token})

    def describe_spot_price_history(self) -> ActionResult:
        """EC2 API DescribeSpotPriceHistory."""
        args = self.args
        end = min(utc(args.get("EndTime")) or now(), now())
        start = max(utc(args.get("StartTime")) or end - prices.HISTORY, end - prices.HISTORY)
        wanted = {f.get("Name"): f.get("Values", []) for f in args.get("Filters", [])}
        products = args.get("ProductDescriptions") or wanted.pop("product-description", None) or PRODUCTS
        if not any(p in products for p in PRODUCTS):
            return ActionResult({"SpotPriceHistory": [], "NextToken": None})
        names = args.get("InstanceTypes") or wanted.get("instance-type") or sorted(prices.ON_DEMAND)
        entries = [
            {
                "InstanceType": name,
                "AvailabilityZone": zone,
                "ProductDescription": "Linux/UNIX",
                "SpotPrice": f"{price:.6f}",
                "Timestamp": at,
            }
            for name in names
            if name in INSTANCE_TYPES
            for zone in rules.offered_zones(self.world, name)
            if args.get("AvailabilityZone") in (None, zone)
            for at, price in prices.history(name, zone, start, end)
        ]
        rest = [f for f in args.get("Filters", []) if f.get("Name") != "product-description"]
        entries = filters.apply(entries, rest, PRICE_FILTERS)
        entries.sort(key=lambda e: e["Timestamp"], reverse=True)
        found, token = filters.page(entries, args)
        return ActionResult({"SpotPriceHistory": found, "NextToken": token})


def _value(item: InstanceType, name: str) -> Any:
    """moto knows where each filter of DescribeInstanceTypes looks."""
    value = item.get_filter_value(name)
    return [] if value is None else value
