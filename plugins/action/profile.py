# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Action `experiments.spot.profile`; its documentation stands in plugins/modules/profile.py."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleError
from ansible.module_utils.urls import open_url
from ansible.parsing.splitter import parse_kv
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core 2.18 trusts every text

    def trust_as_template(value: Any) -> Any:
        """Leave the text as it is."""
        return value


from ..plugin_utils._profile.caller import TIMEOUT, URL, caller_cidr
from ..plugin_utils._profile.params import typed_command, with_job
from ..plugin_utils._profile.problem import Problem, ProfileError
from ..plugin_utils._profile.resolve import Request, resolve, search_dirs
from ..plugin_utils._profile.schema import SCHEMA, Key
from ..plugin_utils._profile.validate import Setting

BUILTIN = Path(__file__).resolve().parents[2] / "profiles"

SPEC: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "default": ""},
    "dirs": {"type": "list", "elements": "path", "default": [], "aliases": ["profiles_dir"]},
    "experiment": {"type": "str", "default": ""},
    "resolve_caller": {"type": "bool", "default": False},
    "hosts_only": {"type": "bool", "default": False},
    "local_files": {"type": "bool", "default": True},
    "job": {"type": "dict", "default": {}},
    "job_params": {"type": "raw"},
}


class ActionModule(ActionBase):
    """Finds, completes and checks a profile on the controller; changes nothing anywhere."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the normalised profile, or fail with all its mistakes in one message."""
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        _valid, args = self.validate_argument_spec(argument_spec=SPEC)
        try:
            answer = self._profile(args, variables)
            # A message about mistakes never holds secrets.
            hide = {"_ansible_no_log": True} if answer["has_secrets"] else {}
            return {**result, **answer, "changed": False, **hide}
        except ProfileError as error:
            return {**result, "failed": True, "msg": str(error)}

    def _profile(self, args: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        cwd = os.getcwd()
        dirs = [os.path.abspath(folder) for folder in args["dirs"] if folder]
        _existing(dirs)
        # What was typed is asked for before Ansible's reading of it, which ends at the first blank.
        typed = typed_command([str(one) for one in context.CLIARGS.get("extra_vars") or ()], parse_kv)
        extra, wrong = with_job(load_extra_vars(self._loader), args["job"], args["job_params"], typed)
        region = any_region if args["hosts_only"] else aws_region
        request = Request(
            args["name"],
            search_dirs(dirs, cwd, variables.get("playbook_dir", ""), str(BUILTIN)),
            Setting("", args["experiment"], region, cwd, os.path.expanduser("~")),
            extra,
            self._renderer(variables),
            args["local_files"],
            not args["hosts_only"],
        )
        found, checked = _resolve(request, wrong)
        profile = checked.profile
        ask = _ask if args["resolve_caller"] else None
        return {
            "profile": profile,
            "file": found.path,
            "experiment": profile["experiment"],
            "experiment_option": option(profile, args["experiment"], args["dirs"]),
            "region": profile["region"],
            "tags": tags(profile),
            "has_secrets": has_secrets(profile),
            "caller_cidr": caller_cidr(profile["access"], os.environ, ask),
        }

    def _renderer(self, variables: dict[str, Any]) -> Callable[[str, Mapping[str, Any]], Any]:
        def render(text: str, more: Mapping[str, Any]) -> Any:
            templar = self._templar.copy_with_new_env(available_variables={**variables, **more})
            try:
                return templar.template(trust_as_template(text))
            except AnsibleError as error:
                raise ValueError(" ".join(str(error.message).split())) from error

        return render


def _resolve(request: Request, wrong: list[Problem]) -> tuple[Any, Any]:
    """Find and check the profile; mistakes elsewhere are told with those in it.

    Raises:
        ProfileError: all mistakes.
    """
    try:
        answer = resolve(request)
    except ProfileError as error:
        raise ProfileError([*wrong, *error.problems]) from error
    if wrong:
        raise ProfileError(wrong)
    return answer


def option(profile: Mapping[str, Any], given: str, dirs: Sequence[str]) -> str:
    """What to type after `-e profile=NAME` to mean the same experiment again, "" when nothing is needed.

    Args:
        profile: the complete one.
        given: experiment of the command, "" for none.
        dirs: where its file was looked for before all other places.
    """
    folder = dirs[0] if dirs else ""
    plain = f"profiles_dir={folder}"
    # An extra variable with a blank in it is two of them, unless it is JSON.
    where = plain if re.fullmatch(r"[\w./~@%+,:=-]+", plain) else shlex.quote(json.dumps({"profiles_dir": folder}))
    name = f" -e experiment={profile['experiment']}" if given else ""
    return f"{name} -e {where}" if folder else name


def has_secrets(profile: Mapping[str, Any], keys: Mapping[str, Key] = SCHEMA) -> bool:
    """Whether a profile may hold secrets: a value under a key that the schema calls one."""
    for name, key in keys.items():
        value: Any = profile.get(name)
        parts = value if key.kind == "items" else [value]
        if value and (key.secret or any(has_secrets(part, key.keys) for part in parts if key.keys)):
            return True
    return False


def tags(profile: Mapping[str, Any]) -> dict[str, str]:
    """The `spot:*` tags that the profile alone decides.

    Returns:
        Tags as a mapping; `spot:owner` only when the profile names the owner.
    """
    known = {
        "spot:experiment": profile["experiment"],
        "spot:profile": profile["name"],
        "spot:job": profile["job"]["name"] if profile["job"] else "",
    }
    return {**known, "spot:owner": profile["owner"]} if profile["owner"] else known


def aws_region() -> str:
    """Region of the environment, else of the AWS configuration file, else "".

    Source: AWS SDK reference guide, "AWS Region": AWS_REGION or AWS_DEFAULT_REGION, then the shared config file.
    """
    given = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if given:
        return given
    try:
        session = import_module("botocore.session")  # a quarter of a second, and rarely needed
        return session.Session().get_config_variable("region") or ""
    except ImportError:
        return ""
    except Exception as error:
        raise ProfileError(
            [Problem("AWS configuration", "region", f"{error}", "repair it, or set AWS_REGION")]
        ) from error


def any_region() -> str:
    """A region where none is needed, because nothing is asked of AWS."""
    return os.environ.get("AWS_REGION") or "us-east-1"


def _ask() -> str:
    answer: bytes = open_url(URL, timeout=TIMEOUT).read(64)
    return answer.decode("ascii", "replace")


def _existing(dirs: list[str]) -> None:
    missing = [folder for folder in dirs if not os.path.isdir(folder)]
    if missing:
        what, todo = "there is no such directory", "check the path"
        raise ProfileError(Problem("-e", f"profiles_dir={folder}", what, todo, folder) for folder in missing)
