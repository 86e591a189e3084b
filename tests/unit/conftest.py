"""Makes the checkout importable as ansible_collections.experiments.spot, as Ansible itself sees it."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]
