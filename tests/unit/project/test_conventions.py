"""Rules of the project that no linter knows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
PRODUCT = [
    path
    for top in ("plugins", "roles", "playbooks", "inventory")
    for path in sorted((ROOT / top).rglob("*"))
    if path.is_file() and path.suffix != ".pyc"
]
THE_LAB = re.compile(r"\b(moto|lab|labd|registry\.lab)\b", re.IGNORECASE)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) or {}


@pytest.mark.parametrize("role", ROLES)
def test_role_has_its_files(role: str) -> None:
    for name in ("tasks/main.yml", "defaults/main.yml", "meta/main.yml", "meta/argument_specs.yml", "README.md"):
        assert (ROOT / "roles" / role / name).is_file(), f"roles/{role}/{name} is missing"


def documented_default(option: dict[str, Any]) -> Any:
    """Default as the argument specification tells it: as such, or, where the documentation's schema refuses a template
    because the option is a number, a yes or no or a mapping, as the last line of the description."""
    told = re.match(r"By default: (.+)", str(option["description"][-1]))
    return f"{{{{ {told[1]} }}}}" if told else option.get("default")


def one_line(value: Any) -> Any:
    return " ".join(value.split()) if isinstance(value, str) else value


@pytest.mark.parametrize("role", ROLES)
def test_argument_specs_equal_defaults(role: str) -> None:
    options = load(ROOT / "roles" / role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = load(ROOT / "roles" / role / "defaults/main.yml")
    optional = {
        name: one_line(documented_default(option)) for name, option in options.items() if not option.get("required")
    }
    assert optional == {name: one_line(value) for name, value in defaults.items()}


@pytest.mark.parametrize("role", ROLES)
def test_role_variables_are_prefixed(role: str) -> None:
    for name in load(ROOT / "roles" / role / "defaults/main.yml"):
        assert name.startswith(f"{role}_")
    for path in (ROOT / "roles" / role / "vars").glob("*.yml"):
        for name in load(path):
            assert name.startswith(f"__{role}_")


def test_every_role_has_a_molecule_scenario() -> None:
    assert set(ROLES) <= {path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")}


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_product_does_not_know_the_local_stand_in(path: Path) -> None:
    assert not THE_LAB.search(path.read_text(errors="replace"))


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_silenced(path: Path) -> None:
    text = path.read_text(errors="replace")
    for switch in (
        "ignore_errors: true",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "failed_when: false",
    ):
        assert switch not in text


def pinned(line: str) -> tuple[str, str] | None:
    match = re.match(r"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;]+)", line)
    return (match[1].lower(), match[2]) if match else None


@pytest.mark.parametrize("name", ["requirements.txt", "tests/requirements.txt"])
def test_requirements_are_pinned(name: str) -> None:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    assert lines
    assert not [line for line in lines if pinned(line) is None]


def bundled_version(collection: str) -> str:
    """Version of a collection inside the installed PyPI package "ansible"."""
    import ansible_collections  # type: ignore[import-untyped]

    namespace, name = collection.split(".")
    for base in ansible_collections.__path__:
        manifest = Path(base) / namespace / name / "MANIFEST.json"
        if manifest.is_file():
            return load(manifest)["collection_info"]["version"]
    raise AssertionError(f"{collection} is not bundled")


def test_galaxy_and_pypi_requirements_agree() -> None:
    wanted = {item["name"]: item["version"] for item in load(ROOT / "requirements.yml")["collections"]}
    galaxy = load(ROOT / "galaxy.yml")["dependencies"]
    assert set(wanted) == set(galaxy)
    for name, version in wanted.items():
        assert version == bundled_version(name), "requirements.yml and the ansible package differ"
        assert galaxy[name] == f">={version}"


def test_used_collections_are_required() -> None:
    used = set()
    for path in PRODUCT:
        if path.suffix in (".yml", ".yaml"):
            used |= set(re.findall(r"\b((?:amazon|community|ansible)\.[a-z]+)\.[a-z_0-9]+:", path.read_text()))
    wanted = {item["name"] for item in load(ROOT / "requirements.yml")["collections"]}
    assert used - {"ansible.builtin"} <= wanted


def test_action_group_names_exist() -> None:
    group = load(ROOT / "meta/runtime.yml")["action_groups"]["aws"]
    for name in (item for item in group if isinstance(item, str)):
        assert (ROOT / "plugins/modules" / f"{name}.py").is_file()


def test_root_playbooks_are_shims() -> None:
    names = {path.name for path in (ROOT / "playbooks").glob("*.yml")}
    assert names == {path.name for path in ROOT.glob("*.yml") if path.name not in ("galaxy.yml", "requirements.yml")}
    for name in names:
        (play,) = load(ROOT / name)
        assert play["ansible.builtin.import_playbook"] == f"playbooks/{name}"


def test_no_file_is_world_writable_or_secret() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in listed:
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            assert not path.stat().st_mode & 0o002
            assert "PRIVATE KEY-----\n" not in path.read_text(errors="replace").replace(
                "BEGIN OPENSSH PRIVATE KEY-----\\n", ""
            )
