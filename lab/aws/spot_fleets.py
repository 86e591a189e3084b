"""Spot Fleet (legacy): RequestSpotFleet and its family, over the same fleets as EC2 Fleet.

What is asked for is translated into CreateFleet's words once; answers are in Spot Fleet's words again. Launch
specifications stay what they are and become pools of their own (`fleet.pools`).
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any
from urllib.parse import unquote

from moto.core.responses import ActionResult
from moto.iam.models import iam_backends

from lab.aws import filters, fleets, launches, tokens
from lab.aws.errors import Refusal
from lab.aws.fleet import checks, model
from lab.aws.fleet.model import Fleet
from lab.aws.fleet.pools import pools
from lab.aws.instances import tag_list
from lab.aws.response import LabResponse
from lab.aws.world import World

MOST_CANCELLED = 100  # Source: EC2 API CancelSpotFleetRequests
SPOT_FLEET = "spotfleet.amazonaws.com"
ROLE = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):role/(?:[\w+=,.@/-]+/)?([\w+=,.@-]{1,64})\Z")
ID = re.compile(r"sfr-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
# Words of RequestSpotFleet -> of CreateFleet. Source: EC2 API AllocationStrategy, SpotAllocationStrategy and others.
STRATEGIES = {
    "lowestPrice": "lowest-price",
    "diversified": "diversified",
    "capacityOptimized": "capacity-optimized",
    "capacityOptimizedPrioritized": "capacity-optimized-prioritized",
    "priceCapacityOptimized": "price-capacity-optimized",
}
ON_DEMAND_STRATEGIES = {"lowestPrice": "lowest-price", "prioritized": "prioritized"}
POLICIES = {"default": "termination", "noTermination": "no-termination"}
EVENT_TYPES = ("instanceChange", "fleetRequestChange", "error", "information")
SAME = ("Type", "ValidFrom", "ValidUntil", "ReplaceUnhealthyInstances", "TerminateInstancesWithExpiration")
SPECIFIED = ("LaunchSpecifications", "LaunchTemplateConfigs")


def bad(what: str) -> Refusal:
    """Source: [ERR] InvalidSpotFleetRequestConfig; the beginning of the text [OBS]."""
    return Refusal("InvalidSpotFleetRequestConfig", f"Parameter: SpotFleetRequestConfig.{what}")


def check(world: World, config: dict[str, Any]) -> None:
    """What RequestSpotFleet refuses as a whole. Source: EC2 API SpotFleetRequestConfigData."""
    kind = config.get("Type") or "maintain"
    role(world, config.get("IamFleetRole"))
    if config.get("TargetCapacity") is None:
        raise bad("TargetCapacity is missing.")
    if kind not in ("request", "maintain"):
        raise bad(f"Type is invalid: {kind}")
    given = [name for name in SPECIFIED if config.get(name)]
    if len(given) != 1:
        raise bad("LaunchSpecifications or LaunchTemplateConfigs must be specified, and not both.")
    _words(config)
    _templates_only(config, given[0])
    if config.get("InstancePoolsToUseCount") and config.get("AllocationStrategy") not in (None, "lowestPrice"):
        raise bad("InstancePoolsToUseCount needs the lowestPrice allocation strategy.")
    for name in ("SpotPrice", "SpotMaxTotalPrice", "OnDemandMaxTotalPrice"):
        checks.price(name, config.get(name))
    _tags(config)
    for one in config.get("LaunchSpecifications") or []:
        _specification(one)


def role(world: World, arn: str | None) -> None:
    """An ARN of a role that exists in this account. Source: [OBS] "Parameter: ….IamFleetRole is invalid."."""
    found = ROLE.match(arn or "")
    known = iam_backends[world.config.account_id]["aws"].roles.values()
    if not found or found[1] != world.config.account_id or all(r.name != found[2] for r in known):
        raise bad("IamFleetRole is invalid.")


def role_error(world: World, arn: str) -> str:
    """Why Spot Fleet may not use the role; "" when it may. Source: EC2 User Guide, Spot Fleet prerequisites."""
    name = arn.rsplit("/", 1)[-1]
    found = next(r for r in iam_backends[world.config.account_id]["aws"].roles.values() if r.name == name)
    policy = found.assume_role_policy_document
    text = policy if isinstance(policy, str) else json.dumps(policy)
    if SPOT_FLEET in unquote(text or ""):
        return ""
    return f"The role {arn} cannot be assumed: its trust policy does not name {SPOT_FLEET}."


def _words(config: dict[str, Any]) -> None:
    for name, known in (
        ("AllocationStrategy", STRATEGIES),
        ("OnDemandAllocationStrategy", ON_DEMAND_STRATEGIES),
        ("ExcessCapacityTerminationPolicy", POLICIES),
    ):
        if config.get(name) and config[name] not in known:
            raise bad(f"{name} is invalid: {config[name]}")


def _templates_only(config: dict[str, Any], given: str) -> None:
    """On-Demand capacity and priorities need launch templates. Source: EC2 API SpotFleetRequestConfigData."""
    if given == "LaunchTemplateConfigs":
        return
    if config.get("OnDemandTargetCapacity"):
        raise bad("OnDemandTargetCapacity needs LaunchTemplateConfigs.")
    if config.get("AllocationStrategy") == "capacityOptimizedPrioritized":
        raise bad("AllocationStrategy capacityOptimizedPrioritized needs LaunchTemplateConfigs.")


def _tags(config: dict[str, Any]) -> None:
    """Source: EC2 API SpotFleetRequestConfigData, TagSpecifications."""
    for item in config.get("TagSpecifications", []):
        if item.get("ResourceType") != "spot-fleet-request":
            raise bad(f"TagSpecifications: '{item.get('ResourceType')}' is not spot-fleet-request.")


def _specification(one: dict[str, Any]) -> None:
    """Source: EC2 API SpotFleetLaunchSpecification."""
    if one.get("InstanceType") and one.get("InstanceRequirements"):
        raise bad("LaunchSpecifications: InstanceType or InstanceRequirements, not both.")
    if one.get("NetworkInterfaces") and (one.get("SecurityGroups") or one.get("SubnetId")):
        raise bad("LaunchSpecifications: SecurityGroups and SubnetId belong into NetworkInterfaces.")
    for item in one.get("TagSpecifications", []):
        if item.get("ResourceType") != "instance":
            raise bad(f"LaunchSpecifications.TagSpecifications: '{item.get('ResourceType')}' is not instance.")


def translate(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration in CreateFleet's words."""
    spot = {
        "AllocationStrategy": STRATEGIES[config.get("AllocationStrategy") or "lowestPrice"],
        "InstanceInterruptionBehavior": config.get("InstanceInterruptionBehavior"),
        "InstancePoolsToUseCount": config.get("InstancePoolsToUseCount"),
        "MaintenanceStrategies": config.get("SpotMaintenanceStrategies"),
        "MaxTotalPrice": config.get("SpotMaxTotalPrice"),
    }
    on_demand = {
        "AllocationStrategy": ON_DEMAND_STRATEGIES[config.get("OnDemandAllocationStrategy") or "lowestPrice"],
        "MaxTotalPrice": config.get("OnDemandMaxTotalPrice"),
    }
    args = {
        **{name: config.get(name) for name in SAME},
        "ExcessCapacityTerminationPolicy": POLICIES[config.get("ExcessCapacityTerminationPolicy") or "default"],
        "SpotOptions": _said(spot),
        "OnDemandOptions": _said(on_demand),
        "TargetCapacitySpecification": target(
            int(config["TargetCapacity"]), config.get("OnDemandTargetCapacity"), config.get("TargetCapacityUnitType")
        ),
        "LaunchTemplateConfigs": configs(config.get("LaunchTemplateConfigs") or [], config.get("SpotPrice")),
        "LaunchSpecifications": [
            {"SpotPrice": config.get("SpotPrice"), **s} for s in config.get("LaunchSpecifications") or []
        ],
    }
    return _said(args)


def _said(given: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in given.items() if v is not None}


def target(total: int, on_demand: int | None, unit: str | None) -> dict[str, Any]:
    """TargetCapacitySpecification: what is not On-Demand is Spot. Source: EC2 API RequestSpotFleet."""
    return _said(
        {
            "TotalTargetCapacity": total,
            "OnDemandTargetCapacity": on_demand,
            "DefaultTargetCapacityType": "spot",
            "TargetCapacityUnitType": unit,
        }
    )


def configs(given: list[dict[str, Any]], price: str | None) -> list[dict[str, Any]]:
    """LaunchTemplateConfigs with CreateFleet's names; the request's price is every override's."""

    def override(one: dict[str, Any]) -> dict[str, Any]:
        kept = {k: v for k, v in one.items() if k != "SpotPrice"}
        asked = one.get("SpotPrice") or price
        return {**kept, "MaxPrice": asked} if asked else kept

    return [
        {
            "LaunchTemplateSpecification": c.get("LaunchTemplateSpecification", {}),
            "Overrides": [override(o) for o in c.get("Overrides") or [{}]],
        }
        for c in given
    ]


def describe(world: World, fleet: Fleet) -> dict[str, Any]:
    """EC2 API SpotFleetRequestConfig."""
    got = model.fulfilled(world, fleet)
    spec = fleet.args["TargetCapacitySpecification"]
    config = {
        "AllocationStrategy": "lowestPrice",
        "OnDemandAllocationStrategy": "lowestPrice",
        "ExcessCapacityTerminationPolicy": "default",
        "InstanceInterruptionBehavior": "terminate",
        "ReplaceUnhealthyInstances": False,
        "TerminateInstancesWithExpiration": False,
        "Type": fleet.type,
        **fleet.asked,
        "TargetCapacity": spec["TotalTargetCapacity"],
        "OnDemandTargetCapacity": spec.get("OnDemandTargetCapacity") or 0,
        "FulfilledCapacity": sum(got.values()),
        "OnDemandFulfilledCapacity": got["on-demand"],
    }
    return {
        "SpotFleetRequestId": fleet.id,
        "SpotFleetRequestState": fleet.shown_state,
        "ActivityStatus": model.activity(world, fleet),
        "CreateTime": fleet.created,
        "SpotFleetRequestConfig": config,
        "Tags": tag_list(world, fleet.id),
    }


class SpotFleets(LabResponse):
    """Actions on Spot Fleet requests."""

    def request_spot_fleet(self) -> ActionResult:
        """EC2 API RequestSpotFleet."""
        config = self.args.get("SpotFleetRequestConfig") or {}
        check(self.world, config)
        key = ("RequestSpotFleet", "", config.get("ClientToken") or "")
        parameters = {k: v for k, v in config.items() if k != "ClientToken"}
        earlier = tokens.known(self.world, key, parameters)
        if earlier is not None:
            return ActionResult(earlier)
        fleet = self._new(config)
        self.dry_run()
        self.world.backend.create_tags(
            [fleet.id], launches.tag_map(config.get("TagSpecifications")).get("spot-fleet-request", {})
        )
        self.world.fleets[fleet.id] = fleet
        fleet.become("submitted")
        self.world.keeper.start()
        answer = {"SpotFleetRequestId": fleet.id}
        tokens.remember(self.world, key, parameters, answer)
        return ActionResult(answer)

    def _new(self, config: dict[str, Any]) -> Fleet:
        """What CreateFleet would refuse is refused in Spot Fleet's words."""
        fleets.limit(self.world)
        args = translate(config)
        try:
            checks.create(args)
            for market in model.MARKETS:
                pools(self.world, args, market)
        except Refusal as err:
            raise Refusal("InvalidSpotFleetRequestConfig", f"{err.message} ({err.code})") from err
        fleet = Fleet(f"sfr-{uuid.uuid4()}", config.get("Type") or "maintain", args, config)
        fleet.role_error = role_error(self.world, config["IamFleetRole"])
        return fleet

    def _spot_fleet(self, fleet_id: str) -> Fleet:
        """Source: [ERR] InvalidSpotFleetRequestId.NotFound, .Malformed."""
        if not ID.match(fleet_id):
            raise Refusal("InvalidSpotFleetRequestId.Malformed", f"The Spot Fleet request ID '{fleet_id}' is malformed")
        if fleet_id not in self.world.fleets:
            raise Refusal(
                "InvalidSpotFleetRequestId.NotFound", f"The Spot Fleet request ID '{fleet_id}' does not exist"
            )
        found: Fleet = self.world.fleets[fleet_id]
        return found

    def describe_spot_fleet_requests(self) -> ActionResult:
        """EC2 API DescribeSpotFleetRequests."""
        args = self.args
        found = [self._spot_fleet(i) for i in args.get("SpotFleetRequestIds") or []]
        found = found or [f for f in self.world.fleets.values() if f.is_spot_fleet]
        page, token = filters.page([describe(self.world, f) for f in found], args)
        return ActionResult({"SpotFleetRequestConfigs": page, "NextToken": token})

    def describe_spot_fleet_instances(self) -> ActionResult:
        """EC2 API DescribeSpotFleetInstances."""
        args = self.args
        fleet = self._spot_fleet(args.get("SpotFleetRequestId", ""))
        page, token = filters.page(fleets.active_instances(self.world, fleet), args)
        return ActionResult({"SpotFleetRequestId": fleet.id, "ActiveInstances": page, "NextToken": token})

    def describe_spot_fleet_request_history(self) -> ActionResult:
        """EC2 API DescribeSpotFleetRequestHistory."""
        args = self.args
        fleet = self._spot_fleet(args.get("SpotFleetRequestId", ""))
        kind = args.get("EventType")
        if kind and kind not in EVENT_TYPES:
            raise Refusal("InvalidParameterValue", f"Invalid value '{kind}' for EventType.")
        return ActionResult({"SpotFleetRequestId": fleet.id, **fleets.events(fleet, args, kind)})

    def modify_spot_fleet_request(self) -> ActionResult:
        """EC2 API ModifySpotFleetRequest; what is not said stays."""
        args = self.args
        fleet = self._spot_fleet(args.get("SpotFleetRequestId", ""))
        fleets.modifiable(fleet)
        _words(args)
        if args.get("OnDemandTargetCapacity") or args.get("LaunchTemplateConfigs"):
            _modified_templates(fleet)
        changed: dict[str, Any] = {"TargetCapacitySpecification": _retarget(fleet, args)}
        if args.get("ExcessCapacityTerminationPolicy"):
            changed["ExcessCapacityTerminationPolicy"] = POLICIES[args["ExcessCapacityTerminationPolicy"]]
        if args.get("LaunchTemplateConfigs"):
            changed["LaunchTemplateConfigs"] = configs(args["LaunchTemplateConfigs"], fleet.asked.get("SpotPrice"))
        fleets.modify(self.world, fleet, changed, self.dry_run)
        shown = ("ExcessCapacityTerminationPolicy", "LaunchTemplateConfigs")
        fleet.asked = fleet.asked | {k: args[k] for k in shown if args.get(k)}
        return ActionResult({"Return": True})

    def cancel_spot_fleet_requests(self) -> ActionResult:
        """EC2 API CancelSpotFleetRequests; an error for each request that cannot be cancelled."""
        args = self.args
        ids, terminate = args.get("SpotFleetRequestIds") or [], args.get("TerminateInstances")
        if not ids or terminate is None:
            name = "TerminateInstances" if ids else "SpotFleetRequestIds"
            raise Refusal("MissingParameter", f"The request must contain the parameter {name}")
        if len(ids) > MOST_CANCELLED:
            raise Refusal("RequestResourceCountExceeded", f"At most {MOST_CANCELLED} requests can be cancelled.")
        self.dry_run()
        good, failed = [], []
        for fleet_id in ids:
            error = self._uncancellable(fleet_id)
            if error:
                failed.append({"SpotFleetRequestId": fleet_id, "Error": error})
                continue
            before, after = fleets.delete(self.world, self.world.fleets[fleet_id], bool(terminate))
            states = {"PreviousSpotFleetRequestState": before, "CurrentSpotFleetRequestState": after}
            good.append({"SpotFleetRequestId": fleet_id, **states})
        return ActionResult({"SuccessfulFleetRequests": good, "UnsuccessfulFleetRequests": failed})

    def _uncancellable(self, fleet_id: str) -> dict[str, str] | None:
        """Source: EC2 API CancelBatchErrorCode."""
        try:
            fleet = self._spot_fleet(fleet_id)
        except Refusal as err:
            code = "fleetRequestIdMalformed" if err.code.endswith("Malformed") else "fleetRequestIdDoesNotExist"
            return {"Code": code, "Message": err.message}
        if fleet.state.startswith("deleted"):
            return {
                "Code": "fleetRequestNotInCancellableState",
                "Message": f"The Spot Fleet request {fleet_id} is {fleet.shown_state} and cannot be cancelled.",
            }
        return None


def _modified_templates(fleet: Fleet) -> None:
    """Source: EC2 API ModifySpotFleetRequest, LaunchTemplateConfigs."""
    if not fleet.asked.get("LaunchTemplateConfigs"):
        raise bad("LaunchTemplateConfigs: the request was made with LaunchSpecifications.")


def _retarget(fleet: Fleet, args: dict[str, Any]) -> dict[str, Any]:
    known = fleet.args["TargetCapacitySpecification"]
    total, on_demand = args.get("TargetCapacity"), args.get("OnDemandTargetCapacity")
    return target(
        int(known["TotalTargetCapacity"] if total is None else total),
        known.get("OnDemandTargetCapacity") if on_demand is None else on_demand,
        known.get("TargetCapacityUnitType"),
    )
