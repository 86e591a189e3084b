# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Watching a job from the controller: one cheap remote command a poll, the journal as a stream, and what they mean."""

from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils._job.runner import NOTICE_PATH
from ansible_collections.experiments.spot.plugins.module_utils._job.spec import JOB_JSON, UNIT
from ansible_collections.experiments.spot.plugins.module_utils._job.state import (
    PROPERTIES,
    Current,
    layers_progress,
    matrix_progress,
    parse_show,
    summary,
)
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import duration
from ansible_collections.experiments.spot.plugins.plugin_utils._ssh import remote_command

MARK = "=====spot====="
OVER = ("succeeded", "failed", "stopped", "interrupted")
PHASES = {
    "starting": "starting",
    "pulling": "pulling image",
    "building": "building image",
    "loading": "loading image",
    "running": "running",
    "saving": "sending results",
    "stopping": "stopping",
}


# ---------------------------------------------------------------------------------------------------- remote commands


def poll_command(ledger: str | None, window: int = 0, noticed: bool = False) -> str:
    """The remote command of one poll: its clock, the unit, job.json, the ledger and the notice, in this order.

    The unit comes before the ledger: a ledger read after the unit has ended is complete. The notice comes last: when
    the ledger is unmounted already, the notice has its last entry.

    Args:
        ledger: path of the ledger, None when it is not known yet (it stands in job.json).
        window: seconds that the instance may wait for the end of the unit before it answers. So the end is noticed at
            once, and a job that runs costs a connection each time the window is over.
        noticed: the caller knows of the notice already; otherwise one that appears ends the window.
    """
    show = remote_command("systemctl", "show", UNIT, "--property", ",".join(PROPERTIES))
    files = [_cat(JOB_JSON), _cat(ledger) if ledger else ":", f"{remote_command('cat', NOTICE_PATH)} 2>/dev/null"]
    script = f"; echo {MARK}; ".join(["date +%s", show, *files])
    return remote_command("sh", "-c", f"{_wait_for_end(window, noticed)}{script}")


def _wait_for_end(window: int, noticed: bool) -> str:
    if window <= 0:
        return ""
    active = remote_command("systemctl", "is-active", "--quiet", UNIT)
    appeared = "" if noticed else f"[ -e {NOTICE_PATH} ] && break; "
    # The look at the notice comes after the pause: a caller that never says `noticed` does not ask without pause.
    return f"n=0; while [ $n -lt {2 * window} ] && {active}; do sleep 0.5; {appeared}n=$((n+1)); done; "


def _cat(path: str) -> str:
    # The ledger lies where the job writes, which may be closed to the login user.
    read = remote_command("cat", "--", path)
    return f"{read} 2>/dev/null || sudo -n {read} 2>/dev/null"


def journal_command(invocation: str, *options: str) -> str:
    """The remote command that reads the log of one run of the unit, as root where sudo lets us.

    Source: journalctl(1), systemd.journal-fields(7).
    """
    journal = remote_command("journalctl", "--no-pager", "--quiet", *options, f"_SYSTEMD_INVOCATION_ID={invocation}")
    return remote_command("sh", "-c", f"if sudo -n true 2>/dev/null; then exec sudo -n {journal}; fi; exec {journal}")


def tail_command(invocation: str, lines: int) -> str:
    """The remote command for the end of the log, as plain text."""
    return journal_command(invocation, "--output", "cat", "--lines", str(lines))


def follow_command(invocation: str, cursor: str | None) -> str:
    """The remote command that streams the log as JSON, from its beginning or from behind a cursor."""
    after = ["--after-cursor", cursor] if cursor else []
    return journal_command(
        invocation, "--output", "json", "--output-fields", "MESSAGE", "--follow", "--no-tail", *after
    )


# ------------------------------------------------------------------------------------------------------------- answers


@dataclass
class JobView:
    """What a job does, as one poll saw it.

    Attributes:
        facts: see `_job.state.summary` (job, state, exit_code, message, started, finished, …).
        over: the run has come to its end.
        ledger: path of the ledger, None when no job was started.
        invocation: systemd's id of the run, empty when unknown.
        running_for: seconds since the run began, by the clock of the instance; None before it.
        notice: what the notice watcher of the instance wrote (kind, action, time, phase, job, volumes, messages),
            {} when there is no notice.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    over: bool = False
    ledger: str | None = None
    invocation: str = ""
    running_for: float | None = None
    notice: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str | None:
        """State of the run."""
        return self.facts.get("state")

    @property
    def known(self) -> bool:
        """Whether a job was ever started on this instance."""
        return self.ledger is not None

    def phase(self) -> str:
        """The state for people, with its duration where it is known."""
        text = PHASES.get(self.state or "", self.state or "not started")
        far = {"running": matrix_progress, "pulling": layers_progress}.get(self.state or "")
        text = " ".join(filter(None, [text, far(self.facts) if far else ""]))
        return text if self.running_for is None else f"{text} {duration(self.running_for)}"


def parse_poll(text: str) -> JobView:
    """Reads what `poll_command` printed; whatever is damaged counts as absent."""
    clock, unit_text, document_text, ledger_text, notice_text = (*text.split(MARK), "", "", "", "", "")[:5]
    unit = parse_show(unit_text)
    document = _json_object(document_text)
    runs = [run for run in _json_object(ledger_text).get("runs", []) if isinstance(run, dict)]
    notice = _json_object(notice_text)
    facts = summary(Current(unit, document, True, runs, notice))
    stopping = unit.get("ActiveState") == "deactivating"
    if stopping:
        facts["state"] = "stopping"
    return JobView(
        facts=facts,
        over=facts["state"] in OVER and not facts["unit_active"],
        ledger=document.get("ledger"),
        invocation=unit.get("InvocationID", ""),
        running_for=_elapsed(clock, facts.get("started")),
        notice=notice,
    )


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _epoch(text: str | None) -> float | None:
    try:
        return float(calendar.timegm(time.strptime(text or "", "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return None


def _elapsed(clock: str, started: str | None) -> float | None:
    begin, now = _epoch(started), clock.strip()
    return max(0.0, float(now) - begin) if begin is not None and now.isdigit() else None


def run_seconds(facts: dict[str, Any]) -> float | None:
    """How long an ended run took, by its ledger entry."""
    begin, end = _epoch(facts.get("started")), _epoch(facts.get("finished"))
    return end - begin if begin is not None and end is not None else None


def job_failed(view: JobView) -> bool:
    """Whether an ended job ended badly; one that was stopped did not do its work either."""
    return view.over and view.state != "succeeded"


_ESCAPE = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)")


def plain(text: str) -> str:
    """A log line as it may go to a terminal: no escape sequences, and of a redrawn line what stood there last."""
    text = _ESCAPE.sub("", text)
    last = next((part for part in reversed(text.split("\r")) if part.strip()), "")
    return "".join(char for char in last if char.isprintable() or char == "\t").rstrip()


def journal_entry(line: str) -> tuple[str | None, list[str]]:
    """Cursor and lines of one journal entry in JSON; binary messages come as lists of byte values."""
    entry = _json_object(line)
    message = entry.get("MESSAGE", "")
    if isinstance(message, list):
        values = (value for value in message if isinstance(value, int) and 0 <= value < 256)
        message = bytes(values).decode("utf-8", "replace")
    return entry.get("__CURSOR"), [plain(part) for part in str(message or "").split("\n")]


def plain_lines(lines: Iterable[str]) -> list[str]:
    """Log lines for a terminal, the empty ones at the end left out."""
    cleaned = [plain(line) for line in lines]
    while cleaned and not cleaned[-1]:
        cleaned.pop()
    return cleaned


def failure_text(view: JobView, host: str, tail: list[str]) -> str:
    """The error text for a job that ended badly."""
    facts = view.facts
    code = facts.get("exit_code")
    text = f"job {facts.get('job')} {view.state} on {host}" + (f" with exit code {code}" if code is not None else "")
    if facts.get("message"):
        text += f": {facts['message']}"
    if tail:
        text += f"\nthe last {len(tail)} lines of its log:" + "".join(f"\n  | {line}" for line in tail)
    return text
