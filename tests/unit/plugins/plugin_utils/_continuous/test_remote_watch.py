"""The program that runs on an instance, as a process of its own on real directories."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._continuous import remote_watch

pytestmark = pytest.mark.slow


class Running:
    """The program as an instance runs it: its text as an argument, paths as JSON."""

    def __init__(self, *paths: str, recursive: bool = True, mount_points: tuple[str, ...] = ()) -> None:
        wanted = {"paths": list(paths), "recursive": [recursive] * len(paths), "mount_points": list(mount_points)}
        given = json.dumps(wanted)
        source = Path(remote_watch.__file__).read_text()
        self.process = subprocess.Popen([sys.executable, "-c", source, given], stdout=subprocess.PIPE)
        self.rest = b""
        assert self.line() == (f"waiting {', '.join(mount_points)}" if mount_points else "ready")

    def line(self, seconds: float = 20.0) -> str:
        """The next line."""
        assert self.process.stdout
        while b"\n" not in self.rest:
            assert select.select([self.process.stdout], [], [], seconds)[0], "it says nothing"
            self.rest += os.read(self.process.stdout.fileno(), 4096)
        line, _end, self.rest = self.rest.partition(b"\n")
        return line.decode()

    def change(self) -> str:
        """The next line that is more than a sign of life."""
        while (line := self.line()) == "alive":
            pass
        return line

    def changed(self) -> dict[str, list[str] | None]:
        """What the next line tells, by number of the path."""
        word, _blank, rest = self.change().partition(" ")
        assert word == "changed"
        found: dict[str, list[str] | None] = json.loads(rest)
        return found

    def quiet(self) -> None:
        """Nothing but a sign of life comes; takes some seconds."""
        assert self.line() == "alive"


@pytest.fixture
def started() -> Iterator[list[Running]]:
    made: list[Running] = []
    yield made
    for one in made:
        one.process.kill()
        one.process.wait()
        assert one.process.stdout
        one.process.stdout.close()


def test_changes_are_told_by_the_number_of_their_path(tmp_path: Path, started: list[Running]) -> None:
    for name in ("a", "b/deep/er"):
        (tmp_path / name).mkdir(parents=True)
    running = Running(f"{tmp_path}/a/", f"{tmp_path}/b")
    started.append(running)
    (tmp_path / "b/deep/er/x y\n").write_text("1")
    assert running.changed() == {"1": ["deep/er/x y\n"]}
    (tmp_path / "a/new").write_text("1")
    assert running.changed() == {"0": ["new"]}
    os.remove(tmp_path / "a/new")
    assert running.changed() == {"0": ["new"]}


def test_renamed_directories_are_told_by_their_new_names(tmp_path: Path, started: list[Running]) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    running = Running(str(tmp_path))
    started.append(running)
    (tmp_path / "a").rename(tmp_path / "c")
    (tmp_path / "c").rename(tmp_path / "d")
    assert running.changed() == {"0": ["a", "c", "d"]}
    (tmp_path / "d/b/x").write_text("1")
    assert running.changed() == {"0": ["d/b/x"]}


def test_what_cannot_be_placed_is_told_as_everything(tmp_path: Path, started: list[Running]) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "one").write_text("1")
    running = Running(str(tmp_path), str(tmp_path / "one"))
    started.append(running)
    shutil.rmtree(tmp_path / "a")
    assert running.changed() == {"0": None}
    (tmp_path / "one").write_text("2")
    assert running.changed() == {"0": ["one"], "1": None}
    running.process.send_signal(signal.SIGSTOP)  # so that all of them come at once, however busy the machine is
    for number in range(200):
        (tmp_path / str(number)).write_text("1")
    running.process.send_signal(signal.SIGCONT)
    assert running.changed() == {"0": None}


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A directory that something can be mounted on."""
    place = tmp_path / "data"
    place.mkdir()
    yield place
    subprocess.run(["umount", str(place)], check=False, stderr=subprocess.DEVNULL)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_what_is_not_mounted_is_waited_for(volume: Path, started: list[Running]) -> None:
    running = Running(str(volume), mount_points=(str(volume),))
    started.append(running)
    assert running.line() == f"waiting {volume}"
    (volume / "hidden").write_text("1")
    subprocess.run(["mount", "-t", "tmpfs", "none", str(volume)], check=True)
    while (line := running.line()) == f"waiting {volume}":
        pass
    assert line == "ready"
    (volume / "seen").write_text("1")
    assert list(running.changed()) == ["0"]
    subprocess.run(["umount", "--lazy", str(volume)], check=True)
    while running.change() != f"waiting {volume}":
        pass
    subprocess.run(["mount", "-t", "tmpfs", "none", str(volume)], check=True)
    while (line := running.line()) == f"waiting {volume}":
        pass
    assert line == "ready"


def test_new_directories_are_seen_into(tmp_path: Path, started: list[Running]) -> None:
    running = Running(str(tmp_path))
    started.append(running)
    (tmp_path / "one/two").mkdir(parents=True)
    assert list(running.changed()) == ["0"]
    (tmp_path / "one/two/three").write_text("1")
    assert list(running.changed()) == ["0"]


def test_what_does_not_exist_yet_is_waited_for(tmp_path: Path, started: list[Running]) -> None:
    running = Running(f"{tmp_path}/later/results/", f"{tmp_path}/later/*.csv")
    started.append(running)
    (tmp_path / "later").mkdir()
    assert "0" in running.changed()
    (tmp_path / "later/results").mkdir()
    assert "0" in running.changed()
    (tmp_path / "later/results/m.csv").write_text("1")
    assert "0" in running.changed()
    (tmp_path / "later/n.csv").write_text("1")
    assert "1" in running.changed()


def test_without_recursion_only_the_directory_itself_counts(tmp_path: Path, started: list[Running]) -> None:
    (tmp_path / "deep").mkdir()
    running = Running(str(tmp_path), recursive=False)
    started.append(running)
    (tmp_path / "deep/x").write_text("1")
    running.quiet()
    (tmp_path / "x").write_text("1")
    assert list(running.changed()) == ["0"]


def test_what_rsync_keeps_for_itself_does_not_count(tmp_path: Path, started: list[Running]) -> None:
    (tmp_path / ".rsync-partial").mkdir()
    running = Running(str(tmp_path))
    started.append(running)
    (tmp_path / ".rsync-partial/x").write_text("1")
    running.quiet()


def test_it_ends_when_nobody_listens(tmp_path: Path, started: list[Running]) -> None:
    running = Running(str(tmp_path))
    assert running.process.stdout
    running.process.stdout.close()
    (tmp_path / "x").write_text("1")
    assert running.process.wait(timeout=20) == 0


def test_paths_as_channels_write_them() -> None:
    home = os.path.expanduser("~")
    assert remote_watch.root_of("~/results/") == f"{home}/results"
    assert remote_watch.root_of("results") == f"{home}/results"
    assert remote_watch.root_of("/data/*/m[0-9].csv") == "/data"
    assert remote_watch.root_of("/") == "/"
