"""What machines report becomes the state that the API shows."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from moto.ec2.models.instances import InstanceState

from lab.aws import events, modifications, views
from lab.aws.machines import InstanceView, Notices
from lab.aws.world import Record, World, now

STATE_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
USER = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
OS_SHUTDOWN = ("Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown")
# AWS took it. Source: EC2 User Guide, instance life cycle; EC2 API StateReason.
SPOT_TERMINATION = ("Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination")
SPOT_STOP = ("Server.SpotInstanceShutdown", "Server.SpotInstanceShutdown: Spot instance shutdown")
INTERNAL = ("Server.InternalError", "Server.InternalError: Internal error on launch")


def set_state(record: Record, name: str) -> None:
    """Change the state that DescribeInstances shows, and EventBridge tells."""
    record.instance._state = InstanceState(name, STATE_CODES[name])
    record.states.append(name)


def stamp(prefix: str) -> str:
    """A StateTransitionReason, e.g. `User initiated (2026-11-21 10:00:00 GMT)`."""
    return f"{prefix} ({now().strftime('%Y-%m-%d %H:%M:%S')} GMT)"


class LabCloud:
    """The `Cloud` of machines.py over a World. Every method takes the lock, so it may be called from any thread."""

    def __init__(self, world: World) -> None:
        self.world = world

    @contextlib.contextmanager
    def _change(self) -> Iterator[None]:
        """One report at a time; EventBridge tells what it has changed."""
        with self.world.lock:
            yield
            events.flush(self.world)

    def view(self, instance_id: str) -> InstanceView | None:
        """See machines.Cloud."""
        with self.world.lock:
            record = self.world.records.get(instance_id)
            return views.view(self.world, record) if record and not record.ended else None

    def views(self) -> list[InstanceView]:
        """See machines.Cloud."""
        with self.world.lock:
            return [views.view(self.world, r) for r in self.world.records.values() if not r.ended]

    def running(self, instance_id: str) -> None:
        """See machines.Cloud. `start_delay` keeps the instance pending for at least so long."""
        with self._change():
            record = self.world.records.get(instance_id)
            if not record or record.instance.state != "pending":
                return
            wait = record.launched.timestamp() + self.world.config.start_delay - time.time()
            if self.world.config.start_delay and wait > 0:
                later(wait, self.running, instance_id)
                return
            set_state(record, "running")
            record.reason, record.transition = ("", ""), ""

    def stopped(self, instance_id: str) -> None:
        """See machines.Cloud."""
        with self._change():
            record = self.world.records.get(instance_id)
            if record and record.instance.state == "stopping":
                for nic in record.instance.nics.values():
                    nic.stop()  # gives the public address back
                set_state(record, "stopped")
                self._spot_stopped(record)

    def terminated(self, instance_id: str) -> None:
        """See machines.Cloud. Volumes go or become available by their DeleteOnTermination."""
        with self._change():
            record = self.world.records.get(instance_id)
            if record and not record.ended:
                end(self.world, record)

    def failed(self, instance_id: str, reason: str) -> None:
        """See machines.Cloud."""
        with self._change():
            record = self.world.records.get(instance_id)
            if not record or record.ended:
                return
            record.reason = (INTERNAL[0], f"{INTERNAL[1]} ({reason})")
            end(self.world, record)

    def impaired(self, instance_id: str) -> None:
        """Its status checks fail from now on; no machine reports this, the control call `event` does."""
        with self._change():
            record = self.world.records.get(instance_id)
            if record and record.instance.state == "running":
                record.impaired = record.impaired or time.monotonic()

    def powered_off(self, instance_id: str) -> None:
        """See machines.Cloud. Source: EC2 User Guide, InstanceInitiatedShutdownBehavior."""
        with self._change():
            record = self.world.records.get(instance_id)
            if not record or record.instance.state != "running":
                return
            if record.instance.instance_initiated_shutdown_behavior == "terminate":
                terminate(self.world, record, OS_SHUTDOWN, "")
            else:
                stop(self.world, record, OS_SHUTDOWN, "")

    def attached(self, volume_id: str, instance_id: str) -> None:
        """See machines.Cloud."""
        with self._change():
            if self.world.volume_states.get(volume_id) == "attaching":
                self.world.volume_states.pop(volume_id)

    def detached(self, volume_id: str, instance_id: str) -> None:
        """See machines.Cloud."""
        with self._change():
            volume = self.world.backend.volumes.get(volume_id)
            attachment = volume.attachment if volume else None
            if attachment and attachment.instance.id == instance_id:
                release(self.world, volume)

    def created(self, volume_id: str) -> None:
        """See machines.Cloud."""
        with self._change():
            if self.world.volume_states.get(volume_id) == "creating":
                self.world.volume_states.pop(volume_id)

    def resized(self, volume_id: str) -> None:
        """See machines.Cloud."""
        with self._change():
            modifications.usable(self.world, volume_id)

    def snapshot_progress(self, snapshot_id: str, percent: int) -> None:
        """See machines.Cloud."""
        with self._change():
            if snapshot_id in self.world.snapshot_states:
                self.world.snapshot_progress[snapshot_id] = min(percent, 99)

    def snapshot_completed(self, snapshot_id: str) -> None:
        """See machines.Cloud."""
        with self._change():
            self.world.snapshot_states.pop(snapshot_id, None)
            self.world.snapshot_progress.pop(snapshot_id, None)

    def _spot_stopped(self, record: Record) -> None:
        request = self.world.spot_requests.get(record.spot_request_id)
        if request:
            request["State"] = "cancelled" if request["State"] == "cancelled" else "disabled"
            taken = record.reason == SPOT_STOP
            set_status(request, "instance-stopped-no-capacity" if taken else "instance-stopped-by-user")


class LabClouds:
    """The `Cloud` of all regions: each report and question goes to the region that has the instance."""

    def __init__(self, regions: list[LabCloud]) -> None:
        self.regions = regions

    def _of(self, instance_id: str) -> LabCloud:
        return next((one for one in self.regions if instance_id in one.world.records), self.regions[0])

    def view(self, instance_id: str) -> InstanceView | None:
        """See machines.Cloud."""
        return self._of(instance_id).view(instance_id)

    def views(self) -> list[InstanceView]:
        """See machines.Cloud."""
        return [view for region in self.regions for view in region.views()]

    def running(self, instance_id: str) -> None:
        """See machines.Cloud."""
        self._of(instance_id).running(instance_id)

    def stopped(self, instance_id: str) -> None:
        """See machines.Cloud."""
        self._of(instance_id).stopped(instance_id)

    def terminated(self, instance_id: str) -> None:
        """See machines.Cloud."""
        self._of(instance_id).terminated(instance_id)

    def failed(self, instance_id: str, reason: str) -> None:
        """See machines.Cloud."""
        self._of(instance_id).failed(instance_id, reason)

    def impaired(self, instance_id: str) -> None:
        """See LabCloud."""
        self._of(instance_id).impaired(instance_id)

    def powered_off(self, instance_id: str) -> None:
        """See machines.Cloud."""
        self._of(instance_id).powered_off(instance_id)

    def attached(self, volume_id: str, instance_id: str) -> None:
        """See machines.Cloud."""
        self._of(instance_id).attached(volume_id, instance_id)

    def detached(self, volume_id: str, instance_id: str) -> None:
        """See machines.Cloud."""
        self._of(instance_id).detached(volume_id, instance_id)

    def created(self, volume_id: str) -> None:
        """See machines.Cloud."""
        for region in self.regions:
            region.created(volume_id)

    def resized(self, volume_id: str) -> None:
        """See machines.Cloud."""
        for region in self.regions:
            if volume_id in region.world.backend.volumes:
                region.resized(volume_id)

    def snapshot_progress(self, snapshot_id: str, percent: int) -> None:
        """See machines.Cloud."""
        for region in self.regions:
            region.snapshot_progress(snapshot_id, percent)

    def snapshot_completed(self, snapshot_id: str) -> None:
        """See machines.Cloud."""
        for region in self.regions:
            region.snapshot_completed(snapshot_id)


def later(seconds: float, act: Any, *args: Any) -> None:
    """Call something after a while, without keeping the process alive for it."""
    timer = threading.Timer(seconds, act, args)
    timer.daemon = True
    timer.start()


# What the lab says with a status code; programs must look at the code alone.
MESSAGES = {
    "pending-evaluation": "Your Spot request is being evaluated.",
    "pending-fulfillment": "Your Spot request is being fulfilled.",
    "fulfilled": "Your Spot request is fulfilled.",
    "capacity-not-available": "There is no Spot capacity available that matches your request.",
    "price-too-low": "Your maximum price is below the Spot price.",
    "constraint-not-fulfillable": "A constraint of your Spot request cannot be fulfilled: its zone or type.",
    "canceled-before-fulfillment": "Your Spot request was canceled.",
    "request-canceled-and-instance-running": "Your Spot request was canceled; the instance goes on.",
    "schedule-expired": "Your Spot request was not fulfilled in its time.",
    "marked-for-stop": "Your Spot Instance is marked to be stopped.",
    "marked-for-termination": "Your Spot Instance is marked for termination.",
    "instance-stopped-by-user": "Your Spot Instance was stopped.",
    "instance-stopped-no-capacity": "Your Spot Instance was stopped: its capacity is needed elsewhere.",
    "instance-terminated-by-user": "Your Spot Instance was terminated.",
    "instance-terminated-no-capacity": "Your Spot Instance was terminated: its capacity is needed elsewhere.",
}


def set_status(request: dict[str, Any], code: str, message: str = "") -> None:
    """Status of a Spot request. Source: EC2 User Guide, spot-request-status."""
    past = request.setdefault("__history__", [request["Status"]] if "Status" in request else [])
    request["Status"] = {"Code": code, "Message": message or MESSAGES.get(code, code), "UpdateTime": now()}
    past.append(request["Status"])


def release(world: World, volume: Any) -> None:
    """Take a volume off its instance; it becomes `available`."""
    attachment = volume.attachment
    attachment.instance.block_device_mapping.pop(attachment.device, None)
    volume.attachment = None
    world.volume_states.pop(volume.id, None)


def stop(world: World, record: Record, reason: tuple[str, str], transition: str) -> None:
    """Begin to stop an instance."""
    set_state(record, "stopping")
    record.reason, record.transition = reason, transition
    forget_notice(world, record)
    world.machines.stop(record.instance.id)


def start(world: World, record: Record) -> None:
    """Begin to start a stopped instance."""
    for nic in record.instance.nics.values():
        nic.start()
    set_state(record, "pending")
    record.launched, record.reason, record.transition = now(), ("", ""), ""
    request = world.spot_requests.get(record.spot_request_id)
    if request:
        request["State"] = "cancelled" if request["State"] == "cancelled" else "active"
        set_status(request, "fulfilled")
    world.machines.start(views.view(world, record))


def forget_notice(world: World, record: Record) -> None:
    """Nothing is going to happen to this instance any more."""
    record.plan, record.notices = None, None
    world.machines.notify(record.instance.id, Notices())


def terminate(world: World, record: Record, reason: tuple[str, str], transition: str) -> None:
    """Begin to terminate an instance; a second wish changes nothing."""
    if record.ended or record.instance.state == "shutting-down":
        return
    set_state(record, "shutting-down")
    record.reason, record.transition = reason, transition
    record.plan = None
    _close_spot_request(world, record)
    world.machines.terminate(record.instance.id)


def _close_spot_request(world: World, record: Record) -> None:
    """Source: EC2 User Guide, spot-request-status (instance-terminated-*)."""
    request = world.spot_requests.get(record.spot_request_id)
    if not request:
        return
    persistent = request["Type"] == "persistent" and request["State"] != "cancelled"
    request["State"] = {"cancelled": "cancelled"}.get(request["State"], "open" if persistent else "closed")
    taken = record.reason == SPOT_TERMINATION
    set_status(request, "instance-terminated-no-capacity" if taken else "instance-terminated-by-user")


def end(world: World, record: Record) -> None:
    """The machine is gone: addresses and interfaces are given back, volumes deleted or released."""
    instance = record.instance
    for nic in instance.nics.values():
        nic.stop()
        for address in nic.private_ip_addresses:
            nic.subnet.del_subnet_ip(address["PrivateIpAddress"])
        with contextlib.suppress(Exception):  # moto raises when somebody has deleted the interface before
            nic.delete()
        world.backend.tags.pop(nic.id, None)
    for device in list(instance.block_device_mapping.values()):
        volume = world.backend.volumes.get(device.volume_id)
        if volume is None:
            continue
        delete = device.delete_on_termination
        release(world, volume)
        if delete:
            delete_volume(world, volume.id)
    set_state(record, "terminated")
    if not record.reason[0]:
        record.reason = USER
    record.ended = time.monotonic()
    for tell in world.on_end:
        tell(record)


def delete_volume(world: World, volume_id: str) -> None:
    """Forget a volume and its data."""
    world.backend.volumes.pop(volume_id, None)
    world.backend.tags.pop(volume_id, None)
    world.volume_states.pop(volume_id, None)
    world.modifications.pop(volume_id, None)
    world.machines.delete_volume(volume_id)
