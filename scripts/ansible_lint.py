"""ansible-lint without its syntax check: that starts ansible-playbook once for each playbook and role, a minute of
processor time. scripts/lint checks the syntax of all playbooks in one process instead."""

from __future__ import annotations

import sys

from ansiblelint import runner
from ansiblelint.__main__ import main


def without(phase: str) -> None:
    """Replace a phase of the runner by nothing; a version that has no such phase is an error and not a slow run."""
    if not callable(getattr(runner.Runner, phase)):
        raise TypeError(phase)
    setattr(runner.Runner, phase, lambda _self, _matches: [])


if __name__ == "__main__":
    without("_run_syntax_check_phase")
    sys.exit(main())
