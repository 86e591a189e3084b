"""The AWS API of the lab as one WSGI application: `create_app(machines, config)`.

moto does the protocol and most services; EC2's actions that matter here are the lab's own (module by AWS concept).
One application a process: moto keeps its tables in module globals.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # 1300 images nobody needs cost 3 s

from moto.core.base_backend import BackendDict
from moto.ec2 import urls as ec2_urls
from moto.ec2.models import ec2_backends
from moto.efs.models import efs_backends
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.ssm.models import ssm_backends

from lab.aws import access, calls, control, efs, events, images, network, services, throttle
from lab.aws.calls import Call, Environ, StartResponse
from lab.aws.catalog import Catalog
from lab.aws.cloud import LabCloud, LabClouds
from lab.aws.config import Config
from lab.aws.errors import Refusal
from lab.aws.fleet.keeper import Keeper
from lab.aws.fleets import Fleets
from lab.aws.instances import Instances
from lab.aws.launch_templates import LaunchTemplates
from lab.aws.machines import Machines
from lab.aws.modifications import Modifications
from lab.aws.network import Network
from lab.aws.placement import Placement
from lab.aws.snapshots import Snapshots
from lab.aws.spot import SpotRequests
from lab.aws.spot_fleets import SpotFleets
from lab.aws.tags import Tags
from lab.aws.volumes import Volumes
from lab.aws.world import Fault, World

log = logging.getLogger("lab.aws")


class LabEC2(
    SpotRequests,
    Instances,
    Fleets,
    SpotFleets,
    Placement,
    Volumes,
    Snapshots,
    Modifications,
    LaunchTemplates,
    Network,
    Tags,
    Catalog,
):
    """EC2's actions: the lab's where there is one, moto's otherwise."""


def create_app(machines: Machines, config: Config) -> App:
    """Build the API of one lab.

    Args:
        machines: what plays the machines; `connect` is called here.
        config: account, regions, network, images.

    Returns:
        a WSGI application; `app.world` (of the first region) and `app.cloud` are for tests.
    """
    app = App(World(config=config, machines=machines, speed=config.speed))
    # moto's own extension point: which class answers at EC2's address.
    LabEC2.worlds = app.world.regions
    ec2_urls.url_paths["{0}/"] = LabEC2.dispatch
    efs.install(app.world)
    for service in ("ec2", "sts", "ssm"):  # now rather than in the first call of each
        app.moto.app_instances[service] = create_backend_app(service)
    return app


class App:
    """WSGI: control calls, then access, faults and log around moto."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.regions.update({world.config.region: world})
        world.regions.update({name: world.region(name) for name in world.config.more_regions})
        self.cloud = LabClouds([LabCloud(region) for region in world.regions.values()])
        self.moto = DomainDispatcherApplication(create_backend_app)
        for region in world.regions.values():
            region.keeper = Keeper(region)
        self.reset()
        world.machines.connect(self.cloud)

    def reset(self) -> None:
        """An empty account."""
        worlds = self.world.regions.values()
        for backends in (ec2_backends, efs_backends, iam_backends, ssm_backends):
            _reset(backends)
        events.reset()
        if "lab.aws.stacks" in sys.modules:
            sys.modules["lab.aws.stacks"].reset()
        for world in worlds:
            _empty(world)
        self.world.deliveries.clear()
        control.clear(self.world)
        self.world.calls.clear()
        network.use_addresses(worlds)
        network.default_networks(worlds)
        for world in worlds:
            images.install(world)
        access.install(self.world)

    def _reset_all(self) -> None:
        self.world.machines.reset()
        self.reset()

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("PATH_INFO", "").startswith("/lab/"):
            status, data = control.handle(self.world, self._reset_all, self.cloud, environ)
            for world in self.world.regions.values():
                world.keeper.wake()
            return calls.answer(start, data, status)
        call = calls.read(environ)
        entry = self._log(call)
        try:
            body = list(self._answer(environ, _noting(start, entry), call))
        finally:
            entry["seconds"] = round(time.time() - entry["time"], 4)
        return body

    def _answer(self, environ: Environ, start: StartResponse, call: Call) -> Iterable[bytes]:
        problem = access.OVER[call.protocol] if self.world.expired else access.check(self.world, call)
        problem = problem or throttle.check(self.world, call)
        fault = None if problem else self._fault(call)
        if problem:
            return calls.error(start, call, *problem)
        if fault and fault.after:
            list(self._serve(environ, lambda *_, **__: None, call))
        if fault:
            return calls.error(start, call, fault.code, fault.message or "injected by /lab/fail", _http(fault))
        return self._serve(environ, start, call)

    def _serve(self, environ: Environ, start: StartResponse, call: Call) -> Iterable[bytes]:
        if call.service == "iam" and call.action == "SimulatePrincipalPolicy":
            return calls.send(start, 200, access.simulation(self.world, call), "text/xml;charset=UTF-8", [])
        act = services.ACTIONS.get(call.target)
        if call.service == "cloudformation":
            _stacks(self.world)
        if "lab.aws.stacks" in sys.modules:
            sys.modules["lab.aws.stacks"].run_schedules(self.world)
        if act is None:
            application = self.moto.get_application(environ)
            return application(environ, start)
        try:
            world = self.world.regions.get(call.region, self.world)
            return calls.answer(start, act(world, call.params()), 200, "application/x-amz-json-1.1")
        except Refusal as err:
            return calls.error(start, call, err.code, err.message, err.http)

    def _fault(self, call: Call) -> Fault | None:
        """The first ordered fault for this call; it is used up."""
        with self.world.lock:
            for fault in self.world.faults:
                fits = fault.action == call.action and not fault.in_fleet and fault.times != 0
                fits = fits and fault.region in ("", call.region)
                if fits and all(str(call.params().get(k)) == str(v) for k, v in fault.match.items()):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times = None if fault.times is None else fault.times - 1
                    return fault
        return None

    def _log(self, call: Call) -> dict[str, Any]:
        with self.world.lock:
            entries = self.world.calls
            entry = {
                "number": (entries[-1]["number"] if entries else 0) + 1,
                "time": time.time(),
                "service": call.service,
                "action": call.action,
                "region": call.region,
                "mutating": call.mutating,
                "access_key": call.access_key,
                "status": None,
            }
            entries.append(entry)
            del entries[: -control.LOG_LIMIT]
        return entry


def _empty(world: World) -> None:
    """Nothing in a region but what moto makes by itself."""
    world.backend = ec2_backends[world.config.account_id][world.config.region]
    for table in (world.records, world.tokens, world.fleets, world.spot_requests, world.volume_states):
        table.clear()
    for states in (world.snapshot_states, world.snapshot_progress, world.modifications, world.lives):
        states.clear()
    world.placements.clear()


def _stacks(world: World) -> None:
    """CloudFormation brings all services of moto along, which takes a second: only for those who ask for it."""
    importlib.import_module("lab.aws.stacks").install(world)


def _http(fault: Fault) -> int:
    return fault.http or Refusal(fault.code, "").http


def _noting(start: StartResponse, entry: dict[str, Any]) -> StartResponse:
    def begin(status: str, headers: Any, exc_info: Any = None) -> Any:
        entry["status"] = int(status.split(maxsplit=1)[0])
        return start(status, headers, exc_info) if exc_info else start(status, headers)

    return begin


def _reset(backends: BackendDict[Any]) -> None:
    """moto's BackendDict.reset would make other services' tables too; only what has been used is emptied."""
    for account in list(backends.values()):
        for backend in list(account.values()):
            backend.reset()
