# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Which log of which instance is read, and how: pure, no ssh and no AWS."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils._job.spec import UNIT
from ansible_collections.experiments.spot.plugins.module_utils._notice.spec import UNIT as NOTICE_UNIT
from ansible_collections.experiments.spot.plugins.plugin_utils._follow import JobView, journal_entry, run_seconds
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import duration
from ansible_collections.experiments.spot.plugins.plugin_utils._ssh import remote_command

# What journalctl is asked for. cloud-init's units have changed their names; what it prints is in the journal, too.
# Source: cloud-init, "Boot stages"; docker, "Read the daemon logs".
SOURCES: dict[str, tuple[str, ...]] = {
    "job": (),
    "notice": ("--unit", NOTICE_UNIT),
    "cloud-init": ("--unit", "cloud-*", "--unit", "*cloud-init*"),
    "docker": ("--unit", "docker.service", "--unit", "containerd.service"),
    "system": (),
}
JOB = "job"
MOST = 1_000_000
FIELDS = "MESSAGE,SYSLOG_IDENTIFIER"
FALSE, TRUE = ("false", "no", "off", "0", ""), ("true", "yes", "on", "1")


# ------------------------------------------------------------------------------------------------------------- options


@dataclass(frozen=True)
class Wanted:
    """What the user asked for: so many last lines of a source, whether to go on, and of which ranks (empty: all)."""

    source: str = JOB
    lines: int = 100
    follow: bool = False
    ranks: tuple[int, ...] = ()


def wanted(given: Mapping[str, Any]) -> tuple[Wanted, list[str]]:
    """What was typed, and all that is wrong with it.

    Args:
        given: ``source``, ``lines``, ``follow`` and ``rank`` as texts.
    """
    errors = []
    source, lines, follow = (str(given[name]).strip() for name in ("source", "lines", "follow"))
    if source not in SOURCES:
        errors.append(f"-e source={source}: is none of {', '.join(SOURCES)}")
    if not (_number(lines) and 0 < int(lines) <= MOST):
        errors.append(f"-e lines={lines}: is no number from 1 to {MOST}")
    if follow.lower() not in (*TRUE, *FALSE):
        errors.append(f"-e follow={follow}: is neither true nor false")
    ranks = [part.strip() for part in str(given["rank"]).split(",") if part.strip()]
    errors += [f"-e rank={part}: is no rank; they are 0, 1, … (or several: 0,2)" for part in ranks if not _number(part)]
    if errors:
        return Wanted(), errors
    return Wanted(source, int(lines), follow.lower() in TRUE, tuple(dict.fromkeys(map(int, ranks)))), []


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


# --------------------------------------------------------------------------------------------------------- experiments


def choose(experiments: Sequence[Mapping[str, Any]], name: str, regions: Sequence[str]) -> Mapping[str, Any] | str:
    """The experiment that is meant, or a text that says why there is none.

    Args:
        experiments: as experiment_info returns them, those of all regions.
        name: its name; empty takes the only one.
        regions: where was looked.
    """
    where = ", ".join(regions)
    known = sorted({str(one["experiment"]) for one in experiments})
    found = [one for one in experiments if not name or one["experiment"] == name]
    if not known:
        return f"there is no experiment{f' {name}' if name else ''} in {where}; -e region=REGION looks elsewhere"
    if not name and len(known) > 1:
        return f"say of which experiment: -e experiment=NAME; in {where} there are: {', '.join(known)}"
    if not found:
        return f"there is no experiment {name} in {where}, only: {', '.join(known)}"
    return max(found, key=lambda one: len(running(one)))


def running(experiment: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Its instances that run: those with a rank in their order, else whatever runs."""
    alive = [one for one in experiment["instances"] if one["state"] == "running" and one["address"]]
    return [one for one in alive if one["rank"] is not None] or alive


def selected(instances: Sequence[Mapping[str, Any]], ranks: Sequence[int]) -> list[Mapping[str, Any]] | str:
    """The instances of some ranks (empty: all), or which of them there is not."""
    there = [one["rank"] for one in instances]
    missing = [rank for rank in ranks if rank not in there]
    if missing:
        have = ", ".join(str(rank) for rank in there if rank is not None)
        return f"no instance has the rank {', '.join(map(str, missing))}; running: {have or 'none'}"
    return [one for one in instances if not ranks or one["rank"] in ranks]


def last_instance(experiment: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The instance that was launched last, whatever has become of it."""
    return max(experiment["instances"], key=lambda one: str(one["launch_time"]), default=None)


def without_instance(experiment: Mapping[str, Any], results: str) -> str:
    """What is left of an experiment that has no instance.

    Args:
        results: where its profile keeps results, empty when that is not known.
    """
    name, profile = experiment["experiment"], experiment["profile"]
    option = f" -e profile={profile}" + (f" -e experiment={name}" if profile != name else "") if profile else ""
    lines = [f"Experiment {name} has no running instance; the journal went with the last one."]
    volumes = [f"{one['volume'] or one['name']} ({one['volume_id']})" for one in experiment["volumes"]]
    if volumes:
        lines.append(f"What the job wrote, and its ledger, are on: {', '.join(volumes)}")
    if results:
        lines.append(f"Its results are in {results}; they come with: ansible-playbook sync.yml{option}")
    elif not volumes and option:
        lines.append(f"If its profile keeps results in a bucket, they come with: ansible-playbook sync.yml{option}")
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------------------------ commands


def journal(source: str, view: JobView, lines: int, follow: bool, cursor: str | None = None) -> str:
    """The remote command that prints the log as JSON, as root where sudo lets us; its end with the last line first.

    Args:
        source: one of SOURCES.
        view: the job, for its log; systemd forgets a unit that ended well, then the ledger says when its run began.
        lines: of the end; with a cursor all that came behind it.
        follow: go on for ever.

    Source: journalctl(1), systemd.journal-fields(7).
    """
    # With --since, --lines counts from there on, unless it goes backwards.
    backwards = [] if follow else ["--reverse"]
    began = ["--after-cursor", cursor] if cursor else ["--lines", str(lines), *backwards]
    began += ["--no-tail"] if cursor and follow else []
    options = ["--no-pager", "--quiet", "--output", "json", "--output-fields", FIELDS, *began]
    words = ["journalctl", *options, *(["--follow"] if follow else []), *SOURCES[source]]
    if source == JOB:
        words += _of_job(view)
    command = remote_command(*words)
    return remote_command("sh", "-c", f"if sudo -n true 2>/dev/null; then exec sudo -n {command}; fi; exec {command}")


def _of_job(view: JobView) -> list[str]:
    if view.invocation:
        return [f"_SYSTEMD_INVOCATION_ID={view.invocation}"]
    started = str(view.facts.get("started") or "")
    since = ["--since", started.replace("T", " ").replace("Z", " UTC")] if started else []
    return [*since, f"_SYSTEMD_UNIT={UNIT}"]


def entries(text: str, cursor: str | None = None) -> list[str]:
    """The entries that `journal` printed without follow, the first one first."""
    return text.splitlines() if cursor else text.splitlines()[::-1]


def shown(source: str, line: str) -> tuple[str | None, list[str]]:
    """Cursor and lines of an entry: those of the job as it wrote them, others with time and program."""
    cursor, lines = journal_entry(line)
    if source == JOB or cursor is None:
        return cursor, lines
    entry = json.loads(line)
    stamp = str(entry.get("__REALTIME_TIMESTAMP", ""))
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(stamp) / 1e6)) if stamp.isdigit() else ""
    program = "".join(char for char in str(entry.get("SYSLOG_IDENTIFIER") or "") if char.isprintable())
    head = " ".join(part for part in (at, f"{program}:" if program else "") if part)
    return cursor, [f"{head} {one}".strip() for one in lines]


def job_line(view: JobView) -> str:
    """What the job does or did, in one line."""
    if not view.known or view.state is None:
        return "no job was started here"
    code, took = view.facts.get("exit_code"), run_seconds(view.facts)
    text = f"job {view.facts.get('job')}: {view.phase() if not view.over else view.state}"
    if view.over:
        text += (f", exit code {code}" if code else "") + (f" after {duration(took)}" if took is not None else "")
    return text + (f" ({view.facts['message']})" if view.over and view.facts.get("message") else "")
