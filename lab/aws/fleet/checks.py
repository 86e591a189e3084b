"""What CreateFleet and ModifyFleet refuse as a whole, one function a subject."""

from __future__ import annotations

from typing import Any

from lab.aws.catalog import utc
from lab.aws.errors import Refusal
from lab.aws.fleet import requirements
from lab.aws.world import now

KINDS = ("instant", "request", "maintain")
STRATEGIES = (
    "lowest-price",
    "diversified",
    "capacity-optimized",
    "capacity-optimized-prioritized",
    "price-capacity-optimized",
)
POLICIES = ("termination", "no-termination")
BEHAVIORS = ("terminate", "stop", "hibernate")
INSTANT_ONLY = ("BlockDeviceMappings", "ImageId", "KeyName", "IamInstanceProfile", "MetadataOptions")
MOST_UNITS = 10000  # Source: EC2 User Guide, fleet quotas
MOST_CONFIGS = 50  # Source: EC2 API CreateFleet, LaunchTemplateConfigs
MOST_OVERRIDES = 300  # Source: EC2 API FleetLaunchTemplateConfigRequest; not for instant
MOST_REQUIREMENTS = 4  # Source: [OBS] "maximum allowed number of InstanceRequirements (4)"
SHORTEST_DELAY, LONGEST_DELAY = 120, 7200  # Source: EC2 API FleetSpotCapacityRebalanceRequest, TerminationDelay


def create(args: dict[str, Any]) -> None:
    """Source: EC2 API CreateFleet, SpotOptionsRequest."""
    kind = args.get("Type") or "maintain"
    if kind not in KINDS:
        raise Refusal("InvalidParameterValue", f"The value '{kind}' is not valid for the parameter Type.")
    if not args.get("LaunchTemplateConfigs") and not args.get("LaunchSpecifications"):
        raise Refusal("MissingParameter", "The request must contain the parameter LaunchTemplateConfigs")
    target(kind, args.get("TargetCapacitySpecification", {}))
    configs(kind, args.get("LaunchTemplateConfigs", []), args.get("TargetCapacitySpecification", {}))
    _tags(kind, args)
    for name in ("SpotOptions", "OnDemandOptions"):
        _options(name, kind, args.get(name, {}))
    _behavior(kind, args.get("SpotOptions", {}))
    _rebalance(kind, args.get("SpotOptions", {}))
    _maintain_only(kind, args)
    _times(args)


def target(kind: str, wanted: dict[str, Any]) -> None:
    """Source: EC2 API TargetCapacitySpecificationRequest: 0 is for maintain only; [UG fleet quotas]."""
    total = int(wanted.get("TotalTargetCapacity") or 0)
    if total < 0 or (total < 1 and kind != "maintain"):
        raise Refusal("InvalidParameterValue", "TotalTargetCapacity must be at least 1.")
    if total > MOST_UNITS:
        raise Refusal("InvalidParameterValue", f"TotalTargetCapacity must not be greater than {MOST_UNITS}.")
    if int(wanted.get("SpotTargetCapacity") or 0) + int(wanted.get("OnDemandTargetCapacity") or 0) > total:
        raise Refusal(
            "InvalidParameterValue", "SpotTargetCapacity and OnDemandTargetCapacity exceed TotalTargetCapacity."
        )


def configs(kind: str, given: list[dict[str, Any]], wanted: dict[str, Any]) -> None:
    """Templates and overrides. Source: EC2 API FleetLaunchTemplateOverridesRequest."""
    overrides = [o for config in given for o in config.get("Overrides") or []]
    if len(given) > MOST_CONFIGS:
        raise Refusal("InvalidParameterValue", f"At most {MOST_CONFIGS} LaunchTemplateConfigs are allowed.")
    if kind != "instant" and len(overrides) > MOST_OVERRIDES:
        raise Refusal("InvalidParameterValue", f"At most {MOST_OVERRIDES} overrides are allowed.")
    by_attributes = [o for o in overrides if o.get("InstanceRequirements")]
    if len(by_attributes) > MOST_REQUIREMENTS:
        raise Refusal(
            "InvalidParameterValue",
            f"Your request contains more than the maximum allowed number of InstanceRequirements ({MOST_REQUIREMENTS})",
        )
    unit = wanted.get("TargetCapacityUnitType") or "units"
    if unit != "units" and not by_attributes:
        raise Refusal("InvalidParameterCombination", "TargetCapacityUnitType needs InstanceRequirements.")
    for override in overrides:
        _override(kind, override)


def _override(kind: str, override: dict[str, Any]) -> None:
    for one, other in (("InstanceType", "InstanceRequirements"), ("AvailabilityZone", "AvailabilityZoneId")):
        if override.get(one) and override.get(other):
            raise Refusal("InvalidParameterCombination", f"An override may have {one} or {other}, not both.")
    if override.get("InstanceRequirements"):
        requirements.check(override["InstanceRequirements"])
    used = [name for name in INSTANT_ONLY if override.get(name)]
    if kind != "instant" and used:
        raise Refusal("InvalidParameterCombination", f"{used[0]} in an override needs a fleet of type instant.")
    if kind == "instant" and "," in str(override.get("SubnetId") or ""):
        raise Refusal("InvalidFleetConfig", "A fleet of type instant can have only one subnet in an override.")


def _tags(kind: str, args: dict[str, Any]) -> None:
    allowed = ("fleet", "instance") if kind == "instant" else ("fleet",)
    for item in args.get("TagSpecifications", []):
        if item.get("ResourceType") not in allowed:
            raise Refusal(
                "InvalidParameterValue",
                f"'{item.get('ResourceType')}' is not a valid taggable resource type for this operation.",
            )


def _options(name: str, kind: str, options: dict[str, Any]) -> None:
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
    price(f"{name}.MaxTotalPrice", options.get("MaxTotalPrice"))


def price(name: str, value: str | None) -> None:
    """A price is a positive number of USD per hour, as text."""
    try:
        good = value in (None, "") or float(str(value)) > 0
    except ValueError:
        good = False
    if not good:
        raise Refusal("InvalidParameterValue", f"Invalid value '{value}' for {name}.")


def _behavior(kind: str, options: dict[str, Any]) -> None:
    """Source: EC2 User Guide, interruption behavior: stop and hibernate need a fleet of type maintain."""
    behavior = options.get("InstanceInterruptionBehavior") or "terminate"
    if behavior not in BEHAVIORS:
        raise Refusal("InvalidParameterValue", f"Invalid value '{behavior}' for InstanceInterruptionBehavior.")
    if behavior != "terminate" and kind != "maintain":
        raise Refusal(
            "InvalidParameterCombination", f"InstanceInterruptionBehavior {behavior} needs a fleet of type maintain."
        )


def _rebalance(kind: str, options: dict[str, Any]) -> None:
    """Source: EC2 API FleetSpotCapacityRebalanceRequest."""
    wanted = options.get("MaintenanceStrategies", {}).get("CapacityRebalance", {})
    if not wanted:
        return
    strategy, delay = wanted.get("ReplacementStrategy"), wanted.get("TerminationDelay")
    if kind != "maintain":
        raise Refusal("InvalidParameterCombination", "CapacityRebalance needs a fleet of type maintain.")
    if strategy not in ("launch", "launch-before-terminate"):
        raise Refusal("InvalidParameterValue", f"Invalid value '{strategy}' for ReplacementStrategy.")
    if (strategy == "launch") != (delay is None):
        raise Refusal(
            "InvalidParameterCombination",
            "TerminationDelay belongs to the ReplacementStrategy launch-before-terminate, which needs it.",
        )
    if delay is not None and not SHORTEST_DELAY <= int(delay) <= LONGEST_DELAY:
        raise Refusal(
            "InvalidParameterValue", f"TerminationDelay must be between {SHORTEST_DELAY} and {LONGEST_DELAY} seconds."
        )


def _maintain_only(kind: str, args: dict[str, Any]) -> None:
    """Source: EC2 API CreateFleet, ExcessCapacityTerminationPolicy, ReplaceUnhealthyInstances."""
    policy = args.get("ExcessCapacityTerminationPolicy")
    if policy and policy not in POLICIES:
        raise Refusal("InvalidParameterValue", f"Invalid value '{policy}' for ExcessCapacityTerminationPolicy.")
    if kind != "maintain" and args.get("ReplaceUnhealthyInstances"):
        raise Refusal("InvalidParameterCombination", "ReplaceUnhealthyInstances needs a fleet of type maintain.")


def _times(args: dict[str, Any]) -> None:
    """Source: EC2 API CreateFleet, ValidFrom, ValidUntil."""
    start, end = utc(args.get("ValidFrom")), utc(args.get("ValidUntil"))
    if end and end <= now():
        raise Refusal("InvalidParameterValue", "ValidUntil must be in the future.")
    if start and end and end <= start:
        raise Refusal("InvalidParameterValue", "ValidUntil must be after ValidFrom.")
