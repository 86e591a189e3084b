# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Answers of AWS kept for some minutes in private files, so that the tasks of a run do not ask the same twice.

Note that this module util is private to the collection and may change at any time.

A cache never fails: a directory that cannot be written, or that belongs to somebody else, is no cache, and a file
that cannot be read is no answer. Only answers are kept; a read that raises is asked again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

SCHEMA = 1
# Files this old are removed when another one is written.
FORGET_AFTER_S = 86400
# What of the environment decides whose answers they are; zone names differ between accounts.
IDENTITY = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_SHARED_CREDENTIALS_FILE",
)


class Cache:
    """Answers by key. Safe to use from several threads, and from several processes at once.

    Args:
        directory: where the files are; None for no cache.
        seconds: how long an answer is good; 0 for no cache.
        whose: what all keys have in common: credentials, region, endpoint.
        now: the time in seconds since 1970.
        take: False asks for everything again, and keeps the answers.

    Attributes:
        asked: how many answers did not come from the cache.
        oldest: the time of the oldest answer that did, None for none.
    """

    def __init__(
        self,
        directory: Path | None,
        seconds: float,
        whose: Any = None,
        now: Callable[[], float] = time.time,
        take: bool = True,
    ) -> None:
        self._directory = directory if seconds > 0 else None
        self._seconds = seconds
        self._whose = whose
        self._now = now
        self._take = take
        self._lock = threading.Lock()
        self.asked = 0
        self.oldest: float | None = None

    def __call__(self, key: Any, read: Callable[[], Any], worth: Callable[[Any], bool] = lambda _answer: True) -> Any:
        """The kept answer to ``key``, else that of ``read``, which is then kept.

        Args:
            key: JSON data that name the question.
            read: asks AWS; its answer is JSON data.
            worth: whether an answer is to be kept.
        """
        path = self._path(key)
        kept = self._load(path) if path and self._take else None
        if kept:
            with self._lock:
                self.oldest = min(kept["at"], self.oldest or kept["at"])
            return kept["answer"]
        with self._lock:
            self.asked += 1
        at = self._now()
        answer = read()
        if path and worth(answer):
            self._store(path, {"schema": SCHEMA, "at": at, "answer": answer})
        return answer

    def _path(self, key: Any) -> Path | None:
        if self._directory is None:
            return None
        text = json.dumps([SCHEMA, self._whose, key], sort_keys=True)
        return self._directory / f"{hashlib.sha256(text.encode()).hexdigest()[:40]}.json"

    def _load(self, path: Path) -> dict[str, Any] | None:
        if not _is_private(path.parent):
            return None
        try:
            kept = json.loads(path.read_text())
            age = self._now() - kept["at"]
            # An answer from the future is one from before the clock was set back: nobody knows its age.
            return kept if kept["schema"] == SCHEMA and "answer" in kept and 0 <= age < self._seconds else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _store(self, path: Path, kept: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_private(path.parent):
                return
            self._forget(path.parent)
            handle, name = tempfile.mkstemp(dir=path.parent, suffix=".new")
            with os.fdopen(handle, "w") as file:
                json.dump(kept, file)
            os.replace(name, path)

    def _forget(self, directory: Path) -> None:
        """Remove old files, among them what a killed process left."""
        for path in directory.iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - FORGET_AFTER_S:
                    path.unlink()


def directory(environment: Mapping[str, str]) -> Path | None:
    """Where answers are kept: below ``XDG_CACHE_HOME`` or ``~/.cache``; None for who has no home.

    Source: XDG Base Directory Specification; a relative path is not valid there.
    """
    home = environment.get("XDG_CACHE_HOME") or os.path.join(environment.get("HOME", ""), ".cache")
    return Path(home, "experiments.spot", "answers") if os.path.isabs(home) else None


def whose(params: Mapping[str, Any], environment: Mapping[str, str], region: str | None, endpoint: str | None) -> Any:
    """What decides whose answers they are, without any secret.

    Args:
        params: options of the module.
        environment: environment variables.
        region: the region that is asked.
        endpoint: the URL that is asked, None for that of AWS.
    """
    options = [params.get(name) for name in ("profile", "access_key")]
    return [*options, *(environment.get(name) for name in IDENTITY), region, endpoint]


def _is_private(path: Path) -> bool:
    """Whether the directory is ours and nobody else can write in it."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
