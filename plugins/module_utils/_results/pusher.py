# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pusher: sends what is new and complete into the bucket, the manifest last; and brings it back to a new instance.

It runs on the instance as `python3 -m results.pusher push MODE` or `restore`, by the unit
experiments-spot-results@MODE.service: `periodic` while the job runs, `end` after it, `notice` before AWS takes the
instance. One push runs at a time. What it did stands in /var/lib/experiments-spot/results.json, from where the runner
of the job copies it into the ledger.

Exit status: 0 done; 1 something was not sent; 75 the time was over; 77 another instance owns the results; 78 file.
Source of these numbers: sysexits.h.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import fetch, files, plan
from .store import THREADS, Options, Store, StoreError, client_of

CONFIG = "/etc/experiments-spot/results.json"
STATUS = "/var/lib/experiments-spot/results.json"
CACHE = "/var/lib/experiments-spot/results.cache.json"
LOCK = "/run/experiments-spot-results.lock"
NOTICE = "/run/experiments-spot/notice.json"
MARK = ".experiments-spot-restoring"
EX_TEMPFAIL, EX_NOPERM, EX_CONFIG = 75, 77, 78
PERIODIC, END, ON_NOTICE = "periodic", "end", "notice"
# Again, when a checkpoint changed while it was looked at.
TRIES = 3
PAUSE = 0.5
# Seconds of a notice that are kept for the volumes and the end, and for the manifest.
RESERVE = 20.0
SHOWN = 20


class Taken(Exception):
    """Another instance owns the results."""


def say(text: str) -> None:
    """One line in the journal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def now() -> str:
    """ISO 8601, UTC, seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def read_json(path: str) -> dict[str, Any]:
    """A JSON object from a file, {} when there is none that can be used."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: str, document: dict[str, Any]) -> None:
    """Write a file so that a reader sees the old or the new one."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".spot-")
    with os.fdopen(fd, "w", encoding="utf-8") as stream:
        json.dump(document, stream)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def uptime() -> float:
    """Seconds since boot, as the notice watcher counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Push:
    """One push.

    Args:
        config: the configuration, see `spec.config_document`.
        store: the bucket.
        mode: see above.
        status: path of the file that says what was done.
        cache: path of what is known from earlier pushes.
    """

    def __init__(
        self, config: dict[str, Any], store: Store, mode: str, status: str = STATUS, cache: str = CACHE
    ) -> None:
        self.config, self.store, self.mode = config, store, mode
        self.status_path, self.cache_path = status, cache
        self.place = plan.Place(config["bucket"], config["prefix"])
        self.names: dict[str, str] = config["directories"]
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.sent_files, self.sent_bytes = 0, 0
        self.failed: dict[str, str] = {}
        self.left: dict[str, str] = {}
        self.entries: dict[str, dict[str, Any]] = {}
        self.former: list[dict[str, Any]] = []
        self.cache: dict[str, Any] = {}
        self.present: set[str] = set()
        self.groups: dict[str, str] = {}
        self.began = time.monotonic()

    # ---- the whole

    def run(self) -> int:
        """Push, tell, and say by the exit status how it went."""
        problem, code = "", 0
        try:
            self.begin()
            self.send_all()
            self.publish()
        except Taken as error:
            problem, code = str(error), EX_NOPERM
        except (StoreError, plan.PlanError, OSError) as error:
            problem, code = str(error), 1
        if self.over.is_set():
            problem = problem or "the time was over before everything was sent"
            code = code or EX_TEMPFAIL
        code = code or (1 if self.failed else 0)
        self.tell(problem)
        return code

    def begin(self) -> None:
        """What the bucket holds by now, and whether this instance may write there.

        Raises:
            Taken, StoreError, PlanError: see there.
        """
        self.check_owner()
        data = self.store.read(self.place.key(plan.LATEST))
        self.former = plan.parse(data)["files"] if data else []
        self.cache = read_json(self.cache_path) if data else {}
        self.cache = {"hashes": self.cache.get("hashes") or {}, "sent": self.cache.get("sent") or {}}
        self.cache["sent"] = {one["key"]: one["sha256"] for one in self.former} | self.cache["sent"]
        if self.mode == END:  # what somebody removed from the bucket meanwhile is sent again
            there = self.store.sizes(f"{self.place.prefix}/")
            prefix = len(self.place.prefix) + 1
            known = {key[prefix:] for key in there}
            self.cache["sent"] = {key: sha for key, sha in self.cache["sent"].items() if key in known}

    def check_owner(self) -> None:
        """Only the newest instance writes: an older one that AWS forgot to end must not undo its work."""
        owner = owner_in(self.store.read(self.place.key(plan.OWNER)))
        if owner.get("instance_id") not in (None, self.config["instance_id"]):
            raise Taken(
                f"{owner['instance_id']} (generation {owner.get('generation')}) owns {self.place.url} by now; nothing"
                " is sent from here any more"
            )

    def tell(self, problem: str) -> None:
        """Write down what was done, for ledger and status, and say it in the journal."""
        failed = dict(list(self.failed.items())[:SHOWN])
        document = {
            "time": now(),
            "mode": self.mode,
            "url": self.place.url,
            "files": self.sent_files,
            "bytes": self.sent_bytes,
            "total": len(self.entries),
            "left": len(self.left),
            "failed": len(self.failed),
            "seconds": round(time.monotonic() - self.began, 1),
            "message": problem or next((f"{name}: {why}" for name, why in failed.items()), ""),
        }
        last = read_json(self.status_path)
        document["pushed"] = now() if not problem and not failed else last.get("pushed")
        try:
            write_json(self.status_path, document)
            write_json(self.cache_path, self.cache)
        except OSError as error:
            say(f"{self.status_path} cannot be written: {error.strerror}")
        for name, why in failed.items():
            say(f"NOT SENT {name}: {why}")
        for name, why in list(self.left.items())[:SHOWN]:
            say(f"left for later: {name}: {why}")
        counts = f"{self.sent_files} files, {self.sent_bytes} bytes sent, {len(self.left)} left for later"
        say(f"{self.mode}: {counts}, {len(self.failed)} failed{'; ' if problem else ''}{problem}")

    # ---- sending

    def send_all(self) -> None:
        """Send what is complete; what changes while it is looked at is looked at again."""
        for attempt in range(TRIES):
            choice = self.look()
            self.left = {name: why for name, why in choice.left.items() if why != files.BAD_NAME}
            self.failed = {name: why for name, why in choice.left.items() if why == files.BAD_NAME}
            with ThreadPoolExecutor(THREADS) as pool:
                changed = any(list(pool.map(self.send, choice.send)))
            if not changed or self.over.is_set() or attempt == TRIES - 1:
                return
            self.over.wait(PAUSE)

    def look(self) -> plan.Choice:
        """What is on the instance now."""
        written = files.being_written()
        found = list(files.scan(self.names, self.config["exclude"], self.config["checkpoints"], written))
        self.present = {one.label for one in found}
        # A directory without any file is one whose volume is not mounted (any more), rather than one that was emptied.
        filled = {one.name for one in found}
        self.present |= {plan.label(one) for one in self.former if one["name"] not in filled}
        self.groups = {one.label: one.group for one in found}
        return plan.choose(found)

    def send(self, one: plan.File) -> bool:
        """One file; says whether it changed meanwhile."""
        if self.over.is_set():
            self.note_left(one, "the time was over")
            return False
        try:
            self.entries[one.label] = self.send_one(one)
        except FileNotFoundError:
            self.present.discard(one.label)
            if one.group:
                self.note_left(one, "vanished meanwhile")
            return True
        except StoreError as error:
            if error.code == "PreconditionFailed" or error.code.startswith("BadDigest"):
                self.note_left(one, "changed while it was sent")
                return True
            with self.lock:
                self.failed[one.label] = "the time was over" if self.over.is_set() else str(error)
        except Exception as error:  # one bad file must not stop the others
            with self.lock:
                self.failed[one.label] = f"{type(error).__name__}: {error}"
        return False

    def note_left(self, one: plan.File, why: str) -> None:
        """A file that a later push sends."""
        with self.lock:
            self.left[one.label] = why

    def send_one(self, one: plan.File) -> dict[str, Any]:
        """One file as the manifest has it, sent if the bucket has not got it.

        Raises:
            StoreError: it cannot be sent, or changed.
            OSError: it cannot be read.
        """
        path = os.path.join(self.names[one.name], one.path)
        with open(path, "rb") as stream:
            if not files.same(one, os.fstat(stream.fileno())):
                raise StoreError(f"{path}: changed", "PreconditionFailed")
            sha256 = self.hash_of(one, stream)
            key = plan.key_of(one, sha256)
            if self.cache["sent"].get(key) != sha256:
                stream.seek(0)
                self.store.send(self.place.key(key), stream, one.size, sha256, self.count)
                with self.lock:
                    self.sent_files += 1
                    self.cache["sent"][key] = sha256
            if not files.same(one, os.fstat(stream.fileno())):
                raise StoreError(f"{path}: changed", "PreconditionFailed")
        return plan.entry_of(one, sha256)

    def hash_of(self, one: plan.File, stream: Any) -> str:
        """SHA-256 of a file, from the cache when it has not changed."""
        known = self.cache["hashes"].get(one.label)
        if isinstance(known, list) and known[:2] == [one.size, one.mtime_ns]:
            return str(known[2])
        sha256 = files.sha256_of(stream)
        # A file of this very moment may change once more within the clock's resolution.
        if time.time_ns() - one.mtime_ns > 2 * 10**9:
            with self.lock:
                self.cache["hashes"][one.label] = [one.size, one.mtime_ns, sha256]
        return sha256

    def count(self, amount: int) -> None:
        """So many bytes more."""
        with self.lock:
            self.sent_bytes += amount

    # ---- the manifest

    def publish(self) -> None:
        """The manifest, when it would say something new; then checkpoints that nobody names any more go.

        Raises:
            Taken, StoreError: see there.
        """
        open_groups = {self.groups.get(name, "") for name in (*self.failed, *self.left)} - {""}
        sent = [one for name, one in self.entries.items() if name in self.present and name not in self.left]
        merged = plan.merge(self.former, sent, self.present, open_groups)
        if merged == self.former and self.former:
            return
        if not merged and not self.former:
            return
        self.check_owner()
        document = plan.manifest(self.identity(), self.names, merged)
        self.store.write(self.place.key(plan.LATEST), plan.text_of(document))
        self.entries = {plan.label(one): one for one in merged}
        self.prune(merged)

    def identity(self) -> dict[str, Any]:
        """Who writes, and how far the job is."""
        keys = ("experiment", "generation", "rank", "instance_id")
        ledger = read_json(os.path.join(self.config.get("state_dir") or "/nonexistent", "ledger.json"))
        run = (ledger.get("runs") or [{}])[-1]
        progress = read_json(os.path.join(self.config.get("state_dir") or "/nonexistent", "progress.json"))
        told = {"time": now(), "mode": self.mode, "job_state": run.get("state"), "step": progress.get("step")}
        return {**{key: self.config.get(key) for key in keys}, **told}

    def prune(self, current: list[dict[str, Any]]) -> None:
        """Remove old checkpoints; without the right to do so they stay, and cost."""
        keys = plan.unused(self.former, current)
        if not keys or self.mode == ON_NOTICE:
            return
        try:
            self.store.delete([self.place.key(key) for key in keys])
        except StoreError as error:
            say(f"old checkpoints stay in the bucket: {error}")
        for key in keys:
            self.cache["sent"].pop(key, None)

    def end_by(self, seconds: float) -> None:
        """Stop sending after that time; what is there by then is published."""
        timer = threading.Timer(max(0.0, seconds), self.stop)
        timer.daemon = True
        timer.start()

    def stop(self) -> None:
        """Send no further file."""
        self.over.set()
        self.store.cancel()


def time_left(notice: dict[str, Any], up: float) -> float:
    """Seconds that a push may take after a notice, so that the rest of the time is enough for the volumes."""
    deadline = notice.get("deadline")
    left = float(deadline) - up if isinstance(deadline, (int, float)) else 60.0
    return max(1.0, left - min(RESERVE, left / 3))


# ---- restore --------------------


class Restore:
    """Brings the results back to an instance whose directories are empty."""

    def __init__(self, config: dict[str, Any], store: Store) -> None:
        self.config, self.store = config, store
        self.place = plan.Place(config["bucket"], config["prefix"])
        self.tally = fetch.Tally()

    def due(self) -> list[str]:
        """Names of the directories that are to be filled: empty, or left half filled by an earlier try."""
        names: dict[str, str] = self.config["directories"]
        return [name for name, path in names.items() if files.is_empty(path) or os.path.exists(f"{path}/{MARK}")]

    def run(self) -> dict[str, Any]:
        """Fetch what LATEST names.

        Raises:
            StoreError, PlanError, OSError: nothing is restored, or not everything.
        """
        due = self.due()
        data = self.store.read(self.place.key(plan.LATEST))
        found = plan.parse(data) if data else {"files": []}
        todo = [one for one in found["files"] if one["name"] in due]
        if not todo:
            return {"files": 0, "bytes": 0, "found": bool(data)}
        roots = {name: self.config["directories"][name] for name in due}
        for path in roots.values():
            with open(f"{path}/{MARK}", "w", encoding="utf-8"):
                pass
        wanted = fetch.wanted(todo, lambda one: os.path.join(roots[one["name"]], one["path"]))
        fetch.Fetcher(self.store, self.place.prefix, self.tally, own=True).fetch(wanted)
        if self.tally.failed:
            name, why = next(iter(self.tally.failed.items()))
            raise StoreError(
                f"{len(self.tally.failed)} of {len(wanted)} files were not restored, such as {name}: {why}"
            )
        self._own_folders(roots, todo)
        for path in roots.values():
            os.unlink(f"{path}/{MARK}")
        keys = ("generation", "instance_id", "step", "time")
        told = {f"from_{key}": found.get(key) for key in keys}
        return {"files": self.tally.files, "bytes": self.tally.bytes, "found": True, **told}

    def make(self) -> None:
        """Make the directories that are not there, for the user who works there."""
        for path in self.config["directories"].values():
            if not os.path.isdir(path):
                os.makedirs(path)
                os.chown(path, int(self.config.get("uid") or 0), int(self.config.get("gid") or 0))

    def _own_folders(self, roots: dict[str, str], todo: list[dict[str, Any]]) -> None:
        """Folders belong to whom their files belong: the job may run as another user than root."""
        for one in todo:
            folder = os.path.dirname(one["path"])
            while folder:
                os.chown(os.path.join(roots[one["name"]], folder), int(one.get("uid") or 0), int(one.get("gid") or 0))
                folder = os.path.dirname(folder)


def owner_in(data: bytes | None) -> dict[str, Any]:
    """The document OWNER, {} when there is none that can be used."""
    try:
        found = json.loads(data or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def claim(config: dict[str, Any], store: Store) -> None:
    """Make this instance the one that may write; that also proves the rights of its role before the job starts.

    Raises:
        StoreError: it may not.
    """
    key = plan.Place(config["bucket"], config["prefix"]).key(plan.OWNER)
    owner = owner_in(store.read(key))
    mine = {"instance_id": config["instance_id"], "generation": config["generation"]}
    if {name: owner.get(name) for name in mine} != mine:
        store.write(key, plan.text_of({**mine, "time": now()}))


# ---- start --------------------


def store_of(config: dict[str, Any]) -> Store:
    """The bucket of a configuration.

    Raises:
        StoreError: there is no SDK.
    """
    options = Options(config.get("storage_class") or "", config.get("kms_key_id") or "")
    return Store(client_of(config.get("endpoint") or "", config.get("region") or ""), config["bucket"], options)


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Waits until no other push runs."""
    with open(LOCK, "w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def push(config: dict[str, Any], mode: str) -> int:
    """One push, in turn."""
    left = time_left(read_json(NOTICE), uptime()) if mode == ON_NOTICE else None
    began = time.monotonic()
    with locked():
        work = Push(config, store_of(config), mode)
        signal.signal(signal.SIGTERM, lambda _number, _frame: threading.Thread(target=work.stop).start())
        if left is not None:
            work.end_by(left - (time.monotonic() - began))
        return work.run()


def restore(config: dict[str, Any]) -> int:
    """Take the results over and fill empty directories; the last line is a JSON document for the module."""
    answer: dict[str, Any] = {}
    code = 0
    try:
        with locked():
            store = store_of(config)
            claim(config, store)
            work = Restore(config, store)
            work.make()
            answer = work.run() if config.get("restore", True) else {}
    except (StoreError, plan.PlanError) as error:
        answer, code = {"error": str(error)}, 1
    except OSError as error:
        answer, code = {"error": f"{error.filename or 'restore'}: {error.strerror or error}"}, 1
    say(json.dumps(answer))
    return code


def main(argv: list[str]) -> int:
    """Entry point."""
    config = read_json(CONFIG)
    if not config:
        say(f"{CONFIG} is missing or damaged; the role results writes it")
        return EX_CONFIG
    if argv[1:2] == ["restore"]:
        return restore(config)
    try:
        return push(config, argv[2] if len(argv) > 2 else PERIODIC)
    except (StoreError, OSError) as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
