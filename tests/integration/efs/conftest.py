"""Makes the checkout and the modules beside the tests importable."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "collections"), str(Path(__file__).parent)]
