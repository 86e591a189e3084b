# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One function a kind of value: the value itself when it is right, else `Wrong` with what would be."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from .document import Loose
from .problem import show
from .schema import Key
from .suggest import nearest

TRUTH = {**dict.fromkeys(("true", "yes", "on", "1"), True), **dict.fromkeys(("false", "no", "off", "0"), False)}
KIND_NAMES = {
    "text": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "texts": "a list of texts",
    "argv": "a list of words, or one text",
    "ranks": "a word or a list",
    "map": "a mapping of names to texts",
    "lists": "a mapping of names to lists",
    "section": "a mapping of keys to values",
    "items": "a list of mappings",
}


class Wrong(Exception):
    """A value that its key does not allow.

    Attributes:
        what: What is wrong with it.
        todo: What to do.
        close: The nearest allowed value.
        inside: Path from the key to the part that is wrong.
        all: This one, or those of all parts.
    """

    def __init__(self, what: str, todo: str = "", close: str | None = None, inside: tuple[Any, ...] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo
        self.close = close
        self.inside = inside
        self.all = [self]


def named(value: Any) -> str:
    """The kind of a value in words."""
    if isinstance(value, bool):
        return "true or false"
    names: tuple[tuple[Any, str], ...] = (
        (str, "text"),
        ((int, float), "a number"),
        (list, "a list"),
        (dict, "a mapping"),
    )
    found = (name for kind, name in names if isinstance(value, kind))
    return next(found, "nothing" if value is None else f"a {type(value).__name__}")


def allowed(key: Key) -> str:
    """What a key allows, in words."""
    if key.choices:
        return "one of " + ", ".join(key.choices)
    if key.form:
        return {
            "texts": "a list, each ",
            "map": "a mapping, each name ",
            "lists": "a mapping to lists, each name ",
        }.get(key.kind, "") + key.form
    within = bounds(key) if key.kind in ("int", "float") else ""
    return ", ".join(part for part in (KIND_NAMES[key.kind], within) if part)


def bounds(key: Key) -> str:
    """The range of a number with its unit, "" when there is none."""
    low, high = (None if limit is None else f"{limit:,.10g}" for limit in (key.minimum, key.maximum))
    if low and high:
        text = f"{low} to {high}"
    elif low or high:
        text = f"at least {low}" if low else f"at most {high}"
    else:
        return ""
    return f"{text} {key.unit}".rstrip()


def check(key: Key, given: Any) -> tuple[Any, list[Wrong]]:
    """Check one value against its key (all kinds but section and items).

    Returns:
        The value in its final type and [], or None and all that is wrong with it.
    """
    try:
        return _KINDS[key.kind](key, given), []
    except Wrong as wrong:
        return None, wrong.all


def container(given: Any) -> Any:
    """A section or a list of items as it is, or parsed out of loose text."""
    return _loose_yaml(given) if isinstance(given, Loose) else given


def _text(key: Key, given: Any) -> str:
    if not isinstance(given, str):
        shown = "it" if key.secret else show(given)
        raise Wrong(f"{shown} is {named(given)}, not text", f"allowed: {allowed(key)}{_quotes(given)}")
    plain = str(given)
    if key.choices and plain not in key.choices:
        raise Wrong(f"{show(plain)} is not allowed", f"allowed: {allowed(key)}", nearest(plain.lower(), key.choices))
    if key.pattern and not re.fullmatch(key.pattern, plain):
        raise Wrong(f"{'it' if key.secret else show(plain)} is not allowed", f"allowed: {allowed(key)}")
    if "\0" in plain:
        raise Wrong("a NUL character is not allowed")
    return plain


def _quotes(given: Any) -> str:
    if isinstance(given, bool):
        return " (YAML reads yes, no, on and off as true and false: put them in quotes)"
    return " (put it in quotes)" if isinstance(given, (int, float)) else ""


def _number(key: Key, given: Any) -> int | float:
    value = _loose_number(key, given) if isinstance(given, Loose) else given
    kinds = int if key.kind == "int" else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        unquoted = " (without quotes)" if isinstance(given, str) and not isinstance(given, Loose) else ""
        what = f"{show(given)} is {named(value)}, not {KIND_NAMES[key.kind]}"
        raise Wrong(what.replace("a number, not a whole", "not a whole"), f"allowed: {allowed(key)}{unquoted}")
    low = -math.inf if key.minimum is None else key.minimum
    high = math.inf if key.maximum is None else key.maximum
    if not low <= value <= high:  # false for NaN too
        raise Wrong(f"{show(given)} is out of range", f"allowed: {allowed(key)}")
    return value if key.kind == "int" else float(value)


def _boolean(key: Key, given: Any) -> bool:
    value = TRUTH.get(given.strip().lower(), given) if isinstance(given, Loose) else given
    if not isinstance(value, bool):
        raise Wrong(f"{show(given)} is {named(value)}", f"allowed: {allowed(key)} (without quotes)")
    return value


def _texts(key: Key, given: Any) -> list[str]:
    value = _loose_list(given) if isinstance(given, Loose) else given
    if not isinstance(value, list):
        example = f"; write [{given}]" if isinstance(given, str) and given.isprintable() and len(given) < 40 else ""
        raise Wrong(f"{show(given)} is {named(value)}, not a list", f"allowed: {allowed(key)}{example}")
    _count(key, value)
    each = Key("text", "", pattern=key.pattern, form=key.form)
    out: list[str] = []
    with _collect() as wrongs:
        for index, item in enumerate(value):
            plain = _part(wrongs, (index,), _text, each, item)
            if plain is not None and plain in out:
                wrongs.append(Wrong(f"{show(plain)} stands twice", "keep one of them", inside=(index,)))
            out.append(plain)
    return out


def _ranks(key: Key, given: Any) -> list[str]:
    value = _loose_list(given) if isinstance(given, Loose) else given
    entries = value if isinstance(value, list) else [value]
    plain = [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in entries]
    return _texts(key, plain)


def _argv(key: Key, given: Any) -> list[str]:
    value = _loose_list(given) if isinstance(given, Loose) and given.lstrip().startswith("[") else given
    if isinstance(value, str):
        value = _split(value)
    if not isinstance(value, list):
        raise Wrong(f"{show(given)} is {named(value)}, not a command", f"allowed: {allowed(key)}")
    with _collect() as wrongs:
        return [_part(wrongs, (index,), _word, key, item) for index, item in enumerate(value)]
    return []


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        what = f"{show(command)} cannot be split into words: {str(error).lower()}"
        raise Wrong(what, "write a list of words") from error


def _mapping(key: Key, given: Any) -> dict[str, str]:
    value = _loose_yaml(given) if isinstance(given, Loose) else given
    if not isinstance(value, dict):
        raise Wrong(f"{named(value)} is given, not a mapping", f"allowed: {allowed(key)}")
    _count(key, value)
    with _collect() as wrongs:
        for name in value:
            if not isinstance(name, str) or not re.fullmatch(key.pattern, name):
                wrongs.append(Wrong(f"the name {show(name)} is not allowed", f"allowed: {key.form}", inside=(name,)))
        return {name: _part(wrongs, (name,), _line, key, item) for name, item in value.items()}
    return {}


def _lists(key: Key, given: Any) -> dict[str, list[str]]:
    value = _loose_yaml(given) if isinstance(given, Loose) else given
    if not isinstance(value, dict):
        raise Wrong(f"{named(value)} is given, not a mapping", f"allowed: {allowed(key)}")
    with _collect() as wrongs:
        for name in value:
            if not isinstance(name, str) or not re.fullmatch(key.pattern, name):
                wrongs.append(Wrong(f"the name {show(name)} is not allowed", f"allowed: {key.form}", inside=(name,)))
        return {name: _part(wrongs, (name,), _values, key, item) for name, item in value.items()}
    return {}


def _values(key: Key, given: Any) -> list[str]:
    """The values of one parameter: numbers and texts, each once."""
    value = _loose_list(given) if isinstance(given, Loose) else given
    if not isinstance(value, list) or not value:
        what = "the list is empty" if value == [] else f"{show(given)} is {named(given)}, not a list"
        raise Wrong(what, "give a list with at least one value, such as [0.1, 0.01]")
    with _collect() as wrongs:
        words = [_part(wrongs, (index,), _line, key, item) for index, item in enumerate(value)]
        for index, word in enumerate(words):
            if word is not None and word in words[:index]:
                wrongs.append(Wrong(f"{show(word)} stands twice", "keep one of them", inside=(index,)))
        return words
    return []


def _line(key: Key, item: Any) -> str:
    word = _word(key, item)
    if "\n" in word or "\r" in word:
        raise Wrong("a value of several lines is not allowed", "put it into a file that a channel sends")
    return word


def _word(key: Key, item: Any) -> str:
    if isinstance(item, bool) or not isinstance(item, (str, int, float)):
        given = "it" if key.secret else show(item)
        raise Wrong(f"{given} is {named(item)}, not text", "put it in quotes")
    word = str(item)
    if "\0" in word:
        raise Wrong("a NUL character is not allowed")
    return word


@contextmanager
def _collect() -> Iterator[list[Wrong]]:
    """Gather what is wrong with the parts of a value, then raise all of it as one."""
    wrongs: list[Wrong] = []
    yield wrongs
    if wrongs:
        wrongs[0].all = wrongs
        raise wrongs[0]


def _part(wrongs: list[Wrong], inside: tuple[Any, ...], kind: Callable[[Key, Any], Any], key: Key, given: Any) -> Any:
    try:
        return kind(key, given)
    except Wrong as wrong:
        for one in wrong.all:
            one.inside = (*inside, *one.inside)
        wrongs.extend(wrong.all)
        return None


def _count(key: Key, entries: Iterable[Any]) -> None:
    number = len(list(entries))
    if not (key.minimum or 0) <= number <= (math.inf if key.maximum is None else key.maximum):
        raise Wrong("it is empty" if not number else f"{number} entries are given", f"allowed: {bounds(key)} entries")


def _loose_number(key: Key, given: Loose) -> Any:
    try:
        return int(given) if key.kind == "int" else float(given)
    except ValueError:
        return given


def _loose_yaml(given: Loose) -> Any:
    try:
        return yaml.safe_load(str(given))
    except (yaml.YAMLError, ValueError, RecursionError):
        return given


def _loose_list(given: Loose) -> Any:
    if given.lstrip().startswith("["):
        return _loose_yaml(given)
    return [part.strip() for part in given.split(",") if part.strip()]


_KINDS: dict[str, Callable[[Key, Any], Any]] = {
    "text": _text,
    "int": _number,
    "float": _number,
    "bool": _boolean,
    "texts": _texts,
    "ranks": _ranks,
    "argv": _argv,
    "map": _mapping,
    "lists": _lists,
}
