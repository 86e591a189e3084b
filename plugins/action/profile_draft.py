# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Writes a new profile, empty or out of another tool's file; documentation in modules/profile_draft.py."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.amazon.aws.plugins.module_utils.modules import aws_argument_spec

from ansible_collections.experiments.spot.plugins.action.profile import aws_region
from ansible_collections.experiments.spot.plugins.module_utils._aws_errors import error_code, explain
from ansible_collections.experiments.spot.plugins.plugin_utils._aws import ec2_client
from ansible_collections.experiments.spot.plugins.plugin_utils._profile import draft
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.find import SUFFIXES, shorten
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.imports import (
    KINDS,
    Import,
    ImportFailed,
    convert,
    read,
    recognise,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.load import MAX_BYTES, load_file
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.problem import ProfileError, dotted, plain, show
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.schema import (
    EXPERIMENT_FORM,
    EXPERIMENT_PATTERN,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.validate import Setting

START = Path(__file__).resolve().parents[2] / "profiles/default.yml"

SPEC: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "dir": {"type": "path", "default": "profiles"},
    "from_file": {"type": "str", "default": ""},
    "from_kind": {"type": "str", "default": ""},
    "from_request": {"type": "str", "default": ""},
}
# Source: EC2 API DescribeSpotInstanceRequests.
REQUEST_FORM = r"sir-[0-9a-z]{5,40}"
REQUEST_HINTS = {
    "InvalidSpotInstanceRequestID.NotFound": "AWS forgets a request some days after its end",
}


class Refused(Exception):
    """What was asked cannot be done; the text says why and what to do."""


class ActionModule(ActionBase):
    """Writes one new file on the controller, never over another one."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _valid, given = self.validate_argument_spec({**aws_argument_spec(), **SPEC})
        args = {
            name: str(value) if isinstance(value, str) else value for name, value in given.items()
        }  # no longer tagged
        try:
            return {**result, **self._draft(args)}
        except (Refused, ImportFailed) as error:
            return {**result, "failed": True, "msg": str(error)}

    def _draft(self, args: Mapping[str, Any]) -> dict[str, Any]:
        cwd = os.getcwd()
        _check(args)
        path = os.path.join(os.path.abspath(args["dir"]), f"{args['name']}.yml")
        shown = shorten(path, cwd)
        answer: dict[str, Any] = {"file": path, "changed": False, "carried": {}, "left": {}, "remarks": []}
        there = next((one for one in _candidates(path) if os.path.lexists(one)), "")
        if there:
            return {**answer, "file": there, "msg": [f"{shorten(there, cwd)} is there already and stays as it is."]}
        found, origin, region = self._source(args, os.path.relpath(cwd, os.path.dirname(path)))
        content = _content(found, origin, region or args["region"] or "")
        if not self._task.check_mode:
            _write(path, shown, content)
        diff = {"before": "", "after": content, "before_header": shown, "after_header": shown}
        return {**answer, **_told(found, shown, bool(self._task.check_mode)), "changed": True, "diff": [diff]}

    def _source(self, args: Mapping[str, Any], up: str) -> tuple[Import, str, str]:
        """What to write, where it comes from, and the region when the source decides it."""
        if args["from_request"]:
            client, region = ec2_client("experiments.spot.profile_draft", args)
            found = convert(_request(client, args["from_request"], region), "launch_specification", args["name"], up)
            found.profile["region"] = region
            return found, f"the Spot request {args['from_request']}", region
        if not args["from_file"]:
            return draft.first(_start(), args["name"]), "", ""
        try:
            data = read(_text(args["from_file"]))
            kind = args["from_kind"] or recognise(data)
            return convert(data, kind, args["name"], up), f"{args['from_file']}, {KINDS[kind]}", ""
        except ImportFailed as error:
            raise Refused(f"{args['from_file']}: {error}") from error


def _check(args: Mapping[str, Any]) -> None:
    """All that is wrong with the options at once."""
    wrong = []
    if not re.fullmatch(EXPERIMENT_PATTERN, args["name"]):
        given = f"profile={show(args['name'])} is no name of a profile" if args["name"] else "no profile is named"
        wrong.append(f"{given}; give one with -e profile=NAME: {EXPERIMENT_FORM}")
    if args["from_kind"] and args["from_kind"] not in KINDS:
        known = ", ".join(f"{kind} ({text})" for kind, text in KINDS.items())
        wrong.append(f"from_kind={show(args['from_kind'])} is not known; one of {known}")
    if args["from_kind"] and not args["from_file"]:
        wrong.append("from_kind goes with a file, -e from=FILE")
    if args["from_file"] and args["from_request"]:
        wrong.append("from and from_request exclude each other; keep one of them")
    if args["from_request"] and not re.fullmatch(REQUEST_FORM, args["from_request"]):
        wrong.append(f"from_request={show(args['from_request'])} is no id of a Spot request, such as sir-8456a1fz")
    if wrong:
        raise Refused("\n".join(wrong))


def _candidates(path: str) -> list[str]:
    return [os.path.splitext(path)[0] + suffix for suffix in SUFFIXES]


def _start() -> dict[str, Any]:
    document, _problems = load_file(str(START), START.name)
    return dict(document.data)


def _text(path: str) -> str:
    try:
        with open(os.path.expanduser(path), "rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}; check its path and permissions") from error
    except ValueError as error:
        raise Refused(f"{show(path)} is no path of a file") from error
    if len(raw) > MAX_BYTES:
        raise Refused(f"{path} is larger than {MAX_BYTES} bytes; is this the right file?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(f"{path}: byte {error.start + 1} is not UTF-8; save the file as UTF-8 text") from error


def _request(client: Any, request_id: str, region: str) -> dict[str, Any]:
    """One Spot request as AWS tells it.

    Raises:
        Refused: AWS does not know it, or does not say.
    """
    try:
        answer = client.describe_spot_instance_requests(SpotInstanceRequestIds=[request_id])
    except Exception as error:
        hint = REQUEST_HINTS.get(error_code(error), "")
        text = explain(error, f"read the Spot request {request_id} in {region}")
        raise Refused(f"{text}; {hint}" if hint else text) from error
    if not answer["SpotInstanceRequests"]:
        raise Refused(f"AWS knows no Spot request {request_id} in {region}; check the id and the region")
    return dict(answer["SpotInstanceRequests"][0])


def _content(found: Import, origin: str, region: str) -> str:
    """The text of the file, which is a right profile."""
    try:
        setting = Setting(found.name, "", lambda: region or aws_region(), os.getcwd(), os.path.expanduser("~"))
        draft.complete(found, _start(), setting)
        written = draft.text(found, origin)
        problems = draft.loads(written, found, setting)
        if problems:
            raise draft.DraftFailed(problems)
        return written
    except (draft.DraftFailed, ProfileError) as error:
        told = "".join(f"\n  {problem.text}" for problem in error.problems)
        raise Refused(f"no right profile can be made of {origin or 'it'}, nothing was written:{told}") from error


def _write(path: str, shown: str, content: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "x", encoding="utf-8") as stream:
            stream.write(content)
    except OSError as error:
        todo = "check its permissions, or choose a directory with -e profiles_dir=DIRECTORY"
        raise Refused(f"{shown} cannot be written: {error.strerror}; {todo}") from error


def _told(found: Import, shown: str, check: bool) -> dict[str, Any]:
    carried = {source: dotted(target) for source, target in found.carried}
    lines = [f"{shown} {'would be written' if check else 'is written'}."]
    lines += ["Carried over:"] if carried else []
    lines += [f"  {source} → {target}" for source, target in carried.items()]
    lines += ["Not carried over (also in the file):"] if found.left else []
    lines += [f"  {source}: {why}" for source, why in found.left]
    lines += found.remarks
    lines.append(f"Next: ansible-playbook launch.yml -e profile={found.name} --check")
    left: dict[str, str] = {}
    for source, why in found.left:
        left[source] = f"{left[source]}; {why}" if source in left else why
    return {"msg": [plain(line) for line in lines], "carried": carried, "left": left, "remarks": found.remarks}
