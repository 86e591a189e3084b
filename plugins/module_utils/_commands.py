# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How modules run commands of the instance. PRIVATE to the collection."""

from __future__ import annotations

from typing import Any, Callable

Run = Callable[[list[str]], tuple[int, str, str]]


def commands(module: Any, optional: bool = False) -> Run:
    """Runs commands of the instance, which speak English.

    Args:
        module: ends with an error where there is no such command.
        optional: status 127 instead, as a shell has it.
    """

    def run(argv: list[str]) -> tuple[int, str, str]:
        if optional and module.get_bin_path(argv[0]) is None:
            return 127, "", f"no {argv[0]}"
        rc, out, err = module.run_command(argv, environ_update={"LC_ALL": "C"})
        return rc, out, err

    return run
