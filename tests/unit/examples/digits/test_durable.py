from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).resolve().parents[4] / "examples" / "digits" / "durable.py"
COLUMNS = ["epoch", "loss"]


@pytest.fixture(scope="module")
def durable() -> ModuleType:
    spec = importlib.util.spec_from_file_location("digits_durable", SOURCE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_newest_checkpoint_comes_back(durable: ModuleType, tmp_path: Path) -> None:
    for epoch in (1, 2, 10):
        durable.save(tmp_path, epoch, f"state {epoch}".encode())
    assert durable.newest(tmp_path) == (10, b"state 10")


def test_only_the_last_two_are_kept(durable: ModuleType, tmp_path: Path) -> None:
    for epoch in range(1, 5):
        durable.save(tmp_path, epoch, b"state")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000003.ckpt", "step-000000004.ckpt"]


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_checkpoint_is_passed_over(durable: ModuleType, tmp_path: Path, damage: bytes | None) -> None:
    durable.save(tmp_path, 1, b"one")
    path = durable.save(tmp_path, 2, b"two")
    path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    assert durable.newest(tmp_path) == (1, b"one")


def test_an_unfinished_write_is_no_checkpoint(durable: ModuleType, tmp_path: Path) -> None:
    durable.save(tmp_path, 1, b"one")
    (tmp_path / ".step-000000002.ckpt.new").write_bytes(b"half of it")
    assert durable.newest(tmp_path) == (1, b"one")


def test_no_checkpoint_is_none(durable: ModuleType, tmp_path: Path) -> None:
    assert durable.newest(tmp_path) is None
    assert durable.newest(tmp_path / "missing") is None


def test_a_failing_write_leaves_the_old_file(
    durable: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = durable.save(tmp_path, 1, b"one")

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(durable.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.write(path, b"other")
    assert durable.newest(tmp_path) == (1, b"one")


def test_metrics_go_on_after_the_epoch_that_is_continued_from(durable: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    first = durable.Metrics(path, COLUMNS, 0)
    for epoch in (1, 2, 3):
        first.append({"epoch": str(epoch), "loss": "0.5"})
    second = durable.Metrics(path, COLUMNS, 2)  # the checkpoint of epoch 3 was never finished
    second.append({"epoch": "3", "loss": "0.4"})
    assert path.read_text() == "epoch,loss\n1,0.5\n2,0.5\n3,0.4\n"


def test_a_torn_last_line_is_dropped(durable: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss\n1,0.5\n2,")
    assert [row["epoch"] for row in durable.Metrics(path, COLUMNS, 9).rows] == ["1"]
    assert path.read_text() == "epoch,loss\n1,0.5\n"
