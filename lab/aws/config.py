"""What a lab looks like to its user: account, region, network, images, quotas."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

# Dummy credentials of the lab; realistic in length, because Ansible masks a secret wherever it occurs in an output.
ACCESS_KEY = "AKIALAB0EXPERIMENTS0"
SECRET_KEY = "lab+secret/key+of/experiments+spot+stand+in"

# Regions that an account has to enable first, which the lab's has not. Source: AWS Account Management guide, "Enable or
# disable AWS Regions in your account".
OPT_IN_REGIONS = (
    "af-south-1", "ap-east-1", "ap-south-2", "ap-southeast-3", "ap-southeast-4", "ca-west-1", "eu-central-2",
    "eu-south-1", "eu-south-2", "il-central-1", "me-central-1", "me-south-1",
)  # fmt: skip

# Source: EC2 User Guide "Spot Instance quotas": vCPUs a new account may use per family group and region.
NEW_ACCOUNT_VCPUS = {"Standard": 5, "G and VT": 0, "P": 0}


@dataclass(frozen=True)
class ImageDef:
    """A public image. All of them boot the same machine; what differs is what the API says, and whether docker runs."""

    name: str
    owner_id: str
    ssm_parameters: tuple[str, ...] = ()
    owner_alias: str = ""
    description: str = ""
    architecture: str = "x86_64"
    root_device_name: str = "/dev/xvda"
    root_gib: int = 8
    login_user: str = "admin"
    created: str = "2026-11-10T06:22:05.000Z"
    imds_support: str = ""
    boot_mode: str = "uefi-preferred"
    docker: bool = True

    def image_id(self, region: str) -> str:
        """The same id in every lab: derived from the name. The copies of an image in other regions have other ids."""
        name = self.name if region == "us-east-1" else f"{region} {self.name}"
        return "ami-0" + hashlib.sha256(name.encode()).hexdigest()[:16]


_DLAMI = "/aws/service/deeplearning/ami/%s/%s/latest/ami-id"
_UBUNTU = "/aws/service/canonical/ubuntu/server/%s/stable/current/%s/hvm/ebs-gp%s/ami-id"
_AL2023 = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-%s"


def _amazon(name: str, parameter: str, gib: int, user: str, arch: str = "x86_64") -> ImageDef:
    return ImageDef(
        name=name,
        owner_id="898082745236" if "deeplearning" in parameter else "137112412989",
        owner_alias="amazon",
        ssm_parameters=(parameter,),
        root_device_name="/dev/sda1" if user == "ubuntu" else "/dev/xvda",
        root_gib=gib,
        login_user=user,
        architecture=arch,
        imds_support="v2.0",
        created="2026-11-12T04:01:11.000Z",
    )


def _ubuntu(release: str, codename: str, arch: str, gp: str) -> ImageDef:
    return ImageDef(
        name=f"ubuntu/images/hvm-ssd{'-gp3' if gp == '3' else ''}/ubuntu-{codename}-{release}-{arch}-server-20261109",
        owner_id="099720109477",
        owner_alias="amazon",
        ssm_parameters=(_UBUNTU % (release, arch, gp),),
        root_device_name="/dev/sda1",
        login_user="ubuntu",
        architecture="arm64" if arch == "arm64" else "x86_64",
    )


def _debian(arch: str) -> ImageDef:
    return ImageDef(
        name=f"debian-12-{arch}-20261110-2294",
        description="Debian 12 (20261110-2294)",
        owner_id="136693071363",
        owner_alias="amazon",
        ssm_parameters=(f"/aws/service/debian/release/12/latest/{arch}",),
        architecture="arm64" if arch == "arm64" else "x86_64",
    )


# Without docker, as Debian's images are: the engine is a third of what a boot costs the host.
DAILY = ImageDef(
    name="debian-12-amd64-daily-20261126-2310",
    description="Debian 12 (daily build 20261126-2310)",
    owner_id="903794441882",
    owner_alias="amazon",
    ssm_parameters=("/aws/service/debian/daily/bookworm/latest/amd64",),
    docker=False,
)

# Sources: EC2 User Guide and the distributors' pages on public SSM parameters.
IMAGES = (
    DAILY,
    _debian("amd64"),
    _debian("arm64"),
    _ubuntu("24.04", "noble", "amd64", "3"),
    _ubuntu("24.04", "noble", "arm64", "3"),
    _ubuntu("22.04", "jammy", "amd64", "2"),
    _amazon(
        "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 20261112",
        _DLAMI % ("x86_64", "base-oss-nvidia-driver-gpu-ubuntu-24.04"),
        75,
        "ubuntu",
    ),
    _amazon(
        "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) 20261112",
        _DLAMI % ("x86_64", "base-oss-nvidia-driver-gpu-ubuntu-22.04"),
        75,
        "ubuntu",
    ),
    _amazon(
        "Deep Learning Base OSS Nvidia Driver GPU AMI (Amazon Linux 2023) 20261112",
        _DLAMI % ("x86_64", "base-oss-nvidia-driver-gpu-amazon-linux-2023"),
        75,
        "ec2-user",
    ),
    _amazon(
        "Deep Learning OSS Nvidia Driver AMI GPU PyTorch 2.9 (Ubuntu 24.04) 20261112",
        _DLAMI % ("x86_64", "oss-nvidia-driver-gpu-pytorch-2.9-ubuntu-24.04"),
        75,
        "ubuntu",
    ),
    _amazon(
        "Deep Learning ARM64 Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 20261112",
        _DLAMI % ("arm64", "base-oss-nvidia-driver-gpu-ubuntu-24.04"),
        75,
        "ubuntu",
        "arm64",
    ),
    _amazon("al2023-ami-2023.9.20261110.0-kernel-6.1-x86_64", _AL2023 % "x86_64", 8, "ec2-user"),
    _amazon("al2023-ami-2023.9.20261110.0-kernel-6.1-arm64", _AL2023 % "arm64", 8, "ec2-user", "arm64"),
)


@dataclass(frozen=True)
class Config:
    """One lab.

    `vpc_cidr` must leave room for a default subnet of /20 a zone; machines get addresses out of them. The machines of
    `more_regions` share this network, so their subnets lie beside those of `region`. `public_cidr` is where public
    addresses come from. `start_delay` is how long an instance stays `pending` at least, in seconds.
    `terminated_visible` is how long a terminated instance is still described (AWS: about an hour).
    `efs_delay` is how long a file system takes to be made or changed, a mount target twice as long.
    `vcpu_quota`: family group to vCPUs, a missing group has no limit. `speed` divides the lab's own delays.
    """

    region: str = "us-east-1"
    more_regions: tuple[str, ...] = ("us-west-2", "eu-west-1")
    account_id: str = "123456789012"
    user_name: str = "lab"
    access_keys: dict[str, str] = field(default_factory=lambda: {ACCESS_KEY: SECRET_KEY})
    vpc_cidr: str = "172.31.0.0/16"
    public_cidr: str = "203.0.113.0/24"
    images: tuple[ImageDef, ...] = IMAGES
    start_delay: float = 0.0
    terminated_visible: float = 3600.0
    efs_delay: float = 0.0
    vcpu_quota: dict[str, int] = field(default_factory=dict)
    speed: float = 1.0
    not_offered: tuple[str, ...] = ("p2.", "p3.", "g3.", "g3s.")  # retired: offered nowhere
