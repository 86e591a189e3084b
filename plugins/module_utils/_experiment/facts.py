# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a launch plan is decided on: everything that was read, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._efs.plan import Facts as EfsFacts

from .regions import Home

Resource = dict[str, Any]


@dataclass
class Facts:
    """Answers of AWS and of the controller, in the shapes of boto3 unless said otherwise.

    A field that could not be read because a permission is missing keeps its empty value, and ``notes`` says so.
    """

    region: str
    account: str = ""
    arn: str = ""
    image: Resource | None = None
    types: list[Resource] = field(default_factory=list)
    offered: list[tuple[str, str]] = field(default_factory=list)
    """``(type, zone)`` of the wanted types."""
    region_types: list[str] = field(default_factory=list)
    """Every type offered in the region; read only when a wanted one is not."""
    zones: list[str] = field(default_factory=list)
    """Zone names of the region; read only when the profile names zones."""
    subnets: list[Resource] = field(default_factory=list)
    spot_prices: dict[tuple[str, str], float] = field(default_factory=dict)
    on_demand: dict[str, float | None] = field(default_factory=dict)
    quotas: dict[str, float] = field(default_factory=dict)
    """Quota code -> vCPUs; a code that could not be read is absent."""
    key_pair: Resource | None = None
    security_groups: list[Resource] = field(default_factory=list)
    """Those the profile names by id."""
    own_groups: list[Resource] = field(default_factory=list)
    """Those of the name ``spot-<experiment>``."""
    instance_profile: bool | None = None
    """Whether it exists; None when not asked or not allowed to ask."""
    volumes_by_id: list[Resource] = field(default_factory=list)
    own_volumes: list[Resource] = field(default_factory=list)
    snapshots: list[Resource] = field(default_factory=list)
    file_systems: list[EfsFacts] = field(default_factory=list)
    """One for each file system of the profile, in its order."""
    instances: list[Resource] = field(default_factory=list)
    spot_requests: list[Resource] = field(default_factory=list)
    fleets: list[Resource] = field(default_factory=list)
    """Those of the experiment, with the errors that they met."""
    launch_templates: list[Resource] = field(default_factory=list)
    """Each with its default version's data under ``Data``."""
    other_regions: Home = field(default_factory=lambda: Home(""))
    """What the experiment had in other regions that it may use."""
    key_file: KeyFile | None = None
    results_bucket: Resource | None = None
    """``state`` and ``region`` of the bucket of results; None when the profile has none."""
    instance_endpoint: str = ""
    """URL of an API that is not AWS's, as the instances see it."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class KeyFile:
    """The private key file on the controller.

    Attributes:
        path: absolute path.
        exists: whether it is there.
        mode: permission bits.
        public: ``type base64`` of its public half, None when it cannot be told (a pass phrase).
    """

    path: str
    exists: bool = False
    mode: int = 0o600
    public: str | None = None
