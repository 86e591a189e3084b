"""The first steps of an instance: fetch, unpack, choose an interpreter, or end."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._self import fleet, loader
from ansible_collections.experiments.spot.plugins.module_utils._self.loader import LoadError


def put_bundle(bucket: SimpleNamespace, text: str = "hello", sha256: str = "") -> str:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        info = tarfile.TarInfo("python/x.py")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text.encode()))
    found = hashlib.sha256(target.getvalue()).hexdigest()
    manifest = {"name": "bundle-1.tar.gz", "sha256": sha256 or found, "python": [3, 9]}
    bucket.s3.put_object(Bucket="mine", Key="some where/x/bundle-1.tar.gz", Body=target.getvalue())
    bucket.s3.put_object(Bucket="mine", Key="some where/x/bundle.json", Body=json.dumps(manifest).encode())
    return found


def config(bucket: SimpleNamespace) -> dict[str, Any]:
    return {
        "bucket": "mine",
        "prefix": "some where/x",
        "region": "us-east-1",
        "endpoint": bucket.url,
        "experiment": "x",
    }


def test_the_bundle_is_fetched_once(bucket: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = put_bundle(bucket)
    folder, manifest = loader.fetch(bucket.store, str(tmp_path))
    assert folder == f"{tmp_path}/{sha256[:16]}" and manifest["python"] == [3, 9]
    assert Path(folder, "python/x.py").read_text() == "hello"
    monkeypatch.setattr(bucket.store, "fetch", None)
    assert loader.fetch(bucket.store, str(tmp_path))[0] == folder, "after a reboot it is there already"
    assert [path.name for path in tmp_path.iterdir()] == [sha256[:16]]


def test_a_part_of_an_earlier_try_is_no_obstacle(bucket: SimpleNamespace, tmp_path: Path) -> None:
    sha256 = put_bundle(bucket)
    (tmp_path / f"{sha256[:16]}.part").mkdir()
    folder, _manifest = loader.fetch(bucket.store, str(tmp_path))
    assert Path(folder, "python/x.py").exists()


def test_it_tries_for_a_while_and_says_why(bucket: SimpleNamespace, service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    slept: list[float] = []
    monkeypatch.setattr(loader, "time", SimpleNamespace(sleep=slept.append))  # not of other threads
    monkeypatch.setattr(loader, "BASE", str(tmp_path))
    with pytest.raises(LoadError, match=r"bundle\.json is not there"):
        loader.load(config(bucket), service)
    assert 300 < sum(slept) < 600
    assert capsys.readouterr().out.count("bundle.json is not there") == len(slept)


def test_it_goes_on_when_the_bundle_comes(bucket: SimpleNamespace, service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(
        loader, "time", SimpleNamespace(sleep=lambda _seconds: put_bundle(bucket))
    )  # not of other threads
    fetch = loader.fetch
    monkeypatch.setattr(loader, "fetch", lambda store: fetch(store, str(tmp_path)))
    python, folder = loader.load(config(bucket), service)
    assert Path(folder).is_dir() and Path(python).exists()


@pytest.mark.parametrize(
    ("found", "least", "chosen"),
    [
        ([("/usr/bin/python3", (3, 12))], (3, 11), "/usr/bin/python3"),
        ([("/usr/bin/python3", (3, 9)), ("/usr/bin/python3.11", (3, 11))], (3, 11), "/usr/bin/python3.11"),
    ],
)
def test_interpreter(found: Any, least: Any, chosen: str) -> None:
    assert loader.choose(found, least) == chosen


def test_no_interpreter_is_new_enough() -> None:
    with pytest.raises(LoadError, match=r"needs Python 3\.11 or newer, this image has 3\.9, 3\.10"):
        loader.choose([("/a", (3, 9)), ("/b", (3, 10))], (3, 11))


def test_giving_up_ends_the_fleet_first(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    answers = [fleet.FleetError("not now"), "fleet-1"]

    def delete(*_args: Any) -> str:
        answer = answers.pop(0)
        done.append("delete")
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setattr(loader.fleet, "delete", delete)
    monkeypatch.setattr(
        loader, "time", SimpleNamespace(sleep=lambda _seconds: done.append("sleep"))
    )  # not of other threads
    monkeypatch.setattr(subprocess, "run", lambda argv, **_more: done.append(argv))
    loader.give_up({}, service, "nothing could be fetched")
    assert done == ["delete", "sleep", "delete", ["systemctl", "poweroff"]]


def test_giving_up_does_not_cost_for_ever(
    service: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A role that may not end its fleet: after a day the instance ends, and its last line says what stands."""
    slept: list[float] = []
    ran: list[Any] = []
    monkeypatch.setattr(loader, "time", SimpleNamespace(sleep=slept.append))  # not of other threads
    monkeypatch.setattr(subprocess, "run", lambda argv, **_more: ran.append(argv))
    service.fault = "UnauthorizedOperation"
    loader.give_up({}, service, "nothing could be fetched")
    assert loader.LONGEST <= sum(slept) < loader.LONGEST + 600 and ran == [["systemctl", "poweroff"]]
    assert "the fleet still stands" in capsys.readouterr().out.splitlines()[-1]
