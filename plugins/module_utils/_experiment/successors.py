# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What to take instead of an instance type that the region does not offer. Data, and one pure function over it."""

from __future__ import annotations

import difflib

# Retired or leaving type -> types of today with at least as much GPU, cheapest first.
# Source: EC2 user guide "Previous generation instances" and "Accelerated computing" specifications.
SUCCESSORS = {
    "p2.xlarge": ("g4dn.xlarge", "g5.xlarge", "g6.xlarge"),
    "p2.8xlarge": ("g4dn.12xlarge", "g5.12xlarge", "g6.12xlarge"),
    "p2.16xlarge": ("g5.48xlarge", "g6.48xlarge", "p4d.24xlarge"),
    "p3.2xlarge": ("g5.2xlarge", "g6.2xlarge", "g6e.2xlarge"),
    "p3.8xlarge": ("g5.12xlarge", "g6.12xlarge", "g6e.12xlarge"),
    "p3.16xlarge": ("g5.48xlarge", "g6e.48xlarge", "p4d.24xlarge"),
    "p3dn.24xlarge": ("p4d.24xlarge", "g6e.48xlarge", "p5.48xlarge"),
    "g2.2xlarge": ("g4dn.xlarge", "g5.xlarge", "g6.xlarge"),
    "g2.8xlarge": ("g4dn.12xlarge", "g5.12xlarge", "g6.12xlarge"),
    "g3s.xlarge": ("g4dn.xlarge", "g6.xlarge", "g5.xlarge"),
    "g3.4xlarge": ("g4dn.4xlarge", "g6.4xlarge", "g5.4xlarge"),
    "g3.8xlarge": ("g4dn.12xlarge", "g6.12xlarge", "g5.12xlarge"),
    "g3.16xlarge": ("g4dn.12xlarge", "g6.24xlarge", "g5.24xlarge"),
    "t1.micro": ("t3.micro", "t3a.micro"),
    "m1.small": ("t3.small", "t3a.small"),
    "m1.medium": ("t3.medium", "t3a.medium"),
    "m1.large": ("m5.large", "m6i.large", "m7i.large"),
    "m3.medium": ("t3.medium", "t3a.medium"),
    "m3.large": ("m5.large", "m6i.large", "m7i.large"),
    "c1.medium": ("c5.large", "c6i.large", "c7i.large"),
    "c3.large": ("c5.large", "c6i.large", "c7i.large"),
}
SHORT_LIST = 8


def suggestion(instance_type: str, offered: list[str]) -> str:
    """What to do about a type that is not offered, as a clause.

    Args:
        instance_type: the type that was asked for.
        offered: all types offered in the region.
    """
    today = SUCCESSORS.get(instance_type, ())
    here = [name for name in today if name in offered]
    if here:
        return f"AWS has taken it out of service; use one of today's equivalents {', '.join(here)}"
    if today:
        names = ", ".join(today)
        return f"today's equivalents {names} are not offered here either; {_of_the_region(offered)}"
    near = difflib.get_close_matches(instance_type, offered, n=3, cutoff=0.7)
    return f"the nearest that are: {', '.join(near)}" if near else _of_the_region(offered)


def _of_the_region(offered: list[str]) -> str:
    if offered and len(offered) <= SHORT_LIST:
        return f"the region offers {', '.join(sorted(offered))}"
    return "choose another type or another region"
