"""Runs modules as Ansible does, with real boto3, against the API of the lab in this process."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from ansible.module_utils.testing import patch_module_args
from werkzeug.serving import WSGIRequestHandler, make_server

from lab.aws.app import App, create_app
from lab.aws.config import ACCESS_KEY, SECRET_KEY, Config
from lab.aws.machines import NullMachines
from lab.aws.world import Fault
from tests.unit.wire import printed

REGION = "us-east-1"
DEBIAN = "/aws/service/debian/release/12/latest/amd64"


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    protocol_version = "HTTP/1.1"

    def log(self, *_args: Any) -> None:
        """Nothing."""


class Aws:
    """The API of one test: `ec2` is a client, `calls` what was asked, `deny` and `fail` spoil it."""

    def __init__(self, app: App, url: str) -> None:
        self.app = app
        self.url = url
        self.ec2: Any = boto3.client("ec2", region_name=REGION)

    def calls(self, mutating: bool = False) -> list[str]:
        """Actions that were called, in order."""
        return [one["action"] for one in self.app.world.calls if one["mutating"] or not mutating]

    def forget_calls(self) -> None:
        """Start counting anew."""
        self.app.world.calls.clear()

    def control(self, name: str, **data: Any) -> Any:
        """Call a control of the lab."""
        request = urllib.request.Request(f"{self.url}/lab/{name}", data=json.dumps(data).encode())
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.loads(answer.read())

    def deny(self, action: str) -> None:
        """Take a permission away."""
        self.app.world.denied[action] = "*"

    def fail(self, action: str, code: str = "OperationNotPermitted", after: bool = False, skip: int = 0) -> None:
        """Let one call fail after `skip` good ones, before or after its work is done."""
        self.app.world.faults.append(Fault(action, code, after=after, skip=skip))

    def interrupt(self, instance_id: str) -> None:
        """AWS takes an instance without a notice."""
        self.control("interrupt", instance_id=instance_id, notice=None)

    def tag_specification(self, kind: str, **more: str) -> list[dict[str, Any]]:
        """``TagSpecifications`` of a resource of the experiment ``lab``."""
        tags = {"Name": "lab", "spot:experiment": "lab", "spot:generation": "1", "spot:profile": "lab", **more}
        return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]

    def image(self) -> str:
        """Id of the Debian image."""
        return str(boto3.client("ssm", region_name=REGION).get_parameter(Name=DEBIAN)["Parameter"]["Value"])

    def volume(self, zone: str = "us-east-1a", **more: str) -> str:
        """Make a data volume of the experiment."""
        specification = self.tag_specification("volume", **{"spot:volume": "data", "spot:rank": "0", **more})
        made = self.ec2.create_volume(Size=2, AvailabilityZone=zone, VolumeType="gp3", TagSpecifications=specification)
        return str(made["VolumeId"])

    def instance(self, zone: str = "us-east-1a", **more: Any) -> str:
        """Launch an instance of the experiment."""
        made = self.ec2.run_instances(
            ImageId=self.image(),
            InstanceType="t3.medium",
            MinCount=1,
            MaxCount=1,
            Placement={"AvailabilityZone": zone},
            TagSpecifications=self.tag_specification("instance") + self.tag_specification("spot-instances-request"),
            InstanceMarketOptions={"MarketType": "spot"},
            **more,
        )
        return str(made["Instances"][0]["InstanceId"])

    def instances(self) -> list[dict[str, Any]]:
        """All instances of the experiment ``lab``."""
        wanted = [{"Name": "tag:spot:experiment", "Values": ["lab"]}]
        reservations = self.ec2.describe_instances(Filters=wanted)["Reservations"]
        return [one for reservation in reservations for one in reservation["Instances"]]

    def fleet(self, template: str) -> str:
        """Launch one instance of the experiment by an instant fleet."""
        made = self.ec2.create_fleet(
            Type="instant",
            TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
            LaunchTemplateConfigs=[
                {
                    "LaunchTemplateSpecification": {"LaunchTemplateName": template, "Version": "1"},
                    "Overrides": [{"InstanceType": "t3.medium"}],
                }
            ],
            TagSpecifications=self.tag_specification("fleet") + self.tag_specification("instance"),
        )
        return str(made["FleetId"])


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Aws]:
    """The API, and an environment in which boto3 finds it."""
    app = create_app(NullMachines(), Config())
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    yield Aws(app, url)
    server.shutdown()
    server.server_close()


def run(main: Callable[[], None], capsys: pytest.CaptureFixture[str], **args: Any) -> SimpleNamespace:
    """Run a module's ``main``.

    Args:
        main: entry point.
        capsys: pytest's.
        args: arguments of the module, ``_ansible_check_mode`` among them.

    Returns:
        ``rc`` and, as attributes, what the module returned.
    """
    capsys.readouterr()
    given = {"_ansible_remote_tmp": "/tmp", "_ansible_keep_remote_files": False, **args}
    with patch_module_args(given), pytest.raises(SystemExit) as ended:
        main()
    return SimpleNamespace(rc=ended.value.code, **{"msg": "", **printed(capsys)})
