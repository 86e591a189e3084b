"""Filters and pages of Describe calls, over answers in botocore's shape.

A filter matches when any of its values matches any of the resource's values, with `*` and `?`; several filters are
joined by AND. Source: EC2 User Guide "Filter resources".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from lab.aws.errors import Refusal

Getter = Callable[[dict[str, Any]], Any]


def path(dotted: str) -> Getter:
    """A getter for a path such as `State.Name` or `BlockDeviceMappings.Ebs.VolumeId`; lists are walked through."""

    def get(item: dict[str, Any]) -> list[Any]:
        found: list[Any] = [item]
        for key in dotted.split("."):
            found = [v[key] for v in _flat(found) if isinstance(v, Mapping) and v.get(key) is not None]
        return list(_flat(found))

    return get


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flat(value)
        else:
            yield value


def table(names: Mapping[str, str]) -> dict[str, Getter]:
    """Filter name -> getter, from filter name -> path."""
    return {name: path(where) for name, where in names.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return str(value)


def _pattern(value: str) -> re.Pattern[str]:
    text = re.escape(value).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(f"(?s){text}\\Z")


def _matches(values: list[Any], wanted: list[str]) -> bool:
    patterns = [_pattern(str(w)) for w in wanted]
    return any(p.match(_text(v)) for v in values for p in patterns)


def _tags(name: str) -> Getter | None:
    if name.startswith("tag:"):
        key = name[4:]
        return lambda item: [t["Value"] for t in item.get("Tags", []) if t["Key"] == key]
    if name in ("tag-key", "tag-value"):
        return path("Tags." + name[4:].capitalize())
    return None


def apply(items: list[dict[str, Any]], filters: list[dict[str, Any]], known: Mapping[str, Getter]) -> list[Any]:
    """Items that pass all filters. Source of the error: [ERR] InvalidParameterValue "The filter 'x' is invalid"."""
    for one in filters or []:
        name, wanted = one.get("Name", "null"), one.get("Values", [])
        getter = _tags(name) or known.get(name)
        if getter is None:
            raise Refusal("InvalidParameterValue", f"The filter '{name}' is invalid")
        items = [item for item in items if _matches(list(_flat([getter(item)])), wanted)]
    return items


def page(items: list[Any], params: dict[str, Any], default: int = 1000) -> tuple[list[Any], str | None]:
    """One page and the token of the next. Source: EC2 API pagination, MaxResults and NextToken."""
    start = _offset(params.get("NextToken"))
    size = int(params.get("MaxResults") or default)
    end = start + size
    token = base64.b64encode(f"lab:{end}".encode()).decode() if end < len(items) else None
    return items[start:end], token


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.b64decode(token).decode().split(":")[1])
    except (ValueError, IndexError) as err:
        raise Refusal("InvalidNextToken", f"The token '{token}' is invalid.") from err
