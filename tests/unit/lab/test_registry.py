from __future__ import annotations

import shutil
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import engine, registry
from lab.image import job

needs_registry = pytest.mark.skipif(
    not shutil.which("docker-registry", path=engine.SEARCH_PATH), reason="docker-registry is one of the lab's packages"
)


def nothing(line: str) -> None:
    """A `say` that nobody listens to."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[registry.Registry]:
    monkeypatch.setenv(engine.CACHE_VARIABLE, str(tmp_path / "cache"))
    made = registry.Registry("127.0.0.1", tmp_path, free_port())
    yield made
    made.stop()


@pytest.fixture
def layer(tmp_path: Path) -> job.Layer:
    return job.gzip_layer([b"a tar, for all a registry knows"], tmp_path / "layer.tar.gz")


@pytest.fixture
def built(layer: job.Layer, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Job images cost nothing here; the list has one entry for each that was built."""
    times: list[Path] = []

    def build(directory: Path) -> list[job.Layer]:
        times.append(directory)
        rest = [job.gzip_layer([name.encode()], directory / f"{name}.tar.gz") for name in ("python", "packages")]
        return [layer, *rest]

    monkeypatch.setattr(job, "build", build)
    return times


def test_the_job_image_has_its_static_name() -> None:
    assert registry.JOB_IMAGE == "registry.lab:5000/experiments/digits:1"
    assert registry.PYTHON_IMAGE == "registry.lab:5000/experiments/python:1"
    assert registry.SHELL_IMAGE == "registry.lab:5000/experiments/shell:1"


def test_a_registry_that_never_ran_has_no_process_and_stops(one: registry.Registry) -> None:
    assert one.pid() is None
    one.stop()


def test_a_stale_pid_file_is_not_believed(one: registry.Registry) -> None:
    one._config.with_suffix(".pid").write_text("1")
    assert one.pid() is None


def test_no_program_names_the_package(one: registry.Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.shutil, "which", lambda *a, **k: None)
    with pytest.raises(engine.EngineError, match=r"apt-get install .*docker-registry"):
        one.start(nothing)


@needs_registry
def test_start_finds_it_running_and_stop_ends_it(one: registry.Registry) -> None:
    one.start(nothing)
    pid = one.pid()
    assert pid and one.answers()
    registry.Registry("127.0.0.1", one.notes, one.port).start(nothing)
    assert one.pid() == pid
    registry.Registry("127.0.0.1", one.notes, one.port).stop()
    assert one.pid() is None and not one.answers()


@needs_registry
def test_whoever_has_another_cache_ends_it_too(
    one: registry.Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.start(nothing)
    monkeypatch.setenv(engine.CACHE_VARIABLE, str(tmp_path / "of another user"))
    registry.Registry("127.0.0.1", one.notes, one.port).stop()
    assert not one.answers()


@needs_registry
def test_a_process_that_has_no_command_line_yet_is_waited_for(
    one: registry.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = registry.Registry.pid, []

    def late(self: registry.Registry) -> int | None:
        asked.append(1)
        return None if len(asked) < 4 else real(self)

    monkeypatch.setattr(registry.Registry, "pid", late)
    one.start(nothing)
    assert one.answers() and len(asked) >= 4


@needs_registry
def test_a_port_in_use_is_one_error_with_a_command(one: registry.Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.Registry, "answers", lambda self: True)
    with pytest.raises(engine.EngineError, match="systemctl disable --now docker-registry"):
        one.start(nothing)
    assert one.pid() is None


@needs_registry
def test_an_address_that_is_not_ours_is_one_error_and_leaves_no_process(one: registry.Registry) -> None:
    other = registry.Registry("192.0.2.1", one.notes, one.port)  # Source: RFC 5737, never assigned
    with pytest.raises(engine.EngineError, match="cannot assign requested address"):
        other.start(nothing)
    assert other.pid() is None


@needs_registry
def test_the_job_image_is_pushed_once_and_again_when_the_recipe_changes(
    one: registry.Registry, built: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    one.start(nothing)
    assert registry.pushed_recipe(one, registry.NAME, registry.TAG) is None
    registry.ensure_job_image(one, nothing)
    registry.ensure_job_image(one, nothing)
    assert len(built) == 1
    assert registry.pushed_recipe(one, registry.NAME, registry.TAG) == job.recipe()
    assert not built[0].exists()  # no build directory stays behind
    monkeypatch.setattr(job, "recipe", lambda: "0" * 12)
    registry.ensure_job_image(one, nothing)
    assert len(built) == 2
    assert registry.pushed_recipe(one, registry.NAME, registry.TAG) == "0" * 12


@needs_registry
def test_the_images_with_less_have_the_first_layers(
    one: registry.Registry, built: list[Path], layer: job.Layer
) -> None:
    one.start(nothing)
    registry.ensure_job_image(one, nothing)
    three = registry.pushed_layers(one, registry.NAME, registry.TAG)
    assert len(three) == 3 and three[0].digest == layer.digest
    assert registry.pushed_layers(one, registry.SHELL_NAME, registry.TAG) == three[:1]
    assert registry.pushed_layers(one, registry.PYTHON_NAME, registry.TAG) == three[:2]
    for name in (registry.SHELL_NAME, registry.PYTHON_NAME):
        assert registry.pushed_recipe(one, name, registry.TAG) == job.recipe()


@needs_registry
def test_the_storage_outlives_the_process(one: registry.Registry, built: list[Path]) -> None:
    one.start(nothing)
    registry.ensure_job_image(one, nothing)
    one.stop()
    again = registry.Registry("127.0.0.1", one.notes, free_port())
    again.start(nothing)
    try:
        registry.ensure_job_image(again, nothing)
    finally:
        again.stop()
    assert len(built) == 1


@needs_registry
def test_the_layer_can_be_pulled(one: registry.Registry, layer: job.Layer) -> None:
    one.start(nothing)
    registry.push(one, "a/b", "1", [layer], "version")
    with urllib.request.urlopen(f"{one.url}/v2/a/b/blobs/{layer.digest}") as answer:
        assert answer.read() == layer.path.read_bytes()


@needs_registry
def test_an_image_whose_layer_is_lost_is_pushed_again(one: registry.Registry, layer: job.Layer) -> None:
    one.start(nothing)
    registry.push(one, "a/b", "1", [layer], "version")
    one.stop()
    digest = layer.digest.removeprefix("sha256:")
    shutil.rmtree(one.storage / "docker/registry/v2/blobs/sha256" / digest[:2] / digest)
    one.start(nothing)
    assert registry.pushed_recipe(one, "a/b", "1") is None
