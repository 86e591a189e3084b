"""Key pairs, security groups, public addresses and the default VPC."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from itertools import islice
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models import elastic_network_interfaces

from lab.aws import efs, filters, launches, rules
from lab.aws.errors import Refusal
from lab.aws.instances import tag_list
from lab.aws.response import LabResponse
from lab.aws.world import World

KEY_FILTERS = filters.table(
    {"fingerprint": "KeyFingerprint", "key-name": "KeyName", "key-pair-id": "KeyPairId", "key-type": "KeyType"}
)


class Addresses:
    """Public addresses out of one range, each to one interface at a time."""

    def __init__(self, worlds: Iterable[World]) -> None:
        self.worlds = tuple(worlds)
        self.hosts = [str(a) for a in ipaddress.ip_network(self.worlds[0].config.public_cidr).hosts()]
        self.next = 0

    def take(self) -> str:
        """The next free address, round robin, so that one just given back is not reused at once."""
        used = {eni.public_ip for world in self.worlds for eni in world.backend.enis.values()}
        used |= {address.public_ip for world in self.worlds for address in world.backend.addresses}
        for _ in self.hosts:
            address = self.hosts[self.next]
            self.next = (self.next + 1) % len(self.hosts)
            if address not in used:
                return address
        raise Refusal("InsufficientAddressCapacity", "Not enough available addresses to satisfy your request.")


def use_addresses(worlds: Iterable[World]) -> None:
    """moto invents addresses that belong to somebody; the lab's must be routable here and nowhere else."""
    elastic_network_interfaces.random_public_ip = Addresses(worlds).take


def default_networks(worlds: Iterable[World]) -> None:
    """The default network of each region; all machines share one range, so no two subnets have the same addresses."""
    first = 0
    for world in worlds:
        default_network(world, first)
        first += len(world.backend.describe_availability_zones())


def default_network(world: World, first: int = 0) -> None:
    """Default subnets in the lab's range when it is not AWS's 172.31.0.0/16. Source: VPC User Guide, default VPC.

    Args:
        world: one region.
        first: how many blocks of the range the regions before it have.
    """
    backend, wanted = world.backend, ipaddress.ip_network(world.config.vpc_cidr)
    if backend.default_vpc.cidr_block == str(wanted) and not first:
        return
    backend.default_vpc.cidr_block = str(wanted)
    for association in backend.default_vpc._cidr_block_association_set.values():
        association["cidr_block"] = str(wanted)
    for zone in list(backend.subnets):
        for subnet_id in list(backend.subnets[zone]):
            backend.delete_subnet(subnet_id)
    blocks = islice(wanted.subnets(prefixlen_diff=4), first, None)
    for zone in backend.describe_availability_zones():
        # the first subnet of a zone is its default one in moto
        backend.create_subnet(backend.default_vpc.id, str(next(blocks)), availability_zone=zone.name)


def in_use(world: World, group_id: str) -> bool:
    """Whether an interface of an instance (not terminated) or of a mount target, or another group's rule, needs it."""
    by_instance = any(
        group_id in [g.id for g in r.instance.security_groups] for r in world.records.values() if not r.ended
    )
    by_rule = any(
        rule.source_group.get("GroupId") == group_id
        for groups in world.backend.groups.values()
        for group in groups.values()
        if group.id != group_id
        for rule in group.ingress_rules + group.egress_rules
        if rule.source_group
    )
    return by_instance or by_rule or efs.group_in_use(world, group_id)


class Network(LabResponse):
    """Actions on keys and groups."""

    def create_key_pair(self) -> ActionResult:
        """EC2 API CreateKeyPair."""
        tags = self._key_tags()
        self.dry_run()
        args = self.args
        self._free_name(args.get("KeyName", ""))
        key = self.world.backend.create_key_pair(args["KeyName"], args.get("KeyType") or "rsa", tags)
        answer = _key(self.world, key) | {"KeyMaterial": key.key_material}
        return ActionResult(answer)

    def import_key_pair(self) -> ActionResult:
        """EC2 API ImportKeyPair."""
        tags = self._key_tags()
        self.dry_run()
        args = self.args
        self._free_name(args.get("KeyName", ""))
        key = self.world.backend.import_key_pair(args["KeyName"], args.get("PublicKeyMaterial"), tags)
        return ActionResult(_key(self.world, key))

    def _key_tags(self) -> dict[str, str]:
        return launches.tag_map(self.args.get("TagSpecifications")).get("key-pair", {})

    def _free_name(self, name: str) -> None:
        """Source: [ERR] InvalidKeyPair.Duplicate; EC2 API CreateKeyPair, up to 255 ASCII characters."""
        if not name or len(name) > 255 or not name.isascii():
            raise Refusal("InvalidParameterValue", f"Value ({name}) for parameter KeyName is invalid.")
        if name in self.world.backend.key_pairs:
            raise Refusal("InvalidKeyPair.Duplicate", f"The keypair already exists: {name}")

    def describe_key_pairs(self) -> ActionResult:
        """EC2 API DescribeKeyPairs, with type and, on demand, public key."""
        args = self.args
        names, ids = args.get("KeyNames") or [], args.get("KeyPairIds") or []
        known = self.world.backend.key_pairs
        for name in names:
            if name not in known:
                raise Refusal("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
        found = [k for k in known.values() if (not names or k.key_name in names) and (not ids or k.id in ids)]
        if ids and len(found) < len(ids):
            raise Refusal("InvalidKeyPair.NotFound", f"The key pair id '{', '.join(ids)}' does not exist")
        shapes = [_key(self.world, k, bool(args.get("IncludePublicKey"))) for k in found]
        return ActionResult({"KeyPairs": filters.apply(shapes, args.get("Filters", []), KEY_FILTERS)})

    def delete_key_pair(self) -> ActionResult:
        """EC2 API DeleteKeyPair; one that does not exist is no error."""
        args = self.args
        known = self.world.backend.key_pairs
        name = args.get("KeyName") or next((k.key_name for k in known.values() if k.id == args.get("KeyPairId")), None)
        self.dry_run()
        key = known.pop(name, None)
        if key is None:
            return ActionResult({"Return": True})
        self.world.backend.tags.pop(key.id, None)
        return ActionResult({"Return": True, "KeyPairId": key.id})

    def create_security_group(self) -> ActionResult:
        """EC2 API CreateSecurityGroup."""
        args = self.args
        vpc_id = args.get("VpcId") or self.world.backend.default_vpc.id
        name = args.get("GroupName", "")
        if vpc_id not in self.world.backend.vpcs:
            raise Refusal("InvalidVpcID.NotFound", f"The vpc ID '{vpc_id}' does not exist")
        if not args.get("Description"):
            raise Refusal("MissingParameter", "The request must contain the parameter GroupDescription")
        if name.startswith("sg-") or len(name) > 255:
            raise Refusal("InvalidParameterValue", "Group names may not be in the format sg-*.")
        if any(g.name == name for g in self.world.backend.groups[vpc_id].values()):
            raise Refusal("InvalidGroup.Duplicate", f"The security group '{name}' already exists for VPC '{vpc_id}'")
        launches.tag_map(args.get("TagSpecifications"))
        return super().create_security_group()

    def delete_security_group(self) -> ActionResult:
        """EC2 API DeleteSecurityGroup."""
        args = self.args
        group_id, name = args.get("GroupId"), args.get("GroupName")
        if group_id:
            rules.well_formed("sg", group_id)
            group = self.world.backend.get_security_group_from_id(group_id)
        else:
            group = self.world.backend.get_security_group_from_name(name, self.world.backend.default_vpc.id)
        if group is None:
            raise Refusal("InvalidGroup.NotFound", f"The security group '{group_id or name}' does not exist")
        rules.deletable_group(group.id, group.name, in_use(self.world, group.id))
        self.dry_run()
        self.world.backend.delete_security_group(group_id=group.id)
        self.world.backend.tags.pop(group.id, None)
        for rule in group.ingress_rules + group.egress_rules:
            self.world.backend.tags.pop(rule.id, None)
        return EmptyResult()


def _key(world: World, key: Any, with_public: bool = False) -> dict[str, Any]:
    """EC2 API KeyPairInfo."""
    shape = {
        "KeyPairId": key.id,
        "KeyName": key.key_name,
        "KeyType": key.key_type,
        "KeyFingerprint": key.key_fingerprint,
        "CreateTime": key.create_time,
        "Tags": tag_list(world, key.id),
    }
    if with_public:
        material = key.material_public
        shape["PublicKey"] = material.decode() if isinstance(material, bytes) else str(material)
    return shape
