# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs one of our AWS modules in the process of its action plugin, which has loaded the AWS library already.

Started as a process of its own, a module spends most of a second on Python, Ansible and boto3, which counts when an
interrupted job waits. The work, its options and its answer are those of the module; where it is to run elsewhere, or
the library is missing here, the module is started as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.amazon.aws.plugins.module_utils.modules import aws_argument_spec

from ansible_collections.experiments.spot.plugins.plugin_utils._aws import Caller

# Imported here and not in run(): the strategy imports the plugin once, and the workers it forks inherit the library.
try:
    import boto3
except ImportError:
    boto3 = None  # type: ignore[assignment]  # then the module says what is missing


class Failed(Exception):
    """The module has failed; ``result`` is its answer."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__(result["msg"])
        self.result = result


class Here(Caller):
    """Stands in for the AnsibleAWSModule.

    Args:
        name: of the module, for messages.
        params: its options.
        check_mode: whether only to predict.
        diff: whether a difference is wanted.
    """

    def __init__(self, name: str, params: Mapping[str, Any], check_mode: bool, diff: bool) -> None:
        super().__init__(name, params)
        self.params: dict[str, Any] = dict(params)
        self.check_mode = check_mode
        self._diff = diff
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        """Keeps a warning for the answer."""
        self.warnings.append(text)

    def fail_json(self, msg: str, **details: Any) -> NoReturn:
        """Ends the module with a failure."""
        raise Failed({"failed": True, "msg": msg, **details})


def can_run(action: ActionBase) -> bool:
    """Whether the task is for this machine and not in the background, and the AWS library is here."""
    return boto3 is not None and action._connection.transport == "local" and not action._task.async_val


def run(
    action: ActionBase, name: str, spec: Mapping[str, Any], args: Mapping[str, Any], do: Callable[[Any], dict[str, Any]]
) -> dict[str, Any]:
    """The answer of a module.

    Args:
        action: the action plugin.
        name: full name of the module.
        spec: its options, without those of amazon.aws.
        args: the options that were given.
        do: what it does with something like an AnsibleAWSModule.
    """
    checked = ArgumentSpecValidator({**aws_argument_spec(), **spec}).validate(dict(args))
    if checked.error_messages:
        return {"failed": True, "msg": f"{name}: {'; '.join(checked.error_messages)}"}
    module = Here(name, checked.validated_parameters, bool(action._task.check_mode), bool(action._task.diff))
    try:
        result = do(module)
    except Failed as failed:
        result = failed.result
    warnings = {"warnings": module.warnings} if module.warnings else {}
    return {"changed": False, **result, **warnings}
