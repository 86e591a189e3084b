"""One API of the lab in this process, without machines; every test starts with an empty account."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.config import Config as BotoConfig
from botocore.exceptions import ClientError
from werkzeug.serving import WSGIRequestHandler, make_server

from lab.aws.app import App, create_app
from lab.aws.config import ACCESS_KEY, SECRET_KEY, Config
from lab.aws.machines import NullMachines

DEBIAN = "/aws/service/debian/release/12/latest/amd64"
DEBIAN_ARM = "/aws/service/debian/release/12/latest/arm64"


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections, which makes a call three times as fast

    def log_request(self, *args: Any, **kwargs: Any) -> None:
        pass


class Manual(NullMachines):
    """Machines that do nothing by themselves while `hold` is set; then tests report what happens."""

    hold = False

    def _later(self, report: str, *ids: str) -> None:
        if self.hold:
            self.calls.append((report, *ids))
        else:
            super()._later(report, *ids)

    def reset(self) -> None:
        super().reset()
        self.hold = False


@pytest.fixture(scope="session")
def app() -> App:
    return create_app(Manual(), Config())


@pytest.fixture(scope="session")
def url(app: App) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()


@pytest.fixture(scope="session")
def session_clients(url: str) -> Callable[..., Any]:
    made: dict[tuple[str, str], Any] = {}

    def client(service: str, access_key: str = ACCESS_KEY) -> Any:
        if (service, access_key) not in made:
            made[service, access_key] = boto3.client(  # type: ignore[call-overload]
                service,
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id=access_key,
                aws_secret_access_key=SECRET_KEY,
                config=BotoConfig(retries={"total_max_attempts": 1}),
            )
        return made[service, access_key]

    return client


@pytest.fixture
def client(session_clients: Callable[..., Any], app: App) -> Callable[..., Any]:
    with app.world.lock:  # the loop over fleets runs in a thread
        app.world.machines.reset()
        app.reset()
    return session_clients


@pytest.fixture
def machines(client: Callable[..., Any], app: App) -> Any:
    return app.world.machines


@pytest.fixture
def ec2(client: Callable[..., Any]) -> Any:
    return client("ec2")


@pytest.fixture
def ami(client: Callable[..., Any]) -> str:
    return parameter(client, DEBIAN)


@pytest.fixture
def arm_ami(client: Callable[..., Any]) -> str:
    return parameter(client, DEBIAN_ARM)


def parameter(client: Callable[..., Any], name: str) -> str:
    return client("ssm").get_parameter(Name=name)["Parameter"]["Value"]


@pytest.fixture
def subnets(ec2: Any) -> dict[str, str]:
    """Zone letter -> default subnet."""
    return {s["AvailabilityZone"][-1]: s["SubnetId"] for s in ec2.describe_subnets()["Subnets"]}


@pytest.fixture
def control(url: str, client: Callable[..., Any]) -> Callable[..., Any]:
    """Call a control: control("capacity", type="t3.medium", count=0); without arguments it is read."""

    def call(name: str, method: str = "", **args: Any) -> Any:
        method = method or ("POST" if args else "GET")
        data = json.dumps(args).encode() if method == "POST" else None
        request = urllib.request.Request(f"{url}/lab/{name}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=5) as response:
            return json.loads(response.read())

    return call


@pytest.fixture
def refused() -> Callable[..., Any]:
    """`with refused("Code", http=400, text="part of the message"):`"""

    @contextlib.contextmanager
    def check(code: str, http: int = 400, text: str = "") -> Iterator[None]:
        with pytest.raises(ClientError) as err:
            yield
        response = err.value.response
        assert response["Error"]["Code"] == code, response["Error"]
        assert response["ResponseMetadata"]["HTTPStatusCode"] == http
        assert text in response["Error"]["Message"]

    return check


@pytest.fixture
def run(ec2: Any, ami: str) -> Callable[..., dict[str, Any]]:
    """RunInstances with one t3.medium of Debian unless told otherwise; returns the first instance."""

    def launch(**changes: Any) -> dict[str, Any]:
        wanted = {"ImageId": ami, "InstanceType": "t3.medium", "MinCount": 1, "MaxCount": 1, **changes}
        return ec2.run_instances(**{k: v for k, v in wanted.items() if v is not None})["Instances"][0]

    return launch


@pytest.fixture
def instance(ec2: Any) -> Callable[[str], dict[str, Any]]:
    """DescribeInstances of one instance."""
    return lambda i: ec2.describe_instances(InstanceIds=[i])["Reservations"][0]["Instances"][0]


@pytest.fixture
def template(ec2: Any, ami: str) -> Callable[..., dict[str, Any]]:
    """A launch template `t` of Debian and the changes."""

    def make(name: str = "temp", **data: Any) -> dict[str, Any]:
        data = {k: v for k, v in {"ImageId": ami, "InstanceType": "t3.medium", **data}.items() if v is not None}
        return ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)["LaunchTemplate"]

    return make


@pytest.fixture
def fleet(ec2: Any, template: Callable[..., Any], subnets: dict[str, str]) -> Callable[..., dict[str, Any]]:
    """CreateFleet instant over types and zones: fleet(2, ["t3.medium"], "ab", SpotOptions={...})."""

    def make(count: int = 1, types: Any = ("t3.medium",), zones: str = "ab", **changes: Any) -> dict[str, Any]:
        data = changes.pop("data", None)
        known = ec2.describe_launch_templates()["LaunchTemplates"]
        lt = known[0] if known and not data else template(f"temp{len(known)}", **(data or {}))
        overrides = changes.pop("overrides", None) or [
            {"InstanceType": t, "SubnetId": subnets[z]} for t in types for z in zones
        ]
        market = changes.pop("market", "spot")
        args = {
            "Type": "instant",
            "TargetCapacitySpecification": {"TotalTargetCapacity": count, "DefaultTargetCapacityType": market},
            "SpotOptions": {"AllocationStrategy": "price-capacity-optimized"},
            "LaunchTemplateConfigs": [
                {
                    "LaunchTemplateSpecification": {"LaunchTemplateId": lt["LaunchTemplateId"], "Version": "1"},
                    "Overrides": overrides,
                }
            ],
            **changes,
        }
        return ec2.create_fleet(**args)

    return make


class Kept:
    """Fleets of type request and maintain, which are looked at when a test says so."""

    def __init__(self, ec2: Any, app: App, fleet: Callable[..., Any]) -> None:
        self.ec2, self.app, self.fleet = ec2, app, fleet

    def __call__(self, *args: Any, **changes: Any) -> str:
        """A fleet of type maintain unless told otherwise, looked at once; its id."""
        made: str = self.fleet(*args, **{"Type": "maintain", **changes})["FleetId"]
        self.look()
        return made

    def look(self) -> None:
        self.app.world.keeper.look()

    def end(self, *ids: str) -> None:
        self.ec2.terminate_instances(InstanceIds=list(ids))

    def active(self, fleet_id: str) -> list[str]:
        """Ids of the instances."""
        if fleet_id.startswith("sfr-"):
            answer = self.ec2.describe_spot_fleet_instances(SpotFleetRequestId=fleet_id)
        else:
            answer = self.ec2.describe_fleet_instances(FleetId=fleet_id)
        return [i["InstanceId"] for i in answer["ActiveInstances"]]

    def seen(self, fleet_id: str) -> dict[str, Any]:
        """The fleet as it is described."""
        if fleet_id.startswith("sfr-"):
            found = self.ec2.describe_spot_fleet_requests(SpotFleetRequestIds=[fleet_id])["SpotFleetRequestConfigs"]
        else:
            found = self.ec2.describe_fleets(FleetIds=[fleet_id])["Fleets"]
        one: dict[str, Any] = found[0]
        return one

    def status(self, fleet_id: str) -> tuple[str, str, float]:
        """State, activity, fulfilled capacity."""
        one = self.seen(fleet_id)
        if fleet_id.startswith("sfr-"):
            fulfilled = one["SpotFleetRequestConfig"]["FulfilledCapacity"]
            return one["SpotFleetRequestState"], one["ActivityStatus"], fulfilled
        return one["FleetState"], one["ActivityStatus"], one["FulfilledCapacity"]

    def zones(self, fleet_id: str) -> list[str]:
        """Letters of the zones of its instances, sorted."""
        ids = self.active(fleet_id)
        found = self.ec2.describe_instances(InstanceIds=ids)["Reservations"] if ids else []
        return sorted(i["Placement"]["AvailabilityZone"][-1] for r in found for i in r["Instances"])

    def records(self, fleet_id: str, **more: Any) -> list[dict[str, Any]]:
        start = datetime.now(timezone.utc) - timedelta(hours=1)
        if fleet_id.startswith("sfr-"):
            answer = self.ec2.describe_spot_fleet_request_history(SpotFleetRequestId=fleet_id, StartTime=start, **more)
        else:
            answer = self.ec2.describe_fleet_history(FleetId=fleet_id, StartTime=start, **more)
        found: list[dict[str, Any]] = answer["HistoryRecords"]
        return found

    def history(self, fleet_id: str, **more: Any) -> list[tuple[str, str]]:
        """Events of a fleet as (type, sub-type), without those of its Spot requests."""
        found = [(r["EventType"], r["EventInformation"]["EventSubType"]) for r in self.records(fleet_id, **more)]
        return [event for event in found if event[0] != "spotInstanceRequestChange"]


@pytest.fixture
def kept(ec2: Any, app: App, fleet: Callable[..., Any]) -> Iterator[Kept]:
    app.world.keeper.hold = True
    yield Kept(ec2, app, fleet)
    app.world.keeper.hold = False
