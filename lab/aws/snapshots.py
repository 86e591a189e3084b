"""EBS snapshots."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from lab.aws import filters, launches, rules
from lab.aws.errors import Refusal
from lab.aws.instances import tag_list
from lab.aws.response import LabResponse
from lab.aws.world import World, now


class Snapshots(LabResponse):
    """Actions on snapshots."""

    def create_snapshot(self) -> ActionResult:
        """EC2 API CreateSnapshot: `pending` until the machine side has copied the data."""
        args = self.args
        volume = rules.volume(self.world, args.get("VolumeId", ""))
        tags = launches.tag_map(args.get("TagSpecifications")).get("snapshot", {})
        rules.created(volume.id, "creating" if self.world.volume_states.get(volume.id) == "creating" else "")
        self.dry_run()
        self._may_begin(volume.id)
        snapshot = self.world.backend.create_snapshot(volume.id, args.get("Description", ""))
        snapshot.size_then = int(volume.size)  # the volume may grow, and may be deleted
        snapshot.add_tags(tags)
        self.world.snapshot_states[snapshot.id] = "pending"
        self.world.snapshot_progress[snapshot.id] = 0
        answer = describe_snapshot(self.world, snapshot)
        self.world.machines.snapshot(volume.id, snapshot.id)
        return ActionResult(answer)

    def _may_begin(self, volume_id: str) -> None:
        pending = [s for s in self.world.backend.snapshots.values() if s.volume.id == volume_id]
        rules.another_snapshot([s.start_time for s in pending if s.id in self.world.snapshot_states], utcnow())

    def describe_snapshots(self) -> ActionResult:
        """EC2 API DescribeSnapshots."""
        args = self.args
        ids, owners = args.get("SnapshotIds") or [], args.get("OwnerIds") or []
        known = self.world.backend.snapshots
        for snapshot_id in ids:
            if snapshot_id not in known:
                raise Refusal("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
        account = self.world.config.account_id
        owners = [account if o == "self" else o for o in owners]
        found = [known[i] for i in ids] or list(known.values())
        found = [s for s in found if not owners or s.owner_id in owners]
        shapes = filters.apply([describe_snapshot(self.world, s) for s in found], args.get("Filters", []), SNAPSHOTS)
        page, token = filters.page(shapes, args)
        return ActionResult({"Snapshots": page, "NextToken": token})

    def delete_snapshot(self) -> ActionResult:
        """EC2 API DeleteSnapshot."""
        snapshot_id = self.args.get("SnapshotId", "")
        if snapshot_id not in self.world.backend.snapshots:
            raise Refusal("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
        answer = super().delete_snapshot()
        self.world.backend.tags.pop(snapshot_id, None)
        self.world.snapshot_states.pop(snapshot_id, None)
        self.world.snapshot_progress.pop(snapshot_id, None)
        self.world.machines.delete_snapshot(snapshot_id)
        return answer


SNAPSHOTS = filters.table(
    {
        "description": "Description",
        "encrypted": "Encrypted",
        "owner-id": "OwnerId",
        "progress": "Progress",
        "snapshot-id": "SnapshotId",
        "start-time": "StartTime",
        "status": "State",
        "volume-id": "VolumeId",
        "volume-size": "VolumeSize",
    }
)


def size_of(snapshot: Any) -> int:
    """GiB of the volume when the snapshot was made."""
    return int(getattr(snapshot, "size_then", snapshot.volume.size))


def describe_snapshot(world: World, snapshot: Any) -> dict[str, Any]:
    """EC2 API Snapshot."""
    state = world.snapshot_states.get(snapshot.id, "completed")
    return {
        "SnapshotId": snapshot.id,
        "VolumeId": snapshot.volume.id,
        "VolumeSize": size_of(snapshot),
        "State": state,
        "Progress": f"{world.snapshot_progress.get(snapshot.id, 100 if state == 'completed' else 0)}%",
        "StartTime": snapshot.start_time or now(),
        "Description": snapshot.description or "",
        "Encrypted": bool(snapshot.encrypted),
        "OwnerId": snapshot.owner_id,
        "StorageTier": "standard",
        "Tags": tag_list(world, snapshot.id),
    }
