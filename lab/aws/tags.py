"""Tags: only of what exists, with AWS's names of resource types."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from lab.aws import filters, rules
from lab.aws.errors import Refusal
from lab.aws.response import LabResponse
from lab.aws.world import World

# id prefix -> resource type. Source: EC2 API ResourceType; moto says e.g. spot-instance-request.
TYPES = {
    "ami": "image",
    "eni": "network-interface",
    "fleet": "fleet",
    "i": "instance",
    "igw": "internet-gateway",
    "key": "key-pair",
    "lt": "launch-template",
    "rtb": "route-table",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "sir": "spot-instances-request",
    "snap": "snapshot",
    "sfr": "spot-fleet-request",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
}
NOT_FOUND = {
    "fleet": "InvalidFleetId.NotFound",
    "i": "InvalidInstanceID.NotFound",
    "key": "InvalidKeyPair.NotFound",
    "lt": "InvalidLaunchTemplateId.NotFound",
    "sg": "InvalidGroup.NotFound",
    "sir": "InvalidSpotInstanceRequestID.NotFound",
    "sfr": "InvalidSpotFleetRequestId.NotFound",
    "snap": "InvalidSnapshot.NotFound",
    "vol": "InvalidVolume.NotFound",
}
FILTERS = filters.table({"key": "Key", "resource-id": "ResourceId", "resource-type": "ResourceType", "value": "Value"})


def exists(world: World, resource_id: str) -> bool:
    """Whether a resource is still there; kinds that the lab does not follow count as there."""
    backend = world.backend
    where: dict[str, Any] = {
        "ami": backend.amis,
        "fleet": world.fleets,
        "sfr": world.fleets,
        "i": world.records,
        "key": {k.id for k in backend.key_pairs.values()},
        "lt": backend.launch_templates,
        "sg": {group_id for groups in backend.groups.values() for group_id in groups},
        "sir": world.spot_requests,
        "snap": backend.snapshots,
        "vol": backend.volumes,
        "eni": backend.enis,
    }
    known = where.get(prefix(resource_id))
    return known is None or resource_id in known


def prefix(resource_id: str) -> str:
    """`i` of `i-0123`."""
    return resource_id.split("-", maxsplit=1)[0]


class Tags(LabResponse):
    """Actions on tags."""

    def create_tags(self) -> ActionResult:
        """EC2 API CreateTags; all resources must exist."""
        args = self.args
        tags = {t["Key"]: t.get("Value", "") for t in args.get("Tags", [])}
        rules.tag_set(tags)
        for resource_id in self._resources(args):
            if not exists(self.world, resource_id):
                code = NOT_FOUND.get(prefix(resource_id), "InvalidID")
                raise Refusal(code, f"The ID '{resource_id}' is not valid")
            known = self.world.backend.tags.get(resource_id, {})
            rules.tag_set({k: v for k, v in known.items() if not k.startswith("aws:")} | tags)
            self._metadata_keys(resource_id, tags)
        self.dry_run()
        self.world.backend.create_tags(args["Resources"], tags)
        return EmptyResult()

    def _metadata_keys(self, resource_id: str, tags: dict[str, str]) -> None:
        record = self.world.records.get(resource_id)
        if record:
            shown = record.instance.metadata_options.instance_metadata_tags
            rules.metadata_tag_keys(tags, {"InstanceMetadataTags": shown})

    @staticmethod
    def _resources(args: dict[str, Any]) -> list[str]:
        """Source: [ERR] InvalidID, MissingParameter."""
        ids = args.get("Resources") or []
        if not ids:
            raise Refusal("MissingParameter", "The request must contain the parameter resourceIdSet")
        for resource_id in ids:
            if prefix(resource_id) not in TYPES:
                raise Refusal("InvalidID", f"The ID '{resource_id}' is not valid")
        return list(ids)

    def describe_tags(self) -> ActionResult:
        """EC2 API DescribeTags."""
        args = self.args
        shapes = [
            {"ResourceId": i, "ResourceType": TYPES.get(prefix(i), prefix(i)), "Key": k, "Value": v}
            for i, tags in list(self.world.backend.tags.items())
            if tags and exists(self.world, i)
            for k, v in tags.items()
        ]
        known = dict(FILTERS)
        for one in args.get("Filters", []):
            name = one.get("Name", "")
            if name.startswith("tag:"):  # Source: DescribeTags, filter tag:<key>
                one["Name"], key = f"pair:{name}", name[4:]
                known[one["Name"]] = _value_of(key)
        found, token = filters.page(filters.apply(shapes, args.get("Filters", []), known), args)
        return ActionResult({"Tags": found, "NextToken": token})


def _value_of(key: str) -> filters.Getter:
    return lambda item: [item["Value"]] if item["Key"] == key else []
