"""What a launch says at its end, from the template as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest

from ansible_collections.experiments.spot.plugins.filter import usd

TEMPLATE = Path(__file__).resolve().parents[3] / "roles/summary/templates/summary.txt.j2"
POOL = {"instance_type": "g5.xlarge", "zone": "us-east-1a", "price": 0.42, "on_demand_price": 1.006}


def summary(lifecycle: str, zone: str = "us-east-1a", ssh: dict[str, Any] | None = None, **more: Any) -> str:
    host: dict[str, Any] = {
        "spot_instance_id": "i-1",
        "spot_instance_type": "g5.xlarge",
        "spot_zone": zone,
        "spot_lifecycle": lifecycle,
        "ansible_host": "203.0.113.5",
        "ansible_ssh_private_key_file": "/key",
        "ansible_ssh_common_args": "-o X",
        **more,
    }
    environment = jinja2.Environment(trim_blocks=True)
    environment.filters["experiments.spot.usd"] = usd.FilterModule().filters()["usd"]
    return environment.from_string(TEMPLATE.read_text()).render(
        summary_profile={"name": "p", "channels": [], "access": {"remote_user": "admin"}},
        spot={"experiment": "p"},
        summary_plan={"cost": {}, "pools": [POOL]},
        summary_hosts=["h"],
        summary_ssh=ssh or {},
        hostvars={"h": host},
    )


@pytest.mark.parametrize(
    ("lifecycle", "expected"),
    [("spot", "$0.420 an hour (on-demand $1.01)"), ("on-demand", "$1.01 an hour (On-Demand)")],
)
def test_each_instance_costs_what_its_market_asks(lifecycle: str, expected: str) -> None:
    assert f"i-1  g5.xlarge in us-east-1a, 203.0.113.5, {expected}\n" in summary(lifecycle)


def test_a_price_that_is_not_known() -> None:
    assert "unknown an hour" in summary("spot", "us-east-1f")


def test_the_commit_of_the_code() -> None:
    code = {"repository": "r", "version": "main", "commit": "0123456789abcdef", "path": "/home/admin/r"}
    assert "\n  code      r at 0123456789ab (main) in /home/admin/r\n" in summary("spot", spot_code=code)
    assert "code" not in summary("spot")


def test_ssh_by_name_when_there_is_an_entry_and_by_options_when_not() -> None:
    assert "  look in   ssh -i /key -o X admin@203.0.113.5\n" in summary("spot")
    text = summary("spot", ssh={"ssh": "ssh", "hosts": ["spot-p", "spot-p-1"]})
    assert "  look in   ssh spot-p, spot-p-1\n  edit in   code --remote ssh-remote+spot-p /home/admin\n" in text
    # The editor reads the user's own file only.
    text = summary("spot", ssh={"ssh": "ssh -F /c", "hosts": ["spot-p"]})
    assert "  look in   ssh -F /c spot-p\n" in text and "code --remote" not in text
