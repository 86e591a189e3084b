"""CloudFormation where moto's is not AWS's: what counts as a change, what a change set shows, and what is removed when.

The templates' resources are moto's; types that it lacks (policies of buckets and queues, CodeCommit, budgets) are left
out of a stack without a word.
Source: CloudFormation API UpdateStack, CreateChangeSet (ChangeSetType is UPDATE without it), DescribeChangeSet;
CloudFormation template reference, "Conditions", "DeletionPolicy attribute" and AWS::Scheduler::Schedule; EventBridge
Scheduler user guide, "Schedule types" (StartDate is the first time of a rate) and "Using universal targets"; EC2 API
DeleteSecurityGroup, which keeps a group that an instance has.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from typing import Any, ClassVar

from moto.cloudformation import models, urls
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import Change, ChangeSet, CloudFormationBackend, Stack, cloudformation_backends
from moto.cloudformation.parsing import ResourceMap
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.common_models import CloudFormationModel
from moto.core.responses import ActionResult, EmptyResult
from moto.scheduler.models import Schedule, scheduler_backends

from lab.aws.network import in_use
from lab.aws.world import World

HOUR = 3600.0
DELETE_STACK = ":aws-sdk:cloudformation:deleteStack"
NOTHING = "The submitted information didn't contain changes. Submit different information to create a change set."


def install(world: World) -> None:
    """Let the lab answer at CloudFormation's address."""
    LabStacks.world = world
    urls.url_paths["{0}/$"] = LabStacks.dispatch
    models.ResourceMap = LabResources  # type: ignore[misc]  # a class in the place of its base class


def reset() -> None:
    """No stacks, registries and schedules, of those that have been used at all."""
    for name in ("cloudformation", "ecr", "scheduler"):
        module = sys.modules.get(f"moto.{name}.models")
        for account in list(getattr(module, f"{name}_backends").values()) if module else []:
            for backend in list(account.values()):
                backend.reset()


def same(stack: Stack, template: str, given: dict[str, Any]) -> bool:
    """Whether an update would change nothing. Parameters are texts, which moto compares with numbers."""
    known = {name: str(value) for name, value in stack.stack_parameters.items()}
    return bool(stack.template == template and known == {**known, **given})


class LabStacks(CloudFormationResponse):
    """CloudFormation's actions: the lab's where there is one, moto's otherwise."""

    world: ClassVar[World]

    def _get_param(self, param_name: str, if_none: Any = None) -> Any:
        return super()._get_param(param_name, "UPDATE" if param_name == "ChangeSetType" else if_none)

    def _validate_different_update(self, incoming_params: Any, stack_body: Any, old_stack: Any) -> None:
        given = self._get_param_values(incoming_params or [], old_stack.stack_parameters)
        if self._get_action() == "UpdateStack" and same(old_stack, stack_body, given):
            raise ValidationError(old_stack.name, message="No updates are to be performed.")

    def create_change_set(self) -> Any:
        """A change set that also shows what other parameters change, and that fails when nothing changes."""
        answer: Any = super().create_change_set()
        made: ChangeSet = self.cloudformation_backend.change_sets[answer.result["Id"]]
        if made.change_set_type == "UPDATE":
            _judge(made)
        return answer

    def delete_stack(self) -> ActionResult:
        """CloudFormation API DeleteStack."""
        remove(self.world, self.cloudformation_backend, self._get_param("StackName"))
        return EmptyResult()


def remove(world: World, backend: CloudFormationBackend, name: str) -> None:
    """A stack by name or id, unless an instance has a security group of it."""
    for stack in [one for one in backend.stacks.values() if name in (one.name, one.stack_id)]:
        region = world.regions[backend.region_name]
        groups = [
            one for one in stack.stack_resources if getattr(one, "cf_resource_type", "") == "AWS::EC2::SecurityGroup"
        ]
        # moto types a resource as the base class, which has no id.
        if any(in_use(region, group.physical_resource_id) for group in groups):  # type: ignore[attr-defined]
            stack.status = "DELETE_FAILED"
        else:
            backend.delete_stack(stack.stack_id)


def run_schedules(world: World) -> None:
    """Ask CloudFormation for what the schedules of stacks that are due ask it for."""
    with world.lock:
        for name in world.regions:
            backend = scheduler_backends[world.config.account_id][name]
            for one in list(backend.get_schedule_group("default").schedules.values()):
                if isinstance(one, LabSchedule) and one.due <= time.time() and one.target["Arn"].endswith(DELETE_STACK):
                    one.due = time.time() + HOUR
                    stacks = cloudformation_backends[world.config.account_id][name]
                    remove(world, stacks, json.loads(one.target["Input"])["StackName"])


class LabResources(ResourceMap):
    """The resources of a stack; conditions hold for updates too."""

    def build_resource_diff(self, other_template: dict[str, Any], parameters: Any = None) -> dict[str, Any]:
        """What an update would add, change and remove."""
        names: dict[str, Any] = super().build_resource_diff(other_template, parameters)
        if not self._template:
            return names
        given = parameters or self.input_parameters
        trial = ResourceMap(
            self.stack_id, "", given, {}, self._region_name, self._account_id, other_template, cross_stack_resources={}
        )
        trial.load()
        old, new = _wanted(self), _wanted(trial)
        return {
            "Add": [name for name in new if name not in old],
            "Modify": [name for name in names["Modify"] if name in old and name in new],
            "Remove": [name for name in old if name not in new and self._parsed_resources.get(name) is not None],
        }

    def update(self, template: dict[str, Any], parameters: Any = None) -> None:
        """An update; what it removes is no part of the stack any more, also where it is retained."""
        gone = self.build_resource_diff(template, parameters)["Remove"]
        super().update(template, parameters)
        for name in gone:
            self._parsed_resources.pop(name)

    def _delete_resource(self, parsed_resource: Any, resource_json: dict[str, Any]) -> None:
        if resource_json.get("DeletionPolicy") != "Retain":
            super()._delete_resource(parsed_resource, resource_json)


def _wanted(resources: ResourceMap) -> list[str]:
    """Those whose conditions hold."""
    conditions = resources.lazy_condition_map
    return [
        name
        for name, one in resources._resource_json_map.items()
        if "Condition" not in one or conditions[one["Condition"]]
    ]


class LabSchedule(Schedule, CloudFormationModel):
    """AWS::Scheduler::Schedule in the default group."""

    due: float

    @property
    def physical_resource_id(self) -> str:
        """What `Ref` is."""
        return self.name

    @staticmethod
    def cloudformation_name_type() -> str:
        """The property that names it."""
        return "Name"

    @staticmethod
    def cloudformation_type() -> str:
        """Its type in a template."""
        return "AWS::Scheduler::Schedule"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """What `Fn::GetAtt` knows."""
        return attr == "Arn"

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """Its ARN."""
        return self.arn

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_kwargs: Any
    ) -> LabSchedule:
        """A new one."""
        given = cloudformation_json["Properties"]
        start = datetime.fromisoformat(given["StartDate"].replace("Z", "+00:00")).timestamp()
        made = cls(
            region_name, account_id, "default", resource_name, given.get("Description"), given["ScheduleExpression"],
            None, given["FlexibleTimeWindow"], given["Target"], None, None, None, None, None,
        )  # fmt: skip
        made.start_date, made.due = start, start  # type: ignore[assignment]  # declared as text, used as a number
        scheduler_backends[account_id][region_name].get_schedule_group("default").add_schedule(made)
        return made

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,  # noqa: ARG003 moto gives it by name
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> LabSchedule:
        """Another one of the same name in its place."""
        return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)

    @classmethod
    def delete_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,  # noqa: ARG003 moto gives it
        account_id: str,
        region_name: str,
    ) -> None:
        """Gone, or already gone."""
        scheduler_backends[account_id][region_name].get_schedule_group("default").schedules.pop(resource_name, None)


def _judge(made: ChangeSet) -> None:
    unchanged = same(made.stack, made.template, made.parameters)
    made.status = "FAILED" if unchanged else "CREATE_COMPLETE"
    made.execution_status = "UNAVAILABLE" if unchanged else "AVAILABLE"
    made.status_reason = NOTHING if unchanged else None
    kinds = {name: one["Type"] for name, one in made.template_dict["Resources"].items()}
    names = made.stack.resource_map.build_resource_diff(made.template_dict, made.parameters)
    made.changes = [Change(action, one, kinds.get(one, "")) for action, some in names.items() for one in some]
