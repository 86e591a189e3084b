from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
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


def archive(**files: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as made:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o640
            made.addfile(member, io.BytesIO(text.encode()))
    return data.getvalue()


def held(path: Path) -> dict[str, tuple[str, int]]:
    with tarfile.open(path) as made:
        return {one.name: (made.extractfile(one).read().decode(), one.mode) for one in made}


def test_shell_and_packages_come_into_layers_of_their_own(tmp_path: Path) -> None:
    ours = {"./usr/local/lib/a.py": "a", "./var/cache/matplotlib/fonts.json": "f"}
    rest = {"./usr/bin/python3": "p", "./usr/localhost": "l", "./var/cache/x": "x", "./shell-like": "s"}
    shell = {"./shell/bin/busybox": "b", "./shell/etc/passwd": "n"}
    stream = io.BytesIO(archive(**rest, **ours, **shell))
    job.split(stream, tmp_path / "shell", tmp_path / "base", tmp_path / "packages")
    assert held(tmp_path / "shell") == {"./bin/busybox": ("b", 0o640), "./etc/passwd": ("n", 0o640)}
    assert held(tmp_path / "base") == {name: (text, 0o640) for name, text in rest.items()}
    assert held(tmp_path / "packages") == {name: (text, 0o640) for name, text in ours.items()}
    assert not stream.read(), "read to its end, or the writer is told that nobody reads"


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


def test_what_is_no_whole_archive_is_one_error_with_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mmdebstrap").write_text("#!/bin/sh\necho 'E: no mirror' >&2; echo no archive; exit 2\n")
    (tmp_path / "mmdebstrap").chmod(0o755)
    monkeypatch.setattr(engine, "SEARCH_PATH", f"{tmp_path}:{engine.SEARCH_PATH}")
    monkeypatch.setattr(job, "_install", lambda site: None)
    with pytest.raises(engine.EngineError, match="E: no mirror"):
        job.build(tmp_path)


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
