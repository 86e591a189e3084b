# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Runs a launch again and again until its job is over; documentation in modules/watch.py."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.color import ANSIBLE_COLOR
from ansible.utils.display import Display
from ansible_collections.amazon.aws.plugins.module_utils.modules import aws_argument_spec

from ansible_collections.experiments.spot.plugins.module_utils._aws_errors import explain
from ansible_collections.experiments.spot.plugins.module_utils._experiment import api
from ansible_collections.experiments.spot.plugins.module_utils._experiment.api import ApiError
from ansible_collections.experiments.spot.plugins.plugin_utils import _watch
from ansible_collections.experiments.spot.plugins.plugin_utils._aws import ec2_client
from ansible_collections.experiments.spot.plugins.plugin_utils._parent import end_with_parent
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Child, Clock, duration
from ansible_collections.experiments.spot.plugins.plugin_utils._watch import Move, Seen, Watched

display = Display()

SPEC: dict[str, Any] = {
    "profile": {"type": "dict", "required": True},
    "aws_profile": {"type": "str"},
    "experiment": {"type": "str", "required": True},
    "poll": {"type": "float", "default": 30},
}
PLAN = "experiments.spot.launch_plan_info"
# AWS may be out of reach for a while (a laptop asleep): so many questions, so many seconds apart.
QUESTIONS = 60
QUESTION_PAUSE_S = 30.0
# How long a run that is asked to end may take to do so.
PATIENCE_S = 20


class Runs:
    """Child processes, one at a time; a signal to us ends the child in order."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.child: Child | None = None

    def guard(self) -> None:
        """Takes SIGINT and SIGTERM over from the worker, which would leave the child behind."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        end_with_parent()

    def _on_signal(self, _number: int, _frame: Any) -> None:
        if self.child is not None and self.child.process.poll() is None:
            self.child.process.send_signal(signal.SIGINT)
            try:
                self.child.process.wait(PATIENCE_S)
            finally:
                self.child.stop()
        os._exit(1)

    def run(self, argv: list[str]) -> int:
        """Runs a command to its end and shows its lines as they come; returns its exit status."""
        environ = {**os.environ, "PYTHONUNBUFFERED": "1", **({"ANSIBLE_FORCE_COLOR": "true"} if ANSIBLE_COLOR else {})}
        with Child(argv, environ) as child:
            self.child = child
            while child.open:
                for line in child.read(1.0):
                    self.say(line)
            done = child.finish()
        self.child = None
        for line in done.stderr.splitlines():
            self.say(line)
        return done.code


class Look:
    """Looks at an experiment; each call is one describe and says whether all of its instances work undisturbed."""

    def __init__(self, client: Any, experiment: str, count: int) -> None:
        self.client = client
        self.experiment = experiment
        self.count = count
        self.number = 0
        self.spot = 0
        self.may_ask_requests = True

    def __call__(self) -> bool:
        """One look.

        Raises:
            ApiError: AWS cannot be asked.
        """
        asked = _watch.question(self.number, self.spot, self.count) if self.may_ask_requests else _watch.INSTANCES
        well = self._requests() if asked == _watch.REQUESTS else self._instances()
        self.number += 1
        return well

    def _requests(self) -> bool:
        try:
            found = api.marked_spot_requests(self.client, self.experiment)
        except ApiError as error:
            if not error.denied:
                raise
            self.may_ask_requests = False  # then an instance is missed when it ends, not when it is marked
            return True
        return _watch.undisturbed(found) >= self.spot

    def _instances(self) -> bool:
        found = api.marked_instances(self.client, self.experiment)
        self.spot = _watch.spot(found)
        return _watch.alive(found) >= self.count


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


class ActionModule(ActionBase):
    """Stays with an experiment."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _region = ""  # where the experiment is, once it has been asked

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Does the work; see the documentation of the module."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec({**aws_argument_spec(), **SPEC})
        if self._task.check_mode:
            raise AnsibleActionFail("there is nothing to watch in check mode; leave out -e watch=true to see the plan")
        with tempfile.TemporaryDirectory(prefix="spot-watch-") as folder:
            state, move = self._watch(args, folder, task_vars or {})
        summary = {"changed": True, "runs": state.runs, "generation": state.generation, "msg": move.text}
        return {**result, **summary, "failed": move.do == _watch.FAIL}

    def _watch(self, args: dict[str, Any], folder: str, task_vars: dict[str, Any]) -> tuple[Watched, Move]:
        runs, clock = Runs(display.display), Clock()
        runs.guard()
        state, move, status = Watched(), Move(_watch.RUN), 0
        while move.do in (_watch.RUN, _watch.POLL):
            clock.wait(move.pause)
            if move.do == _watch.RUN:
                self._announce(args, state, move)
                together = os.path.join(folder, f"taken-{state.runs}")
                command = _watch.command(sys.executable, sys.argv, together, state.runs > 0, state.leaving)
                status = runs.run(command)
                state = replace(state, runs=state.runs + 1)
                told = _watch.told(_read(together))
                if told:
                    state, move = _watch.at_once(state, told)
                    continue
                if status == 0 and not args["profile"]["job"]:
                    move = Move(_watch.POLL)  # a look says more than a plan, with one call
                    continue
            elif status == 0 and not args["profile"]["job"]:
                self._wait_for_a_loss(args, clock)
            recovery = self._recovery(args, state, clock, task_vars)
            seen = Seen(status, bool(args["profile"]["job"]), recovery)
            state, move = _watch.after(state, seen)
        return state, move

    def _announce(self, args: dict[str, Any], state: Watched, move: Move) -> None:
        if state.runs == 0:
            display.display(f"[{args['experiment']}] watching; Ctrl-C ends the watch, not the experiment")
        else:
            display.display(f"[{args['experiment']}] run {state.runs + 1}: {move.text}")

    def _recovery(
        self, args: dict[str, Any], state: Watched, clock: Clock, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        asked = {**args, "leaving_instance_ids": [name for name, _kind in state.leaving]}
        plan = self._ask(PLAN, asked, clock, task_vars)
        self._region = plan["region"]
        return dict(plan["recovery"])

    def _wait_for_a_loss(self, args: dict[str, Any], clock: Clock) -> None:
        """Looks at AWS again and again, with one describe whatever the number of instances."""
        count = int(args["profile"]["capacity"]["count"])
        asked = {**args, "profile": args["aws_profile"], "region": self._region or args.get("region")}
        look = Look(ec2_client("watch", asked)[0], args["experiment"], count)
        failures = 0
        while True:
            clock.wait(args["poll"])
            try:
                if not look():
                    return
                failures = 0
            except ApiError as error:
                failures += 1
                reason = explain(error.error, f"call {error.action}")
                if failures >= QUESTIONS:
                    raise AnsibleActionFail(reason) from None
                display.display(f"[{args['experiment']}] {reason}; asking again in {duration(args['poll'])}")

    def _ask(self, module: str, args: dict[str, Any], clock: Clock, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Runs one of our modules on the controller, again and again while AWS cannot be asked.

        Raises:
            AnsibleActionFail: it found problems of the profile, or failed for too long.
        """
        given = {key: value for key, value in args.items() if key != "poll" and value is not None}
        for question in range(QUESTIONS):
            answer = self._execute_module(module_name=module, module_args=given, task_vars=task_vars)
            if not answer.get("failed"):
                return dict(answer)
            if answer.get("problems") or question + 1 == QUESTIONS:
                break
            display.display(f"[{args['experiment']}] {answer.get('msg')}; asking again in {duration(QUESTION_PAUSE_S)}")
            clock.wait(QUESTION_PAUSE_S)
        raise AnsibleActionFail(str(answer.get("msg")))
