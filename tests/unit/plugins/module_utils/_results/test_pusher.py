"""The pusher against real S3 over HTTP: pushes, faults in the middle, and the next instance."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._results import plan, pusher, store
from ansible_collections.experiments.spot.plugins.module_utils._results.store import StoreError

from .conftest import Instance, client

Make = Callable[..., Instance]


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, ns=(10**18, 10**18 + len(data)))


def test_a_push_and_the_next_instance(instance: Make, state: Path, tmp_path: Path) -> None:
    write(state / "results/metrics.csv", b"1,2")
    write(state / "checkpoints/step-1/model", b"m1")
    write(state / "progress.json", b'{"step": 7}')
    one = instance()
    assert one.push() == 0, one.status
    (digest,) = {key.split("/")[1] for key in one.objects() if key.startswith("checkpoints/")}
    plain = {"LATEST", "state/results/metrics.csv", "state/progress.json"}
    assert one.objects() == plain | {f"checkpoints/{digest}/state/checkpoints/step-1/model"}
    latest = one.latest()
    assert (latest["generation"], latest["step"], latest["instance_id"]) == (1, 7, "i-1")
    assert one.status["files"] == 3 and one.status["message"] == ""

    two = instance(2, folder=tmp_path / "new")
    answer = two.restore()
    assert (answer["files"], answer["from_generation"], answer["from_step"]) == (3, 1, 7)
    assert (tmp_path / "new/checkpoints/step-1/model").read_bytes() == b"m1"
    assert not list((tmp_path / "new").glob(".experiments*"))
    assert two.restore() == {"files": 0, "bytes": 0, "found": True}, "what is not empty is left alone"


def test_what_is_unchanged_is_not_sent_again(instance: Make, state: Path, control: Callable[..., Any]) -> None:
    write(state / "a", b"1")
    one = instance()
    one.push()
    before = one.latest()
    assert one.push() == 0 and one.status["files"] == 0 and one.latest() == before
    write(state / "a", b"22")
    assert one.push() == 0 and one.status["files"] == 1
    assert one.latest()["files"][0]["size"] == 2
    os.unlink(tmp := one.folder / "cache")
    assert one.push() == 0 and one.status["files"] == 0, "the manifest knows, too"
    assert tmp.exists()


def test_old_checkpoints_go_after_the_new_manifest(instance: Make, state: Path) -> None:
    write(state / "checkpoints/a", b"1")
    one = instance()
    one.push()
    first = one.objects()
    write(state / "checkpoints/a", b"22")
    assert one.push() == 0
    assert len(one.objects()) == len(first) and one.objects() != first


def test_a_checkpoint_that_is_being_written_is_left_for_later(instance: Make, state: Path) -> None:
    write(state / "checkpoints/step-1/model", b"old")
    write(state / "checkpoints/step-1/optimizer", b"old")
    one = instance()
    one.push()
    write(state / "checkpoints/step-1/model", b"newer")
    with open(state / "checkpoints/step-1/optimizer", "r+b"):
        assert one.push() == 0
        assert one.status["left"] == 2
    assert {one["size"] for one in one.latest()["files"]} == {3}, "the old one, whole"
    write(state / "checkpoints/step-1/optimizer", b"newer")
    write(state / "results/x.csv.tmp", b"1")
    assert one.push() == 0 and {one["size"] for one in one.latest()["files"]} == {5}
    assert "state/results/x.csv.tmp" not in one.objects()


def test_a_push_that_dies_leaves_the_former_checkpoint(
    instance: Make, state: Path, control: Any, tmp_path: Path
) -> None:
    """The second push sends the new files but no manifest: whoever comes then gets the old ones, whole."""
    for name in ("model", "optimizer"):
        write(state / f"checkpoints/last/{name}", b"old")
    write(state / "results/log", b"old")
    one = instance()
    one.push()
    for name in ("checkpoints/last/model", "checkpoints/last/optimizer", "results/log"):
        write(state / name, b"newer")
    work = one.work()
    work.begin()
    work.send_all()

    two = instance(2, folder=tmp_path / "new")
    two.restore()
    assert {(tmp_path / f"new/checkpoints/last/{name}").read_bytes() for name in ("model", "optimizer")} == {b"old"}
    assert (tmp_path / "new/results/log").read_bytes() == b"newer", "one object is always whole"


def test_one_bad_file_stops_no_other(instance: Make, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(state / "bad", b"1")
    write(state / "good", b"1")
    send = store.Store.send

    def refuse(self: Any, key: str, *args: Any) -> None:
        if key.endswith("bad"):
            raise StoreError("s3://mine/bad: no", "InternalError")
        send(self, key, *args)

    monkeypatch.setattr(store.Store, "send", refuse)
    one = instance()
    assert one.push() == 1
    assert [file["path"] for file in one.latest()["files"]] == ["good"]
    assert one.status["failed"] == 1 and "state/bad: s3://mine/bad: no" in one.status["message"]


def forbid(one: Instance, action: str) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": "arn:aws:s3:::mine/*"}
    one.s3.put_bucket_policy(Bucket="mine", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def test_a_role_without_the_right_is_told_action_and_bucket(instance: Make, state: Path) -> None:
    write(state / "a", b"1")
    one = instance()
    forbid(one, "s3:PutObject")
    with pytest.raises(StoreError, match=r"s3://mine/runs/x/OWNER: the credentials may not s3:PutObject"):
        pusher.claim(one.config, one.store)
    assert one.push() == 1 and "s3:PutObject" in one.status["message"]
    one.s3.delete_bucket_policy(Bucket="mine")
    pusher.claim(one.config, one.store)
    forbid(one, "s3:GetObject")
    with pytest.raises(StoreError, match="s3:GetObject, or s3:ListBucket"):
        pusher.claim(one.config, one.store)


def test_no_bucket_and_no_answer(instance: Make, state: Path) -> None:
    one = instance(bucket="none")
    one.store.bucket = "none"
    with pytest.raises(StoreError, match="there is no such bucket"):
        store.Store(one.s3, "none").read("x")
    with pytest.raises(StoreError, match="S3 does not answer"):
        store.Store(client("http://127.0.0.1:9"), "mine").read("x")


def test_an_older_instance_does_not_write_any_more(instance: Make, state: Path) -> None:
    write(state / "a", b"1")
    one, two = instance(), instance(2)
    pusher.claim(one.config, one.store)
    assert one.push() == 0
    pusher.claim(two.config, two.store)
    write(state / "a", b"22")
    assert one.push() == pusher.EX_NOPERM and "i-2 (generation 2) owns" in one.status["message"]
    assert two.push() == 0 and two.latest()["generation"] == 2
    pusher.claim(one.config, one.store)
    assert one.push() == 0, "closed and launched again: generations begin anew"


def test_a_directory_that_is_not_mounted_any_more_is_not_empty(instance: Make, state: Path) -> None:
    write(state / "checkpoints/a", b"1")
    write(state / "b", b"1")
    one = instance()
    one.push()
    before = one.latest(), one.objects()
    state.rename(state.with_name("away"))
    assert one.push() == 0 and (one.latest(), one.objects()) == before
    state.mkdir()
    assert one.push() == 0 and (one.latest(), one.objects()) == before
    write(state / "c", b"1")
    assert one.push() == 0 and [file["path"] for file in one.latest()["files"]] == ["c"]


def test_a_restore_that_was_cut_off_goes_on(instance: Make, state: Path, tmp_path: Path, control: Any) -> None:
    for number in range(5):
        write(state / f"{number}", bytes([number]) * 10)
    instance().push()
    new = tmp_path / "new"
    two = instance(2, folder=new)
    two.s3.delete_object(Bucket="mine", Key="runs/x/state/3")
    with pytest.raises(StoreError, match="1 of 5 files were not restored"):
        two.restore()
    assert (new / pusher.MARK).exists(), "half filled is not filled"
    two.s3.put_object(Bucket="mine", Key="runs/x/state/3", Body=bytes([3]) * 10)
    assert two.restore()["files"] == 1 and (new / "3").read_bytes() == bytes([3]) * 10


def test_a_damaged_object_is_not_taken(instance: Make, state: Path, tmp_path: Path) -> None:
    write(state / "a", b"good")
    instance().push()
    two = instance(2, folder=tmp_path / "new")
    two.s3.put_object(Bucket="mine", Key="runs/x/state/a", Body=b"evil")
    with pytest.raises(StoreError, match="is damaged"):
        two.restore()
    assert not (tmp_path / "new/a").exists()


def test_the_end_of_the_time_publishes_what_is_there(instance: Make, state: Path) -> None:
    for number in range(20):
        write(state / f"{number:02}", b"1")
    one = instance()
    work = one.work("notice")
    work.send_one = lambda file: (work.stop(), type(work).send_one(work, file))[1]  # type: ignore[method-assign]
    assert work.run() == pusher.EX_TEMPFAIL
    assert 0 < len(one.latest()["files"]) < 20 and "the time was over" in one.status["message"]
    assert one.push() == 0 and len(one.latest()["files"]) == 20


def test_what_somebody_removed_is_sent_again_at_the_end(instance: Make, state: Path) -> None:
    write(state / "a", b"1")
    one = instance()
    one.push()
    one.s3.delete_object(Bucket="mine", Key="runs/x/state/a")
    assert one.push("end") == 0 and "state/a" in one.objects()


def test_odd_names_and_empty_files(instance: Make, state: Path, tmp_path: Path) -> None:
    names = ["with blank", "quote'\"", "-dash", "ünï", "a+b&c=d", "x/y/z"]
    for name in names:
        write(state / name, name.encode())
    write(state / "empty", b"")
    (state / "link").symlink_to(state / "-dash")
    (state / "loop").symlink_to(state)
    write(state / "new\nline", b"1")
    one = instance()
    assert one.push() == 1 and one.status["failed"] == 1 and "rename the file" in one.status["message"]
    instance(2, folder=tmp_path / "new").restore()
    for name in names:
        assert (tmp_path / "new" / name).read_bytes() == name.encode()
    assert (tmp_path / "new/empty").read_bytes() == b"" and (tmp_path / "new/link").read_bytes() == b"-dash"


def test_time_left_keeps_some_for_the_volumes() -> None:
    assert pusher.time_left({"deadline": 220.0}, 100.0) == 100.0
    assert pusher.time_left({"deadline": 130.0}, 100.0) == 20.0
    assert pusher.time_left({"deadline": 90.0}, 100.0) == 1.0


@pytest.mark.slow
def test_many_small_and_a_large_file(instance: Make, state: Path, tmp_path: Path) -> None:
    for number in range(1100):
        write(state / f"results/{number % 20}/{number}", b"%d" % number)
    large = os.urandom(1 << 20) * 70
    write(state / "checkpoints/step-1/model", large)
    one = instance()
    assert one.push() == 0, one.status
    key = next(file["key"] for file in one.latest()["files"] if file["group"])
    head = one.s3.head_object(Bucket="mine", Key=f"runs/x/{key}")
    assert head["ContentLength"] == len(large) and head["ETag"].strip('"').endswith("-5"), "5 parts of 16 MiB"
    assert one.push() == 0 and one.status["files"] == 0
    assert instance(2, folder=tmp_path / "new").restore()["files"] == 1101
    assert (tmp_path / "new/checkpoints/step-1/model").read_bytes() == large
    assert len(plan.parse(one.store.read("runs/x/LATEST") or b"")["files"]) == 1101
