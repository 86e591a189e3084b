# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes, changes, waits for and cancels Spot Fleet requests: calls in order, decisions elsewhere.

Note that this module util is private to the collection and may change at any time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import Any, Callable

with contextlib.suppress(ImportError):  # AnsibleAWSModule checks the SDK and says what to install.
    from botocore.validate import ParamValidator

from .._experiment import api as plan_api
from .._experiment.reads import ReadError, failures
from .._fleet.launch import Clock
from . import api, fleet_request, fleet_state
from .fleet_state import Progress

Resource = dict[str, Any]

POLL_S = 5.0
EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)


class FleetError(Exception):
    """The request cannot be what the options say; the text is the whole message.

    Attributes:
        changed: whether AWS was asked to change something on the way.
    """

    def __init__(self, message: str, changed: bool = False) -> None:
        super().__init__(message)
        self.changed = changed


@dataclass(frozen=True)
class Wish:
    """What is wanted.

    Attributes:
        params: options of the module, without mistakes.
        config: parameters of RequestSpotFleet.
    """

    params: Mapping[str, Any]
    config: Resource

    @property
    def experiment(self) -> str:
        """The experiment whose request it is."""
        return str(self.params["tags"]["spot:experiment"])

    @property
    def target(self) -> int:
        """The wanted capacity."""
        return int(self.params["target_capacity"])


@dataclass
class Found:
    """The requests of an experiment.

    Attributes:
        alive: the oldest that still asks for capacity, None for none.
        twins: ids of others that do.
        over: ids of those that do not.
    """

    alive: Resource | None = None
    twins: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)


def shape_problems(ec2: Any, config: Resource) -> list[str]:
    """What the description of the API says against parameters: unknown names and wrong types, a line each."""
    shape = ec2.meta.service_model.operation_model("RequestSpotFleet").input_shape
    # A role that is missing is told in better words.
    report = ParamValidator().validate({"SpotFleetRequestConfig": {"IamFleetRole": "", **config}}, shape)
    lines = report.generate_report().splitlines() if report.has_errors() else []
    return [line.replace("SpotFleetRequestConfig.", "").rstrip(".") for line in lines]


def find(ec2: Any, params: Mapping[str, Any]) -> Found:
    """The requests with the tags of the options."""
    tags = params["tags"]
    mine = fleet_state.own(api.spot_fleets(ec2), str(tags["spot:experiment"]), str(tags["spot:generation"]))
    alive = fleet_state.in_states(mine, fleet_state.ALIVE)
    ids = [one["SpotFleetRequestId"] for one in alive]
    over = [one["SpotFleetRequestId"] for one in mine if one["SpotFleetRequestId"] not in ids]
    return Found(alive[0] if alive else None, ids[1:], over)


def instances(ec2: Any, fleet_id: str | None) -> list[Resource]:
    """The live instances of a request, with what DescribeInstances says about them."""
    active = api.fleet_instances(ec2, fleet_id) if fleet_id else []
    return fleet_state.instances_result(active, api.instances(ec2, [one["InstanceId"] for one in active]))


def events(ec2: Any, fleet: Resource) -> list[Resource]:
    """The history of a request."""
    return fleet_state.events_result(
        api.fleet_history(ec2, fleet["SpotFleetRequestId"], fleet.get("CreateTime") or EPOCH)
    )


def create(ec2: Any, wish: Wish, over: list[str]) -> str:
    """Make the request and return its id."""
    token = fleet_request.client_token(wish.params, wish.config, over)
    return api.request_spot_fleet(ec2, {**wish.config, "ClientToken": token})


def wait(ec2: Any, wish: Wish, fleet_id: str, seconds: float, clock: Clock) -> Resource:
    """Wait until a request is fulfilled and return it.

    Raises:
        FleetError: it is not, or it never will be; the message has the events.
    """
    start = clock.now()
    while True:
        fleet = api.spot_fleet(ec2, fleet_id)
        progress = fleet_state.progress(fleet, wish.target)
        if fleet is not None and progress is Progress.DONE:
            return fleet
        why = _why_give_up(ec2, fleet, progress, clock.now() - start >= seconds, seconds)
        if why:
            raise FleetError(_failure(ec2, wish, fleet or {"SpotFleetRequestId": fleet_id}, why))
        clock.sleep(max(0.0, min(POLL_S, start + seconds - clock.now())))


def _why_give_up(ec2: Any, fleet: Resource | None, progress: Progress, late: bool, seconds: float) -> str:
    """Why there is no sense in waiting longer, empty while there is."""
    if fleet is not None and progress is Progress.OVER:
        return f"it is {fleet.get('SpotFleetRequestState')}"
    if fleet is not None and progress is Progress.TROUBLED and fleet_state.is_hopeless(events(ec2, fleet)):
        return "AWS cannot fulfil it"
    return f"not fulfilled after {seconds:g} s" if late else ""


def _failure(ec2: Any, wish: Wish, fleet: Resource, why: str) -> str:
    bad = fleet_state.bad_events(events(ec2, fleet)) if fleet.get("SpotFleetRequestConfig") else []
    return fleet_state.failure_message(wish.experiment, fleet, why, bad, fleet_request.types(wish.params))


def wait_or_cancel(ec2: Any, wish: Wish, fleet_id: str, seconds: float, clock: Clock) -> Resource:
    """Wait for a request that this task has made; one that fails is cancelled with its instances."""
    try:
        return wait(ec2, wish, fleet_id, seconds, clock)
    except FleetError as error:
        failed = api.cancel_spot_fleets(ec2, [fleet_id], True)
        end = f"It could not be cancelled: {'; '.join(failed)}" if failed else "It was cancelled, with its instances"
        raise FleetError(f"{error}\n{end}.", changed=True) from error


def modify(ec2: Any, fleet: Resource, changes: Resource, seconds: float, clock: Clock) -> Resource:
    """Change a request, once a former change of it is through, and return what AWS then says about it.

    Raises:
        FleetError: it does not become active in time.
    """
    fleet_id, start = fleet["SpotFleetRequestId"], clock.now()
    seen: Resource | None = fleet
    while seen is None or seen.get("SpotFleetRequestState") != "active":
        if clock.now() - start >= seconds:
            state = (seen or {}).get("SpotFleetRequestState", "not found")
            raise FleetError(f"The Spot Fleet request {fleet_id} is {state}, so it cannot be changed; try again later")
        clock.sleep(max(0.0, min(POLL_S, start + seconds - clock.now())))
        seen = api.spot_fleet(ec2, fleet_id)
    api.modify_spot_fleet(ec2, fleet_id, changes)
    return api.spot_fleet(ec2, fleet_id) or fleet


def seconds_left(fleet: Resource, wait_timeout: float, now: datetime) -> float:
    """How long to wait for a request that was there already and needs no change.

    One that AWS does not maintain gets its capacity in the beginning or never; after that time it is not waited for.
    """
    kind, created = (fleet.get("SpotFleetRequestConfig") or {}).get("Type"), fleet.get("CreateTime")
    if kind == fleet_request.MAINTAIN or not isinstance(created, datetime):
        return wait_timeout
    return max(0.0, min(wait_timeout, wait_timeout - (now - created).total_seconds()))


def describe(ec2: Any, params: Mapping[str, Any]) -> list[Resource]:
    """Requests with their instances, and with their history when it is asked for.

    Args:
        ec2: client.
        params: options of spot_fleet_info.

    Raises:
        ApiError, ReadError: a call failed.
    """
    fleets = fleet_state.selected(api.spot_fleets(ec2), params)
    ids = [one["SpotFleetRequestId"] for one in fleets]
    reads: dict[str, Callable[[], Any]] = {f"instances {one}": partial(api.fleet_instances, ec2, one) for one in ids}
    if params["history"]:
        reads |= {f"history {one['SpotFleetRequestId']}": partial(events, ec2, one) for one in fleets}
    answers, errors = plan_api.gather(reads)
    if errors:
        raise ReadError(failures(errors.values()))
    active = {one: answers[f"instances {one}"] for one in ids}
    raws = api.instances(ec2, [one["InstanceId"] for found in active.values() for one in found])
    return [
        {
            **fleet_state.result(fleet, fleet_state.instances_result(active[fleet_id], raws)),
            "history": answers.get(f"history {fleet_id}"),
        }
        for fleet_id, fleet in zip(ids, fleets)
    ]


# Cancelling


@dataclass
class Remains:
    """What there is to cancel.

    Attributes:
        fleets: ids of requests that still ask for capacity.
        leaving: ids of cancelled requests that still have instances.
        instances: live instances of all of them, by the id of the request.
    """

    fleets: list[str]
    leaving: list[str]
    instances: dict[str, list[str]]

    @property
    def forsaken(self) -> list[str]:
        """Instances of requests that are cancelled already: only TerminateInstances ends them."""
        return [one for fleet_id in self.leaving for one in self.instances.get(fleet_id, [])]

    @property
    def all_instances(self) -> list[str]:
        """All instances."""
        return sorted(one for found in self.instances.values() for one in found)


def find_remains(ec2: Any, params: Mapping[str, Any]) -> Remains:
    """The requests of an experiment, and those named by id, that have anything left.

    Raises:
        ApiError: a call failed.
    """
    tags, named = params["tags"], set(params["spot_fleet_request_ids"])
    generation = tags.get("spot:generation")
    known = api.spot_fleets(ec2)
    mine = fleet_state.own(known, str(tags["spot:experiment"]), str(generation) if generation else None)
    ids = {one["SpotFleetRequestId"] for one in mine} | named
    wanted = [one for one in known if one["SpotFleetRequestId"] in ids]
    fleets, leaving = (
        [one["SpotFleetRequestId"] for one in fleet_state.in_states(wanted, states)]
        for states in (fleet_state.ALIVE, {"cancelled_running"})
    )
    answers, errors = plan_api.gather({one: partial(api.fleet_instances, ec2, one) for one in fleets + leaving})
    if errors:
        raise next(iter(errors.values()))
    return Remains(fleets, leaving, {one: [i["InstanceId"] for i in active] for one, active in answers.items()})


def cancel(ec2: Any, remains: Remains, terminate: bool) -> None:
    """Cancel requests, and terminate what earlier ones have left.

    Raises:
        FleetError: a request could not be cancelled.
    """
    failed = api.cancel_spot_fleets(ec2, remains.fleets, terminate) if remains.fleets else []
    if terminate and remains.forsaken:
        plan_api.terminate_instances(ec2, remains.forsaken)
    if failed:
        raise FleetError(f"Could not cancel these Spot Fleet requests: {'; '.join(failed)}", changed=True)


def wait_gone(ec2: Any, ids: list[str], seconds: float, clock: Clock) -> None:
    """Wait until requests have no instances left.

    Raises:
        FleetError: some still have.
    """
    start = clock.now()
    while ids:
        waiting = fleet_state.in_states(api.spot_fleets(ec2), fleet_state.ALIVE | fleet_state.LEAVING)
        ids = [one["SpotFleetRequestId"] for one in waiting if one["SpotFleetRequestId"] in ids]
        if ids and clock.now() - start >= seconds:
            raise FleetError(
                f"These Spot Fleet requests are cancelled but still have instances after {seconds:g} s: "
                f"{', '.join(ids)}; repeat the command to wait longer",
                changed=True,
            )
        if ids:
            clock.sleep(max(0.0, min(POLL_S, start + seconds - clock.now())))
