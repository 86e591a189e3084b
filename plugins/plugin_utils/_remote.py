# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Commands on an instance from an action plugin, over the connection that all share."""

from __future__ import annotations

from ansible_collections.experiments.spot.plugins.plugin_utils import _ssh
from ansible_collections.experiments.spot.plugins.plugin_utils._progress import Child


class LostConnection(Exception):
    """ssh could not reach the instance; the text is its last line."""


class Remote:
    """Commands on the instance, over the shared connection."""

    def __init__(self, target: _ssh.Target) -> None:
        self.target = target

    def read(self, command: str, timeout: float = 30) -> str:
        """Output of a command.

        Raises:
            LostConnection: ssh did not get through.
        """
        result = _ssh.run(_ssh.ssh_argv(self.target, command), timeout)
        if result.returncode == 255:
            raise LostConnection(_ssh.last_line(result.stderr) or "no answer")
        return result.stdout

    def stream(self, command: str) -> Child:
        """A command whose output is read as it comes."""
        return Child(_ssh.ssh_argv(self.target, command))

    def reset(self) -> None:
        """Drops the shared connection, so that the next command opens a new one."""
        _ssh.close_master(self.target)
