# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""YAML text to a document: every value knows its line, and no key may stand twice."""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .document import Document, Origin
from .problem import Path, Problem, dotted, show

# A profile has some hundred values. Aliases of aliases may describe billions.
MAX_NODES = 20_000
# A nested flow of brackets costs Python stack in the parser.
MAX_BYTES = 1_000_000

# What PyYAML says -> what to do. The first part that occurs in its message wins.
ADVICE = (
    ("'\\t'", "use blanks, not tabs, to indent"),
    ("found character '%'", "put the value in quotes"),
    ("found character '@'", "put the value in quotes"),
    ("found character '`'", "put the value in quotes"),
    ("mapping values are not allowed", "write KEY: VALUE, indent evenly, and put a value with a colon in quotes"),
    ("could not find expected ':'", "write KEY: VALUE, with a blank after the colon"),
    ("expected <block end>", "indent the keys of a section by the same number of blanks"),
    ("while scanning a quoted scalar", "close the quotes"),
    ("while parsing a flow sequence", "close the bracket ]"),
    ("while parsing a flow mapping", "close the brace }, or put a value that starts with { in quotes"),
    ("undefined alias", "put a value that starts with * in quotes"),
    ("expected alphabetic or numeric character", "put a value that starts with * or & in quotes"),
    ("could not determine a constructor", "tags such as !vault are not read here; use lookup('env', 'NAME')"),
    ("expected a single document", "keep one document: remove the line ---"),
    ("special characters are not allowed", "save the file as plain UTF-8 text"),
    ("recursive", "do not let an anchor contain its own alias"),
)


class _Reader:
    """Builds data and origins from the nodes of one file."""

    def __init__(self, file: str, base: str) -> None:
        self.file = file
        self.base = base
        self.origins: dict[Path, Origin] = {}
        self.problems: list[Problem] = []
        self.count = 0
        self.active: set[int] = set()

    def read(self, text: str) -> Any:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else self.build(loader, node, ())
        finally:
            loader.dispose()

    def build(self, loader: yaml.SafeLoader, node: Node, path: Path) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            raise yaml.constructor.ConstructorError(None, None, "too many values", node.start_mark)
        if id(node) in self.active:
            raise yaml.constructor.ConstructorError(None, None, "found a recursive alias", node.start_mark)
        self.origins[path] = Origin(self.file, node.start_mark.line + 1, self.base)
        self.active.add(id(node))
        try:
            return self._build(loader, node, path)
        finally:
            self.active.discard(id(node))

    def _build(self, loader: yaml.SafeLoader, node: Node, path: Path) -> Any:
        if isinstance(node, SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self.build(loader, item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self._mapping(loader, node, path)
        return self._scalar(loader, node)

    def _scalar(self, loader: yaml.SafeLoader, node: Node) -> Any:
        try:
            return loader.construct_object(node, deep=True)  # type: ignore[no-untyped-call]  # PyYAML is untyped
        except ValueError as error:  # 2026-99-99 looks like a date
            raise yaml.constructor.ConstructorError(None, None, f"{error}", node.start_mark) from error

    def _mapping(self, loader: yaml.SafeLoader, node: MappingNode, path: Path) -> dict[Any, Any]:
        self._twice(node, path)
        loader.flatten_mapping(node)  # type: ignore[no-untyped-call]  # PyYAML is untyped
        data: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(loader, key_node, path)
            if key is not None:
                data[key] = self.build(loader, value_node, (*path, key))
                self.origins[(*path, key)] = Origin(self.file, key_node.start_mark.line + 1, self.base)
        return data

    def _twice(self, node: MappingNode, path: Path) -> None:
        seen: dict[str, int] = {}
        for key, _value in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, ScalarNode) and key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                what = f"the key stands twice, first in line {seen[key.value]}"
                self.problems.append(
                    Problem(self.file, dotted((*path, key.value)), what, "keep one of them", line=line)
                )
            if isinstance(key, ScalarNode):
                seen.setdefault(key.value, line)

    def _key(self, loader: yaml.SafeLoader, node: Node, path: Path) -> Hashable | None:
        key = self._scalar(loader, node) if isinstance(node, ScalarNode) else None
        if isinstance(key, str):
            return key
        if isinstance(node, ScalarNode) and node.value == "on" and path[:1] == ("channels",):
            return "on"  # YAML 1.1 reads the bare word as true
        line = node.start_mark.line + 1
        if isinstance(node, ScalarNode):
            todo = f'put it in quotes, "{node.value}", if it is meant'
            what = f"the key {show(node.value)} is not text"
        else:
            todo = 'put the whole value in quotes, "{{ … }}"'
            what = "a value that starts with { is read as a mapping"
        self.problems.append(Problem(self.file, dotted(path), what, todo, line=line))
        return None


def load_text(text: str, file: str, base: str = "") -> tuple[Document, list[Problem]]:
    """Read the YAML (or JSON) text of a profile.

    Args:
        text: Content of the file.
        file: Name of the file for messages.
        base: Directory that relative paths in it start from.

    Returns:
        The document (without data when the text is no YAML) and the mistakes found.
    """
    reader = _Reader(file, base)
    nothing = Document({}, {(): Origin(file, None, base)})
    try:
        data = reader.read(text)
    except yaml.YAMLError as error:
        return nothing, [*reader.problems, _malformed(error, file)]
    except RecursionError:
        return nothing, [Problem(file, "", "nested too deeply", "a profile has at most four levels")]
    if data is None:
        return nothing, reader.problems
    if not isinstance(data, dict):
        what = "this is not a mapping of keys to values"
        return nothing, [*reader.problems, Problem(file, "", what, "start with lines such as description: …")]
    return Document(data, reader.origins), reader.problems


def load_file(path: str, file: str) -> tuple[Document, list[Problem]]:
    """Read a profile's file; `file` is its name for messages.

    Relative paths in it start from the directory in which it lies.
    """
    base = os.path.dirname(os.path.abspath(path))
    nothing = Document({}, {(): Origin(file, None, base)})
    try:
        with open(path, "rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            return nothing, [Problem(file, "", f"larger than {MAX_BYTES} bytes", "is this a profile?")]
        return load_text(raw.decode("utf-8-sig"), file, base)
    except OSError as error:
        return nothing, [Problem(file, "", f"cannot be read: {error.strerror}", "check its path and permissions")]
    except UnicodeDecodeError as error:
        return nothing, [Problem(file, "", f"byte {error.start + 1} is not UTF-8", "save the file as UTF-8 text")]


def _malformed(error: yaml.YAMLError, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    full = f"{getattr(error, 'context', '')} {said} {error}"
    todo = next((advice for part, advice in ADVICE if part in full), "see the line above it too")
    column = f", column {mark.column + 1}" if mark else ""
    return Problem(file, "", f"malformed YAML{column}: {said}", todo, line=mark.line + 1 if mark else None)
