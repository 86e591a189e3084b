# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Numbers for the instances of an experiment, stable across its generations: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count

from .values import Instance


def index_from(value: str | None) -> int | None:
    """Return the number in a tag's value, None for anything that is not a plain whole number from 0."""
    text = value or ""
    return int(text) if text.isascii() and text.isdecimal() and str(int(text)) == text else None


def lowest_free(instances: Iterable[Instance]) -> int:
    """Return the lowest number that none of the instances has."""
    taken = {instance.index for instance in instances}
    return next(number for number in count() if number not in taken)


def assign(instances: Iterable[Instance]) -> dict[str, int]:
    """Return the numbers that have to be written, by instance id.

    An instance keeps the number it has. Of two with the same number the older keeps it. Everybody who sees the same
    instances comes to the same result, so that two runs at once, or a second run, do no harm.

    Args:
        instances: All that count; the numbers of others are free.
    """
    ordered = sorted(instances, key=lambda item: (item.launch_time or "9999", item.instance_id))
    kept: dict[int, str] = {}
    for instance in ordered:
        if instance.index is not None:
            kept.setdefault(instance.index, instance.instance_id)
    keeping = set(kept.values())
    free = (number for number in count() if number not in kept)
    return {item.instance_id: next(free) for item in ordered if item.instance_id not in keeping}


def numbered(instances: Iterable[Instance], numbers: Mapping[str, int]) -> tuple[Instance, ...]:
    """Return the instances with the numbers that ``assign`` gave."""
    return tuple(replace(item, index=numbers.get(item.instance_id, item.index)) for item in instances)
