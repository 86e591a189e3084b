"""Stands in for get-pip.py: installs from the pip wheel beside it, with the options that ansible-test gives."""

from __future__ import annotations

import pathlib
import sys

WHEEL = "pip-24.2-py3-none-any.whl"
OLD_OPTIONS = ("--no-setuptools", "--no-wheel")

sys.path.insert(0, str(pathlib.Path(__file__).parent / WHEEL))
from pip._internal.cli.main import main

sys.exit(main(["install", "--ignore-installed", *[arg for arg in sys.argv[1:] if arg not in OLD_OPTIONS]]))
