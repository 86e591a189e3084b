"""ModifyVolume: a volume grows or changes its type while it is used.

Source: EC2 API ModifyVolume, VolumeModification; EBS User Guide, "Monitor the progress of volume modifications": the
new size can be used from `optimizing` on.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult

from lab.aws import filters, rules
from lab.aws.errors import Refusal
from lab.aws.response import LabResponse
from lab.aws.world import World, now

OPTIMIZING = 2.0  # seconds that a volume is optimized; hours with AWS
FILTERS = filters.table(
    {
        "modification-state": "ModificationState",
        "original-size": "OriginalSize",
        "original-volume-type": "OriginalVolumeType",
        "start-time": "StartTime",
        "target-size": "TargetSize",
        "target-volume-type": "TargetVolumeType",
        "volume-id": "VolumeId",
    }
)


def usable(world: World, volume_id: str) -> None:
    """The volume has its new size and speed: DescribeVolumes shows them, and it is optimized from now on."""
    volume, known = world.backend.volumes.get(volume_id), world.modifications.get(volume_id)
    if not volume or not known or known[-1]["ModificationState"] != "modifying":
        return
    change = known[-1]
    volume.size, volume.volume_type = change["TargetSize"], change["TargetVolumeType"]
    volume.iops, volume.throughput = change["TargetIops"], change["TargetThroughput"]
    change.update(ModificationState="optimizing", optimizing_since=now())


def seen(world: World, change: dict[str, Any]) -> dict[str, Any]:
    """EC2 API VolumeModification as it is at this moment."""
    if change["ModificationState"] == "optimizing":
        passed, needed = (now() - change["optimizing_since"]).total_seconds(), world.delay(OPTIMIZING)
        change["Progress"] = min(99, int(100 * passed / max(needed, 0.001)))
        if passed >= needed:
            change.update(ModificationState="completed", Progress=100, EndTime=now())
    return {key: value for key, value in change.items() if key != "optimizing_since" and value is not None}


class Modifications(LabResponse):
    """Actions on the modifications of volumes."""

    def modify_volume(self) -> ActionResult:
        """EC2 API ModifyVolume: larger only, one at a time."""
        args, world = self.args, self.world
        volume = rules.volume(world, args.get("VolumeId", ""))
        wanted = {key: args.get(key) for key in ("Size", "VolumeType", "Iops", "Throughput")}
        if not any(wanted.values()):
            raise Refusal("InvalidParameterValue", "Must specify at least one of size, type, iops, throughput")
        size, kind = int(wanted["Size"] or volume.size), wanted["VolumeType"] or volume.volume_type
        if size < int(volume.size):
            raise Refusal("InvalidParameterValue", "New size cannot be smaller than existing size")
        known = world.modifications.setdefault(volume.id, [])
        rules.created(volume.id, world.volume_states.get(volume.id, ""))
        rules.modifiable(
            volume.id,
            seen(world, known[-1])["ModificationState"] if known else "",
            [change["StartTime"] for change in known],
            now(),
        )
        target = self._performance(volume, kind, wanted)
        rules.performance(kind, size, target["Iops"], target["Throughput"])
        self.dry_run()
        change = {
            "VolumeId": volume.id,
            "ModificationState": "modifying",
            "TargetSize": size,
            "TargetIops": target["Iops"],
            "TargetVolumeType": kind,
            "TargetThroughput": target["Throughput"],
            "OriginalSize": int(volume.size),
            "OriginalIops": volume.iops,
            "OriginalVolumeType": volume.volume_type,
            "OriginalThroughput": volume.throughput,
            "Progress": 0,
            "StartTime": now(),
        }
        known.append(change)
        answer = seen(world, change)
        world.machines.resize_volume(volume.id, size)
        return ActionResult({"VolumeModification": answer})

    def _performance(self, volume: Any, kind: str, wanted: dict[str, Any]) -> dict[str, Any]:
        """IOPS and throughput afterwards: as wished, as before, or what the new type comes with."""
        if kind == volume.volume_type:
            return {"Iops": wanted["Iops"] or volume.iops, "Throughput": wanted["Throughput"] or volume.throughput}
        if kind == "gp3":
            return {"Iops": wanted["Iops"] or 3000, "Throughput": wanted["Throughput"] or 125}
        return {"Iops": wanted["Iops"], "Throughput": None}

    def describe_volumes_modifications(self) -> ActionResult:
        """EC2 API DescribeVolumesModifications: the newest one of each volume."""
        args, world = self.args, self.world
        for volume_id in args.get("VolumeIds") or []:
            rules.volume(world, volume_id)
            if not world.modifications.get(volume_id):
                raise Refusal(
                    "InvalidVolumeModification.NotFound", f"Modification for volume '{volume_id}' does not exist."
                )
        wanted = args.get("VolumeIds") or list(world.modifications)
        shapes = [seen(world, world.modifications[one][-1]) for one in wanted if world.modifications.get(one)]
        found, token = filters.page(filters.apply(shapes, args.get("Filters", []), FILTERS), args)
        return ActionResult({"VolumesModifications": found, "NextToken": token})
