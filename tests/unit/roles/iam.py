"""What a policy of IAM allows, as far as ours need it: for tests of policies.

Source: IAM user guide, "Policy evaluation logic", "Condition operators" and "Policy variables". Only Allow, patterns with `*`,
and the operators below; anything else is an error, so that a new operator is not passed over.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from typing import Any

Context = Mapping[str, Any]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _like(value: str, pattern: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value) is not None


def _filled(pattern: str, context: Context) -> str:
    """A pattern with the values of its variables; one without a value matches nothing."""
    return re.sub(r"\$\{([^}]+)\}", lambda found: str(context.get(found[1].lower(), "\0")), pattern)


def _holds(operator: str, key: str, patterns: Any, context: Context) -> bool:
    """One line of a condition; a key without a value fails."""
    values = _listed(context.get(key.lower(), []))
    many, _, name = operator.rpartition(":")
    if name not in ("StringEquals", "StringLike", "ArnLike", "ArnEquals", "Bool") or many not in ("", "ForAnyValue"):
        raise NotImplementedError(operator)
    wanted = [_filled(str(one), context) for one in _listed(patterns)]
    return any(value == one if name == "StringEquals" else _like(value, one) for value in values for one in wanted)


def allows(policy: Mapping[str, Any], action: str, resource: str, **context: Any) -> bool:
    """Whether a policy allows an action on a resource.

    Args:
        policy: the document.
        action: such as ``ec2:DetachVolume``.
        resource: an ARN, or ``*`` for an action that has none.
        context: keys of the request, with ``__`` for ``:`` and in any case; `tag`, `request_tag` are those of the resource
            and of the request, as mappings.
    """
    tags = {f"aws:resourcetag/{key.lower()}": value for key, value in context.pop("tag", {}).items()}
    made = context.pop("request_tag", {})
    asked = {f"aws:requesttag/{key.lower()}": value for key, value in made.items()} | {"aws:tagkeys": list(made)}
    keys = {name.replace("__", ":").lower(): value for name, value in context.items()} | tags | asked
    for one in policy["Statement"]:
        assert one["Effect"] == "Allow"
        fits = any(fnmatch.fnmatchcase(action.lower(), name.lower()) for name in _listed(one["Action"]))
        fits = fits and any(_like(resource, pattern) for pattern in _listed(one["Resource"]))
        if fits and all(
            _holds(operator, key, patterns, keys)
            for operator, lines in one.get("Condition", {}).items()
            for key, patterns in lines.items()
        ):
            return True
    return False
