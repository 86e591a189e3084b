from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from lab import engine
from lab.image import job


def test_requirements_are_split_into_code_and_data() -> None:
    text = "# remark\nnumpy==1\n\nscikit-learn==2\nmatplotlib\n"
    assert job.requirements(text) == (["numpy==1", "matplotlib"], ["scikit-learn==2"])


def test_the_experiments_requirements_are_pinned() -> None:
    full, data = job.requirements(job.REQUIREMENTS.read_text())
    assert full and data
    assert all("==" in line for line in [*full, *data])


def test_pip_asks_for_wheels_of_the_images_python_whatever_runs_it() -> None:
    argv = job.pip_command(Path("/t"), ["numpy"], "x86_64", dependencies=True)
    assert argv[argv.index("--python-version") + 1] == "3.11"
    assert "--only-binary=:all:" in argv and "manylinux_2_28_x86_64" in argv
    assert argv[-1] == "numpy" and "--no-deps" not in argv
    assert "--no-deps" in job.pip_command(Path("/t"), ["numpy"], "x86_64", dependencies=False)


def test_gzip_layer_has_the_digests_of_what_it_wrote(tmp_path: Path) -> None:
    data = [b"a" * 100_000, b"b", b"c" * 70_000]
    layer = job.gzip_layer(data, tmp_path / "layer")
    packed = layer.path.read_bytes()
    assert gzip.decompress(packed) == b"".join(data)
    assert layer.size == len(packed)
    assert layer.digest == "sha256:" + hashlib.sha256(packed).hexdigest()
    assert layer.diff_id == "sha256:" + hashlib.sha256(b"".join(data)).hexdigest()


def test_gzip_layer_is_the_same_for_the_same_data(tmp_path: Path) -> None:
    assert job.gzip_layer([b"x"], tmp_path / "1").digest == job.gzip_layer([b"x"], tmp_path / "2").digest


def test_config_and_manifest_agree() -> None:
    layer = job.Layer(Path("x"), "sha256:outer", 7, "sha256:inner")
    config = job.encode(job.config([layer], "abc", "amd64", "2026-01-01T00:00:00Z"))
    manifest = job.manifest([layer], config)
    assert json.loads(config)["rootfs"]["diff_ids"] == ["sha256:inner"]
    assert json.loads(config)["config"]["Labels"] == {job.LABEL: "abc"}
    assert manifest["layers"] == [{"mediaType": job.LAYER, "size": 7, "digest": "sha256:outer"}]
    assert manifest["config"]["size"] == len(config)
    assert manifest["config"]["digest"] == "sha256:" + hashlib.sha256(config).hexdigest()


@pytest.mark.parametrize(("machine", "named"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")])
def test_architectures_have_the_names_of_images(machine: str, named: str) -> None:
    assert job.go_architecture(machine) == named


def test_a_failing_bootstrap_is_one_error_and_leaves_no_layer(tmp_path: Path) -> None:
    argv = ["sh", "-c", "echo 'E: no mirror' >&2; exit 2"]
    with pytest.raises(engine.EngineError, match="E: no mirror"):
        job.compress(argv, tmp_path / "layer", tmp_path / "log")
    assert not (tmp_path / "layer").exists()


def test_a_failing_pip_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "pip_command", lambda *a, **k: ["sh", "-c", "echo 'ERROR: no such version' >&2; exit 1"])
    with pytest.raises(engine.EngineError, match="no such version"):
        job._install(tmp_path)


def test_the_recipe_follows_the_requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = job.recipe()
    other = tmp_path / "requirements.txt"
    other.write_text("numpy==0\n")
    monkeypatch.setattr(job, "REQUIREMENTS", other)
    assert job.recipe() != before
