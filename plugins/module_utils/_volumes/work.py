# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Carry out what plan.py and move.py decide: calls, waits with progress, proofs.

PRIVATE to the collection.
"""

from __future__ import annotations

import time
from typing import Any, Callable

from .. import _aws_errors
from .._experiment import transformations
from .._experiment.api import ApiError, caller_identity, filters, volumes_by_id
from .._fleet.progress import Teller
from . import api, move, plan, rows
from .rows import VolumeError, label

Resource = dict[str, Any]

# A client token whose volume was deleted meanwhile answers with that volume: then the next token is used.
TOKENS = 3
TOKEN_PERIOD = 600
# Seconds until a new resource is seen by a describe call. Source: EC2 API reference, "Eventual consistency".
VISIBLE = 10
PAUSE, LONGEST_PAUSE = 0.3, 5.0


class Waiter:
    """Asks again and again, tells when something changes, gives up in time. `clock` has monotonic() and sleep()."""

    def __init__(self, timeout: float, teller: Teller, clock: Any = time) -> None:
        self.timeout = timeout
        self.teller = teller
        self.clock = clock

    def until(self, look: Callable[[], str], what: str) -> None:
        """Look until nothing is missing.

        Args:
            look: says how things stand, '' when all is as wanted; raises VolumeError when it never will be.
            what: what is waited for, for the error.

        Raises:
            VolumeError: the time is over.
        """
        end, pause, last = self.clock.monotonic() + self.timeout, PAUSE, ""
        while True:
            text = look()
            if not text:
                return
            if text != last:
                self.teller.tell([text])
                last = text
            if self.clock.monotonic() >= end:
                raise VolumeError(f"{what}: not after {self.timeout:g} s ({text}); the same command goes on waiting")
            self.clock.sleep(pause)
            pause = min(pause * 1.4, LONGEST_PAUSE)


def names_of_holders(ec2: Any, volumes: list[Resource]) -> dict[str, str]:
    """What the instances are called that hold volumes, by id; nothing where nobody may ask."""
    ids = sorted({one for volume in volumes for one in rows.holders(volume)})
    if not ids:
        return {}
    try:
        return plan.instance_names(api.instances(ec2, ids))
    except ApiError:
        return {}


def owner(sts: Any) -> str:
    """Who asks, for the tag spot:owner."""
    return transformations.owner_of(caller_identity(sts)["Arn"])


# One volume


class Volumes:
    """The effects on single volumes."""

    def __init__(self, ec2: Any, waiter: Waiter) -> None:
        self.ec2 = ec2
        self.waiter = waiter

    def see(self, volume_id: str) -> Resource | None:
        """A volume as it is now, None when AWS does not show it."""
        return next(iter(volumes_by_id(self.ec2, [volume_id])), None)

    def create(self, args: Resource) -> Resource:
        """Make a volume and wait until it can be used.

        Raises:
            VolumeError: AWS took it back, or the time is over.
        """
        period = int(self.waiter.clock.time() // TOKEN_PERIOD)
        given = [args["ClientToken"]] if "ClientToken" in args else []
        tokens = given or [plan.token(args, attempt, period) for attempt in range(TOKENS)]
        for number, token in enumerate(tokens):
            made = api.create_volume(self.ec2, {**args, "ClientToken": token})
            seen = self.appears(made)
            if seen or number == len(tokens) - 1:
                break
        return self.wait_created(made, args, bool(seen))

    def appears(self, volume_id: str) -> bool:
        """Whether a new volume is shown at all: an old token answers with a volume that is deleted."""
        end = self.waiter.clock.monotonic() + VISIBLE
        while True:
            volume = self.see(volume_id)
            if volume:
                return volume["State"] not in rows.GONE
            if self.waiter.clock.monotonic() >= end:
                return False
            self.waiter.clock.sleep(PAUSE)

    def wait_created(self, volume_id: str, args: Resource, seen: bool) -> Resource:
        """Wait until a new volume is available."""
        found: list[Resource] = []

        def look() -> str:
            volume = self.see(volume_id) if seen else None
            if volume is None or volume["State"] in rows.GONE:
                raise VolumeError(vanished(volume_id, volume, args))
            found[:] = [volume]
            return "" if volume["State"] != "creating" else f"{volume_id} is made in {args['AvailabilityZone']}"

        self.waiter.until(look, f"{volume_id} is not available")
        return found[0]

    def modify(self, volume: Resource, todo: plan.Changes) -> Resource:
        """Change a volume and wait until the change can be used; AWS optimizes it for hours afterwards.

        Raises:
            VolumeError: the change failed, AWS takes none now, or the time is over.
        """
        if todo.tags:
            api.tag(self.ec2, volume["VolumeId"], todo.tags)
        if todo.modify:
            self._order(volume, todo.modify)
        if todo.modify or todo.under_way:
            self.waiter.until(lambda: self._modification(volume), f"the change of {label(volume)} cannot be used")
        return self.see(volume["VolumeId"]) or volume

    def _order(self, volume: Resource, modify: Resource) -> None:
        try:
            api.modify_volume(self.ec2, volume["VolumeId"], modify)
        except ApiError as error:
            rule = plan.next_step(error.code)
            if not rule:
                raise
            text = _aws_errors.error_message(error.error)
            raise VolumeError(f"{label(volume)} is not changed: {text} ({error.code}); {rule}") from None

    def _modification(self, volume: Resource) -> str:
        """How far the newest modification is, '' when the volume has its new size and speed."""
        found = next(iter(api.modifications(self.ec2, [volume["VolumeId"]])), None)
        state = found["ModificationState"] if found else "modifying"
        if state == "failed":
            raise VolumeError(
                f"AWS did not change {label(volume)}: {(found or {}).get('StatusMessage', 'no reason given')}"
            )
        return f"{label(volume)} is modifying ({(found or {}).get('Progress', 0)} %)" if state == "modifying" else ""


def vanished(volume_id: str, volume: Resource | None, args: Resource) -> str:
    """Why a new volume is gone. Source: EC2 API CreateVolume, KmsKeyId: keys are looked at after the answer."""
    what = "is in the state error" if volume else "vanished right after it was made"
    key = args.get("KmsKeyId")
    if key:
        return (
            f"{volume_id} {what}: the KMS key {key} does not exist, is disabled, or its policy does not let you use it;"
            " correct kms_key_id, or leave it out for the account's own key"
        )
    return (
        f"{volume_id} {what}: the KMS key of the account or of the snapshot may not be used, or somebody deleted the"
        " volume; look at the key's policy (kms:CreateGrant, kms:Decrypt, kms:GenerateDataKeyWithoutPlaintext)"
    )


# Snapshots


class Snapshots:
    """The effects on snapshots."""

    def __init__(self, ec2: Any, waiter: Waiter) -> None:
        self.ec2 = ec2
        self.waiter = waiter

    def wait(self, ids: list[str]) -> list[Resource]:
        """Wait until snapshots are complete, and return them.

        Raises:
            VolumeError: one failed or vanished, or the time is over.
        """
        found: dict[str, Resource] = {}
        end = self.waiter.clock.monotonic() + VISIBLE

        def look() -> str:
            found.update({one["SnapshotId"]: one for one in api.snapshots(self.ec2, filters(snapshot_id=ids))})
            missing = [one for one in ids if one not in found]
            if missing and self.waiter.clock.monotonic() >= end:
                raise VolumeError(f"the snapshot {', '.join(missing)} vanished; who deletes it?")
            for one in found.values():
                if one["State"] not in ("pending", "completed"):
                    raise VolumeError(f"the snapshot {label(one)} failed: {one.get('StateMessage') or one['State']}")
            pending = [
                f"{label(one)} {one.get('Progress') or '0%'}" for one in found.values() if one["State"] == "pending"
            ]
            return f"snapshot {', '.join([*pending, *missing])}" if pending or missing else ""

        self.waiter.until(look, "the snapshot is not complete")
        return [found[one] for one in ids]


# Into another zone


class Mover:
    """The effects of a move; every step finds what an earlier run has done."""

    def __init__(self, ec2: Any, waiter: Waiter) -> None:
        self.ec2 = ec2
        self.waiter = waiter
        self.volumes = Volumes(ec2, waiter)
        self.snapshots = Snapshots(ec2, waiter)

    def wait_free(self, sources: list[Resource]) -> None:
        """Wait until the instances that leave have given the volumes back."""
        ids = [one["VolumeId"] for one in sources if one["State"] != "available"]

        def look() -> str:
            held = [one for one in volumes_by_id(self.ec2, ids) if one["State"] != "available"]
            where = ", ".join(f"{label(one)} from {', '.join(rows.holders(one)) or one['State']}" for one in held)
            return f"waiting for {where}" if held else ""

        if ids:
            self.waiter.until(look, "the volume is not given back")

    def snapshot(self, traces: list[move.Trace]) -> list[Resource]:
        """A complete snapshot of each volume, in their order: the one that is known to hold all, or a new one."""
        ids = []
        for trace in traces:
            known = trace.snapshot
            if known is None:
                source = trace.source
                text = f"move of {label(source)}"
                made = api.create_snapshot(self.ec2, source["VolumeId"], text, move.snapshot_tags(source))
                api.tag(self.ec2, source["VolumeId"], {rows.MOVING: made})
            ids.append(known["SnapshotId"] if known else made)
        return self.snapshots.wait(ids)

    def copy(self, traces: list[move.Trace], snapshots: list[Resource], zone: str) -> list[Resource]:
        """A proven copy of each volume in the zone.

        Raises:
            VolumeError: a copy is not as good as its source; nothing is renamed then.
        """
        copies = []
        for trace, snapshot in zip(traces, snapshots):
            args = move.copy_args(trace.source, snapshot, zone)
            known = trace.copy(snapshot["SnapshotId"], zone)
            made = self.volumes.wait_created(known["VolumeId"], args, True) if known else self.volumes.create(args)
            wrong = move.flaws(trace.source, made, snapshot, zone)
            if wrong:
                raise VolumeError(
                    f"{made['VolumeId']} is not as good as {label(trace.source)}: {'; '.join(wrong)}; the volume is"
                    f" where it was, look at {made['VolumeId']} and delete it"
                )
            copies.append(made)
        for trace, snapshot in zip(traces, snapshots):
            if move.used_meanwhile(self.volumes.see(trace.source["VolumeId"]), snapshot["SnapshotId"]):
                raise VolumeError(
                    f"{label(trace.source)} was attached while it was moved, so that its copy is too old; it is where"
                    " it was. The same command moves it as it is now"
                )
        return copies

    def switch(self, trace: move.Trace, copy: Resource) -> None:
        """Give the copy the name, then take it from the source: a launch never finds neither."""
        source = trace.source["VolumeId"]
        names = move.names_of_copy(trace.source, copy)
        if names:
            api.tag(self.ec2, copy["VolumeId"], names)
        api.untag(self.ec2, copy["VolumeId"], [rows.MOVING_FROM])
        api.tag(self.ec2, source, move.names_of_source(trace.source, copy["VolumeId"]))
        api.untag(self.ec2, source, [rows.NAME, rows.MOVING])

    def clean(self, trace: move.Trace, snapshot_id: str, copy_id: str, delete_old: bool) -> None:
        """One copy more than needed stays: the source, or, where that is deleted, the snapshot."""
        for one in move.surplus_copies(trace, copy_id):
            api.delete_volume(self.ec2, one)
        for one in move.surplus_snapshots(trace, snapshot_id if delete_old else ""):
            api.delete_snapshot(self.ec2, one)
        if delete_old:
            api.untag(self.ec2, snapshot_id, [rows.MOVE_OF])
            api.delete_volume(self.ec2, trace.source["VolumeId"])
        elif snapshot_id not in [one["SnapshotId"] for one in trace.snapshots]:
            api.delete_snapshot(self.ec2, snapshot_id)

    def forget(self, trace: move.Trace, keep: str = "") -> bool:
        """Remove what moves have left that nobody needs; returns whether there was anything.

        Args:
            trace: of a volume that is where it is to be.
            keep: a snapshot that stays.
        """
        for one in move.surplus_copies(trace, ""):
            api.delete_volume(self.ec2, one)
        for one in move.surplus_snapshots(trace, keep):
            api.delete_snapshot(self.ec2, one)
        if keep in [one["SnapshotId"] for one in trace.snapshots]:
            api.untag(self.ec2, keep, [rows.MOVE_OF])
        marked = rows.MOVING in rows.tags_of(trace.source)
        if marked:
            api.untag(self.ec2, trace.source["VolumeId"], [rows.MOVING])
        return bool(marked or trace.snapshots)
