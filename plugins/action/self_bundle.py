# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Puts into a bucket what instances need to set themselves up; documentation in modules/self_bundle.py."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.amazon.aws.plugins import module_utils as amazon_utils

from ansible_collections.experiments.spot.plugins.module_utils import _aws_errors
from ansible_collections.experiments.spot.plugins.module_utils._self import bundle, keeper, loader, state, userdata
from ansible_collections.experiments.spot.plugins.plugin_utils import _aws
from ansible_collections.experiments.spot.plugins.plugin_utils._channel import chosen, local_problems, transfer_of
from ansible_collections.experiments.spot.plugins.plugin_utils._rsync import complaint, mode_arguments

with contextlib.suppress(ImportError):  # amazon.aws says what to install.
    from botocore.exceptions import BotoCoreError, ClientError

ROOT = Path(__file__).resolve().parents[2]
SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "bucket": {"type": "str", "required": True},
    "experiment": {"type": "str", "required": True},
    "spot": {"type": "dict"},
    "plan": {"type": "dict"},
    "begin": {"type": "bool", "default": False},
    "region": {"type": "str", "aliases": ["aws_region", "ec2_region"]},
    "endpoint_url": {"type": "str", "aliases": ["aws_endpoint_url", "ec2_url", "s3_url"]},
    "access_key": {"type": "str", "aliases": ["aws_access_key_id", "aws_access_key"], "no_log": False},
    "secret_key": {"type": "str", "aliases": ["aws_secret_access_key", "aws_secret_key"], "no_log": True},
    "session_token": {"type": "str", "aliases": ["aws_session_token"], "no_log": True},
    "profile": {"type": "str", "aliases": ["aws_profile"]},
    "aws_ca_bundle": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "aws_config": {"type": "dict"},
    "debug_botocore_endpoint_logs": {"type": "bool", "default": False},
}
SPECIFIC = {"required_if": [("state", "present", ["spot", "plan"])]}


def target_of(channel: Mapping[str, Any], user: str) -> str:
    """Where a channel's files go on the instance, absolute; a slash at the end stays."""
    home = "/root" if user == "root" else f"/home/{user}"
    path = str(channel["remote_path"])
    return home + path[1:] if path.startswith("~") else path


def stage(channel: Mapping[str, Any], user: str, folder: str) -> None:
    """Copy what a channel sends below a folder, to where it belongs on the instance, with rsync's own rules.

    Raises:
        AnsibleActionFail: it is not there, or cannot be read.
    """
    local = str(channel["local_path"])
    # Deletions and owners mean nothing here, and files of the archive have no rate limit.
    transfer = transfer_of({**channel, "delete": False, "owner": "", "bwlimit": ""}, "none")
    problems = local_problems(transfer)
    if problems:
        raise AnsibleActionFail(f"channel out: {problems[0]}")
    target = folder + target_of(channel, user)
    os.makedirs(target if os.path.isdir(local) or target.endswith("/") else os.path.dirname(target), exist_ok=True)
    try:
        command = ["rsync", *mode_arguments(transfer), "--", local, target]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    except OSError as error:
        raise AnsibleActionFail(f"rsync is missing on this machine ({error.strerror}); install it") from None
    if done.returncode:
        raise AnsibleActionFail(f"channel out: {local}: {complaint(done.stderr)}")


def staged(folder: str) -> Iterator[bundle.Entry]:
    """Everything below a folder, directories too, as entries of the archive."""
    for where, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = os.path.join(where, name)
            yield "channels/" + os.path.relpath(path, folder), path


class Bucket:
    """The objects of one experiment."""

    def __init__(self, s3: Any, url: str, experiment: str) -> None:
        self.s3 = s3
        self.bucket, self.prefix = userdata.place(url, experiment)

    def key(self, name: str) -> str:
        """Key of an object."""
        return f"{self.prefix}/{name}"

    def document(self, name: str) -> Any:
        """A JSON object, None where there is none."""
        try:
            return json.loads(self.s3.get_object(Bucket=self.bucket, Key=self.key(name))["Body"].read())
        except ClientError as error:
            if _aws_errors.error_code(error) in ("NoSuchKey", "404"):
                return None
            raise
        except ValueError:
            return None

    def put(self, name: str, document: Any) -> None:
        """Write a JSON object, encrypted."""
        body = bundle.json_text(document).encode()
        self.s3.put_object(Bucket=self.bucket, Key=self.key(name), Body=body, ServerSideEncryption="AES256")

    def names(self) -> list[str]:
        """Names of all objects of the experiment."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self.prefix}/")
        return [one["Key"][len(self.prefix) + 1 :] for page in pages for one in page.get("Contents", [])]

    def upload(self, name: str, path: str) -> None:
        """Upload a file."""
        self.s3.upload_file(path, self.bucket, self.key(name), ExtraArgs={"ServerSideEncryption": "AES256"})

    def remove(self, names: list[str]) -> None:
        """Delete objects. Source: S3 API DeleteObjects, at most 1000 keys."""
        for start in range(0, len(names), 1000):
            keys = [{"Key": self.key(name)} for name in names[start : start + 1000]]
            answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": keys, "Quiet": True})
            for error in answer.get("Errors", []):
                raise AnsibleActionFail(f"s3://{self.bucket}/{error['Key']} is not deleted: {error['Message']}")


class ActionModule(ActionBase):
    """Runs on the controller, which has the files."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(argument_spec=SPEC, **SPECIFIC)
        bucket = Bucket(_client(args), args["bucket"], args["experiment"])
        try:
            absent = args["state"] == "absent"
            answer = _remove(bucket, self._task.check_mode) if absent else self._provide(bucket, args)
        except (ClientError, BotoCoreError) as error:
            what = f"use s3://{bucket.bucket}/{bucket.prefix}/ (recovery.bucket)"
            raise AnsibleActionFail(_aws_errors.explain(error, what)) from None
        except bundle.BundleError as error:
            raise AnsibleActionFail(str(error)) from None
        return {**result, **answer, "url": f"s3://{bucket.bucket}/{bucket.prefix}/"}

    def _provide(self, bucket: Bucket, args: dict[str, Any]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="experiments-spot-") as folder:
            path = f"{folder}/bundle.tar.gz"
            sha256, secrets = _build(args, path, f"{folder}/channels")
            name = f"bundle-{sha256[:16]}.tar.gz"
            manifest = {"schema": 1, "name": name, "sha256": sha256, "python": _python()}
            names = bucket.names()
            wanted = {keeper.SECRETS: secrets, loader.MANIFEST: manifest}
            missing = [] if name in names else [name]
            # The manifest comes last: whoever reads it finds what it names.
            changed = [one for one in wanted if one not in names or bucket.document(one) != wanted[one]]
            if args["begin"]:
                wanted, changed = {state.NAME: {}, **wanted}, [state.NAME, *changed]
            if not self._task.check_mode:
                if missing:
                    bucket.upload(name, path)
                for one in changed:
                    bucket.put(one, wanted[one])
                bucket.remove([one for one in names if one.startswith("bundle-") and one != name])
            written = [*missing, *changed]
            return {"changed": bool(written), "written": written, "name": name, "size": os.path.getsize(path)}


def _client(args: Mapping[str, Any]) -> Any:
    return _aws.client("s3", "self_bundle", args)[0]


def _remove(bucket: Bucket, check_mode: bool) -> dict[str, Any]:
    try:
        names = bucket.names()
    except ClientError as error:
        if _aws_errors.error_code(error) != "NoSuchBucket":
            raise
        names = []
    if names and not check_mode:
        bucket.remove(names)
    return {"changed": bool(names), "removed": names}


def _build(args: dict[str, Any], path: str, staging: str) -> tuple[str, dict[str, Any]]:
    """Write the bundle; its SHA-256, and the secrets, which are not in it."""
    spot, secrets = bundle.without_secrets(args["spot"])
    profile = args["spot"]["profile"]
    os.mkdir(staging)
    for channel in chosen(profile["channels"], direction="out", stage="launch"):
        stage(channel, profile["access"]["remote_user"], staging)
    entries = [*bundle.code(str(ROOT), _amazon()), *staged(staging)]
    texts = {
        **bundle.metadata(),
        keeper.SPEC: bundle.json_text({"spot": spot, "spot_plan": bundle.plan_for_instance(args["plan"])}),
        "ansible.cfg": bundle.CONFIG,
    }
    with open(path, "wb") as target:
        return bundle.write(target, entries, texts), secrets


def _amazon() -> str:
    return str(Path(next(iter(amazon_utils.__path__))).parents[1])


def _python() -> list[int]:
    """The oldest Python that this Ansible runs on."""
    return list(bundle.python_version(importlib.metadata.metadata("ansible-core")["Requires-Python"] or ""))
