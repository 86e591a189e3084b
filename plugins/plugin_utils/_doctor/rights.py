# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which of the needed actions AWS would allow, asked without doing any. PRIVATE to the collection.

EC2 answers a call with DryRun=true with DryRunOperation (allowed) or UnauthorizedOperation (not allowed). What it
answers otherwise, mostly since the call names something that is not there, tells nothing; then IAM is asked to
simulate, which few may. A policy may have conditions, so that a no about something that is not there, or in a
simulation, is no proof. Source: EC2 API, DryRun; IAM API, SimulatePrincipalPolicy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from ansible_collections.experiments.spot.plugins.module_utils import _aws_errors
from ansible_collections.experiments.spot.plugins.module_utils._experiment import api

from .check import FAILED, OK, WARNING, Check

Resource = dict[str, Any]

KEY = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA nobody"
NAME = "spot-doctor-asks-only"
NOTHING: Resource = {}
TAGS = [{"Key": "spot:experiment", "Value": NAME}]
TEMPLATE: Resource = {"LaunchTemplateSpecification": {"LaunchTemplateName": NAME, "Version": "1"}}
INSTANCE, VOLUME, GROUP = "i-00000000000000000", "vol-00000000000000000", "sg-00000000000000000"
# What is made is tagged at once, as a launch does it: policies may ask for that.
TAGGED = {
    "create_fleet": "fleet",
    "create_launch_template": "launch-template",
    "create_security_group": "security-group",
    "create_volume": "volume",
    "import_key_pair": "key-pair",
}
SNAPSHOT, FLEET = "snap-00000000000000000", "fleet-00000000-0000-0000-0000-000000000000"

# Operation -> arguments. Nothing of these is ever made: DryRun is always given.
READS: dict[str, Resource] = dict.fromkeys(
    (
        "describe_availability_zones",
        "describe_images",
        "describe_instance_type_offerings",
        "describe_instance_types",
        "describe_instances",
        "describe_key_pairs",
        "describe_launch_templates",
        "describe_security_groups",
        "describe_subnets",
        "describe_volumes",
    ),
    NOTHING,
)
CHANGES: dict[str, Resource] = {
    "authorize_security_group_ingress": {"GroupId": GROUP, "IpPermissions": [{"IpProtocol": "-1"}]},
    "create_fleet": {
        "Type": "instant",
        "LaunchTemplateConfigs": [TEMPLATE],
        "TargetCapacitySpecification": {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
    },
    "create_launch_template": {"LaunchTemplateName": NAME, "LaunchTemplateData": {"InstanceType": "t3.micro"}},
    "create_security_group": {"GroupName": NAME, "Description": "DryRun"},
    "create_tags": {"Resources": [INSTANCE], "Tags": TAGS},
    "delete_fleets": {"FleetIds": [FLEET], "TerminateInstances": True},
    "delete_key_pair": {"KeyName": NAME},
    "delete_launch_template": {"LaunchTemplateName": NAME},
    "delete_security_group": {"GroupId": GROUP},
    "get_console_output": {"InstanceId": INSTANCE},
    "import_key_pair": {"KeyName": NAME, "PublicKeyMaterial": KEY},
    "run_instances": {"LaunchTemplate": {"LaunchTemplateName": NAME}, "MinCount": 1, "MaxCount": 1},
    "terminate_instances": {"InstanceIds": [INSTANCE]},
}
# For volumes, for prices and the history that a plan can do without, for the other verbs.
FURTHER: dict[str, Resource] = {
    "describe_fleets": NOTHING,
    "describe_spot_instance_requests": NOTHING,
    "describe_spot_price_history": NOTHING,
    "describe_tags": NOTHING,
    "attach_volume": {"Device": "/dev/sdf", "InstanceId": INSTANCE, "VolumeId": VOLUME},
    "create_snapshot": {"VolumeId": VOLUME},
    "create_volume": {"Size": 1},  # and a zone
    "delete_snapshot": {"SnapshotId": SNAPSHOT},
    "delete_volume": {"VolumeId": VOLUME},
    "describe_snapshots": {"OwnerIds": ["self"]},
    "detach_volume": {"VolumeId": VOLUME},
    "modify_volume": {"VolumeId": VOLUME, "Size": 2},
}
ALLOWED, DENIED, PERHAPS, UNTOLD = "allowed", "denied", "perhaps denied", "untold"


def action_of(operation: str) -> str:
    """IAM action of an operation of EC2."""
    return "ec2:" + "".join(part.capitalize() for part in operation.split("_"))


def verdict(error: api.ApiError | None) -> str:
    """What an answer to a dry run means; reads may answer as if it were none.

    Raises:
        ApiError: the answer is no answer to this question: the credentials or the network are wrong.
    """
    if error is None or error.code == "DryRunOperation":
        return ALLOWED
    if error.denied:
        return DENIED
    if not error.code or error.code in _aws_errors.AUTH_CODES | _aws_errors.THROTTLING_CODES:
        raise error
    return UNTOLD


def _ask(ec2: Any, operation: str, arguments: Resource) -> None:
    kind = TAGGED.get(operation)
    more = {"TagSpecifications": [{"ResourceType": kind, "Tags": TAGS}]} if kind else {}
    api.calls(action_of(operation))(getattr(ec2, operation))(DryRun=True, **arguments, **more)


def dry_runs(ec2: Any) -> dict[str, str]:
    """Action -> ALLOWED, DENIED, PERHAPS or UNTOLD, all asked at the same time."""
    zone = f"{ec2.meta.region_name}a"
    operations = {**READS, **CHANGES, **FURTHER, "create_volume": {"Size": 1, "AvailabilityZone": zone}}
    asked: dict[str, Callable[[], Any]] = {
        action_of(name): partial(_ask, ec2, name, arguments) for name, arguments in operations.items()
    }
    _answers, errors = api.gather(asked)
    told = {action: verdict(errors.get(action)) for action in asked}
    sure = {action_of(name) for name in operations if name.startswith("describe_") or name in TAGGED}
    return {action: PERHAPS if answer == DENIED and action not in sure else answer for action, answer in told.items()}


@api.calls("iam:SimulatePrincipalPolicy")
def simulate(iam: Any, arn: str, actions: list[str]) -> dict[str, str]:
    """Action -> ALLOWED or PERHAPS. Source: IAM API SimulatePrincipalPolicy, EvalDecision."""
    found = api.pages(
        iam, "simulate_principal_policy", "EvaluationResults", PolicySourceArn=arn, ActionNames=sorted(actions)
    )
    return {one["EvalActionName"]: ALLOWED if one["EvalDecision"] == "allowed" else PERHAPS for one in found}


def principal(arn: str) -> str:
    """Whom IAM can be asked about, '' for nobody: of a session its role. Source: IAM user guide, IAM identifiers."""
    head, _sep, path = arn.partition(":assumed-role/")
    if path:
        return f"{head.replace(':sts:', ':iam:')}:role/{path.split('/')[0]}"
    return arn if ":user/" in arn else ""


def rights(ec2: Any, iam: Callable[[], Any], arn: str) -> dict[str, str]:
    """Action -> ALLOWED, DENIED, PERHAPS or UNTOLD, by dry runs and, for what these do not tell, by simulation."""
    told = dry_runs(ec2)
    missing = [action for action, answer in told.items() if answer == UNTOLD]
    if missing and principal(arn):
        with contextlib.suppress(api.ApiError):  # Then it stays untold, which is said.
            told.update(simulate(iam(), principal(arn), missing))
    return told


def checks(told: dict[str, str]) -> Iterator[Check]:
    """Lines of the table."""
    needed = [action_of(name) for name in (*READS, *CHANGES)]
    yield from _of("permissions to launch", told, needed, FAILED)
    yield from _of("further permissions", told, [action_of(name) for name in FURTHER], WARNING)


def _of(check: str, told: dict[str, str], actions: Iterable[str], result: str) -> Iterator[Check]:
    known = {action: told.get(action, UNTOLD) for action in sorted(actions)}
    by = {kind: [action for action, answer in known.items() if answer == kind] for kind in (DENIED, PERHAPS, UNTOLD)}
    if by[DENIED]:
        yield Check(check, result, f"not allowed: {', '.join(by[DENIED])}", "allow them in the policy of the caller")
    if by[PERHAPS]:
        todo = "look at the policy of the caller; one with conditions on resources or tags may be right"
        yield Check(check, WARNING, f"perhaps not allowed: {', '.join(by[PERHAPS])}", todo)
    count = len(known) - sum(map(len, by.values()))
    more = f"; AWS does not tell without doing it: {', '.join(by[UNTOLD])}" if by[UNTOLD] else ""
    yield Check(check, OK, f"{count} of {len(known)} actions are allowed{more}")
