"""Rules of the project that no linter knows."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.playbook.block import Block
from ansible.playbook.task import Task

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
PRODUCT = [
    path
    for top in ("plugins", "roles", "playbooks", "inventory")
    for path in sorted((ROOT / top).rglob("*"))
    if path.is_file() and path.suffix != ".pyc"
]
MODULES = sorted((ROOT / "plugins/modules").glob("*.py"))
ACTIONS = sorted((ROOT / "plugins/action").glob("*.py"))
# Those that run their module, which therefore is one.
# Those that run the module of their own name, and not only others.
RUNNERS = [
    path
    for path in ACTIONS
    if f"experiments.spot.{path.stem}" in path.read_text()
    and re.search(r"_execute_module|_here\.ActionHere|action(\.| import )ec2_fleet\b", path.read_text())
]
OTHER_PLUGINS = sorted([*(ROOT / "plugins/filter").glob("*.py"), *(ROOT / "plugins/callback").glob("*.py")])
KEYWORDS = {*Task.fattributes, *Block.fattributes}
THE_LAB = re.compile(r"\b(moto|lab|labd|registry\.lab)\b", re.IGNORECASE)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) or {}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tracked() -> list[str]:
    """Files that git has or would take, links left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [name for name in names if name and (ROOT / name).is_file() and not (ROOT / name).is_symlink()]


def constant(path: Path, name: str) -> Any:
    """YAML in a constant of a plugin's file, None where there is no such constant."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return yaml.safe_load(ast.literal_eval(node.value))
    return None


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
def test_each_variable_of_a_role_is_read(role: str) -> None:
    home = ROOT / "roles" / role
    readers = [
        path for top in ("tasks", "templates", "handlers", "vars", "defaults") for path in home.glob(f"{top}/**/*")
    ]
    text = "\n".join(path.read_text() for path in readers if path.is_file())
    for name in load(home / "defaults/main.yml"):
        assert re.search(rf"(?<!\w){name}\b(?!:)", text), f"roles/{role} never reads {name}"


@pytest.mark.parametrize("role", ROLES)
def test_role_variables_are_prefixed(role: str) -> None:
    for name in load(ROOT / "roles" / role / "defaults/main.yml"):
        assert name.startswith(f"{role}_")
    for path in (ROOT / "roles" / role / "vars").glob("*.yml"):
        for name in load(path):
            assert name.startswith(f"__{role}_")


def test_every_role_has_a_molecule_scenario() -> None:
    assert set(ROLES) <= {path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")}


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_product_does_not_know_the_local_stand_in(path: Path) -> None:
    assert not THE_LAB.search(path.read_text(errors="replace"))


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
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


def fragments(path: Path) -> set[str]:
    return set(constant(path, "DOCUMENTATION").get("extends_documentation_fragment", []))


def test_action_group_holds_what_takes_a_region_and_what_our_roles_use_of_others() -> None:
    ours = {path.stem for path in MODULES if "amazon.aws.region.modules" in fragments(path)}
    assert len(ours) > 4
    texts = [path.read_text() for folder in ("roles", "playbooks") for path in (ROOT / folder).rglob("*.yml")]
    theirs = {name for text in texts for name in re.findall(r"\b(amazon\.aws\.[a-z_0-9]+):", text)}
    assert set(load(ROOT / "meta/runtime.yml")["action_groups"]["own"]) == ours | theirs


# Roles with modules of community.aws.
WHOLE_GROUP = {"events.yml", "infrastructure.yml"}


def test_our_playbooks_use_the_group_that_costs_less() -> None:
    texts = {path.name: path.read_text() for path in (ROOT / "playbooks").glob("*.yml")}
    assert {name for name, text in texts.items() if "group/experiments.spot.aws" in text} == WHOLE_GROUP
    roles = {
        path.parents[1].name for path in (ROOT / "roles").glob("*/tasks/*.yml") if "community.aws." in path.read_text()
    }
    assert {f"{role}.yml" for role in roles} == WHOLE_GROUP


def test_action_group_for_users_extends_ours_and_those_of_the_required_collections() -> None:
    (group,) = load(ROOT / "meta/runtime.yml")["action_groups"]["aws"]
    extended = set(group["metadata"]["extend_group"])
    assert {name.rpartition(".")[0] for name in extended} <= {
        "experiments.spot",
        *load(ROOT / "galaxy.yml")["dependencies"],
    }
    assert {"experiments.spot.own", "amazon.aws.aws"} <= extended


def test_minimum_version_of_ansible_is_the_same_everywhere() -> None:
    wanted = load(ROOT / "meta/runtime.yml")["requires_ansible"]
    for role in ROLES:
        assert wanted == f">={load(ROOT / 'roles' / role / 'meta/main.yml')['galaxy_info']['min_ansible_version']}.0"


def test_version_is_the_same_everywhere() -> None:
    version = load(ROOT / "galaxy.yml")["version"]
    for path in [*MODULES, *OTHER_PLUGINS]:
        added = tuple(map(int, constant(path, "DOCUMENTATION")["version_added"].split(".")))
        assert added <= tuple(map(int, version.split("."))), f"{path.name} is from the future"


def fragment(name: str) -> Any:
    """A shared part of a module's page, by its full name: experiments.spot.FILE or experiments.spot.FILE.PART."""
    file, _dot, part = name.removeprefix("experiments.spot.").partition(".")
    module = importlib.import_module(f"ansible_collections.experiments.spot.plugins.doc_fragments.{file}")
    return yaml.safe_load(getattr(module.ModuleDocFragment, part.upper() or "DOCUMENTATION"))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_says_how_it_behaves(path: Path) -> None:
    page = constant(path, "DOCUMENTATION")
    assert page["module"] == path.stem
    ours = [name for name in page.get("extends_documentation_fragment", []) if name.startswith("experiments.spot.")]
    pages = [page, *map(fragment, ours)]
    (told,) = [one["attributes"] for one in pages if "attributes" in one]
    for attribute in ("check_mode", "diff_mode", "idempotent"):
        assert told[attribute]["support"] in ("full", "partial", "none", "N/A")


@pytest.mark.parametrize("path", [*MODULES, *OTHER_PLUGINS], ids=name_of)
def test_plugin_is_documented_with_examples(path: Path) -> None:
    page = constant(path, "DOCUMENTATION")
    assert page["short_description"] and page["description"] and page["author"]
    if path.parent.name != "callback":
        assert f"experiments.spot.{path.stem}" in yaml.safe_dump(constant(path, "EXAMPLES"), width=1000)
    if path.parent.name == "filter":
        assert constant(path, "RETURN")["_value"]["description"]


@pytest.mark.parametrize("path", [path for path in ACTIONS if path not in RUNNERS], ids=name_of)
def test_action_plugin_has_a_module_that_only_documents_it(path: Path) -> None:
    tree = ast.parse((ROOT / "plugins/modules" / path.name).read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Call))]


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.name not in {a.name for a in ACTIONS} - {a.name for a in RUNNERS}],
    ids=name_of,
)
def test_other_modules_can_run(path: Path) -> None:
    assert any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in ast.parse(path.read_text()).body)


@pytest.mark.parametrize("path", [*MODULES, *ACTIONS, *OTHER_PLUGINS], ids=name_of)
def test_plugin_has_the_licence_line(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert (lines[0] == "#!/usr/bin/python") == (path.parent.name == "modules")
    head = "\n".join(lines[:3])
    assert "# Copyright: (c) 2026, the experiments.spot authors" in head
    assert "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)" in head


def yaml_blocks(path: Path) -> list[Any]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL)]


def tasks(content: Any) -> Iterator[dict[str, Any]]:
    """Tasks of a play, a list of tasks or their blocks."""
    for item in content if isinstance(content, list) else []:
        if isinstance(item, dict) and not {"hosts", "ansible.builtin.import_playbook"} & set(item):
            yield item
        for part in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks", "handlers"):
            if isinstance(item, dict):
                yield from tasks(item.get(part))


def actions(content: Any) -> Iterator[str]:
    """Names of the modules of tasks, as they are written."""
    for task in tasks(content):
        yield from (key for key in task if key not in KEYWORDS and not key.startswith("with_"))


EXAMPLES = {
    **{name_of(path): constant(path, "EXAMPLES") for path in [*MODULES, *OTHER_PLUGINS]},
    **{
        f"roles/{role}/README.md": block for role in ROLES for block in yaml_blocks(ROOT / "roles" / role / "README.md")
    },
}


@pytest.mark.parametrize("where", EXAMPLES)
def test_examples_use_full_names(where: str) -> None:
    names = list(actions(EXAMPLES[where]))
    assert names or where.startswith("plugins/callback")
    for name in names:
        assert len(name.split(".")) == 3, f"{where}: {name}"


def test_playbooks_and_roles_use_full_names() -> None:
    for path in PRODUCT:
        if path.suffix == ".yml" and path.parent.name in ("tasks", "handlers", "playbooks"):
            for name in actions(load(path)):
                assert len(name.split(".")) == 3, f"{path}: {name}"


@pytest.mark.parametrize("role", ROLES)
def test_role_has_an_example(role: str) -> None:
    (example,) = yaml_blocks(ROOT / "roles" / role / "README.md")
    (task,) = example
    call = task.get("ansible.builtin.include_role") or task["ansible.builtin.import_role"]
    assert call["name"] == f"experiments.spot.{role}"
    options = load(ROOT / "roles" / role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert set(task.get("vars", {})) <= set(options)


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")
    found = [
        name for name in tracked() if name != "LICENSE" and marks.search((ROOT / name).read_text(errors="replace"))
    ]
    assert not found


def test_changelog_fragments_belong_to_a_section() -> None:
    config = load(ROOT / "changelogs/config.yaml")
    sections = {name for name, _ in config["sections"]} | {
        config["prelude_section_name"],
        config["trivial_section_name"],
    }
    found = sorted((ROOT / "changelogs/fragments").iterdir())
    assert found or (ROOT / "changelogs/changelog.yaml").is_file()
    for path in found:
        assert path.suffix == ".yml", f"{path.name} would be ignored"
        content = load(path)
        assert content and set(content) <= sections
        assert all(isinstance(entry, str) for entries in content.values() for entry in entries)


def tree_script() -> Any:
    spec = importlib.util.spec_from_file_location("tree", ROOT / "scripts/tree.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_galaxy_gets_the_product_and_nothing_else() -> None:
    tree = tree_script()
    patterns = tree.ignore_patterns((ROOT / "galaxy.yml").read_text())
    assert patterns == load(ROOT / "galaxy.yml")["build_ignore"]
    kept = {name.split("/")[0] for name in tracked() if not tree.is_ignored(name, patterns)}
    files = {"CHANGELOG.rst", "LICENSE", "README.md", "bindep.txt", "galaxy.yml"}
    assert kept - files == {
        "changelogs",
        "docs",
        "examples",
        "extensions",
        "inventory",
        "meta",
        "playbooks",
        "plugins",
        "profiles",
        "roles",
    }
    assert files <= kept


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("lab/cli.py", True),
        ("docs/lab/page.md", False),
        (".ci/run", True),
        ("launch.yml", True),
        ("playbooks/launch.yml", False),
        ("plugins/__pycache__/x.txt", True),
        ("roles/a/b.pyc", True),
    ],
)
def test_galaxys_patterns_are_compared_with_the_path_from_the_root(path: str, ignored: bool) -> None:
    tree = tree_script()
    assert tree.is_ignored(path, tree.ignore_patterns((ROOT / "galaxy.yml").read_text())) is ignored


def test_what_a_container_for_ansible_needs_agrees_with_what_is_pinned() -> None:
    needs = load(ROOT / "meta/execution-environment.yml")["dependencies"]
    assert (ROOT / needs["system"]).is_file()
    pins = dict(filter(None, map(pinned, (ROOT / "requirements.txt").read_text().splitlines())))
    lowest = dict(line.split(">=") for line in (ROOT / needs["python"]).read_text().splitlines() if ">=" in line)
    assert set(lowest) == {"boto3", "botocore"}
    for name, version in lowest.items():
        assert tuple(map(int, version.split("."))) <= tuple(map(int, pins[name].split(".")))


def test_the_checkout_is_found_as_a_collection() -> None:
    link = ROOT / "collections/ansible_collections/experiments/spot"
    assert link.is_symlink() and link.resolve() == ROOT
    assert [path.name for path in ROOT.glob("collections/ansible_collections/*/*")] == ["spot"]


def test_root_playbooks_are_shims() -> None:
    playbooks = list((ROOT / "playbooks").glob("*.yml"))
    text = "".join(path.read_text() for path in playbooks)
    parts = {path.name for path in playbooks if f"import_playbook: {path.name}" in text or f"'{path.stem}'" in text}
    parts.discard("launch.yml")  # a verb, and what mover.yml and notebook.yml do with a profile that they have written
    assert parts == {
        "generation.yml",
        "jupyter.yml",
        "results.yml",
        "watch.yml",
        "self.yml",
    }  # of launch and resume, of notebook, or of an instance: no verbs
    names = {path.name for path in playbooks} - parts
    assert names == {path.name for path in ROOT.glob("*.yml") if path.name not in ("galaxy.yml", "requirements.yml")}
    for name in names:
        (play,) = load(ROOT / name)
        assert play["ansible.builtin.import_playbook"] == f"playbooks/{name}"


def test_no_file_is_world_writable_or_secret() -> None:
    key = re.compile(r"^-----BEGIN [A-Z ]*PRIVATE KEY-----$", re.MULTILINE)
    for name in tracked():
        assert not (ROOT / name).stat().st_mode & 0o002, name
        assert not key.search((ROOT / name).read_text(errors="replace")), name
