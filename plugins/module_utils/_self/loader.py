# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The first thing an instance does: fetch the bundle, unpack it, and hand over to the keeper that is in it.

Part of the user data of recovery mode `self`: Python 3.9, standard library only. What cannot be fetched for a while
ends the fleet and the instance: an instance that can do nothing only costs, and a fleet would launch the next one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from typing import Any

from .._notice import imds
from .._notice.ec2 import ApiError
from . import fleet
from .store import Place, Store, StoreError

BASE = "/opt/experiments-spot/self"
MANIFEST = "bundle.json"
KEEPER = "ansible_collections.experiments.spot.plugins.module_utils._self.keeper"
# Seconds between two tries; the rights of a new role may take a minute to be known everywhere.
PAUSES = (2, 5, 10, 20, 30, 30, 60, 60, 60, 60)
# So long (seconds) an instance that can do nothing tries to end its fleet; with capacity.time_limit systemd is sooner.
# The next one may lie in a network from which AWS can be reached.
LONGEST = 86400.0


class LoadError(Exception):
    """This instance can never run the bundle."""


def say(text: str) -> None:
    """A line for the journal and the console."""
    sys.stdout.write(f"experiments.spot: {text}\n")
    sys.stdout.flush()


def read_config(path: str) -> dict[str, Any]:
    """What the user data wrote."""
    with open(path, encoding="utf-8") as stream:
        found = json.load(stream)
    return dict(found)


def store_of(config: dict[str, Any], service: imds.Imds) -> Store:
    """The experiment's objects."""
    place = Place(config["bucket"], config["prefix"], config["region"], config.get("endpoint") or "")
    return Store(place, service)


def fetch(store: Store, base: str = BASE) -> tuple[str, dict[str, Any]]:
    """The folder of the unpacked bundle and its manifest; a bundle that is there already is not fetched again.

    Raises:
        StoreError, ImdsError, OSError, TarError: not now.
    """
    manifest = store.read(MANIFEST)
    if manifest is None:
        raise StoreError("NoSuchKey", f"{MANIFEST} is not there")
    folder = f"{base}/{manifest['sha256'][:16]}"
    if not os.path.isdir(folder):
        os.makedirs(base, mode=0o700, exist_ok=True)
        archive = f"{base}/bundle.tar.gz"
        store.fetch(manifest["name"], archive, manifest["sha256"])
        unpack(archive, folder)
        os.unlink(archive)
    return folder, manifest


def unpack(archive: str, folder: str) -> None:
    """Unpack whole or not at all."""
    part = f"{folder}.part"
    shutil.rmtree(part, ignore_errors=True)
    with tarfile.open(archive) as tar:
        # The filter came with security updates of Python; what is unpacked is what its SHA-256 says.
        more: dict[str, Any] = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
        tar.extractall(part, **more)
    os.rename(part, folder)


def pythons() -> list[tuple[str, tuple[int, int]]]:
    """Interpreters of this machine with their versions, the system's own first."""
    found = [(sys.executable, (sys.version_info[0], sys.version_info[1]))]
    for minor in range(9, 30):
        path = shutil.which(f"python3.{minor}")
        if path:
            found.append((path, (3, minor)))
    return found


def choose(found: list[tuple[str, tuple[int, int]]], least: tuple[int, int]) -> str:
    """The first interpreter that is new enough.

    Raises:
        LoadError: there is none.
    """
    for path, version in found:
        if version >= least:
            return path
    have = ", ".join(f"{major}.{minor}" for _path, (major, minor) in found)
    raise LoadError(f"Ansible needs Python {least[0]}.{least[1]} or newer, this image has {have}; use a newer image")


def environment(folder: str, environ: dict[str, str]) -> dict[str, str]:
    """Where Python and Ansible find what the bundle brings."""
    return {
        **environ,
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": f"{folder}/python:{folder}/collections",
        "PYTHONDONTWRITEBYTECODE": "",
        "ANSIBLE_CONFIG": f"{folder}/ansible.cfg",
        "ANSIBLE_COLLECTIONS_PATH": f"{folder}/collections",
    }


def give_up(config: dict[str, Any], service: imds.Imds, why: str) -> None:
    """End the fleet and this instance; where the fleet cannot be ended for `LONGEST`, this instance alone."""
    say(why)
    pause, waited = 5.0, 0.0
    while True:
        try:
            instance_id = service.text("instance-id") or ""
            say(f"{fleet.delete(service, config.get('endpoint') or '', instance_id)} is deleted; powering off")
            break
        except (ApiError, imds.ImdsError, fleet.FleetError) as error:
            if waited >= LONGEST:
                say(f"powering off; the fleet still stands and launches another instance, delete it: {error}")
                break
            say(f"the fleet cannot be ended, trying again in {pause:g} s: {error}")
            time.sleep(pause)
            waited += pause
            pause = min(pause * 2, 300)
    subprocess.run(["systemctl", "poweroff"], check=False)


def load(config: dict[str, Any], service: imds.Imds) -> tuple[str, str]:
    """Interpreter and folder, after as many tries as it takes.

    Raises:
        LoadError: all tries have failed.
    """
    store, error = store_of(config, service), ""
    for pause in (*PAUSES, 0):
        try:
            folder, manifest = fetch(store)
            return choose(pythons(), (int(manifest["python"][0]), int(manifest["python"][1]))), folder
        except (StoreError, imds.ImdsError, OSError, tarfile.TarError, KeyError) as problem:
            error = str(problem) or type(problem).__name__
            say(f"s3://{config['bucket']}/{config['prefix']}/: {error}")
            time.sleep(pause)
    raise LoadError(f"nothing could be fetched from s3://{config['bucket']}/{config['prefix']}/: {error}")


def main(argv: list[str]) -> int:
    """Entry point: argument 1 is the path of the configuration."""
    config = read_config(argv[1])
    service = imds.Imds(imds.endpoint(None))
    try:
        python, folder = load(config, service)
    except LoadError as error:
        give_up(config, service, str(error))
        return 1
    os.execve(python, [python, "-u", "-m", KEEPER, argv[1], folder], environment(folder, dict(os.environ)))
    return 0
