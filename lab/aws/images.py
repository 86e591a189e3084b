"""Images: a short list instead of moto's 1300, with the ids behind AWS's and the distributors' public parameters."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from moto.ec2.models.amis import Ami
from moto.ssm.models import Parameter, ssm_backends

from lab.aws.config import ImageDef
from lab.aws.errors import Refusal
from lab.aws.world import World

RESOLVE = "resolve:ssm:"


class Image(Ami):
    """moto's Ami always has a 15 GB magnetic root that survives the instance; AWS's public images have not."""

    def __init__(self, backend: Any, definition: ImageDef, region: str) -> None:
        self.root_gib = definition.root_gib
        self.login_user = definition.login_user
        super().__init__(
            backend,
            definition.image_id(region),
            name=definition.name,
            description=definition.description or definition.name,
            owner_id=definition.owner_id,
            owner_alias=definition.owner_alias or None,
            public=True,
            virtualization_type="hvm",
            architecture=definition.architecture,
            creation_date=datetime.fromisoformat(definition.created.replace("Z", "+00:00")).replace(tzinfo=None),
            hypervisor="xen",
            image_location=f"{definition.owner_alias or definition.owner_id}/{definition.name}",
            root_device_type="ebs",
            root_device_name=definition.root_device_name,
            region_name=f"{region}a",
            boot_mode=definition.boot_mode,
        )
        self.ena_support = True
        self.platform_details = "Linux/UNIX"
        self.imds_support = definition.imds_support or None

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """The root volume. Source: EC2 API DescribeImages."""
        return [
            {
                "DeviceName": self.root_device_name,
                "Ebs": {
                    "SnapshotId": self.ebs_snapshot.id,
                    "VolumeSize": self.root_gib,
                    "DeleteOnTermination": True,
                    "VolumeType": "gp3",
                    "Iops": 3000,
                    "Throughput": 125,
                    "Encrypted": False,
                },
            }
        ]


def install(world: World) -> None:
    """Put images and public parameters into moto's backends."""
    config = world.config
    parameters = ssm_backends[config.account_id][config.region]._parameters
    parameters.latest_amis_loaded = True  # moto's own list is the long one
    for definition in config.images:
        image = Image(world.backend, definition, config.region)
        world.backend.amis[image.id] = image
        for name in definition.ssm_parameters:
            parameters[name].append(_parameter(config.account_id, name, image.id, definition.created))


def _parameter(account_id: str, name: str, value: str, created: str) -> Parameter:
    return Parameter(  # type: ignore[abstract]  # abstract by a mixin only: moto makes it like this, too
        account_id=account_id,
        name=name,
        value=value,
        parameter_type="String",
        description=None,
        allowed_pattern=None,
        keyid=None,
        last_modified_date=datetime.fromisoformat(created.replace("Z", "+00:00")).replace(tzinfo=None),
        version=1,
        data_type="aws:ec2:image",
    )


def resolve(world: World, image_id: str | None) -> str | None:
    """`resolve:ssm:NAME` as the image id behind it. Source: EC2 API RunInstances, ImageId."""
    if not image_id or not image_id.startswith(RESOLVE):
        return image_id
    name = image_id[len(RESOLVE) :].split(":")[0]
    versions = ssm_backends[world.config.account_id][world.config.region]._parameters[name]
    if not versions:
        raise Refusal("InvalidParameterValue", f"The parameter {name} does not exist in the AWS Systems Manager.")
    return str(versions[-1].value)
