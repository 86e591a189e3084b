"""The lab's API on a port, and a module that talks to it; for the tests of ec2_fleet and ec2_fleet_info."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.config
import pytest
from ansible.module_utils.testing import patch_module_args
from werkzeug.serving import make_server

from ansible_collections.experiments.spot.plugins.module_utils._fleet.launch import SystemClock
from lab.aws.app import create_app
from lab.aws.config import ACCESS_KEY, SECRET_KEY, Config
from lab.aws.machines import NullMachines
from tests.unit.wire import printed

TAGS = {"Name": "mnist", "spot:experiment": "mnist", "spot:generation": "1"}
REGION = "us-east-1"
SPEED = 100


class Api:
    """The lab's API on a port, with what a test asks of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ec2 = self.client()

    def client(self, attempts: int = 5) -> Any:
        return boto3.client(
            "ec2",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=botocore.config.Config(retries={"mode": "standard", "total_max_attempts": attempts}),
        )

    def control(self, name: str, method: str = "POST", **data: Any) -> Any:
        body = json.dumps(data).encode() if method == "POST" else None
        request = urllib.request.Request(f"{self.url}/lab/{name}", data=body, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def calls(self) -> list[str]:
        """All calls since the last reset of the log."""
        return [call["action"] for call in self.control("calls", "GET")]

    def changes(self) -> list[str]:
        """The changing calls since the last reset of the log."""
        return [call["action"] for call in self.control("calls?mutating=true", "GET")]

    def alive(self) -> list[dict[str, Any]]:
        pages = self.ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}])
        return [item for reservation in pages["Reservations"] for item in reservation["Instances"]]

    def start(self) -> None:
        """An empty account with a launch template."""
        self.control("reset")
        image = self.ec2.describe_images(Filters=[{"Name": "architecture", "Values": ["x86_64"]}])["Images"][0]
        data: Any = {"ImageId": image["ImageId"]}
        self.ec2.create_launch_template(LaunchTemplateName="spot-mnist-1", LaunchTemplateData=data)
        self.control("calls", "DELETE")

    def options(self) -> dict[str, Any]:
        """The options of ec2_fleet for two pools in two zones."""
        subnets = {item["AvailabilityZone"]: item["SubnetId"] for item in self.ec2.describe_subnets()["Subnets"]}
        pools = [("m5.large", "us-east-1a"), ("t3.large", "us-east-1b")]
        return {
            "launch_template": {"name": "spot-mnist-1", "version": "1"},
            "overrides": [
                {"instance_type": kind, "subnet_id": subnets[zone], "availability_zone": zone} for kind, zone in pools
            ],
            "tags": TAGS,
        }


def serve(speed: float = 1.0) -> Iterator[Api]:
    """Yield the API on a port; its own delays are divided by the speed."""
    app = create_app(NullMachines(), Config(speed=speed))
    http = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    yield Api(f"http://127.0.0.1:{http.server_port}")
    http.shutdown()


class Runner:
    """Runs a module against the API and returns what it prints."""

    def __init__(self, module: Any, api: Api, capsys: pytest.CaptureFixture[str]) -> None:
        self.module = module
        self.api = api
        self.capsys = capsys

    def __call__(self, options: dict[str, Any], **more: Any) -> dict[str, Any]:
        keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "region": REGION, "endpoint_url": self.api.url}
        with patch_module_args({**keys, **options, **more}), pytest.raises(SystemExit):
            self.module.main()
        return printed(self.capsys)


class FastClock(SystemClock):
    """Time that passes as fast as the lab's."""

    def now(self) -> float:
        return super().now() * SPEED

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / SPEED)
