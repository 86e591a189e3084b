"""CloudFormation where moto's is not AWS's: what counts as a change, and what a change set shows.

The templates' resources are moto's; types that it lacks (policies of buckets and queues, CodeCommit, budgets) are left
out of a stack without a word.
Source: CloudFormation API UpdateStack, CreateChangeSet (ChangeSetType is UPDATE without it), DescribeChangeSet.
"""

from __future__ import annotations

import sys
from typing import Any

from moto.cloudformation import urls
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import Change, ChangeSet, Stack
from moto.cloudformation.responses import CloudFormationResponse

NOTHING = "The submitted information didn't contain changes. Submit different information to create a change set."


def install() -> None:
    """Let the lab answer at CloudFormation's address."""
    urls.url_paths["{0}/$"] = LabStacks.dispatch


def reset() -> None:
    """No stacks and no registries, of those that have been used at all."""
    for name in ("cloudformation", "ecr"):
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


def _judge(made: ChangeSet) -> None:
    unchanged = same(made.stack, made.template, made.parameters)
    made.status = "FAILED" if unchanged else "CREATE_COMPLETE"
    made.execution_status = "UNAVAILABLE" if unchanged else "AVAILABLE"
    made.status_reason = NOTHING if unchanged else None
    kinds = {name: one["Type"] for name, one in made.template_dict["Resources"].items()}
    names = made.stack.resource_map.build_resource_diff(made.template_dict, made.parameters)
    made.changes = [Change(action, one, kinds.get(one, "")) for action, some in names.items() for one in some]
