"""Results come home from their bucket: whole, once, and with a clear word when they cannot."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.experiments.spot.plugins.action import results_pull, results_sdk
from ansible_collections.experiments.spot.plugins.module_utils._results import fetch
from lab.aws.config import ACCESS_KEY, SECRET_KEY
from tests.unit.plugins.module_utils._results.conftest import Instance, api, instance, s3, state  # noqa: F401

Pull = Callable[..., dict[str, Any]]


def run(plugin: Any, check_mode: bool = False, diff: bool = False, **args: Any) -> dict[str, Any]:
    loader = DataLoader()
    task = SimpleNamespace(
        args=args, async_val=0, check_mode=check_mode, diff=diff, action="results", collections=[]
    )  # fmt: skip
    context = SimpleNamespace(check_mode=check_mode, diff=diff, verbosity=0)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    action = plugin.ActionModule(task, connection, context, loader, Templar(loader=loader, variables={}), None)
    return dict(action.run(task_vars={}))


@pytest.fixture
def pull(api: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Pull]:  # noqa: F811
    for name, value in {"ACCESS_KEY_ID": ACCESS_KEY, "SECRET_ACCESS_KEY": SECRET_KEY, "ENDPOINT_URL": api}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    wanted = {"bucket": "s3://mine/runs", "experiment": "x", "local_path": str(tmp_path / "home")}
    yield lambda **args: run(results_pull, **{**wanted, **args})


def test_they_come_once(instance: Callable[..., Instance], state: Path, pull: Pull, tmp_path: Path) -> None:  # noqa: F811
    (state / "results/a.csv").write_bytes(b"1,2")
    (state / "model").write_bytes(b"m")
    assert not pull()["found"]
    with pytest.raises(AnsibleActionFail, match=r"s3://mine/runs/x/ holds none"):
        pull(required=True)
    one = instance()
    one.push()
    expected = pull(check_mode=True, diff=True)
    assert expected["changed"] and expected["files"] == 2 and not (tmp_path / "home").exists()
    assert "home/results/a.csv" in expected["diff"]["prepared"]
    done = pull()
    assert (done["changed"], done["files"], done["bytes"], done["manifests"][0]["generation"]) == (True, 2, 4, 1)
    assert (tmp_path / "home/results/a.csv").read_bytes() == b"1,2"
    again = pull()
    assert (again["changed"], again["files"], again["unchanged"]) == (False, 0, 2)

    (tmp_path / "home/model").write_bytes(b"X")  # as large, another content
    os.utime(tmp_path / "home/model", (1, 1))
    assert pull()["files"] == 1 and (tmp_path / "home/model").read_bytes() == b"m"


def test_each_rank_has_a_directory(instance: Callable[..., Instance], state: Path, pull: Pull, tmp_path: Path) -> None:  # noqa: F811
    for rank in (0, 1):
        (state / "who").write_text(str(rank))
        instance(rank + 1, prefix=f"runs/x/rank-{rank}").push()
    pull(ranks=[0, 1], count=2)
    assert [(tmp_path / f"home/rank-{rank}/who").read_text() for rank in (0, 1)] == ["0", "1"]


def test_a_file_that_was_cut_off_goes_on(
    instance: Callable[..., Instance], state: Path, pull: Pull, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    data = os.urandom(3 << 20)
    (state / "model").write_bytes(data)
    one = instance()
    one.push()
    home = tmp_path / "home"
    home.mkdir()
    (home / f"model{fetch.PART}").write_bytes(data[: 1 << 20])
    starts: list[int] = []
    opened = results_pull.Store.open
    monkeypatch.setattr(
        results_pull.Store,
        "open",
        lambda self, key, start=0, etag="": (starts.append(start), opened(self, key, start, etag))[1],
    )
    pull()
    assert starts == [1 << 20] and (home / "model").read_bytes() == data

    (home / "model").unlink()
    (home / f"model{fetch.PART}").write_bytes(b"of something else")
    pull()
    assert (home / "model").read_bytes() == data and [one.name for one in home.iterdir()] == ["model"]


def test_what_goes_wrong_is_told(
    instance: Callable[..., Instance], state: Path, pull: Pull, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    (state / "good").write_bytes(b"1")
    (state / "lost").write_bytes(b"1")
    one = instance()
    one.push()
    with pytest.raises(AnsibleActionFail, match="there is no such bucket"):
        pull(bucket="s3://nosuch")
    (tmp_path / "file").write_text("")
    with pytest.raises(AnsibleActionFail, match="is not a directory"):
        pull(local_path=str(tmp_path / "file/below"))
    one.s3.delete_object(Bucket="mine", Key="runs/x/state/lost")
    with pytest.raises(AnsibleActionFail, match=r"1 of .* did not arrive, such as state/lost"):
        pull()
    assert (tmp_path / "home/good").exists(), "one that fails stops no other"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(AnsibleActionFail, match="does not answer"):
        pull()


def test_no_room_is_told_before_anything_comes(
    instance: Callable[..., Instance], state: Path, pull: Pull, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    (state / "a").write_bytes(b"1234")
    instance().push()
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=3, f_frsize=1))
    with pytest.raises(AnsibleActionFail, match="has 3 B free, the results need 4 B"):
        pull()


def test_the_sdk_is_packed_with_what_s3_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    packed = run(results_sdk)
    with tarfile.open(packed["path"]) as archive:
        names = archive.getnames()
    assert packed["stamp"] in names and packed["size"] < 5_000_000
    for name in ("boto3/__init__.py", "botocore/data/s3/2006-03-01/service-2.json.gz", "botocore/cacert.pem"):
        assert f"experiments-spot/sdk/{name}" in names
    assert not [name for name in names if "/data/ec2/" in name]
    assert run(results_sdk)["stamp"] == packed["stamp"]
