"""`Machines` played by containers: see the contract in lab/aws/machines.py."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound

from lab import engine
from lab.aws.machines import Cloud, InstanceView, Notices, VolumeView
from lab.machines import containers, network, nfs
from lab.machines.disks import Device, Disks, free_index, hide, is_busy, show
from lab.machines.lanes import Lanes
from lab.machines.slots import Slot

LOG = logging.getLogger(__name__)
WORKERS = 4
CONSOLE_BYTES = 65536  # Source: EC2 API GetConsoleOutput, "the last 64 KB"
BUSY_POLL = 0.5  # seconds between looks at a disk that is still mounted
EVENTS_SILENCE = 7 * 86400  # seconds until docker's stream of events is opened anew
STOP_GRACE = 10  # seconds a machine has for its shutdown before it is cut off


@dataclass
class Machine:
    """What the mirror remembers of one instance."""

    instance_id: str
    private_ip: str = ""
    public_ip: str = ""
    created: bool = False
    on: bool = False  # should be running; a death while `on` was not ordered. Touched on its lane only
    gone: bool = False  # ordered to terminate
    devices: dict[str, Device] = field(default_factory=dict)


class DockerMachines:
    """Orders are queued per instance and done by a few workers; what became true is reported to the cloud."""

    def __init__(self, slot: Slot, image: containers.Image, client: Any = None) -> None:
        self.slot = slot
        self.image = image
        self.api = client or engine.api()
        self.disks = Disks(slot.path / "disks")
        self.file_systems = nfs.FileSystems(slot)
        self._consoles = slot.path / "consoles"
        self._consoles.mkdir(parents=True, exist_ok=True)
        self._lanes = Lanes(WORKERS)
        self._machines: dict[str, Machine] = {}
        self._notices: dict[str, Notices] = {}
        self._busy: dict[tuple[str, str], bool] = {}  # detaches that wait for an umount
        self._lock = threading.RLock()
        self._cloud: Cloud | None = None

    # What the API asks for

    def connect(self, cloud: Cloud) -> None:
        """Start to watch for machines that shut down by themselves."""
        self._cloud = cloud
        for target, name in ((self._watch, "watch"), (self._poll_busy, "busy")):
            threading.Thread(target=target, name=name, daemon=True).start()

    def start(self, instance: InstanceView) -> None:
        """Boot it with its volumes."""
        self._machine(instance.instance_id)
        self._lanes.put(instance.instance_id, functools.partial(self._start, instance))

    def stop(self, instance_id: str) -> None:
        """Shut it down."""
        self._lanes.put(instance_id, functools.partial(self._stop, instance_id))

    def reboot(self, instance_id: str) -> None:
        """Let its init restart; the death that follows is seen as a reboot."""
        self._lanes.put(instance_id, functools.partial(self._signal, instance_id, containers.REBOOT_SIGNAL))

    def terminate(self, instance_id: str) -> None:
        """Destroy it, also while it starts."""
        self._machine(instance_id).gone = True
        self._lanes.put(instance_id, functools.partial(self._terminate, instance_id))

    def attach(self, volume: VolumeView, instance_id: str) -> None:
        """Show a volume."""
        self._lanes.put(instance_id, functools.partial(self._attach, volume, instance_id))

    def detach(self, volume_id: str, instance_id: str, force: bool = False) -> None:
        """Take a volume away, later if it is mounted."""
        self._lanes.put(instance_id, functools.partial(self._detach, volume_id, instance_id, force))

    def fill(self, volume_id: str, size_gib: int, snapshot_id: str) -> None:
        """Copy the file of its snapshot. On the snapshot's lane, so that this one is not deleted meanwhile."""
        self._lanes.put(snapshot_id, functools.partial(self._fill, volume_id, size_gib, snapshot_id))

    def resize_volume(self, volume_id: str, size_gib: int) -> None:
        """Make it larger."""
        self._lanes.put(volume_id, functools.partial(self._resize, volume_id, size_gib))

    def delete_volume(self, volume_id: str) -> None:
        """Remove its file."""
        self._lanes.put(volume_id, functools.partial(self.disks.delete, volume_id))

    def snapshot(self, volume_id: str, snapshot_id: str) -> None:
        """Copy its file. On the volume's lane, so that this one is not deleted meanwhile."""
        self._lanes.put(volume_id, functools.partial(self._snapshot, volume_id, snapshot_id))

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove its file."""
        self._lanes.put(snapshot_id, functools.partial(self.disks.delete, snapshot_id))

    def add_mount_target(self, file_system_id: str, address: str) -> None:
        """Serve a file system."""
        self._lanes.put(address, functools.partial(self.file_systems.add, file_system_id, address))

    def remove_mount_target(self, address: str) -> None:
        """Serve nothing there any more."""
        self._lanes.put(address, functools.partial(self.file_systems.remove, address))

    def delete_file_system(self, file_system_id: str) -> None:
        """Remove its directory."""
        self._lanes.put(file_system_id, functools.partial(self.file_systems.delete, file_system_id))

    def console_output(self, instance_id: str) -> str:
        """The console of a machine, also of one that is gone."""
        with contextlib.suppress(OSError):
            return (self._consoles / instance_id).read_text(errors="replace")
        return self._console(instance_id)

    def notify(self, instance_id: str, notices: Notices) -> None:
        """What the metadata service shows from its next answer on."""
        with self._lock:
            machine = self._machines.get(instance_id)
            if machine and not machine.gone:
                self._notices[instance_id] = notices

    def reset(self) -> None:
        """Terminate everything, then forget it."""
        with self._lock:
            known = list(self._machines)
        for instance_id in known:
            self.terminate(instance_id)
        self._lanes.put("efs", self.file_systems.clear)

    # What the metadata service asks for

    def by_address(self, address: str) -> InstanceView | None:
        """The live instance that has this private address."""
        with self._lock:
            found = [m.instance_id for m in self._machines.values() if m.private_ip == address and not m.gone]
        return self.cloud.view(found[0]) if found else None

    def notices(self, instance_id: str) -> Notices:
        """What AWS has announced to this machine."""
        return self._notices.get(instance_id) or Notices()

    @property
    def cloud(self) -> Cloud:
        """The API; connected before anything else happens."""
        if self._cloud is None:
            raise RuntimeError("connect() comes first")
        return self._cloud

    # Work on lanes

    def _start(self, view: InstanceView) -> None:
        machine = self._machine(view.instance_id)
        if machine.gone:
            return
        try:
            self._create(machine, view)
            self._give_volumes(machine, view)
            self._boot(machine)
        except Exception as error:
            LOG.exception("start of %s", view.instance_id)
            self._destroy(machine)
            self.cloud.failed(view.instance_id, str(error))
            return
        if not machine.gone:
            self.cloud.running(view.instance_id)

    def _create(self, machine: Machine, view: InstanceView) -> None:
        """Make the container of a first start; note its addresses always (a stop may change the public one)."""
        machine.private_ip, machine.public_ip = view.private_ip, view.public_ip
        if machine.created:
            return
        began = time.monotonic()
        body = containers.specification(view, self.slot, self.image)
        self.api.create_container_from_config(body, view.instance_id)
        machine.created = True
        keys = containers.authorized_keys(self.image.login, view.public_key)
        docker, mark = containers.without_docker(view.image_name), containers.user_data_mark(view.user_data)
        self._put(machine, [*keys, *containers.console_files(), *docker, *mark])
        LOG.info("%s created in %.2f s", view.instance_id, time.monotonic() - began)

    def _give_volumes(self, machine: Machine, view: InstanceView) -> None:
        """Devices for all volumes the instance has now, and for no other."""
        wanted = {volume.volume_id: volume for volume in view.volumes}
        for volume_id in [known for known in machine.devices if known not in wanted]:
            self._drop(machine, volume_id)
        for volume in wanted.values():
            self._device(machine, volume)

    def _device(self, machine: Machine, volume: VolumeView) -> Device:
        """The device of a volume on this machine, the one it has or a new one."""
        device = machine.devices.get(volume.volume_id)
        if device is None:
            index = free_index(machine.devices.values())
            device = self.disks.attach(volume.volume_id, volume.size_gib, volume.snapshot_id, index)
            machine.devices[volume.volume_id] = device
        return device

    def _boot(self, machine: Machine) -> None:
        """Start the container: disks first, public address as soon as there is a network."""
        began = time.monotonic()
        self._put(machine, containers.device_files(machine.devices.values()))
        machine.on = not machine.gone
        self.api.start(machine.instance_id)
        pid = self._pid(machine.instance_id)
        for device in machine.devices.values():
            show(dev_of(pid), device)
        if machine.public_ip:
            network.add_public_address(self.slot, pid, machine.public_ip, machine.private_ip)
        LOG.info("%s booting after %.2f s", machine.instance_id, time.monotonic() - began)

    def _stop(self, instance_id: str) -> None:
        machine = self._machine(instance_id)
        machine.on = False
        with contextlib.suppress(NotFound):
            self.api.stop(instance_id, timeout=STOP_GRACE)
        network.remove_public_address(self.slot, machine.public_ip)
        if not machine.gone:
            self.cloud.stopped(instance_id)

    def _terminate(self, instance_id: str) -> None:
        began = time.monotonic()
        machine = self._machine(instance_id)
        self._destroy(machine)
        with self._lock:
            self._machines.pop(instance_id, None)
            self._notices.pop(instance_id, None)
        LOG.info("%s terminated in %.2f s", instance_id, time.monotonic() - began)
        self.cloud.terminated(instance_id)

    def _destroy(self, machine: Machine) -> None:
        """Container, root disk, route and loop devices away; the console stays readable."""
        machine.on, machine.gone = False, True
        self._keep_console(machine.instance_id)
        with contextlib.suppress(NotFound):
            self.api.remove_container(machine.instance_id, force=True, v=True)
        with contextlib.suppress(APIError):
            self.api.remove_volume(containers.volume_name(machine.instance_id))
        network.remove_public_address(self.slot, machine.public_ip)
        for volume_id in list(machine.devices):
            self.disks.release(volume_id)
            del machine.devices[volume_id]
        with self._lock:
            self._busy = {wish: True for wish in self._busy if wish[1] != machine.instance_id}

    def _signal(self, instance_id: str, signal: str) -> None:
        with contextlib.suppress(APIError):
            self.api.kill(instance_id, signal)

    def _attach(self, volume: VolumeView, instance_id: str) -> None:
        machine = self._machine(instance_id)
        if machine.gone:
            return
        device = self._device(machine, volume)
        pid = self._pid(instance_id)
        if pid:
            show(dev_of(pid), device)
        self.cloud.attached(volume.volume_id, instance_id)

    def _detach(self, volume_id: str, instance_id: str, force: bool) -> None:
        machine = self._machine(instance_id)
        device = machine.devices.get(volume_id)
        wish = (volume_id, instance_id)
        if device and not force and is_busy(device.loop):
            with self._lock:
                self._busy[wish] = True
            return
        with self._lock:
            self._busy.pop(wish, None)
        self._drop(machine, volume_id)
        self.cloud.detached(volume_id, instance_id)

    def _drop(self, machine: Machine, volume_id: str) -> None:
        """Node, link and loop device away."""
        device = machine.devices.pop(volume_id, None)
        if device is None:
            return
        pid = self._pid(machine.instance_id)
        if pid:
            hide(dev_of(pid), device)
        self.disks.release(volume_id)

    def _fill(self, volume_id: str, size_gib: int, snapshot_id: str) -> None:
        self.disks.create(volume_id, size_gib, snapshot_id)
        self.cloud.created(volume_id)

    def _resize(self, volume_id: str, size_gib: int) -> None:
        self.disks.resize(volume_id, size_gib)
        self.cloud.resized(volume_id)

    def _snapshot(self, volume_id: str, snapshot_id: str) -> None:
        self.disks.snapshot(volume_id, snapshot_id, functools.partial(self.cloud.snapshot_progress, snapshot_id))
        self.cloud.snapshot_completed(snapshot_id)

    # Watchers

    def _watch(self) -> None:
        """Look at every death for ever; docker's stream may end when its daemon restarts."""
        wanted = {"label": f"{network.LABEL}={self.slot.name}", "event": "die", "type": "container"}
        while True:
            with contextlib.suppress(Exception):
                stream = self._stream(wanted)
                for instance_id in list(self._machines):  # those that died while nobody looked
                    self._look_at(instance_id)
                for event in stream:
                    self._look_at(event["Actor"]["Attributes"].get(containers.INSTANCE_LABEL, ""))
            time.sleep(1)

    def _stream(self, wanted: dict[str, str]) -> Any:
        """docker's events, on a connection of its own without read timeout."""
        client = engine.api(timeout=EVENTS_SILENCE) if isinstance(self.api, docker.APIClient) else self.api
        return client.events(decode=True, filters=wanted)

    def _look_at(self, instance_id: str) -> None:
        self._lanes.put(instance_id, functools.partial(self._died, instance_id))

    def _died(self, instance_id: str) -> None:
        """A machine that was to run does not: it reboots itself, or it has switched itself off."""
        with self._lock:
            machine = self._machines.get(instance_id)
        if machine is None or machine.gone or not machine.on:
            return
        state = self._state(instance_id)
        if state.get("Running"):  # the news is older than a start that followed
            return
        LOG.info("%s ended by itself with %s", instance_id, state.get("ExitCode"))
        if state.get("ExitCode") == containers.REBOOTED:
            self._boot(machine)
            return
        machine.on = False
        self.cloud.powered_off(instance_id)

    def _poll_busy(self) -> None:
        """Finish detaches whose filesystem has been unmounted by now."""
        while True:
            time.sleep(BUSY_POLL)
            with self._lock:
                waiting = list(self._busy)
            for volume_id, instance_id in waiting:
                self.detach(volume_id, instance_id)

    # Small things

    def _machine(self, instance_id: str) -> Machine:
        with self._lock:
            return self._machines.setdefault(instance_id, Machine(instance_id))

    def _state(self, instance_id: str) -> dict[str, Any]:
        """docker's State of a container, empty when there is none."""
        try:
            return dict(self.api.inspect_container(instance_id)["State"])
        except NotFound:
            return {}

    def _pid(self, instance_id: str) -> int:
        """Process id of its init on the host, 0 when it does not run."""
        return int(self._state(instance_id).get("Pid", 0))

    def _put(self, machine: Machine, files: list[containers.File]) -> None:
        if files:
            self.api.put_archive(machine.instance_id, "/", containers.archive(files))

    def _console(self, instance_id: str) -> str:
        with contextlib.suppress(APIError):
            return self.api.logs(instance_id)[-CONSOLE_BYTES:].decode(errors="replace")
        return ""

    def _keep_console(self, instance_id: str) -> None:
        text = self._console(instance_id)
        if text:
            (self._consoles / instance_id).write_text(text)


def dev_of(pid: int) -> Path:
    """A machine's /dev as the host sees it."""
    return Path(f"/proc/{pid}/root/dev")
