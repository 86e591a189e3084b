# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the filters of a report fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ansible.errors import AnsibleFilterError


@contextmanager
def wants(name: str, what: str) -> Iterator[None]:
    """One clear line where a filter is given something else than it wants.

    Args:
        name: of the filter.
        what: it wants.

    Raises:
        AnsibleFilterError: the work within found something missing or of another kind.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"{name}: wants {what} ({error})") from None
