"""Launch templates: checked on creation, kept as they were given, all pages, inherited versions."""

from __future__ import annotations

import re
from typing import Any

from moto.core.responses import ActionResult

from lab.aws import filters, launches, rules, tokens
from lab.aws.errors import Refusal
from lab.aws.instances import tag_list
from lab.aws.response import LabResponse
from lab.aws.world import World

NAME = re.compile(r"[a-zA-Z0-9().\-/_]{3,128}\Z")  # Source: EC2 API CreateLaunchTemplate, LaunchTemplateName
FILTERS = filters.table({"launch-template-name": "LaunchTemplateName", "create-time": "CreateTime"})


def describe(world: World, template: Any) -> dict[str, Any]:
    """EC2 API LaunchTemplate."""
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "CreateTime": template.create_time,
        "CreatedBy": f"arn:aws:iam::{world.config.account_id}:user/{world.config.user_name}",
        "DefaultVersionNumber": template.default_version_number,
        "LatestVersionNumber": template.latest_version_number,
        "Tags": tag_list(world, template.id),
    }


def describe_version(world: World, template: Any, version: Any) -> dict[str, Any]:
    """EC2 API LaunchTemplateVersion."""
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "VersionNumber": version.number,
        "VersionDescription": version.description,
        "DefaultVersion": template.is_default(version),
        "CreateTime": version.create_time,
        "CreatedBy": f"arn:aws:iam::{world.config.account_id}:user/{world.config.user_name}",
        "LaunchTemplateData": version.data,
    }


def check(data: dict[str, Any]) -> None:
    """What EC2 API CreateLaunchTemplate refuses; most names are only checked at launch."""
    rules.user_data(data.get("UserData"))
    if data.get("NetworkInterfaces") and (data.get("SecurityGroupIds") or data.get("SecurityGroups")):
        raise Refusal(
            "InvalidParameterCombination",
            "Network interfaces and instance-level security groups may not be specified on the same request",
        )
    tags = launches.tag_map(data.get("TagSpecifications"))
    rules.metadata_tag_keys(tags.get("instance", {}), data.get("MetadataOptions", {}))


class LaunchTemplates(LabResponse):
    """Actions on launch templates."""

    def create_launch_template(self) -> ActionResult:
        """EC2 API CreateLaunchTemplate."""
        args = self.args
        key = ("CreateLaunchTemplate", "", args.get("ClientToken") or "")
        earlier = tokens.known(self.world, key, args)
        if earlier is not None:
            return ActionResult(earlier)
        name = args.get("LaunchTemplateName", "")
        if not NAME.match(name):
            raise Refusal(
                "InvalidLaunchTemplateName.MalformedException",
                f"The specified launch template name, {name}, is malformed: 3 to 128 of a-z A-Z 0-9 ( ) . - / _",
            )
        data = args.get("LaunchTemplateData") or {}
        if not data:
            raise Refusal("MissingParameter", "The request must contain the parameter LaunchTemplateData")
        check(data)
        if name in self.world.backend.launch_template_name_to_ids:
            raise Refusal(
                "InvalidLaunchTemplateName.AlreadyExistsException",
                f"Launch template name already in use: {name}",
            )
        tags = launches.tag_map(args.get("TagSpecifications"))
        self.dry_run()
        template = self.world.backend.create_launch_template(
            name, args.get("VersionDescription"), data, {"launch-template": tags.get("launch-template", {})}
        )
        answer = {"LaunchTemplate": describe(self.world, template)}
        tokens.remember(self.world, key, args, answer)
        return ActionResult(answer)

    def create_launch_template_version(self) -> ActionResult:
        """EC2 API CreateLaunchTemplateVersion; SourceVersion gives what is not said."""
        args = self.args
        template, _ = self._template(args)
        data = args.get("LaunchTemplateData") or {}
        if args.get("SourceVersion"):
            source = rules.template_version(template, str(args["SourceVersion"]))
            data = {**source.data, **data}
        check(data)
        self.dry_run()
        newest = max(v.number for v in template.versions)
        version = template.create_version(data, args.get("VersionDescription"))
        version.number = newest + 1  # moto counts versions, which is wrong once one has been deleted
        return ActionResult({"LaunchTemplateVersion": describe_version(self.world, template, version)})

    def _template(self, args: dict[str, Any]) -> tuple[Any, Any]:
        return rules.template(
            self.world, {k: args[k] for k in ("LaunchTemplateId", "LaunchTemplateName") if args.get(k)}
        )

    def describe_launch_templates(self) -> ActionResult:
        """EC2 API DescribeLaunchTemplates."""
        args = self.args
        wanted = [{"LaunchTemplateId": i} for i in args.get("LaunchTemplateIds") or []]
        wanted += [{"LaunchTemplateName": n} for n in args.get("LaunchTemplateNames") or []]
        found = [rules.template(self.world, w)[0] for w in wanted] or list(self.world.backend.launch_templates.values())
        shapes = filters.apply([describe(self.world, t) for t in found], args.get("Filters", []), FILTERS)
        page, token = filters.page(shapes, args, 200)
        return ActionResult({"LaunchTemplates": page, "NextToken": token})

    def describe_launch_template_versions(self) -> ActionResult:
        """EC2 API DescribeLaunchTemplateVersions."""
        args = self.args
        versions = [str(v) for v in args.get("Versions") or []]
        if not (args.get("LaunchTemplateId") or args.get("LaunchTemplateName")):
            if not versions or set(versions) - {"$Latest", "$Default"}:
                raise Refusal(
                    "MissingParameter",
                    "Specify a launch template, or $Latest and $Default as versions for all of them.",
                )
            templates = list(self.world.backend.launch_templates.values())
        else:
            templates = [self._template(args)[0]]
        found = [(t, v) for t in templates for v in self._versions(t, versions, args)]
        page, token = filters.page([describe_version(self.world, t, v) for t, v in found], args, 200)
        return ActionResult({"LaunchTemplateVersions": page, "NextToken": token})

    @staticmethod
    def _versions(template: Any, wanted: list[str], args: dict[str, Any]) -> list[Any]:
        if wanted:
            return [rules.template_version(template, v) for v in wanted]
        low, high = int(args.get("MinVersion") or 0), int(args.get("MaxVersion") or 10**9)
        return [v for v in reversed(template.versions) if low <= v.number <= high]

    def modify_launch_template(self) -> ActionResult:
        """EC2 API ModifyLaunchTemplate: the default version."""
        args = self.args
        template, _ = self._template(args)
        version = rules.template_version(template, str(args.get("DefaultVersion") or "$Default"))
        self.dry_run()
        template.default_version_number = version.number
        return ActionResult({"LaunchTemplate": describe(self.world, template)})

    def delete_launch_template(self) -> ActionResult:
        """EC2 API DeleteLaunchTemplate."""
        template, _ = self._template(self.args)
        answer = {"LaunchTemplate": describe(self.world, template)}
        self.dry_run()
        self.world.backend.delete_launch_template(template.name, template.id)
        self.world.backend.tags.pop(template.id, None)
        return ActionResult(answer)

    def delete_launch_template_versions(self) -> ActionResult:
        """EC2 API DeleteLaunchTemplateVersions; never the default one."""
        args = self.args
        template, _ = self._template(args)
        good, bad = [], []
        for number in [str(v) for v in args.get("Versions") or []]:
            base = {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "VersionNumber": int(number)}
            known = [v for v in template.versions if str(v.number) == number and not template.is_default(v)]
            if known:
                template.versions.remove(known[0])
                good.append(base)
            else:
                error = {"Code": "launchTemplateVersionDoesNotExist", "Message": f"Version {number} cannot be deleted."}
                bad.append(base | {"ResponseError": error})
        return ActionResult(
            {"SuccessfullyDeletedLaunchTemplateVersions": good, "UnsuccessfullyDeletedLaunchTemplateVersions": bad}
        )
