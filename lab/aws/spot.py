"""Spot requests: those behind Spot Instances, and the legacy RequestSpotInstances."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult

from lab.aws import cloud, filters, interruptions, launches, tokens
from lab.aws.errors import Refusal
from lab.aws.instances import tag_list
from lab.aws.response import LabResponse
from lab.aws.world import World

FILTERS = filters.table(
    {
        "create-time": "CreateTime",
        "instance-id": "InstanceId",
        "launch.image-id": "LaunchSpecification.ImageId",
        "launch.instance-type": "LaunchSpecification.InstanceType",
        "launch.key-name": "LaunchSpecification.KeyName",
        "launched-availability-zone": "LaunchedAvailabilityZone",
        "product-description": "ProductDescription",
        "spot-instance-request-id": "SpotInstanceRequestId",
        "spot-price": "SpotPrice",
        "state": "State",
        "status-code": "Status.Code",
        "type": "Type",
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
        """EC2 API DescribeSpotInstanceRequests."""
        args = self.args
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
        """EC2 API CancelSpotInstanceRequests: the instance lives on; a stopped one is terminated."""
        found = [self._request(i) for i in self.args.get("SpotInstanceRequestIds") or []]
        self.dry_run()
        answers = []
        for request in found:
            before = request["State"]
            if before in ("open", "active", "disabled"):
                self._cancel(request, before)
            answers.append({"SpotInstanceRequestId": request["SpotInstanceRequestId"], "State": "cancelled"})
        return ActionResult({"CancelledSpotInstanceRequests": answers})

    def _cancel(self, request: dict[str, Any], before: str) -> None:
        request["State"] = "cancelled"
        record = self.world.records.get(request.get("InstanceId", ""))
        if before == "active":
            cloud.set_status(request, "request-canceled-and-instance-running", "The request was cancelled.")
        else:
            cloud.set_status(request, "canceled-before-fulfillment", "The request was cancelled.")
        if before == "disabled" and record:
            cloud.terminate(self.world, record, cloud.USER, cloud.stamp("User initiated"))

    def request_spot_fleet(self) -> ActionResult:
        """Not yet: moto's would make instances that no machine plays."""
        raise NotImplementedError("Spot Fleet")

    def request_spot_instances(self) -> ActionResult:
        """EC2 API RequestSpotInstances (legacy): fulfilled at once or refused; waiting requests come with issue 2."""
        args = self.args
        key = ("RequestSpotInstances", "", args.get("ClientToken") or "")
        earlier = tokens.known(self.world, key, args)
        if earlier is not None:
            return ActionResult({"SpotInstanceRequests": [self._request(i) for i in earlier]})
        options = {
            "MaxPrice": args.get("SpotPrice"),
            "SpotInstanceType": args.get("Type") or "one-time",
            "InstanceInterruptionBehavior": args.get("InstanceInterruptionBehavior") or "terminate",
        }
        market: dict[str, Any] = {"MarketType": "spot", "SpotOptions": {k: v for k, v in options.items() if v}}
        spec = {**(args.get("LaunchSpecification") or {}), "InstanceMarketOptions": market}
        spec["TagSpecifications"] = args.get("TagSpecifications") or []
        if options["SpotInstanceType"] == "persistent" and options["InstanceInterruptionBehavior"] == "terminate":
            market["SpotOptions"]["SpotInstanceType"] = "one-time"  # allowed here, refused by RunInstances
        planned = launches.plan(self.world, spec)
        self.dry_run()
        records = launches.launch(self.world, planned, int(args.get("InstanceCount") or 1))
        ids = [r.spot_request_id for r in records]
        for request_id in ids:
            self.world.spot_requests[request_id]["Type"] = options["SpotInstanceType"]
        tokens.remember(self.world, key, args, ids)
        launches.start(self.world, records)
        return ActionResult({"SpotInstanceRequests": [self._request(i) for i in ids]})
