"""EC2 Fleets: CreateFleet, ModifyFleet, DeleteFleets and what describes them.

An instant fleet answers once, with what it got and one error per pool it could not use, in a 200 answer. The other
types are entered as `submitted`; `fleet.keeper` does the rest. `on_rebalance` is for whoever recommends to rebalance.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.utils import random_fleet_id

from lab.aws import filters, launches, rules, tokens
from lab.aws.catalog import utc
from lab.aws.errors import Refusal
from lab.aws.fleet import checks, keeper, model, rebalance
from lab.aws.fleet.fill import Wish, fill
from lab.aws.fleet.model import Fleet
from lab.aws.fleet.pools import Pool, pools
from lab.aws.instances import tag_list
from lab.aws.response import LabResponse
from lab.aws.world import Record, World, now

MOST_FLEETS = 1000  # Source: EC2 User Guide, fleet quotas: active fleets of type request and maintain
MOST_DELETED = {"instant": 25, "other": 100, "all": 125}  # Source: EC2 API DeleteFleets
# EventType of DescribeFleetHistory's request -> of its answer. Source: EC2 API, and the answers in AWS's own examples.
EVENT_TYPES = {"instance-change": "instanceChange", "fleet-change": "fleetRequestChange", "service-error": "error"}


def _both(key: str) -> filters.Getter:
    """Filters are documented with hyphens, answers have underscores. Source: EC2 API DescribeFleets."""
    return lambda item: [item[key], str(item[key]).replace("_", "-")]


FILTERS = filters.table(
    {
        "excess-capacity-termination-policy": "ExcessCapacityTerminationPolicy",
        "replace-unhealthy-instances": "ReplaceUnhealthyInstances",
        "type": "Type",
    }
) | {"activity-status": _both("ActivityStatus"), "fleet-state": _both("FleetState")}
MEMBER_FILTERS = filters.table({"instance-type": "InstanceType"})


def on_rebalance(world: World, instance_id: str) -> bool:
    """EC2 recommends to rebalance an instance; its fleet replaces it when it has a strategy for that.

    Returns:
        whether a fleet does something about it.
    """
    known = rebalance.recommended(world, instance_id)
    if known:
        world.keeper.start()
    return known


def active_instances(world: World, fleet: Fleet) -> list[dict[str, Any]]:
    """EC2 API ActiveInstance."""
    return [
        {
            "InstanceId": r.instance.id,
            "InstanceType": r.instance.instance_type,
            "InstanceHealth": "unhealthy" if r.impaired else "healthy",
            "SpotInstanceRequestId": r.spot_request_id or None,
        }
        for r in model.living(world, fleet)
    ]


def events(fleet: Fleet, args: dict[str, Any], kind: str | None) -> dict[str, Any]:
    """The answer of both Describe…History calls: events from StartTime on, one page."""
    start = utc(args.get("StartTime"))
    if start is None:
        raise Refusal("MissingParameter", "The request must contain the parameter StartTime")
    found = [e for e in fleet.history if e["Timestamp"] >= start and kind in (None, e["EventType"])]
    page, token = filters.page(found, args)
    last = {"NextToken": token} if token else {"LastEvaluatedTime": now()}
    return {"HistoryRecords": page, "StartTime": start, **last}


def describe(world: World, fleet: Fleet) -> dict[str, Any]:
    """EC2 API FleetData."""
    args, got = fleet.args, model.fulfilled(world, fleet)
    shape = {
        "FleetId": fleet.id,
        "Type": fleet.type,
        "FleetState": fleet.state,
        "ActivityStatus": model.activity(world, fleet),
        "CreateTime": fleet.created,
        "ClientToken": args.get("ClientToken"),
        "FulfilledCapacity": sum(got.values()),
        "FulfilledOnDemandCapacity": got["on-demand"],
        "ExcessCapacityTerminationPolicy": args.get("ExcessCapacityTerminationPolicy") or "termination",
        "ReplaceUnhealthyInstances": bool(args.get("ReplaceUnhealthyInstances")),
        "TerminateInstancesWithExpiration": bool(args.get("TerminateInstancesWithExpiration")),
        "ValidFrom": args.get("ValidFrom"),
        "ValidUntil": args.get("ValidUntil"),
        "LaunchTemplateConfigs": args["LaunchTemplateConfigs"],
        "TargetCapacitySpecification": args["TargetCapacitySpecification"],
        "SpotOptions": _options(args.get("SpotOptions", {}), {"InstanceInterruptionBehavior": "terminate"}),
        "OnDemandOptions": _options(args.get("OnDemandOptions", {}), {}),
        "Instances": fleet.instances,
        "Errors": fleet.errors,
        "Tags": tag_list(world, fleet.id),
    }
    return {k: v for k, v in shape.items() if v is not None}


def _options(given: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The lowest-price strategy is answered as lowestPrice, the others as they were asked for. Source: [OBS]."""
    shape = {**defaults, **given}
    if shape.get("AllocationStrategy") in (None, "lowest-price"):
        shape["AllocationStrategy"] = "lowestPrice"
    return shape


class Fleets(LabResponse):
    """Actions on EC2 Fleets."""

    def create_fleet(self) -> ActionResult:
        """EC2 API CreateFleet."""
        args = self.args
        checks.create(args)
        key = ("CreateFleet", "", args.get("ClientToken") or "")
        earlier = tokens.known(self.world, key, args)
        if earlier is not None:
            return ActionResult(earlier)
        fleet = Fleet(random_fleet_id(), args.get("Type") or "maintain", args, args)
        prepared = self._pools(fleet)
        self.dry_run()
        self._enter(fleet)
        answer: dict[str, Any] = {"FleetId": fleet.id}
        records: list[Record] = []
        if fleet.type == "instant":
            records = self._instant(fleet, prepared)
            answer |= {"Instances": fleet.instances, "Errors": fleet.errors}
        tokens.remember(self.world, key, args, answer)
        launches.start(self.world, records)
        return ActionResult(answer)

    def _pools(self, fleet: Fleet) -> dict[str, list[Pool]]:
        """Market -> pools; what is wrong with templates and overrides refuses the call."""
        return {m: pools(self.world, fleet.args, m) for m, units in fleet.target.items() if units > 0}

    def _enter(self, fleet: Fleet) -> None:
        if fleet.type != "instant":
            limit(self.world)
        tags = launches.tag_map(fleet.args.get("TagSpecifications")).get("fleet", {})
        self.world.backend.create_tags([fleet.id], tags)
        self.world.fleets[fleet.id] = fleet
        if fleet.type == "instant":
            fleet.state = "active"
        else:
            fleet.become("submitted")
            self.world.keeper.start()

    def _instant(self, fleet: Fleet, prepared: dict[str, list[Pool]]) -> list[Record]:
        tried: list[Pool] = []
        for market, units in fleet.target.items():
            if units > 0:
                options = fleet.options(market)
                budget = float(options.get("MaxTotalPrice") or "inf")
                fill(self.world, prepared[market], Wish(units, options, fleet.id, budget))
                tried += prepared[market]
        fleet.weights = {r.instance.id: p.weight for p in tried for r in p.records}
        fleet.instances, fleet.errors = _launched(tried), _errors(tried)
        return [r for p in tried for r in p.records]

    def describe_fleets(self) -> ActionResult:
        """EC2 API DescribeFleets; instant fleets only when asked for by id."""
        args = self.args
        found = [self._fleet(i) for i in args.get("FleetIds") or []]
        if not found:
            found = [f for f in self.world.fleets.values() if f.type != "instant" and not f.is_spot_fleet]
        shapes = filters.apply([describe(self.world, f) for f in found], args.get("Filters", []), FILTERS)
        page, token = filters.page(shapes, args)
        return ActionResult({"Fleets": page, "NextToken": token})

    def _fleet(self, fleet_id: str) -> Fleet:
        """Source: [ERR] InvalidFleetId.NotFound."""
        rules.well_formed("fleet", fleet_id)
        if fleet_id not in self.world.fleets:
            raise Refusal("InvalidFleetId.NotFound", f"The fleet ID '{fleet_id}' does not exist")
        found: Fleet = self.world.fleets[fleet_id]
        return found

    def describe_fleet_instances(self) -> ActionResult:
        """EC2 API DescribeFleetInstances; not for instant fleets."""
        args = self.args
        fleet = self._fleet(args.get("FleetId", ""))
        if fleet.type == "instant":
            raise Refusal("Unsupported", "Fleets of type instant are not supported by this operation.")
        shapes = filters.apply(active_instances(self.world, fleet), args.get("Filters", []), MEMBER_FILTERS)
        page, token = filters.page(shapes, args)
        return ActionResult({"FleetId": fleet.id, "ActiveInstances": page, "NextToken": token})

    def describe_fleet_history(self) -> ActionResult:
        """EC2 API DescribeFleetHistory."""
        args = self.args
        fleet = self._fleet(args.get("FleetId", ""))
        kind = args.get("EventType")
        if kind and kind not in EVENT_TYPES:
            raise Refusal("InvalidParameterValue", f"Invalid value '{kind}' for EventType.")
        found = events(fleet, args, EVENT_TYPES[kind] if kind else None)
        return ActionResult({"FleetId": fleet.id, **found})

    def modify_fleet(self) -> ActionResult:
        """EC2 API ModifyFleet: another target, policy or other templates for a fleet of type maintain."""
        args = self.args
        fleet = self._fleet(args.get("FleetId", ""))
        modifiable(fleet)
        changed = {
            k: args[k]
            for k in ("TargetCapacitySpecification", "ExcessCapacityTerminationPolicy", "LaunchTemplateConfigs")
            if args.get(k)
        }
        if not changed:
            raise Refusal("MissingParameter", "The request must contain something to modify.")
        if "TargetCapacitySpecification" in changed:
            known = fleet.args["TargetCapacitySpecification"]
            kept = {k: known[k] for k in ("DefaultTargetCapacityType", "TargetCapacityUnitType") if known.get(k)}
            changed["TargetCapacitySpecification"] = kept | changed["TargetCapacitySpecification"]
        modify(self.world, fleet, changed, self.dry_run)
        return ActionResult({"Return": True})

    def delete_fleets(self) -> ActionResult:
        """EC2 API DeleteFleets; an instant fleet takes its instances with it."""
        args = self.args
        ids, terminate = args.get("FleetIds") or [], args.get("TerminateInstances")
        known = [self.world.fleets[i] for i in ids if i in self.world.fleets]
        if terminate is None:
            raise Refusal("MissingParameter", "The request must contain the parameter TerminateInstances")
        _not_too_many(ids, known)
        if not terminate and any(f.type == "instant" for f in known):
            raise Refusal(
                "NoTerminateInstancesNotSupported",
                "NoTerminateInstances option is not supported for instant fleet",
            )
        self.dry_run()
        good, bad = [], []
        for fleet_id in ids:
            error = self._undeletable(fleet_id)
            if error:
                bad.append({"FleetId": fleet_id, "Error": error})
            else:
                before, after = delete(self.world, self.world.fleets[fleet_id], bool(terminate))
                good.append({"FleetId": fleet_id, "PreviousFleetState": before, "CurrentFleetState": after})
        return ActionResult({"SuccessfulFleetDeletions": good, "UnsuccessfulFleetDeletions": bad})

    def _undeletable(self, fleet_id: str) -> dict[str, str] | None:
        """Source: EC2 API DeleteFleetErrorCode."""
        try:
            fleet = self._fleet(fleet_id)
        except Refusal as err:
            code = "fleetIdMalformed" if err.code.endswith("Malformed") else "fleetIdDoesNotExist"
            return {"Code": code, "Message": err.message}
        if fleet.state.startswith("deleted"):
            return {"Code": "fleetNotInDeletableState", "Message": f"Fleet {fleet_id} is not in a deletable state."}
        return None


def limit(world: World) -> None:
    """Source: EC2 User Guide, fleet quotas; [ERR] MaxSpotFleetRequestCountExceeded."""
    running = [f for f in world.fleets.values() if f.type != "instant" and not f.state.startswith("deleted")]
    if len(running) >= MOST_FLEETS:
        raise Refusal("MaxSpotFleetRequestCountExceeded", f"You have {len(running)} active fleets.")


def _not_too_many(ids: list[str], known: list[Fleet]) -> None:
    """Source: EC2 API DeleteFleets: beyond the limits no fleet is deleted; the code is the one for Spot requests."""
    instant = sum(f.type == "instant" for f in known)
    counts = {"instant": instant, "other": len(known) - instant, "all": len(ids)}
    for kind, count in counts.items():
        if count > MOST_DELETED[kind]:
            raise Refusal(
                "RequestResourceCountExceeded", f"At most {MOST_DELETED[kind]} fleets can be deleted ({kind})."
            )


def modifiable(fleet: Fleet) -> None:
    """Only active fleets of type maintain. Source: [ERR] FleetNotInModifiableState; the text [OBS]."""
    if fleet.type != "maintain":
        raise Refusal("FleetNotInModifiableState", f"Fleet Request: {fleet.id} is not a modifiable fleet request type.")
    if fleet.state != "active":
        raise Refusal(
            "FleetNotInModifiableState",
            f"Fleet Request: {fleet.id} is in the state {fleet.shown_state} and cannot be modified.",
        )


def modify(world: World, fleet: Fleet, changed: dict[str, Any], dry_run: Any) -> None:
    """Take over parameters in CreateFleet's words; the fleet is `modifying` until the keeper has looked at it."""
    args = {**fleet.args, **changed}
    checks.create({**args, "ValidFrom": None, "ValidUntil": None})
    for market in model.MARKETS:
        pools(world, args, market)
    dry_run()
    fleet.args = args
    fleet.state = "modifying"
    fleet.note("fleetRequestChange", "modify_in_progress")
    world.keeper.start()


def delete(world: World, fleet: Fleet, terminate: bool) -> tuple[str, str]:
    """End a fleet; the states before and after."""
    before = fleet.shown_state
    keeper.end(world, fleet, terminate)
    world.keeper.start()
    return before, fleet.shown_state


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
