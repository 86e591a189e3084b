"""Where a fleet may get instances: every override of every template, in every zone it allows, as a pool."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lab.aws import launches, prices, rules
from lab.aws.errors import Refusal
from lab.aws.fleet import requirements
from lab.aws.world import Record, World, now

# What an override says as RunInstances does. Source: EC2 API FleetLaunchTemplateOverridesRequest.
OVERRIDDEN = (
    "InstanceType",
    "SubnetId",
    "ImageId",
    "BlockDeviceMappings",
    "KeyName",
    "IamInstanceProfile",
    "MetadataOptions",
)
UNITS = {"vcpu": "VCpuInfo", "memory-mib": "MemoryInfo"}


@dataclass
class Pool:
    """One override of one template in one place: what to launch, and what became of it."""

    template: dict[str, Any]  # LaunchTemplateSpecification as answered; {} for a launch specification of Spot Fleet
    override: dict[str, Any]
    spec: dict[str, Any]
    market: str
    plan: launches.Plan | None = None
    error: tuple[str, str] | None = None
    records: list[Record] = field(default_factory=list)

    @property
    def weight(self) -> float:
        """Capacity of one instance."""
        return float(self.override.get("WeightedCapacity") or 1)

    @property
    def cost(self) -> float:
        """USD per hour of one instance."""
        assert self.plan is not None
        if self.market == "spot":
            return prices.spot(self.plan.type_name, self.plan.zone, now())
        return prices.on_demand(self.plan.type_name)

    @property
    def price(self) -> float:
        """USD per hour and unit of capacity."""
        return self.cost / self.weight

    @property
    def place(self) -> tuple[str, str]:
        """Type and zone; only of a pool with a plan."""
        assert self.plan is not None
        return self.plan.type_name, self.plan.zone

    @property
    def name(self) -> str:
        """The pool in the words of a fleet's history. Source: EC2 User Guide, EC2 Fleet event types (examples)."""
        parts = [self.override.get("InstanceType") or self.spec.get("InstanceType") or "", self.spec.get("ImageId", "")]
        where = self.plan.zone if self.plan else self.override.get("AvailabilityZone") or self.override.get("SubnetId")
        return ", ".join(str(p) for p in (*parts, "Linux/UNIX", where) if p)

    def reference(self) -> dict[str, Any]:
        """EC2 API LaunchTemplateAndOverridesResponse."""
        return {"LaunchTemplateSpecification": self.template, "Overrides": self.override}


def pools(world: World, args: dict[str, Any], market: str) -> list[Pool]:
    """All pools of a fleet in CreateFleet's words; a template that does not exist refuses the whole call."""
    found = [p for s in args.get("LaunchSpecifications", []) for p in _of_specification(world, s, args, market)]
    for config in args.get("LaunchTemplateConfigs", []):
        found += _of_template(world, config, args, market)
    _check(world, found)
    return found


def _of_template(world: World, config: dict[str, Any], args: dict[str, Any], market: str) -> list[Pool]:
    template, version = rules.template(world, config.get("LaunchTemplateSpecification", {}))
    if version.data.get("InstanceMarketOptions"):
        raise Refusal("InvalidFleetConfig", "A launch template with InstanceMarketOptions cannot be used here.")
    reference = {"LaunchTemplateId": template.id, "Version": str(version.number)}
    base = launches.merge(version.data, _instance_tags(args))
    base["__template__"] = {
        "aws:ec2launchtemplate:id": template.id,
        "aws:ec2launchtemplate:version": str(version.number),
    }
    overrides = config.get("Overrides") or [{}]
    placed = [o for override in overrides for o in _places(world, base, override, args)]
    return [Pool(reference, o, _spec(base, o, args, market), market) for o in placed]


def _of_specification(world: World, given: dict[str, Any], args: dict[str, Any], market: str) -> list[Pool]:
    """EC2 API SpotFleetLaunchSpecification: groups have another shape, price and weight are its own."""
    own = ("InstanceType", "SubnetId", "WeightedCapacity", "InstanceRequirements")
    override = {k: given[k] for k in own if given.get(k)}
    if given.get("SpotPrice"):
        override["MaxPrice"] = given["SpotPrice"]
    if given.get("Placement", {}).get("AvailabilityZone"):
        override["AvailabilityZone"] = given["Placement"]["AvailabilityZone"]
    rest = ("SecurityGroups", "SpotPrice", "Placement", *own)
    base = {k: v for k, v in given.items() if k not in rest}
    if given.get("SecurityGroups"):
        base["SecurityGroupIds"] = [g["GroupId"] for g in given["SecurityGroups"]]
    return [Pool({}, o, _spec(base, o, args, market), market) for o in _places(world, base, override, args)]


def _instance_tags(args: dict[str, Any]) -> dict[str, Any]:
    return {"TagSpecifications": [t for t in args.get("TagSpecifications", []) if t["ResourceType"] == "instance"]}


def _places(world: World, base: dict[str, Any], override: dict[str, Any], args: dict[str, Any]) -> list[dict[str, Any]]:
    """An override for each type and place it stands for: requirements, subnets in a list, no place at all."""
    unit = args.get("TargetCapacitySpecification", {}).get("TargetCapacityUnitType")
    found = []
    for typed in _types(world, base, override):
        weighed = _weighed(typed, typed.get("InstanceType") or base.get("InstanceType"), unit)
        found += _zones(world, base, _zone_name(world, weighed))
    return found


def _types(world: World, base: dict[str, Any], override: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = override.get("InstanceRequirements")
    if not wanted and not override.get("InstanceType"):
        wanted = base.get("InstanceRequirements")
    if not wanted:
        return [override]
    plain = {k: v for k, v in override.items() if k != "InstanceRequirements"}
    image = world.backend.amis.get(override.get("ImageId") or base.get("ImageId"))
    names = requirements.types(world, wanted, [image.architecture] if image else [])
    return [{**plain, "InstanceType": name} for name in names]


def _weighed(override: dict[str, Any], type_name: str | None, unit: str | None) -> dict[str, Any]:
    """Source: EC2 API TargetCapacityUnitType."""
    if unit not in UNITS or type_name not in rules.INSTANCE_TYPES:
        return override
    data = rules.INSTANCE_TYPES[type_name][UNITS[unit]]
    return {**override, "WeightedCapacity": float(data.get("DefaultVCpus") or data.get("SizeInMiB"))}


def _zone_name(world: World, override: dict[str, Any]) -> dict[str, Any]:
    """A zone given by its id."""
    zone_id = override.get("AvailabilityZoneId")
    if not zone_id:
        return override
    names = {z.zone_id: z.name for z in world.backend.describe_availability_zones()}
    if zone_id not in names:
        raise Refusal("InvalidParameterValue", f"Invalid availability zone: [{zone_id}]")
    return {**override, "AvailabilityZone": names[zone_id]}


def _zones(world: World, base: dict[str, Any], override: dict[str, Any]) -> list[dict[str, Any]]:
    """Several subnets are several pools; an override without a place may use every zone.

    Source: EC2 API FleetLaunchTemplateOverridesRequest, SubnetId; EC2 User Guide, EC2 Fleet.
    """
    for key in ("SubnetId", "AvailabilityZone"):
        if "," in str(override.get(key) or ""):
            return [{**override, key: one.strip()} for one in override[key].split(",")]
    placed = (
        override.get("SubnetId")
        or override.get("AvailabilityZone")
        or launches._interface(base).get("SubnetId")
        or base.get("SubnetId")
        or base.get("Placement", {}).get("AvailabilityZone")
    )
    type_name = override.get("InstanceType") or base.get("InstanceType") or ""
    zones = [] if placed else rules.offered_zones(world, type_name)
    return [{**override, "AvailabilityZone": zone} for zone in zones] or [override]


def _spec(base: dict[str, Any], override: dict[str, Any], args: dict[str, Any], market: str) -> dict[str, Any]:
    given = {k: override[k] for k in OVERRIDDEN if override.get(k)}
    if override.get("AvailabilityZone"):
        given["Placement"] = {"AvailabilityZone": override["AvailabilityZone"]}
    spec = launches.merge({k: v for k, v in base.items() if k != "InstanceRequirements"}, given)
    if market == "spot":
        options = {"InstanceInterruptionBehavior": args.get("SpotOptions", {}).get("InstanceInterruptionBehavior")}
        if override.get("MaxPrice"):
            options["MaxPrice"] = override["MaxPrice"]
        spec["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {k: v for k, v in options.items() if v},
        }
    return spec


def _check(world: World, found: list[Pool]) -> None:
    """No pool twice, not two subnets of one zone. Source: [ERR] InvalidFleetConfig; EC2 User Guide, fleet quotas."""
    seen: set[tuple[Any, ...]] = set()
    by_zone: dict[str, str] = {}
    for pool in found:
        o = pool.override
        key = (
            pool.template.get("LaunchTemplateId") or str(pool.spec),
            o.get("InstanceType"),
            o.get("SubnetId"),
            o.get("AvailabilityZone"),
        )
        if key in seen:
            raise Refusal("InvalidFleetConfig", "The fleet configuration contains duplicate instance pools")
        seen.add(key)
        if o.get("MaxPrice"):
            rules.max_price(o["MaxPrice"], 0.0)
        subnet_id = o.get("SubnetId")
        known = next((s for z in world.backend.subnets.values() for s in z.values() if s.id == subnet_id), None)
        if known and by_zone.setdefault(known.availability_zone, known.id) != known.id:
            raise Refusal(
                "InvalidFleetConfig",
                f"The fleet configuration contains more than one subnet of {known.availability_zone}.",
            )
