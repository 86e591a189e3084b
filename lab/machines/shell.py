"""Commands of the host, run without a shell."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


class CommandError(Exception):
    """A command of the host failed; the text says which and why."""


def run(argv: Sequence[str], stdin: str | None = None) -> str:
    """Run a command and return its standard output.

    Raises:
        CommandError: exit status not 0, or the command does not exist.
    """
    try:
        done = subprocess.run(list(argv), capture_output=True, text=True, check=False, input=stdin)
    except FileNotFoundError as error:
        raise CommandError(f"{argv[0]}: not installed") from error
    if done.returncode:
        raise CommandError(f"{' '.join(argv)}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout


def attempt(argv: Sequence[str]) -> bool:
    """Run a command that may fail for a good reason (a rule that is not there); tell whether it succeeded."""
    try:
        run(argv)
    except CommandError:
        return False
    return True
