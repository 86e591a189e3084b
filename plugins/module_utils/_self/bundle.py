# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The bundle that an instance sets itself up from: one archive with all that the roles need. For the controller.

It holds, so that the instance needs no package index: Ansible and what it imports (pure Python; what is compiled is
left out, and nothing here depends on it), the AWS SDK with the service data that are needed, this collection, the part
of amazon.aws that its modules import, the profile and the plan, and what the channels send. Equal contents make an
equal archive.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

# Top-level packages and modules of the controller's own environment that the instance needs.
PACKAGES = (
    "ansible",
    "jinja2",
    "markupsafe",
    "yaml",
    "packaging",
    "resolvelib",
    "boto3",
    "botocore",
    "s3transfer",
    "jmespath",
    "dateutil",
    "six",
    "urllib3",
)
# Their distributions: some ask for their own version, or for each other's.
DISTRIBUTIONS = (
    "ansible-core",
    "jinja2",
    "markupsafe",
    "pyyaml",
    "packaging",
    "resolvelib",
    "boto3",
    "botocore",
    "s3transfer",
    "jmespath",
    "python-dateutil",
    "six",
    "urllib3",
)
# Service data of the SDK that are needed; all of them are 100 times as much.
SERVICES = ("ec2", "s3", "sts")
DATA = ("_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json")
# Of the collections: what runs, not what documents or tests it.
OURS = ("plugins", "roles", "playbooks", "meta", "galaxy.yml", "MANIFEST.json")
AMAZON = ("plugins/module_utils", "plugins/doc_fragments", "meta", "MANIFEST.json", "galaxy.yml")
SKIPPED = re.compile(r"(^|/)(__pycache__|tests|\.git)(/|$)|\.(pyc|pyo|so|pyd|pyi|rst)$")
# What is done as the user of the image is really done as that user, though the connection is root's and says his name.
CONFIG = (
    "[defaults]\nhome = /var/lib/experiments-spot/ansible\nnocolor = true\nretry_files_enabled = false\n"
    "[privilege_escalation]\nbecome_allow_same_user = true\n"
)

Entry = tuple[str, str]  # name in the archive, path here


class BundleError(Exception):
    """Something that the instance needs is not on this machine."""


def package_path(name: str) -> str:
    """Folder of a package, or file of a module.

    Raises:
        BundleError: it is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.origin:
        raise BundleError(f"Python package {name} is missing on this machine; install requirements.txt")
    return os.path.dirname(spec.origin) if spec.submodule_search_locations else spec.origin


def walk(path: str, name: str) -> Iterator[Entry]:
    """Files below a path, in an order that does not change; symbolic links are followed to files."""
    if os.path.isfile(path):
        yield name, path
        return
    for folder, folders, files in os.walk(path):
        folders.sort()
        inner = os.path.relpath(folder, path)
        for file in sorted(files):
            relative = file if inner == "." else f"{inner}/{file}"
            if not SKIPPED.search(relative):
                yield f"{name}/{relative}", os.path.join(folder, file)


def is_needed_data(name: str) -> bool:
    """Whether a file of the SDK is needed."""
    found = re.match(r"python/(?:botocore|boto3)/data/(.+)", name)
    return not found or found.group(1) in DATA or found.group(1).split("/")[0] in SERVICES


def code(ours: str, amazon: str) -> list[Entry]:
    """All that is the same for every experiment.

    Args:
        ours: root of this collection.
        amazon: root of amazon.aws.

    Raises:
        BundleError: see `package_path`.
    """
    entries = [entry for name in PACKAGES for entry in _package(name)]
    for root, parts, target in ((ours, OURS, "experiments/spot"), (amazon, AMAZON, "amazon/aws")):
        for part in parts:
            path = os.path.join(root, part)
            if os.path.exists(path):
                entries += walk(path, f"collections/ansible_collections/{target}/{part}")
    return entries


def metadata() -> dict[str, str]:
    """What Python must find to know which versions are there, by names in the archive.

    Raises:
        BundleError: one is not installed.
    """
    texts = {}
    for name in DISTRIBUTIONS:
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise BundleError(f"Python package {name} is missing on this machine; install requirements.txt") from error
        text = found.read_text("METADATA") or found.read_text("PKG-INFO") or ""
        # The description may be long, and nobody reads it there.
        folder = f"{name.replace('-', '_')}-{found.version}.dist-info"
        texts[f"python/{folder}/METADATA"] = text.partition("\n\n")[0] + "\n"
    return texts


def _package(name: str) -> Iterable[Entry]:
    path = package_path(name)
    target = f"python/{os.path.basename(path)}"
    return [entry for entry in walk(path, target) if is_needed_data(entry[0])]


def write(target: IO[bytes], entries: Iterable[Entry], texts: dict[str, str]) -> str:
    """Write the archive; its SHA-256. Owners and times are nobody's, so that equal contents are equal bytes."""
    digest = _Hashing(target)
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=digest, compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, path in sorted(entries):
            _add(tar, name, path)
        for name in sorted(texts):
            data = texts[name].encode()
            tar.addfile(_info(name, len(data), 0o644), io.BytesIO(data))
    return digest.hexdigest()


def _add(tar: tarfile.TarFile, name: str, path: str) -> None:
    if os.path.islink(path) and name.startswith("channels/"):
        info = _info(name, 0, 0o777)
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
        tar.addfile(info)
        return
    found = os.stat(path)
    if os.path.isdir(path):
        info = _info(name, 0, found.st_mode & 0o777)
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
        return
    # What a channel sends keeps its permissions; of the rest only whether it can be run is worth keeping.
    mode = found.st_mode & 0o777 if name.startswith("channels/") else 0o755 if found.st_mode & 0o100 else 0o644
    with open(path, "rb") as stream:
        tar.addfile(_info(name, found.st_size, mode), stream)


def _info(name: str, size: int, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, mode, 0
    return info


class _Hashing:
    """A file to write to that hashes what passes."""

    def __init__(self, target: IO[bytes]) -> None:
        self.target = target
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self.target.write(data)

    def flush(self) -> None:
        self.target.flush()

    def hexdigest(self) -> str:
        return self.sha256.hexdigest()


def json_text(document: Any) -> str:
    """A document as text that does not change by itself."""
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def python_version(requires: str) -> tuple[int, int]:
    """The lowest version of a requirement such as `>=3.11`."""
    found = re.search(r">=\s*(\d+)\.(\d+)", requires)
    return (int(found[1]), int(found[2])) if found else (3, 9)


def without_secrets(spot: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The profile as an instance may know it, and the secrets of it apart."""
    profile = spot["profile"]
    job, recovery, code = profile["job"], profile["recovery"], profile.get("code")
    secrets = {"env": (job or {}).get("env") or {}, "webhook": recovery.get("webhook")}
    if (job or {}).get("registry_password"):
        secrets["registry_password"] = job["registry_password"]
    if code:
        secrets |= {"code_token": code["token"], "deploy_key": _text_of(code["deploy_key"])}
    public = {
        **profile,
        "job": {**job, "env": {}, "registry_password": None} if job else job,
        "recovery": {**recovery, "webhook": None},
        "code": {**code, "token": None, "deploy_key": None} if code else code,
        "access": {**profile["access"], "private_key_file": None},
        # Paths of this machine, which mean nothing there.
        "channels": [{**channel, "local_path": ""} for channel in profile["channels"]],
    }
    keys = ("experiment", "region", "tags")
    return {**{key: spot[key] for key in keys}, "profile": public}, secrets


def _text_of(path: str | None) -> str:
    """A key, which an instance cannot read from this machine."""
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read().rstrip("\n")
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror} (code.deploy_key)") from error


def plan_for_instance(plan: dict[str, Any]) -> dict[str, Any]:
    """Of the plan, what the roles read on an instance: nothing that changes while nobody watches."""
    volumes = [{**volume, "zone": None, "state": None, "instance_ids": []} for volume in plan["volumes"]]
    return {"volumes": volumes, "file_systems": plan.get("file_systems") or [], "tags": plan["tags"]}
