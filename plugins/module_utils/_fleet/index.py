# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Numbers for the instances of an experiment, stable across its generations: pure functions.

The number stands in a tag of the instance, either as it is (``3``) or, where several instances got theirs at the same
time, in a table of all of them, because CreateTags writes the same tags of all resources that it names:
``0=2f9c.b01e.77a4 7=90ac`` says that of these instances the one whose id ends in 2f9c has the number 0, the next two 1
and 2, the last one 7. Whoever sees an instance can tell its number from its own tag and id alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count

from .values import Instance

# Source: EC2 user guide, tag restrictions: characters of a value.
VALUE_LENGTH = 256
# Source: EC2 API CreateTags: resources of one call.
RESOURCES = 1000
# Fewer characters of an id than this look like a number of their own.
SHORTEST = 4


def index_from(value: str | None, instance_id: str = "") -> int | None:
    """Return the number in a tag's value, None for anything that says none for this instance."""
    text = value or ""
    return _from_table(text, instance_id) if "=" in text else _whole(text)


def _whole(text: str) -> int | None:
    """Return a plain whole number from 0."""
    return int(text) if text.isascii() and text.isdecimal() and str(int(text)) == text else None


def _from_table(text: str, instance_id: str) -> int | None:
    for run in text.split():
        first, _sign, ends = run.partition("=")
        start = _whole(first)
        for place, end in enumerate(ends.split(".")):
            if start is not None and end and instance_id.endswith(end):
                return start + place
    return None


def tables(numbers: Mapping[str, int]) -> dict[str, list[str]]:
    """Return the values to write, each with the ids of the instances to write it to: one for some 50 instances.

    Args:
        numbers: number by instance id, without doubles.
    """
    if len(numbers) == 1:
        return {str(number): [instance_id] for instance_id, number in numbers.items()}
    ordered = sorted(numbers, key=lambda instance_id: numbers[instance_id])
    size = _as_many_as_fit(ordered, numbers)
    text = _table(ordered[:size], numbers)
    rest = {instance_id: numbers[instance_id] for instance_id in ordered[size:]}
    return {text: ordered[:size], **(tables(rest) if rest else {})}


def _as_many_as_fit(ordered: list[str], numbers: Mapping[str, int]) -> int:
    size = min(len(ordered), RESOURCES)
    while size > 1 and len(_table(ordered[:size], numbers)) > VALUE_LENGTH:
        size -= 1
    return size


def _table(ordered: list[str], numbers: Mapping[str, int]) -> str:
    """Return the table of instances that are ordered by their numbers."""
    ends = _ends(ordered)
    text = ""
    last = None
    for instance_id in ordered:
        number = numbers[instance_id]
        joint = "." if last is not None and number == last + 1 else f"{' ' if text else ''}{number}="
        text += joint + ends[instance_id]
        last = number
    return text


def _ends(ids: list[str]) -> dict[str, str]:
    """Return the ends of ids, as short as they can be while no two are alike."""
    length = SHORTEST
    while len({instance_id[-length:] for instance_id in ids}) < len(ids):
        length += 1
    return {instance_id: instance_id[-length:] for instance_id in ids}


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
