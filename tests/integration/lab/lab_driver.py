"""What a user does by hand: AWS calls, ssh with a verified host key, a look at the host."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from lab.aws.config import ACCESS_KEY, SECRET_KEY
from lab.machines import slots
from lab.machines.slots import Slot

ROOT = Path(__file__).resolve().parents[3]
DEBIAN = "/aws/service/debian/release/12/latest/amd64"
KEYS = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----\r?\n(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)


def lab_command(verb: str, name: str) -> list[str]:
    """The command line of the lab."""
    return [str(ROOT / "lab" / "lab"), verb, "--name", name]


def until(true: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Wait for something to become true and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not in {seconds:.0f} s")


@dataclass
class Machine:
    """One instance and how to talk to it."""

    lab: Lab
    instance_id: str
    address: str = ""
    private: str = ""

    @property
    def state(self) -> str:
        """What DescribeInstances says."""
        return self.describe()["State"]["Name"]

    def describe(self) -> dict[str, Any]:
        """DescribeInstances."""
        answer = self.lab.ec2.describe_instances(InstanceIds=[self.instance_id])
        return answer["Reservations"][0]["Instances"][0]

    def until(self, state: str, seconds: float = 30.0) -> Machine:
        """Wait for a state; the addresses are read again."""
        until(lambda: self.state == state, f"{self.instance_id} {state}", seconds)
        seen = self.describe()
        self.address, self.private = seen.get("PublicIpAddress", ""), seen.get("PrivateIpAddress", "")
        return self

    def known_hosts(self) -> Path:
        """Host keys from the console output: the only thing that ssh trusts here."""
        file = self.lab.directory / f"known-{self.instance_id}"
        keys = until(self._console_keys, "host keys on the console")
        file.write_text("".join(f"{self.address} {key}\n" for key in keys))
        return file

    def _console_keys(self) -> list[str]:
        found = KEYS.findall(self.lab.console(self.instance_id))
        return [" ".join(line.split()[:2]) for line in found[-1].splitlines() if line.strip()] if found else []

    def ssh_argv(self, command: str) -> list[str]:
        """A strict ssh command."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "3",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self.known_hosts()),
        }
        flags = [flag for key, value in options.items() for flag in ("-o", f"{key}={value}")]
        return ["ssh", "-i", str(self.lab.key), *flags, f"admin@{self.address}", command]

    def reachable(self) -> bool:
        """Whether a login works."""
        return subprocess.run(self.ssh_argv("true"), capture_output=True, check=False).returncode == 0

    def run(self, command: str, check: bool = True) -> str:
        """Run a command on the machine and return what it prints."""
        done = subprocess.run(self.ssh_argv(command), capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode:
            raise AssertionError(f"{command!r}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def up(self) -> Machine:
        """Wait for running, then for a login."""
        self.until("running")
        until(self.reachable, f"ssh to {self.instance_id}")
        return self


@dataclass
class Lab:
    """A lab that is up."""

    name: str
    directory: Path
    volumes: list[str] = field(default_factory=list)
    _ec2: Any = None

    @property
    def slot(self) -> Slot:
        """What it uses on the host."""
        found = slots.load(self.name)
        assert found, f"lab {self.name} is not there"
        return found

    def client(self, service: str) -> Any:
        """A client of AWS's own library."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.slot.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )

    @property
    def ec2(self) -> Any:
        """EC2."""
        self._ec2 = self._ec2 or self.client("ec2")
        return self._ec2

    @property
    def key(self) -> Path:
        """The private key; its key pair is imported with the first use."""
        file = self.directory / "key"
        if not file.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
        if not self.ec2.describe_key_pairs(Filters=[{"Name": "key-name", "Values": ["it"]}])["KeyPairs"]:
            self.ec2.import_key_pair(KeyName="it", PublicKeyMaterial=file.with_suffix(".pub").read_text())
        return file

    def image(self) -> str:
        """The image id behind Debian's public parameter."""
        return self.client("ssm").get_parameter(Name=DEBIAN)["Parameter"]["Value"]

    def order(self, count: int = 1, **more: Any) -> list[Machine]:
        """RunInstances, without waiting."""
        assert self.key
        request = {"ImageId": self.image(), "InstanceType": "t3.medium", "KeyName": "it", **more}
        answer = self.ec2.run_instances(MinCount=count, MaxCount=count, **request)
        return [Machine(self, instance["InstanceId"]) for instance in answer["Instances"]]

    def launch(self, **more: Any) -> Machine:
        """RunInstances, and wait for the login."""
        return self.order(**more)[0].up()

    def terminate(self, *machines: Machine) -> None:
        """TerminateInstances, and wait until they are gone."""
        self.ec2.terminate_instances(InstanceIds=[machine.instance_id for machine in machines])
        for machine in machines:
            machine.until("terminated")

    def console(self, instance_id: str) -> str:
        """GetConsoleOutput as text."""
        return self.ec2.get_console_output(InstanceId=instance_id).get("Output", "")

    def volume(self, zone: str, **more: Any) -> str:
        """CreateVolume, and wait until it is available."""
        request = {"Size": 1, "VolumeType": "gp3", "AvailabilityZone": zone, **more}
        found = self.ec2.create_volume(**request)["VolumeId"]
        self.until_volume(found, "available")
        return found

    def volume_state(self, volume_id: str) -> str:
        """What DescribeVolumes says."""
        return self.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["State"]

    def until_volume(self, volume_id: str, state: str) -> None:
        """Wait for the state of a volume."""
        until(lambda: self.volume_state(volume_id) == state, f"{volume_id} {state}")

    def attach(self, volume_id: str, machine: Machine, device: str = "/dev/sdf") -> str:
        """AttachVolume, wait for it, and return its link in the machine."""
        self.ec2.attach_volume(VolumeId=volume_id, InstanceId=machine.instance_id, Device=device)
        until(lambda: self.attachment(volume_id) == "attached", f"{volume_id} attached")
        return f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume_id.replace('-', '')}"

    def attachment(self, volume_id: str) -> str:
        """State of the attachment, "" without one."""
        found = self.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["Attachments"]
        return found[0]["State"] if found else ""


def output(*argv: str) -> str:
    """What a command of the host prints."""
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def traces(slot: Slot) -> dict[str, list[str]]:
    """Everything on the host that belongs to a lab, by kind; kinds without any are left out."""
    label = f"label=experiments-spot-lab={slot.name}"
    marks = (slot.bridge, slot.vpc_cidr, f"{slot.gateway}/", f"experiments-spot-lab:{slot.name}")
    lines = {
        "containers": output("docker", "ps", "-aq", "--filter", label),
        "volumes": output("docker", "volume", "ls", "-q", "--filter", label),
        "networks": output("docker", "network", "ls", "-q", "--filter", f"name=^{slot.network}$"),
        "loops": grep(output("losetup", "-a"), slot.directory + "/"),
        "routes": grep(output("ip", "route", "show", "table", "all"), slot.bridge),
        "links": grep(output("ip", "-o", "link"), slot.bridge),
        "rules": grep(output("iptables-save"), *marks),
        "processes": grep(output("ps", "-eo", "pid,args"), f"lab daemon --name {slot.name}\n", f"{slot.gateway}:5000"),
        "files": slot.directory if slot.path.exists() else "",
    }
    return {kind: text.splitlines() for kind, text in lines.items() if text.strip()}


def grep(text: str, *marks: str) -> str:
    """Lines that contain one of the marks."""
    return "".join(f"{line}\n" for line in text.splitlines() if any(mark.strip("\n") in line for mark in marks))
