#!/usr/bin/env python3
"""Draws what a command prints in a terminal: `COMMAND | scripts/picture.py TITLE > docs/run.svg`.

For the picture of the README: a run of the demo, recorded with
`script -qec "scripts/demo" /dev/null`, which keeps the colours; lines of a progress that were overwritten are left out.
"""

from __future__ import annotations

import io
import re
import sys

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

WIDTH = 110


def shown(output: str) -> str:
    """What is left on the screen: of a line that was drawn again and again the last state."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in output.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(re.sub(r"\x1b\[[0-9]*[KJ]", "", line) for line in lines)).strip("\n")


def main() -> None:
    """Standard input to standard output."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text.from_ansi(shown(sys.stdin.read())))
    # Without the fonts that a reader's machine would fetch from elsewhere.
    sys.stdout.write(
        re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title=sys.argv[1], theme=MONOKAI), flags=re.S)
    )


if __name__ == "__main__":
    main()
