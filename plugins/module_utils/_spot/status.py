# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Status codes of Spot requests and state reasons of instances, as data.

Note that this module util is private to the collection and may change at any time.

Pure: takes the dicts of boto3 and returns what they mean. A code that is not known never raises: it is judged by the
state it comes with.

Source: EC2 user guide, pages "Get the status of a Spot Instance request" and "Spot request status lifecycle"; EC2 API,
StateReason and SpotInstanceState.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

ALIVE = "alive"
DOOMED = "doomed"
INTERRUPTED = "interrupted"
SHUTDOWN = "shutdown"
USER = "user"
FAILED = "failed"
UNKNOWN = "unknown"
KINDS = (ALIVE, DOOMED, INTERRUPTED, SHUTDOWN, USER, FAILED, UNKNOWN)


class Verdict(str, Enum):
    """What a caller should do about a Spot request.

    Attributes:
        WAIT: It may still be fulfilled by itself.
        RUNNING: There is an instance.
        DOOMED: There still is an instance, but EC2 has marked it: it ends within minutes.
        RETRY: Make a new request, elsewhere if possible. One that is still open may be waited for first
            (``Status.holding``), then it has to be cancelled.
        USER: Somebody of the account did it; do nothing without being asked.
        FATAL: The request can never be fulfilled as it is; correct it.
    """

    WAIT = "WAIT"
    RUNNING = "RUNNING"
    DOOMED = "DOOMED"
    RETRY = "RETRY"
    USER = "USER"
    FATAL = "FATAL"


@dataclass(frozen=True)
class Status:
    """The meaning of one status of a Spot request.

    Attributes:
        code: The code, as AWS gave it.
        verdict: What to do.
        text: What it means and what to do, one line without a full stop.
        holding: Whether EC2 goes on trying, so that the request must be cancelled before it is made anew.
    """

    code: str
    verdict: Verdict
    text: str
    holding: bool = False


@dataclass(frozen=True)
class End:
    """How an instance ended, or that it has not.

    Attributes:
        kind: One of KINDS: ``alive``; ``doomed`` (running, but marked); ``interrupted`` (EC2 took it back);
            ``shutdown`` (from inside, so a job may have finished); ``user`` (by a call of the account);
            ``failed`` (AWS could not start or keep it); ``unknown``.
        retry: Whether another instance may be launched in its place without asking anybody.
        code: The code that decided, of the instance's state reason or of its Spot request; empty for none.
        text: What happened and what to do, one line without a full stop.
    """

    kind: str
    retry: bool
    code: str
    text: str


@dataclass(frozen=True)
class Row:
    """One row of the table of status codes.

    Attributes:
        states: States of the request in which AWS documents the code; empty when it documents none.
        verdict: What to do about the request.
        text: What it means and what to do.
        end: What it says about the instance of the request, one of KINDS.
        retry: Whether another instance may be launched in its place.
    """

    states: tuple[str, ...]
    verdict: Verdict
    text: str
    end: str = UNKNOWN
    retry: bool = False


@dataclass(frozen=True)
class Reason:
    """One row of the table of state reasons: what the code says about the instance."""

    kind: str
    retry: bool
    text: str


_OPEN, _ACTIVE, _CLOSED = ("open",), ("active",), ("closed",)
_DISABLED, _CANCELLED = ("disabled",), ("cancelled",)
# A persistent request opens again when its instance is gone.
_CLOSED_OR_AGAIN = ("closed", "open")

_ELSEWHERE = "try other instance types or zones"
_RESTARTS = "EC2 starts it again by itself"
_LAUNCH_ANEW = "launch another one, with more instance types or zones if possible"
_BY_USER = "it was terminated on request, or the machine shut itself down; nothing is launched in its place unasked"

STATUSES: dict[str, Row] = {
    "pending-evaluation": Row(_OPEN, Verdict.WAIT, "EC2 is checking the request"),
    "pending-fulfillment": Row(_OPEN, Verdict.WAIT, "EC2 has accepted the request and is starting the instance"),
    "fulfilled": Row(_ACTIVE, Verdict.RUNNING, "the instance has been launched", ALIVE),
    "bad-parameters": Row(
        ("closed", "failed"), Verdict.FATAL, "EC2 refused the parameters; correct them as the message says", FAILED
    ),
    "schedule-expired": Row(
        _CANCELLED, Verdict.RETRY, "the request expired before there was capacity; make a new one", FAILED, True
    ),
    "canceled-before-fulfillment": Row(
        _CANCELLED, Verdict.USER, "the request was cancelled before it was fulfilled", USER
    ),
    "system-error": Row(_CLOSED, Verdict.RETRY, "EC2 had an error of its own; make a new request", FAILED, True),
    "not-scheduled-yet": Row(_OPEN, Verdict.WAIT, "the request starts later (ValidFrom)"),
    "capacity-not-available": Row(_OPEN, Verdict.RETRY, f"there is no Spot capacity now; wait, or {_ELSEWHERE}"),
    "price-too-low": Row(
        _OPEN,
        Verdict.RETRY,
        "the maximum price is below the Spot price; remove it (the default maximum is the On-Demand price)",
    ),
    "launch-group-constraint": Row(
        _OPEN, Verdict.RETRY, f"the instances of the launch group cannot all start now; {_ELSEWHERE}"
    ),
    "az-group-constraint": Row(
        _OPEN, Verdict.RETRY, f"no single zone has capacity for the whole zone group; {_ELSEWHERE}"
    ),
    "placement-group-constraint": Row(
        _OPEN, Verdict.RETRY, f"the placement group cannot hold the instance now; {_ELSEWHERE}"
    ),
    "constraint-not-fulfillable": Row(
        _OPEN, Verdict.FATAL, "a constraint can never be met (a zone that does not exist?); cancel and correct it"
    ),
    "limit-exceeded": Row(
        (), Verdict.FATAL, "the quota of EBS volumes or of their total size is used up; raise it or delete volumes"
    ),
    "marked-for-stop": Row(
        _ACTIVE, Verdict.DOOMED, f"EC2 or a user is stopping the instance; if EC2 does, {_RESTARTS}", DOOMED
    ),
    "marked-for-termination": Row(
        _ACTIVE, Verdict.DOOMED, f"EC2 takes the instance back within two minutes; {_LAUNCH_ANEW}", DOOMED, True
    ),
    "instance-stopped-by-price": Row(
        _DISABLED,
        Verdict.WAIT,
        f"EC2 stopped the instance as the Spot price is above the maximum; {_RESTARTS}",
        INTERRUPTED,
    ),
    "instance-stopped-no-capacity": Row(
        _DISABLED, Verdict.WAIT, f"EC2 stopped the instance for want of capacity; {_RESTARTS}", INTERRUPTED
    ),
    "instance-stopped-by-user": Row(
        ("disabled", "cancelled"),
        Verdict.USER,
        "the instance was stopped on request, or the machine shut itself down; start it again or terminate it",
        USER,
    ),
    "instance-terminated-by-price": Row(
        _CLOSED_OR_AGAIN,
        Verdict.RETRY,
        "EC2 took the instance back as the Spot price is above the maximum; launch another one without a maximum price",
        INTERRUPTED,
        True,
    ),
    "instance-terminated-no-capacity": Row(
        _CLOSED_OR_AGAIN,
        Verdict.RETRY,
        f"EC2 took the instance back for want of capacity; {_LAUNCH_ANEW}",
        INTERRUPTED,
        True,
    ),
    "instance-terminated-by-schedule": Row(
        _CLOSED, Verdict.RETRY, "the time that the instance was requested for is over", INTERRUPTED, True
    ),
    "instance-terminated-by-service": Row(
        _CANCELLED, Verdict.RETRY, f"EC2 terminated the stopped instance; {_LAUNCH_ANEW}", INTERRUPTED, True
    ),
    "instance-terminated-by-user": Row(("closed", "cancelled"), Verdict.USER, _BY_USER, USER),
    "spot-instance-terminated-by-user": Row(("closed", "cancelled"), Verdict.USER, _BY_USER, USER),
    "instance-terminated-launch-group-constraint": Row(
        _CLOSED_OR_AGAIN,
        Verdict.RETRY,
        f"another instance of its launch group ended, and this one with it; {_LAUNCH_ANEW}",
        INTERRUPTED,
        True,
    ),
    "request-canceled-and-instance-running": Row(
        _CANCELLED, Verdict.RUNNING, "the request is gone but the instance lives; it must be terminated itself", ALIVE
    ),
    "marked-for-stop-by-experiment": Row(
        _ACTIVE, Verdict.DOOMED, "an experiment of the Fault Injection Service is stopping the instance", DOOMED
    ),
    "instance-stopped-by-experiment": Row(
        _DISABLED,
        Verdict.USER,
        "an experiment of the Fault Injection Service stopped the instance; start it again or terminate it",
        INTERRUPTED,
    ),
    "instance-terminated-by-experiment": Row(
        _CLOSED,
        Verdict.RETRY,
        f"an experiment of the Fault Injection Service interrupted the instance; {_LAUNCH_ANEW}",
        INTERRUPTED,
        True,
    ),
}

REASONS: dict[str, Reason] = {
    "Server.SpotInstanceTermination": Reason(INTERRUPTED, True, f"EC2 took the Spot Instance back; {_LAUNCH_ANEW}"),
    "Server.SpotInstanceShutdown": Reason(
        INTERRUPTED, True, f"EC2 shut the Spot Instance down for want of capacity or by price; {_LAUNCH_ANEW}"
    ),
    "Server.InsufficientInstanceCapacity": Reason(
        FAILED, True, f"there was no capacity to start the instance; {_ELSEWHERE}"
    ),
    "Server.InternalError": Reason(FAILED, True, "EC2 had an error of its own while it started the instance; retry"),
    "Server.ScheduledStop": Reason(FAILED, True, "EC2 retired the hardware of the instance; launch another one"),
    "Client.UserInitiatedShutdown": Reason(
        USER, False, "it was stopped or terminated by a call of this account; nothing is launched in its place unasked"
    ),
    "Client.UserInitiatedHibernate": Reason(
        USER, False, "it was hibernated by a call of this account; start it again or terminate it"
    ),
    "Client.InstanceInitiatedShutdown": Reason(
        SHUTDOWN, False, "the machine shut itself down; see first whether its job has finished"
    ),
    "Client.InstanceTerminated": Reason(
        USER, False, "it was terminated or rebooted while an image was made of it; nothing is launched unasked"
    ),
    "Client.VolumeLimitExceeded": Reason(
        FAILED, False, "the quota of EBS volumes or of their total size is used up; raise it or delete volumes"
    ),
    "Client.InternalError": Reason(
        FAILED,
        False,
        "the instance could not start, mostly for its root volume: the KMS key must be enabled and allow the caller",
    ),
    "Client.InvalidSnapshot.NotFound": Reason(
        FAILED, False, "a snapshot of its volumes does not exist; correct the image or the block devices"
    ),
}

_VERDICT_OF_STATE: dict[str, tuple[Verdict, str]] = {
    "open": (Verdict.WAIT, "the request is open"),
    "active": (Verdict.RUNNING, "the request has an instance"),
    "disabled": (Verdict.WAIT, "the instance of the request is stopped"),
    "closed": (Verdict.RETRY, "the request is closed; make a new one"),
    "cancelled": (Verdict.RETRY, "the request is cancelled; make a new one"),
    "failed": (Verdict.RETRY, "the request failed; make a new one"),
}
_KIND_OF_VERDICT = {
    Verdict.RUNNING: ALIVE,
    Verdict.DOOMED: DOOMED,
    Verdict.RETRY: UNKNOWN,
    Verdict.WAIT: UNKNOWN,
    Verdict.USER: USER,
    Verdict.FATAL: FAILED,
}
_MARK = "marked-for-"
_LIVE_STATES = frozenset({"pending", "running"})
_STOPPED_STATES = frozenset({"stopping", "stopped"})


def of(code: str, state: str = "") -> Status:
    """Return what a status of a Spot request means.

    Args:
        code: ``Status.Code`` of the request.
        state: ``State`` of the request; decides about a code that is not known. Such a request is worth one retry at
            most when it is closed.
    """
    row = STATUSES.get(code)
    if row is None:
        return _unknown(code, state)
    return Status(code, row.verdict, row.text, (state or next(iter(row.states), "")) in {"open", "disabled"})


def end_of(instance: Mapping[str, Any], request: Mapping[str, Any] | None = None) -> End:
    """Return how an instance ended, or that it is alive or doomed.

    Args:
        instance: The instance as DescribeInstances gives it; an empty dict for one that AWS has forgotten.
        request: Its Spot request as DescribeSpotInstanceRequests gives it; None for On-Demand or when not asked.

    Returns:
        The end. An interruption is told by the state reason (``Server.Spot…``) or by the code of the request, whichever
        knows it: both arrive late at times.
    """
    state = str((instance.get("State") or {}).get("Name") or "")
    if state in _LIVE_STATES:
        return _living(request)
    of_request = _end_of_request(request)
    if not state:
        return of_request or End(UNKNOWN, False, "", "AWS does not know the instance any more")
    of_reason = _end_of_reason(instance, state)
    if of_request and _request_decides(of_reason, of_request, state):
        return of_request
    if of_request and of_request.kind == DOOMED and of_reason.kind == SHUTDOWN:
        # A machine that shuts itself down while it is marked does so because of the notice.
        return replace(of_request, kind=INTERRUPTED)
    return of_reason


def _unknown(code: str, state: str) -> Status:
    """Judge a code that is not in the table by the state of its request."""
    verdict, text = _VERDICT_OF_STATE.get(state, (Verdict.WAIT, "the request is in a state that is not known"))
    if code.startswith(_MARK) and state in {"active", ""}:
        verdict, text = Verdict.DOOMED, "EC2 has marked the instance"
    named = f"{text} (status {code or 'empty'} is not known)"
    return Status(code, verdict, named, state in {"open", "disabled"})


def _living(request: Mapping[str, Any] | None) -> End:
    """A running instance: doomed when its request is marked, or already tells that EC2 took it.

    Source: EC2 user guide, spot-request-status: the instance stays running for two minutes after
    instance-terminated-no-capacity.
    """
    told = _end_of_request(request)
    if told is None or told.kind not in {DOOMED, INTERRUPTED}:
        return End(ALIVE, False, "", "the instance is alive")
    return End(DOOMED, told.retry, told.code, told.text)


def _end_of_request(request: Mapping[str, Any] | None) -> End | None:
    """What the request says about its instance, None without a request."""
    if not request:
        return None
    code = str((request.get("Status") or {}).get("Code") or "")
    row, status = STATUSES.get(code), of(code, str(request.get("State") or ""))
    if row is not None:
        return End(row.end, row.retry, code, row.text)
    return End(_KIND_OF_VERDICT[status.verdict], status.verdict is Verdict.RETRY, code, status.text)


def _request_decides(reason: End, told: End, state: str) -> bool:
    """Whether the request knows more than the state reason about an instance that is not running."""
    if told.kind == INTERRUPTED:
        return True
    if told.kind == DOOMED:
        return state == "stopping" and reason.kind in {INTERRUPTED, UNKNOWN}
    return reason.kind == UNKNOWN and told.kind != ALIVE


def _end_of_reason(instance: Mapping[str, Any], state: str) -> End:
    """What the state reason of a stopped or dead instance says."""
    reason = instance.get("StateReason") or {}
    code = str(reason.get("Code") or "")
    end = _known_end(code) or _unknown_end(code, " ".join(str(reason.get("Message") or "").split()).rstrip("."))
    if end.kind == INTERRUPTED and state in _STOPPED_STATES:
        return replace(end, retry=False, text=f"EC2 stopped the Spot Instance; {_RESTARTS}")
    return end


def _known_end(code: str) -> End | None:
    row = REASONS.get(code)
    return End(row.kind, row.retry, code, row.text) if row else None


def _unknown_end(code: str, message: str) -> End:
    """The end by a state reason that is not in the table: its prefix tells whose doing it was."""
    if code.startswith("Server.Spot"):
        return End(INTERRUPTED, True, code, f"EC2 took the Spot Instance back ({message or code})")
    if code.startswith(("Server.", "Client.")):
        return End(FAILED, code.startswith("Server."), code, f"AWS says: {message or code}")
    return End(UNKNOWN, False, code, f"AWS says: {message or code}" if message or code else "AWS gives no reason")
