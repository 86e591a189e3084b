"""What is longer than a screen is cut, or says here why it is not."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FUNCTION_LINES = 40  # without the docstring
TASK_FILE_LINES = 120
# A test is left out: it tells one story from the beginning to the end.
SOURCES = ("plugins", "lab", "bench", "scripts", "examples", "roles", "extensions")

# path:function -> why it is in one piece.
LONG_FUNCTIONS = {
    "lab/aws/views.py:view": "one keyword for each field of the dataclass, so that mypy compares them",
}
LONG_TASK_FILES: dict[str, str] = {}


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, the docstring left out."""
    first = function.body[0]
    documented = ast.get_docstring(function) is not None
    end = function.end_lineno or function.lineno
    return end - function.lineno + 1 - ((first.end_lineno or 0) - first.lineno + 1 if documented else 0)


def functions(text: str) -> dict[str, int]:
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return {function.name: length(function) for function in found}


def test_docstring_does_not_count() -> None:
    assert functions('def f(\n    x,\n):\n    """One.\n\n    Two.\n    """\n    return x\n') == {"f": 4}


def test_functions_fit_on_a_screen() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{name}"
        for top in SOURCES
        for path in (ROOT / top).rglob("*.py")
        for name, lines in functions(path.read_text()).items()
        if lines > FUNCTION_LINES
    }
    assert long == set(LONG_FUNCTIONS), "cut it where a part has a name of its own, or say above why it is in one piece"


def test_task_files_fit_on_a_few_screens() -> None:
    files = [
        *(ROOT / "playbooks").rglob("*.yml"),
        *(path for folder in ("tasks", "handlers") for path in (ROOT / "roles").glob(f"*/{folder}/**/*.yml")),
    ]
    assert len(files) > 60
    long = {str(path.relative_to(ROOT)) for path in files if len(path.read_text().splitlines()) > TASK_FILE_LINES}
    assert long == set(LONG_TASK_FILES), "cut it by what its parts do, or say above why it is in one piece"
