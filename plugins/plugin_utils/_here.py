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


class ActionHere(ActionBase):
    """An action plugin that is a module of the same name, run here where it can be.

    Attributes:
        NAME: full name of the module.
        SPEC: its options, without those of amazon.aws.
        RULES: what goes with what, as an AnsibleModule takes it (``required_by`` …).
        work: what it does with something like an AnsibleAWSModule; None for one that always is a process of its own.
    """

    TRANSFERS_FILES = False
    _supports_async = True
    NAME = ""
    SPEC: Mapping[str, Any] = {}
    RULES: Mapping[str, Any] = {}
    work: Callable[[Any], dict[str, Any]] | None = None

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        return {**super().run(tmp, task_vars), **self.answer(dict(self._task.args), task_vars)}

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """The module's answer to these options."""
        work = type(self).work
        if work is None or self._needs_a_process():
            wrap = bool(self._task.async_val)
            return dict(
                self._execute_module(module_name=self.NAME, module_args=args, task_vars=task_vars, wrap_async=wrap)
            )
        checked = ArgumentSpecValidator({**aws_argument_spec(), **self.SPEC}, **self.RULES).validate(args)
        if checked.error_messages:
            return {"failed": True, "msg": f"{self.NAME}: {'; '.join(checked.error_messages)}"}
        module = Here(self.NAME, checked.validated_parameters, bool(self._task.check_mode), bool(self._task.diff))
        try:
            result = work(module)
        except Failed as failed:
            result = failed.result
        return {"changed": False, **result, **({"warnings": module.warnings} if module.warnings else {})}

    def _needs_a_process(self) -> bool:
        """Whether it is for another machine, user or environment, in the background, or the library is missing here."""
        other_user = getattr(self._connection, "become", None) is not None
        other_environment = any(getattr(self._task, "environment", None) or [])
        elsewhere = self._connection.transport != "local" or bool(self._task.async_val)
        return boto3 is None or elsewhere or other_user or other_environment
