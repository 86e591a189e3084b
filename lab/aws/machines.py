"""The seam between the API and whatever plays the machines: containers in the lab, nothing at all in API tests.

`Machines` is what the API asks for; it answers at once and works in its own threads. `Cloud` is what it gets by
`connect()`: it reports there what has become true, and reads there what an instance looks like now (metadata service).

Contract
    * No method of `Machines` blocks for long (a queue, not work) and none raises for an instance it does not know.
    * Reports of `Cloud` may come from any thread, also from inside the call that asked for them.
    * The API keeps the order per instance: `start` … `stop`/`start` … `terminate`; `terminate` may come at any time,
      also while a start is under way, and the report must then be `terminated`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class MetadataOptions:
    """How the instance's metadata service answers (EC2 API InstanceMetadataOptionsResponse)."""

    http_endpoint: str = "enabled"
    http_tokens: str = "optional"
    http_put_response_hop_limit: int = 1
    instance_metadata_tags: str = "disabled"


@dataclass(frozen=True)
class Notices:
    """What AWS tells a machine it is going to take: JSON objects as the metadata service shows them."""

    instance_action: dict[str, str] = field(default_factory=dict)  # action, time
    rebalance: dict[str, str] = field(default_factory=dict)  # noticeTime


@dataclass(frozen=True)
class VolumeView:
    """One attached EBS volume, never the root volume."""

    volume_id: str
    size_gib: int
    snapshot_id: str
    device: str


@dataclass(frozen=True)
class InstanceView:
    """An instance as the API sees it at one moment; everything a machine and its metadata service need."""

    instance_id: str
    state: str
    image_id: str
    instance_type: str
    architecture: str
    region: str
    zone: str
    zone_id: str
    subnet_id: str
    subnet_cidr: str
    vpc_id: str
    vpc_cidr: str
    private_ip: str
    public_ip: str
    private_dns_name: str
    public_dns_name: str
    mac_address: str
    network_interface_id: str
    reservation_id: str
    account_id: str
    launch_index: int
    launch_time: datetime
    lifecycle: str  # "spot" or "on-demand"
    spot_request_id: str
    fleet_id: str
    key_name: str
    public_key: str  # one line as in authorized_keys; "" without a key pair
    user_data: bytes  # decoded; b"" without
    shutdown_behavior: str  # "stop" or "terminate"
    instance_profile_arn: str
    instance_profile_id: str
    role_name: str
    root_device_name: str
    root_volume_id: str
    root_volume_gib: int
    image_name: str = ""
    login_user: str = "admin"  # whom the public key lets in; depends on the image
    security_group_ids: tuple[str, ...] = ()
    security_group_names: tuple[str, ...] = ()
    metadata_options: MetadataOptions = field(default_factory=MetadataOptions)
    tags: dict[str, str] = field(default_factory=dict)
    volumes: tuple[VolumeView, ...] = ()  # to be present when the machine runs; root volume excluded


class Cloud(Protocol):
    """What machines report to the API, and what they may read from it."""

    def view(self, instance_id: str) -> InstanceView | None:
        """The instance as it is now (tags and options may have changed), None when it is unknown or terminated."""

    def views(self) -> list[InstanceView]:
        """All instances that are not terminated."""

    def running(self, instance_id: str) -> None:
        """The machine is up: `pending` becomes `running`."""

    def stopped(self, instance_id: str) -> None:
        """The machine is off: `stopping` becomes `stopped`."""

    def terminated(self, instance_id: str) -> None:
        """The machine is gone and its volumes are released: `shutting-down` becomes `terminated`."""

    def failed(self, instance_id: str, reason: str) -> None:
        """The machine cannot start: the instance ends as `terminated` with Server.InternalError."""

    def powered_off(self, instance_id: str) -> None:
        """Its operating system shut down by itself; the API answers with `stop` or `terminate` (shutdown behavior)."""

    def attached(self, volume_id: str, instance_id: str) -> None:
        """The device is there: `attaching` becomes `attached`."""

    def detached(self, volume_id: str, instance_id: str) -> None:
        """The device is gone: the volume becomes `available`."""

    def created(self, volume_id: str) -> None:
        """The volume holds the data of its snapshot: `creating` becomes `available`."""

    def resized(self, volume_id: str) -> None:
        """The volume has its new size: its modification is no longer `modifying`."""

    def snapshot_progress(self, snapshot_id: str, percent: int) -> None:
        """So much of the data is copied."""

    def snapshot_completed(self, snapshot_id: str) -> None:
        """The snapshot holds the data: `pending` becomes `completed`."""


class Machines(Protocol):
    """What plays the machines."""

    def connect(self, cloud: Cloud) -> None:
        """Called once, before anything else."""

    def start(self, instance: InstanceView) -> None:
        """Boot it, first time or again after a stop, with `instance.volumes` present; then report `running`."""

    def stop(self, instance_id: str) -> None:
        """Shut it down, keep its disk and addresses; then report `stopped`."""

    def reboot(self, instance_id: str) -> None:
        """Restart its operating system; nothing to report."""

    def terminate(self, instance_id: str) -> None:
        """Destroy it and its root disk, release every attached volume; then report `terminated`."""

    def attach(self, volume: VolumeView, instance_id: str) -> None:
        """Show the volume to a running machine (filled from its snapshot or empty); then report `attached`."""

    def detach(self, volume_id: str, instance_id: str, force: bool = False) -> None:
        """Take the device away once it is not busy; then report `detached`."""

    def fill(self, volume_id: str, size_gib: int, snapshot_id: str) -> None:
        """Give a new volume the data of a snapshot; then report `created`."""

    def resize_volume(self, volume_id: str, size_gib: int) -> None:
        """Make it so large (ModifyVolume), also while it is in use; then report `resized`."""

    def delete_volume(self, volume_id: str) -> None:
        """Its data may go; it is attached nowhere."""

    def snapshot(self, volume_id: str, snapshot_id: str) -> None:
        """Copy the data as it is now, with `snapshot_progress`; then report `snapshot_completed`."""

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Its data may go."""

    def add_mount_target(self, file_system_id: str, address: str) -> None:
        """Serve a file system at an address of the VPC."""

    def remove_mount_target(self, address: str) -> None:
        """Serve nothing there any more."""

    def delete_file_system(self, file_system_id: str) -> None:
        """Its data may go; it has no mount target."""

    def console_output(self, instance_id: str) -> str:
        """What the machine has written to its console so far, host keys included (GetConsoleOutput)."""

    def notify(self, instance_id: str, notices: Notices) -> None:
        """Its metadata service announces this from now on, and nothing else."""

    def reset(self) -> None:
        """Forget and remove everything; the API has forgotten it too."""


class NullMachines:
    """No machines: every wish comes true after `delay` seconds (0 = inside the call). For tests of the API alone."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.console: dict[str, str] = {}
        self.notices: dict[str, Notices] = {}
        self.calls: list[tuple[str, ...]] = []
        self._cloud: Cloud | None = None

    def connect(self, cloud: Cloud) -> None:
        """Remember whom to tell."""
        self._cloud = cloud

    def start(self, instance: InstanceView) -> None:
        """Runs after the delay."""
        self._later("running", instance.instance_id)

    def stop(self, instance_id: str) -> None:
        """Stopped after the delay."""
        self._later("stopped", instance_id)

    def reboot(self, instance_id: str) -> None:
        """Nothing changes."""
        self.calls.append(("reboot", instance_id))

    def terminate(self, instance_id: str) -> None:
        """Gone after the delay."""
        self._later("terminated", instance_id)

    def attach(self, volume: VolumeView, instance_id: str) -> None:
        """Attached after the delay."""
        self._later("attached", volume.volume_id, instance_id)

    def detach(self, volume_id: str, instance_id: str, force: bool = False) -> None:
        """Detached after the delay."""
        self._later("detached", volume_id, instance_id)

    def fill(self, volume_id: str, size_gib: int, snapshot_id: str) -> None:
        """Created after the delay."""
        self._later("created", volume_id)

    def resize_volume(self, volume_id: str, size_gib: int) -> None:
        """Resized after the delay."""
        self.calls.append(("resize_volume", volume_id, str(size_gib)))
        self._later("resized", volume_id)

    def delete_volume(self, volume_id: str) -> None:
        """Nothing to delete."""
        self.calls.append(("delete_volume", volume_id))

    def snapshot(self, volume_id: str, snapshot_id: str) -> None:
        """Completed after the delay."""
        self._later("snapshot_completed", snapshot_id)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Nothing to delete."""
        self.calls.append(("delete_snapshot", snapshot_id))

    def add_mount_target(self, file_system_id: str, address: str) -> None:
        """Nothing to serve."""
        self.calls.append(("add_mount_target", file_system_id, address))

    def remove_mount_target(self, address: str) -> None:
        """Nothing is served."""
        self.calls.append(("remove_mount_target", address))

    def delete_file_system(self, file_system_id: str) -> None:
        """Nothing to delete."""
        self.calls.append(("delete_file_system", file_system_id))

    def console_output(self, instance_id: str) -> str:
        """What a test has put into `console`."""
        return self.console.get(instance_id, "")

    def notify(self, instance_id: str, notices: Notices) -> None:
        """A test may read them."""
        self.notices[instance_id] = notices

    def reset(self) -> None:
        """Forget."""
        self.notices.clear()
        self.console.clear()
        self.calls.clear()

    def _later(self, report: str, *ids: str) -> None:
        self.calls.append((report, *ids))
        act = getattr(self._cloud, report)
        if not self.delay:
            act(*ids)
            return
        timer = threading.Timer(self.delay, act, ids)
        timer.daemon = True
        timer.start()
