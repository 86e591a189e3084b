# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Tells what happened to an experiment; documentation in modules/notify.py."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.amazon.aws.plugins.module_utils.modules import aws_argument_spec

from ansible_collections.experiments.spot.plugins.module_utils._aws_errors import reason_of
from ansible_collections.experiments.spot.plugins.plugin_utils import _notify
from ansible_collections.experiments.spot.plugins.plugin_utils._aws import BotoCoreError, ClientError, client

display = Display()

SPEC: dict[str, Any] = {
    "experiment": {"type": "str", "required": True},
    "event": {"type": "str", "required": True, "choices": list(_notify.EVENTS)},
    "text": {"type": "str", "default": ""},
    "webhook": {"type": "str", "no_log": True},
    "topic": {"type": "str"},
    "desktop": {"type": "bool", "default": False},
}


def sns_of(args: Mapping[str, Any]) -> Any:
    """A client of SNS in the region of the topic, which does not wait long."""
    limits = {
        "connect_timeout": _notify.PATIENCE,
        "read_timeout": _notify.PATIENCE,
        "retries": {"total_max_attempts": 2},
    }
    region = args["topic"].split(":")[3]
    return client("sns", "experiments.spot.notify", {**args, "region": region}, config=limits)[0]


def ways_of(args: Mapping[str, Any], news: _notify.News) -> dict[str, Callable[[], None]]:
    """The ways that are asked for and can be gone here."""
    ways: dict[str, Callable[[], None]] = {}
    if args["webhook"]:
        ways["webhook"] = partial(_notify.post, args["webhook"], news)
    if args["topic"]:
        ways["topic"] = lambda: _notify.publish(sns_of(args), args["topic"], news)
    command = _notify.desktop_command(news) if args["desktop"] else []
    if command:
        ways["desktop"] = partial(_notify.show, command)
    return ways


def reason(error: Exception, webhook: str | None) -> str:
    """Why news were not told, in one line without the address of the webhook, which may be all that protects it."""
    if isinstance(error, (BotoCoreError, ClientError)):
        return reason_of(error)
    text = str(error)
    if isinstance(error, subprocess.CalledProcessError):
        text = error.stderr.decode(errors="replace")
    if webhook:
        text = text.replace(webhook, f"{urlsplit(webhook).hostname}")
    return " ".join(text.split()) or type(error).__name__


class ActionModule(ActionBase):
    """Tells news, and never fails because of it."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec({**aws_argument_spec(), **SPEC})
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        news = _notify.News(args["experiment"], args["event"], args["text"], now)
        ways = ways_of(args, news)
        if self._task.check_mode:
            return {**result, "changed": False, "told": [], "failed_ways": []}
        told, failed = _notify.tell(ways, partial(reason, webhook=args["webhook"]))
        for line in failed:
            display.warning(line)
        return {**result, "changed": False, "told": told, "failed_ways": failed}
