from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.load import MAX_BYTES, load_file, load_text


def test_every_value_knows_its_line() -> None:
    document, problems = load_text("a: 1\nb:\n  - x: 2\n  - y: 3\n", "p.yml", "/base")
    assert problems == []
    assert document.data == {"a": 1, "b": [{"x": 2}, {"y": 3}]}
    assert document.origin(("b", 1, "y")).line == 4
    assert document.origin(("b", 1, "no such")).line == 4
    assert document.origin(("a",)).base == "/base"


def test_json_is_read_too() -> None:
    assert load_text('{"a": {"b": [1]}}', "p.yml")[0].data == {"a": {"b": [1]}}


def test_an_empty_file_is_an_empty_profile() -> None:
    document, problems = load_text("# nothing\n", "p.yml")
    assert (document.data, problems) == ({}, [])


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\n\tb: 2\n", 2, "use blanks, not tabs"),
        ("a: b: c\n", 1, "put a value with a colon in quotes"),
        ("a: [1, 2\nb: 3\n", 2, "close the bracket"),
        ('a: "x\n', 2, "close the quotes"),
        ("a: @x\n", 1, "put the value in quotes"),
        ("a: %x\n", 1, "put the value in quotes"),
        ("a: *x\n", 1, "starts with * in quotes"),
        ("a: !vault |\n  abc\n", 1, "lookup('env'"),
        ("a: 1\n---\nb: 2\n", 2, "remove the line ---"),
        ("a: &x\n  b: *x\n", 1, "anchor"),
        ("a: 2026-99-99\n", 1, "malformed YAML"),
        ("a: 1\n  b: 2\n", 2, "indent"),
        ("a\nb: 1\n", 2, "KEY: VALUE"),
    ],
)
def test_malformed_yaml_says_where_and_what_to_do(text: str, line: int, said: str) -> None:
    document, problems = load_text(text, "p.yml")
    assert document.data == {}
    assert [problem.line for problem in problems] == [line]
    assert said in problems[0].text
    assert problems[0].text.startswith(f"p.yml:{line}: malformed YAML, column ")


def test_duplicate_keys_are_all_reported_with_both_lines() -> None:
    _document, problems = load_text("a: 1\nb:\n  c: 1\n  c: 2\na: 2\n", "p.yml")
    assert {(problem.path, problem.line) for problem in problems} == {("b.c", 4), ("a", 5)}
    assert "first in line 3" in next(problem.what for problem in problems if problem.path == "b.c")


def test_merge_keys_are_no_duplicates() -> None:
    document, problems = load_text("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  x: 3\n", "p.yml")
    assert problems == []
    assert document.data["b"] == {"x": 3, "y": 2}


def test_an_unquoted_template_is_told_to_be_quoted() -> None:
    _document, problems = load_text("region: {{ region }}\n", "p.yml")
    assert [problem.path for problem in problems] == ["region"]
    assert "in quotes" in problems[0].todo


def test_keys_that_are_not_text() -> None:
    document, problems = load_text("yes: 1\n3: 2\na: 1\n", "p.yml")
    assert document.data == {"a": 1}
    assert [problem.todo for problem in problems] == [
        'put it in quotes, "yes", if it is meant',
        'put it in quotes, "3", if it is meant',
    ]


def test_a_bomb_of_aliases_does_not_explode() -> None:
    text = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    _document, problems = load_text(text, "p.yml")
    assert "too many values" in problems[0].text


@pytest.mark.slow
def test_deep_nesting_is_an_error_not_a_crash() -> None:
    _document, problems = load_text("a: " + "[" * 5000, "p.yml")
    assert "nested too deeply" in problems[0].text


@pytest.mark.parametrize("text", ["- a\n", "just words\n", "3\n"])
def test_a_profile_is_a_mapping(text: str) -> None:
    assert "not a mapping" in load_text(text, "p.yml")[1][0].what


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yml"
    latin.write_bytes(b"a: caf\xe9\n")
    big = tmp_path / "big.yml"
    big.write_bytes(b"#" * (MAX_BYTES + 1))
    assert "is not UTF-8" in load_file(str(latin), "latin.yml")[1][0].text
    assert "larger than" in load_file(str(big), "big.yml")[1][0].text
    assert "No such file" in load_file(str(tmp_path / "none.yml"), "none.yml")[1][0].text
    assert "Is a directory" in load_file(str(tmp_path), "dir")[1][0].text


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "bom.yml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    document, problems = load_file(str(path), "bom.yml")
    assert (document.data, problems) == ({"a": 1}, [])
    assert document.origin(()).base == str(tmp_path)
