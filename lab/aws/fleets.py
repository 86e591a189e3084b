"""CreateFleet, DescribeFleets, DeleteFleets.

An instant fleet answers once, with what it got and one error per pool it could not use, in a 200 answer. The other
types get the same capacity; what keeps them at their target belongs to a later stage and would start from `fill`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from math import ceil
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.utils import random_fleet_id

from lab.aws import cloud, filters, launches, prices, rules, tokens
from lab.aws.errors import Refusal
from lab.aws.instances import tag_list
from lab.aws.response import LabResponse
from lab.aws.world import Record, World, now

STRATEGIES = (
    "lowest-price",
    "diversified",
    "capacity-optimized",
    "capacity-optimized-prioritized",
    "price-capacity-optimized",
)
# A fleet tells these codes of RunInstances in its own words. Source: [OBS] real accounts.
FLEET_CODES = {"Unsupported": "InvalidFleetConfiguration", "InvalidInstanceType": "InvalidFleetConfiguration"}
FILTERS = filters.table(
    {
        "activity-status": "ActivityStatus",
        "excess-capacity-termination-policy": "ExcessCapacityTerminationPolicy",
        "fleet-state": "FleetState",
        "replace-unhealthy-instances": "ReplaceUnhealthyInstances",
        "type": "Type",
    }
)


@dataclass
class Pool:
    """One override of one template: what to launch, and what became of it."""

    template: dict[str, Any]  # LaunchTemplateSpecification as answered
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
    def price(self) -> float:
        """USD per hour and unit of capacity."""
        assert self.plan is not None
        if self.market == "spot":
            return prices.spot(self.plan.type_name, self.plan.zone, now()) / self.weight
        return prices.on_demand(self.plan.type_name) / self.weight

    def reference(self) -> dict[str, Any]:
        """EC2 API LaunchTemplateAndOverridesResponse."""
        return {"LaunchTemplateSpecification": self.template, "Overrides": self.override}


def check(args: dict[str, Any]) -> None:
    """What CreateFleet refuses as a whole. Source: EC2 API CreateFleet, SpotOptionsRequest."""
    kind = args.get("Type") or "maintain"
    if kind not in ("instant", "request", "maintain"):
        raise Refusal("InvalidParameterValue", f"The value '{kind}' is not valid for the parameter Type.")
    if not args.get("LaunchTemplateConfigs"):
        raise Refusal("MissingParameter", "The request must contain the parameter LaunchTemplateConfigs")
    target = args.get("TargetCapacitySpecification", {})
    if int(target.get("TotalTargetCapacity", 0)) < 1 and kind == "instant":
        raise Refusal("InvalidParameterValue", "TotalTargetCapacity must be at least 1.")
    _check_tags(kind, args)
    for name in ("SpotOptions", "OnDemandOptions"):
        _check_options(name, kind, args.get(name, {}))


def _check_tags(kind: str, args: dict[str, Any]) -> None:
    allowed = ("fleet", "instance") if kind == "instant" else ("fleet",)
    for item in args.get("TagSpecifications", []):
        if item.get("ResourceType") not in allowed:
            raise Refusal(
                "InvalidParameterValue",
                f"'{item.get('ResourceType')}' is not a valid taggable resource type for this operation.",
            )


def _check_options(name: str, kind: str, options: dict[str, Any]) -> None:
    strategy = options.get("AllocationStrategy")
    allowed = STRATEGIES if name == "SpotOptions" else ("lowest-price", "prioritized")
    if strategy and strategy not in allowed:
        raise Refusal("InvalidParameterValue", f"Invalid value '{strategy}' for {name}.AllocationStrategy.")
    single = options.get("SingleInstanceType") or options.get("SingleAvailabilityZone")
    if kind != "instant" and (single or options.get("MinTargetCapacity")):
        raise Refusal(
            "InvalidParameterCombination",
            f"{name}.SingleInstanceType, SingleAvailabilityZone and MinTargetCapacity need a fleet of type instant.",
        )
    if options.get("MinTargetCapacity") and not single:
        raise Refusal(
            "InvalidParameterCombination",
            f"{name}.MinTargetCapacity needs SingleInstanceType or SingleAvailabilityZone.",
        )
    if options.get("InstancePoolsToUseCount") and strategy not in (None, "lowest-price"):
        raise Refusal("InvalidParameterCombination", "InstancePoolsToUseCount needs the lowest-price strategy.")


def pools(world: World, args: dict[str, Any], market: str) -> list[Pool]:
    """Every override of every template as a pool; a template that does not exist refuses the whole call."""
    found = []
    for config in args["LaunchTemplateConfigs"]:
        template, version = rules.template(world, config.get("LaunchTemplateSpecification", {}))
        if version.data.get("InstanceMarketOptions"):
            raise Refusal("InvalidFleetConfig", "A launch template with InstanceMarketOptions cannot be used here.")
        reference = {"LaunchTemplateId": template.id, "Version": str(version.number)}
        base = launches.merge(version.data, _instance_tags(args))
        base["__template__"] = {
            "aws:ec2launchtemplate:id": template.id,
            "aws:ec2launchtemplate:version": str(version.number),
        }
        for override in config.get("Overrides") or [{}]:
            found += [Pool(reference, o, _spec(base, o, args, market), market) for o in _places(world, base, override)]
    _check_pools(world, found)
    return found


def _instance_tags(args: dict[str, Any]) -> dict[str, Any]:
    return {"TagSpecifications": [t for t in args.get("TagSpecifications", []) if t["ResourceType"] == "instance"]}


def _places(world: World, base: dict[str, Any], override: dict[str, Any]) -> list[dict[str, Any]]:
    """An override without a place may use every zone. Source: EC2 User Guide, EC2 Fleet."""
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
    given = {k: override[k] for k in ("InstanceType", "SubnetId", "ImageId", "BlockDeviceMappings") if override.get(k)}
    if override.get("AvailabilityZone"):
        given["Placement"] = {"AvailabilityZone": override["AvailabilityZone"]}
    spec = launches.merge(base, given)
    if market == "spot":
        options = {"InstanceInterruptionBehavior": args.get("SpotOptions", {}).get("InstanceInterruptionBehavior")}
        if override.get("MaxPrice"):
            options["MaxPrice"] = override["MaxPrice"]
        spec["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {k: v for k, v in options.items() if v},
        }
    return spec


def _check_pools(world: World, found: list[Pool]) -> None:
    """No pool twice, not two subnets of one zone. Source: [ERR] InvalidFleetConfig; EC2 User Guide, fleet quotas."""
    seen: set[tuple[Any, ...]] = set()
    by_zone: dict[str, str] = {}
    for pool in found:
        o = pool.override
        key = (pool.template["LaunchTemplateId"], o.get("InstanceType"), o.get("SubnetId"), o.get("AvailabilityZone"))
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


def fill(world: World, candidates: list[Pool], target: float, options: dict[str, Any], fleet_id: str) -> float:
    """Launch into the pools, best first, until the target is reached; errors stay with their pool.

    Returns:
        the capacity that was launched.
    """
    for pool in candidates:
        _try(pool, partial(_set_plan, world))
    usable = ranked([p for p in candidates if p.plan], options)
    if options.get("SingleInstanceType"):
        usable = _best_group(world, usable, target, lambda p: p.plan.type_name if p.plan else "")
    if options.get("SingleAvailabilityZone"):
        usable = _best_group(world, usable, target, lambda p: p.plan.zone if p.plan else "")
    minimum = float(options.get("MinTargetCapacity") or 0)
    if minimum and _attainable(world, usable, target) < minimum:
        for pool in usable:
            pool.error = ("UnfulfillableCapacity", "Unable to fulfill capacity due to your request configuration.")
        return 0.0
    if options.get("AllocationStrategy") == "diversified":
        return _in_turn(world, usable, target, fleet_id)
    return _in_order(world, usable, target, fleet_id)


def ranked(usable: list[Pool], options: dict[str, Any]) -> list[Pool]:
    """Pools in the order in which the strategy tries them. Source: EC2 User Guide, allocation strategies."""
    if options.get("AllocationStrategy") in ("prioritized", "capacity-optimized-prioritized"):
        return sorted(usable, key=lambda p: float(p.override.get("Priority", 1e9)))
    return sorted(usable, key=lambda p: p.price)


def _set_plan(world: World, pool: Pool) -> None:
    _injected(world, pool)
    pool.plan = launches.plan(world, pool.spec)


def _injected(world: World, pool: Pool) -> None:
    """A denied RunInstances or PassRole, or an ordered fault, shows inside the 200 answer. Source: [OBS]."""
    wanted = ["RunInstances"] + (["PassRole"] if pool.spec.get("IamInstanceProfile") else [])
    for action in wanted:
        if any(fnmatch.fnmatch(action, pattern) for pattern in world.denied):
            raise Refusal(
                "UnauthorizedOperation",
                "You are not authorized to perform this operation. User: "
                f"arn:aws:iam::{world.config.account_id}:user/{world.config.user_name} is not authorized to perform: "
                f"{'iam' if action == 'PassRole' else 'ec2'}:{action} because no identity-based policy allows the "
                "action.",
            )
    for fault in world.faults:
        if fault.in_fleet and fault.times != 0 and all(str(pool.override.get(k)) == v for k, v in fault.match.items()):
            fault.times = None if fault.times is None else fault.times - 1
            raise Refusal(fault.code, fault.message or fault.code)


def _try(pool: Pool, act: Callable[[Pool], None]) -> bool:
    try:
        act(pool)
    except EC2ClientError as err:
        code = FLEET_CODES.get(err.code, err.code)
        if err.code == "InvalidParameterValue" and err.message.startswith("Invalid value"):
            code = "InvalidFleetConfiguration"
        pool.error = (code, err.message)
        return False
    return True


def _best_group(world: World, usable: list[Pool], target: float, key: Callable[[Pool], str]) -> list[Pool]:
    """The group of pools that reaches most of the target; among equals the one that is tried first."""
    groups = [list(g) for _, g in groupby(sorted(usable, key=key), key)]
    groups.sort(key=lambda g: (-_attainable(world, g, target), min(usable.index(p) for p in g)))
    return sorted(groups[0], key=usable.index) if groups else []


def _attainable(world: World, group: list[Pool], target: float) -> float:
    total = 0.0
    for pool in group:
        total += _room(world, pool, target - total) * pool.weight
        if total >= target:
            return target
    return total


def _room(world: World, pool: Pool, missing: float) -> int:
    assert pool.plan is not None
    wanted = max(0, ceil(missing / pool.weight))
    free = rules.free_places(world, pool.plan.type_name, pool.plan.zone, pool.market)
    room = wanted if free is None else min(wanted, free)
    while room:
        try:
            rules.quota(world, pool.plan.type_name, room, pool.market)
        except Refusal:
            room -= 1
        else:
            return room
    return 0


def _in_order(world: World, usable: list[Pool], target: float, fleet_id: str) -> float:
    got = 0.0
    for pool in usable:
        if got >= target:
            break
        wanted = ceil((target - got) / pool.weight)
        room = _room(world, pool, target - got)
        if room and _try(pool, partial(_launch, world, room, fleet_id)):
            got += room * pool.weight
        if room < wanted and not pool.error:
            _try(pool, partial(_refuse, world, wanted - room))
    return got


def _in_turn(world: World, usable: list[Pool], target: float, fleet_id: str) -> float:
    got, open_pools = 0.0, list(usable)
    while got < target and open_pools:
        for pool in list(open_pools):
            if got >= target:
                break
            if _try(pool, partial(_launch, world, 1, fleet_id)):
                got += pool.weight
            else:
                open_pools.remove(pool)
    return got


def _launch(world: World, count: int, fleet_id: str, pool: Pool) -> None:
    assert pool.plan is not None
    pool.records += launches.launch(world, pool.plan, count, fleet_id=fleet_id)


def _refuse(world: World, count: int, pool: Pool) -> None:
    """Raise what AWS says about the instances for which there is no room."""
    assert pool.plan is not None
    rules.quota(world, pool.plan.type_name, count, pool.market)
    free = rules.free_places(world, pool.plan.type_name, pool.plan.zone, pool.market)
    rules.capacity(free, count, pool.plan.type_name, pool.plan.zone, pool.market)


def split(target: dict[str, Any]) -> dict[str, float]:
    """Target capacity per market. Source: EC2 API TargetCapacitySpecificationRequest."""
    total = float(target["TotalTargetCapacity"])
    spot, on_demand = float(target.get("SpotTargetCapacity") or 0), float(target.get("OnDemandTargetCapacity") or 0)
    default = target.get("DefaultTargetCapacityType") or "on-demand"
    rest = max(0.0, total - spot - on_demand)
    return {
        "spot": spot + (rest if default == "spot" else 0.0),
        "on-demand": on_demand + (rest if default == "on-demand" else 0.0),
    }


class Fleets(LabResponse):
    """Actions on EC2 Fleets."""

    def create_fleet(self) -> ActionResult:
        """EC2 API CreateFleet."""
        args = self.args
        check(args)
        key = ("CreateFleet", "", args.get("ClientToken") or "")
        earlier = tokens.known(self.world, key, args)
        if earlier is not None:
            return ActionResult(earlier)
        fleet_id = random_fleet_id()
        kind = args.get("Type") or "maintain"
        tried: list[Pool] = []
        got = {"spot": 0.0, "on-demand": 0.0}
        markets = [(m, t) for m, t in split(args["TargetCapacitySpecification"]).items() if t > 0]
        prepared = {market: pools(self.world, args, market) for market, _ in markets}
        self.dry_run()
        for market, target in markets:
            options = args.get("SpotOptions" if market == "spot" else "OnDemandOptions", {})
            got[market] = fill(self.world, prepared[market], target, options, fleet_id)
            tried += prepared[market]
        self._store(fleet_id, kind, args, tried, got)
        answer: dict[str, Any] = {"FleetId": fleet_id}
        if kind == "instant":
            answer |= {"Instances": _launched(tried), "Errors": _errors(tried)}
        tokens.remember(self.world, key, args, answer)
        launches.start(self.world, [r for p in tried for r in p.records])
        return ActionResult(answer)

    def _store(self, fleet_id: str, kind: str, args: dict[str, Any], tried: list[Pool], got: dict[str, float]) -> None:
        target = args["TargetCapacitySpecification"]
        tags = launches.tag_map(args.get("TagSpecifications")).get("fleet", {})
        self.world.backend.create_tags([fleet_id], tags)
        spot = {"AllocationStrategy": "lowest-price", "InstanceInterruptionBehavior": "terminate"}
        self.world.fleets[fleet_id] = {
            "FleetId": fleet_id,
            "Type": kind,
            "FleetState": "active",
            "ActivityStatus": "fulfilled",
            "CreateTime": now(),
            "ClientToken": args.get("ClientToken"),
            "FulfilledCapacity": sum(got.values()),
            "FulfilledOnDemandCapacity": got["on-demand"],
            "ExcessCapacityTerminationPolicy": args.get("ExcessCapacityTerminationPolicy") or "termination",
            "ReplaceUnhealthyInstances": bool(args.get("ReplaceUnhealthyInstances")),
            "TerminateInstancesWithExpiration": bool(args.get("TerminateInstancesWithExpiration")),
            "LaunchTemplateConfigs": args["LaunchTemplateConfigs"],
            "TargetCapacitySpecification": target,
            "SpotOptions": spot | args.get("SpotOptions", {}),
            "OnDemandOptions": {"AllocationStrategy": "lowest-price"} | args.get("OnDemandOptions", {}),
            "Instances": _launched(tried) if kind == "instant" else [],
            "Errors": _errors(tried) if kind == "instant" else [],
        }

    def describe_fleets(self) -> ActionResult:
        """EC2 API DescribeFleets; instant fleets only when asked for by id."""
        args = self.args
        ids = args.get("FleetIds") or []
        self._refresh()
        found = [self._fleet(i) for i in ids] or [f for f in self.world.fleets.values() if f["Type"] != "instant"]
        shapes = [f | {"Tags": tag_list(self.world, f["FleetId"])} for f in found]
        shapes = filters.apply(shapes, args.get("Filters", []), FILTERS)
        page, token = filters.page(shapes, args)
        return ActionResult({"Fleets": page, "NextToken": token})

    def _fleet(self, fleet_id: str) -> dict[str, Any]:
        """Source: [ERR] InvalidFleetId.NotFound."""
        rules.well_formed("fleet", fleet_id)
        if fleet_id not in self.world.fleets:
            raise Refusal("InvalidFleetId.NotFound", f"The fleet ID '{fleet_id}' does not exist")
        return self.world.fleets[fleet_id]

    def _members(self, fleet_id: str) -> list[Record]:
        return [r for r in self.world.records.values() if r.fleet_id == fleet_id and not r.ended]

    def _refresh(self) -> None:
        """A fleet under deletion is `deleted` once its last instance is gone."""
        for fleet_id, fleet in self.world.fleets.items():
            if fleet["FleetState"].startswith("deleted_") and not self._members(fleet_id):
                fleet["FleetState"] = "deleted"

    def describe_fleet_instances(self) -> ActionResult:
        """EC2 API DescribeFleetInstances; not for instant fleets."""
        fleet = self._fleet(self.args.get("FleetId", ""))
        if fleet["Type"] == "instant":
            raise Refusal("Unsupported", "Fleets of type instant are not supported by this operation.")
        active = [
            {
                "InstanceId": r.instance.id,
                "InstanceType": r.instance.instance_type,
                "InstanceHealth": "healthy",
                "SpotInstanceRequestId": r.spot_request_id or None,
            }
            for r in self._members(fleet["FleetId"])
        ]
        return ActionResult({"FleetId": fleet["FleetId"], "ActiveInstances": active})

    def delete_fleets(self) -> ActionResult:
        """EC2 API DeleteFleets; an instant fleet takes its instances with it."""
        args = self.args
        terminate = args.get("TerminateInstances")
        known = [self.world.fleets[i] for i in args.get("FleetIds", []) if i in self.world.fleets]
        if terminate is None:
            raise Refusal("MissingParameter", "The request must contain the parameter TerminateInstances")
        if not terminate and any(f["Type"] == "instant" for f in known):
            raise Refusal(
                "NoTerminateInstancesNotSupported",
                "NoTerminateInstances option is not supported for instant fleet",
            )
        self.dry_run()
        good, bad = [], []
        for fleet_id in args.get("FleetIds", []):
            error = self._undeletable(fleet_id)
            if error:
                bad.append({"FleetId": fleet_id, "Error": error})
            else:
                good.append(self._delete(fleet_id, bool(terminate)))
        return ActionResult({"SuccessfulFleetDeletions": good, "UnsuccessfulFleetDeletions": bad})

    def _undeletable(self, fleet_id: str) -> dict[str, str] | None:
        """Source: EC2 API DeleteFleetErrorCode."""
        try:
            fleet = self._fleet(fleet_id)
        except Refusal as err:
            code = "fleetIdMalformed" if err.code.endswith("Malformed") else "fleetIdDoesNotExist"
            return {"Code": code, "Message": err.message}
        if fleet["FleetState"] != "active":
            return {"Code": "fleetNotInDeletableState", "Message": f"Fleet {fleet_id} is not in a deletable state."}
        return None

    def _delete(self, fleet_id: str, terminate: bool) -> dict[str, str]:
        fleet = self.world.fleets[fleet_id]
        before = fleet["FleetState"]
        fleet["FleetState"] = "deleted_terminating" if terminate else "deleted_running"
        if terminate:
            for record in self._members(fleet_id):
                cloud.terminate(self.world, record, cloud.USER, cloud.stamp("User initiated"))
        return {"FleetId": fleet_id, "PreviousFleetState": before, "CurrentFleetState": fleet["FleetState"]}


def _launched(tried: list[Pool]) -> list[dict[str, Any]]:
    """EC2 API CreateFleetInstance."""
    return [
        {
            "LaunchTemplateAndOverrides": p.reference(),
            "Lifecycle": p.market,
            "InstanceIds": [r.instance.id for r in p.records],
            "InstanceType": p.records[0].instance.instance_type,
        }
        for p in tried
        if p.records
    ]


def _errors(tried: list[Pool]) -> list[dict[str, Any]]:
    """EC2 API CreateFleetError."""
    return [
        {
            "LaunchTemplateAndOverrides": p.reference(),
            "Lifecycle": p.market,
            "ErrorCode": p.error[0],
            "ErrorMessage": p.error[1],
        }
        for p in tried
        if p.error
    ]
