"""Spot requests: those behind Spot Instances, and the legacy RequestSpotInstances."""

from __future__ import annotations

import time
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.utils import random_spot_request_id

from lab.aws import cloud, filters, interruptions, launches, rules, tokens
from lab.aws.errors import Refusal
from lab.aws.instances import tag_list
from lab.aws.response import LabResponse
from lab.aws.world import Record, World, now

FILTERS = filters.table(
    {
        "create-time": "CreateTime",
        "fault-code": "Fault.Code",
        "fault-message": "Fault.Message",
        "instance-id": "InstanceId",
        "launch.group-id": "LaunchSpecification.SecurityGroups.GroupId",
        "launch.group-name": "LaunchSpecification.SecurityGroups.GroupName",
        "launch.image-id": "LaunchSpecification.ImageId",
        "launch.instance-type": "LaunchSpecification.InstanceType",
        "launch.key-name": "LaunchSpecification.KeyName",
        "launched-availability-zone": "LaunchedAvailabilityZone",
        "product-description": "ProductDescription",
        "spot-instance-request-id": "SpotInstanceRequestId",
        "spot-price": "SpotPrice",
        "state": "State",
        "status-code": "Status.Code",
        "status-message": "Status.Message",
        "type": "Type",
        "valid-until": "ValidUntil",
    }
)


def histories(world: World) -> list[dict[str, Any]]:
    """Every request with all its statuses, oldest first."""
    return [
        {
            "SpotInstanceRequestId": request_id,
            "InstanceId": request.get("InstanceId"),
            "State": request["State"],
            "History": request.get("__history__", [request["Status"]]),
        }
        for request_id, request in world.spot_requests.items()
    ]


class SpotRequests(LabResponse):
    """Actions on Spot requests, and what they add to actions on instances."""

    def start_instances(self) -> ActionResult:
        """EC2 API StartInstances: what AWS has stopped, only AWS starts. Source: [ERR] IncorrectSpotRequestState."""
        for instance_id in self.args.get("InstanceIds") or []:
            record = self.world.records.get(instance_id)
            request = self.world.spot_requests.get(record.spot_request_id) if record else None
            if request and interruptions.taken(request):
                raise Refusal(
                    "IncorrectSpotRequestState",
                    f"You can't start the Spot Instance '{instance_id}' because the associated Spot Instance request "
                    "is not in an appropriate state to support start.",
                )
        return super().start_instances()

    def describe_spot_instance_requests(self) -> ActionResult:
        """EC2 API DescribeSpotInstanceRequests; what waits is looked at again first."""
        args = self.args
        evaluate(self.world)
        found = [self._request(i) for i in args.get("SpotInstanceRequestIds") or []]
        found = found or list(self.world.spot_requests.values())
        shapes = [r | {"Tags": tag_list(self.world, r["SpotInstanceRequestId"])} for r in found]
        shapes = filters.apply(shapes, args.get("Filters", []), FILTERS)
        page, token = filters.page(shapes, args)
        return ActionResult({"SpotInstanceRequests": page, "NextToken": token})

    def _request(self, request_id: str) -> dict[str, Any]:
        """Source: [ERR] InvalidSpotInstanceRequestID.NotFound."""
        if request_id not in self.world.spot_requests:
            raise Refusal(
                "InvalidSpotInstanceRequestID.NotFound",
                f"The spot instance request ID '{request_id}' does not exist",
            )
        return self.world.spot_requests[request_id]

    def cancel_spot_instance_requests(self) -> ActionResult:
        """EC2 API CancelSpotInstanceRequests: the instance lives on; a stopped one is terminated. Again is no error."""
        found = [self._request(i) for i in self.args.get("SpotInstanceRequestIds") or []]
        self.dry_run()
        answers = []
        for request in found:
            before = request["State"]
            if before in ("open", "active", "disabled"):
                self._cancel(request, before)
            answers.append({"SpotInstanceRequestId": request["SpotInstanceRequestId"], "State": request["State"]})
        return ActionResult({"CancelledSpotInstanceRequests": answers})

    def _cancel(self, request: dict[str, Any], before: str) -> None:
        """Source: EC2 User Guide, spot-request-status."""
        request["State"] = "cancelled"
        record = self.world.records.get(request.get("InstanceId", ""))
        if before == "active":
            cloud.set_status(request, "request-canceled-and-instance-running")
        elif before == "open":
            cloud.set_status(request, "canceled-before-fulfillment")
        elif record:
            cloud.terminate(self.world, record, cloud.USER, cloud.stamp("User initiated"))

    def request_spot_instances(self) -> ActionResult:
        """EC2 API RequestSpotInstances (legacy): what cannot be fulfilled now waits, `open`."""
        args = self.args
        key = ("RequestSpotInstances", "", args.get("ClientToken") or "")
        earlier = tokens.known(self.world, key, args)
        if earlier is not None:
            return ActionResult({"SpotInstanceRequests": [self._request(i) for i in earlier]})
        made = [wanted(args) for _ in range(int(args.get("InstanceCount") or 1))]
        planned = holding(self.world, made[0])  # refuses the call for anything that waiting does not mend
        if isinstance(planned, launches.Plan):
            rules.quota(self.world, planned.type_name, len(made), "spot")
        self.dry_run()
        tags = launches.tag_map(args.get("TagSpecifications")).get("spot-instances-request", {})
        for request in made:
            self.world.spot_requests[request["SpotInstanceRequestId"]] = request
            self.world.backend.create_tags([request["SpotInstanceRequestId"]], tags)
            if request.get("ValidUntil"):
                cloud.later(remaining(request), expire, self.world, request)
        evaluate(self.world)
        ids = [request["SpotInstanceRequestId"] for request in made]
        tokens.remember(self.world, key, args, ids)
        return ActionResult({"SpotInstanceRequests": [self._request(i) for i in ids]})


def wanted(args: dict[str, Any]) -> dict[str, Any]:
    """A request that nobody has looked at yet, with the launch it wants. Source: EC2 API SpotInstanceRequest."""
    spec, kind = args.get("LaunchSpecification") or {}, args.get("Type") or "one-time"
    behavior = args.get("InstanceInterruptionBehavior") or "terminate"
    options = {"MaxPrice": args.get("SpotPrice"), "InstanceInterruptionBehavior": behavior, "SpotInstanceType": kind}
    if behavior == "terminate":
        options["SpotInstanceType"] = "one-time"  # persistent and terminate: allowed here, refused by RunInstances
    market = {"MarketType": "spot", "SpotOptions": {k: v for k, v in options.items() if v}}
    request = {
        "SpotInstanceRequestId": random_spot_request_id(),
        "CreateTime": now(),
        "InstanceInterruptionBehavior": behavior,
        "LaunchSpecification": {k: v for k, v in spec.items() if k not in ("UserData", "SecurityGroupIds")},
        "ProductDescription": "Linux/UNIX",
        "SpotPrice": args.get("SpotPrice"),
        "State": "open",
        "Type": kind,
        "ValidUntil": args.get("ValidUntil"),
        "__launch__": {**spec, "InstanceMarketOptions": market},
    }
    cloud.set_status(request, "pending-evaluation")
    return request


# What RunInstances refuses for good, but a Spot request waits for. Source: EC2 User Guide, spot-request-status.
HOLDING = {
    "InsufficientInstanceCapacity": "capacity-not-available",
    "SpotMaxPriceTooLow": "price-too-low",
    "Unsupported": "constraint-not-fulfillable",
    "MaxSpotInstanceCountExceeded": "capacity-not-available",  # a later launch; at the request it is an error
}


def holding(world: World, request: dict[str, Any]) -> launches.Plan | str:
    """The launch of a request, or the status with which it waits.

    Raises:
        Refusal: waiting does not help.
    """
    try:
        planned = launches.plan(world, request["__launch__"])
        free = rules.free_places(world, planned.type_name, planned.zone, "spot")
        rules.capacity(free, 1, planned.type_name, planned.zone, "spot")
    except Refusal as err:
        if "availability zone" in err.message.lower() and err.code == "InvalidParameterValue":
            return "constraint-not-fulfillable"
        if err.code not in HOLDING:
            raise
        return HOLDING[err.code]
    return planned


def evaluate(world: World) -> None:
    """Fulfill the open requests that can be; the others say what they wait for."""
    for request in list(world.spot_requests.values()):
        if request["State"] != "open" or "__launch__" not in request:
            continue
        try:
            _evaluate(world, request)
        except EC2ClientError as err:  # e.g. the image or the group has been deleted since
            request["State"], request["Fault"] = "failed", {"Code": err.code, "Message": err.message}
            cloud.set_status(request, "bad-parameters", err.message)


def _evaluate(world: World, request: dict[str, Any]) -> None:
    found = holding(world, request)
    if isinstance(found, str):
        if found != request["Status"]["Code"]:
            cloud.set_status(request, found)
        return
    try:
        (record,) = launches.launch(world, found, 1)
    except Refusal as err:
        if err.code not in HOLDING:
            raise
        cloud.set_status(request, HOLDING[err.code])
        return
    cloud.set_status(request, "pending-fulfillment")
    adopt(world, request, record)
    launches.start(world, [record])


def adopt(world: World, request: dict[str, Any], record: Record) -> None:
    """A launch brings a request of its own; this one takes its place."""
    own = world.spot_requests.pop(record.spot_request_id)
    world.backend.tags.pop(record.spot_request_id, None)
    record.spot_request_id = request["SpotInstanceRequestId"]
    request["State"] = "active"
    request |= {k: own[k] for k in ("InstanceId", "LaunchedAvailabilityZone", "LaunchSpecification")}
    request["SpotPrice"] = request["SpotPrice"] or own["SpotPrice"]
    cloud.set_status(request, "fulfilled")


def remaining(request: dict[str, Any]) -> float:
    """Seconds until a request ends by itself."""
    return max(0.0, request["ValidUntil"].timestamp() - time.time())


def expire(world: World, request: dict[str, Any]) -> None:
    """Source: EC2 API RequestSpotInstances, ValidUntil; EC2 User Guide, spot-request-status (schedule-expired)."""
    with world.lock:
        if request["State"] == "open":
            request["State"] = "cancelled"
            cloud.set_status(request, "schedule-expired")
