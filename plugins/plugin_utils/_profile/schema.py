# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a profile may say, as data: the checks, the defaults and the documentation are all read from here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Key:
    """One key of a profile.

    Attributes:
        kind: text, int, float, bool, texts (list of texts), argv (a command), map (free names to texts),
            lists (free names to lists of texts), section (a mapping with known keys), items (a list of such mappings)
            or ranks (a word or a list of ranks).
        text: One sentence for the reader of docs/profile.md.
        default: The value when the key is absent or empty.
        shown: How the documentation shows the default when it is worked out from other keys.
        required: True when there is no default that could be right.
        choices: The only texts allowed.
        minimum: Smallest number allowed (or smallest number of entries of a list).
        maximum: Largest number allowed (or largest number of entries of a list).
        pattern: Regular expression that the whole text (each text of a list) must match.
        form: The pattern in words, for messages and documentation.
        unit: Unit of a number.
        keys: Keys of a section or of each item.
        optional: True for a section that is null as a whole when absent.
        secret: True when its values must never be shown in a message.
        exclusive: Keys of this section of which exactly one may be given.
    """

    kind: str
    text: str
    default: Any = None
    shown: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""
    form: str = ""
    unit: str = ""
    keys: Mapping[str, Key] = field(default_factory=dict)
    optional: bool = False
    secret: bool = False
    exclusive: tuple[str, ...] = ()


EXPERIMENT_PATTERN = r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?"
EXPERIMENT_FORM = "1 to 40 lower-case letters, digits and hyphens, no hyphen at the ends"

_HEX = r"[0-9a-f]{8}([0-9a-f]{9})?"
_USER = r"[a-z_][a-z0-9_-]{0,31}\$?|[0-9]{1,10}"
_USER_FORM = 'a Linux name such as ubuntu, or a number in quotes such as "1000"'
_LOCAL = r"[^\x00-\x1f\x7f]+"
_LOCAL_FORM = "a path of your machine"
_ABSOLUTE = r"/[^\x00-\x1f]*"
_ABSOLUTE_FORM = "an absolute path, /like/this"
# The grammar of the distribution project, with at most one registry host in front.
# Source: https://github.com/distribution/reference (reference.go, "Grammar").
_IMAGE = (
    r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?/)?"
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)

_REGION = r"[a-z]{2,4}(-[a-z]+){1,3}-[0-9]{1,2}"
_REGION_FORM = "a region such as us-east-1"
_IMAGE_ID = rf"ami-{_HEX}"
_IMAGE_ID_FORM = "ami- and 8 or 17 hexadecimal digits"

CAPACITY = {
    "instance_types": Key(
        "texts",
        "Types to ask for; the more types, the better the chance of capacity and of a low price.",
        required=True,
        minimum=1,
        maximum=300,
        pattern=r"[a-z][a-z0-9-]*\.[a-z0-9-]+",
        form="FAMILY.SIZE such as g5.xlarge",
    ),
    # Source: EC2 Fleet quotas, "target capacity per EC2 Fleet".
    "count": Key("int", "Number of instances of the experiment.", 1, minimum=1, maximum=10_000, unit="instances"),
    "market": Key(
        "text",
        "Spot is much cheaper but AWS may take the instance back at any time.",
        "spot",
        choices=("spot", "on-demand"),
    ),
    "regions": Key(
        "texts",
        "Regions to use; each launch goes to the one with the cheapest pools, and to the next one when it refuses.",
        [],
        shown="region alone",
        maximum=10,
        pattern=_REGION,
        form=_REGION_FORM,
    ),
    "zones": Key(
        "texts",
        "Availability Zones to use.",
        [],
        shown="all zones of the regions",
        pattern=r"[a-z]{2,4}(-[a-z]+){1,3}-[0-9]{1,2}(-[a-z]{3}-[0-9]{1,2})?[a-z]",
        form="a zone such as us-east-1a",
    ),
    "subnet_ids": Key(
        "texts",
        "Subnets to use, one a zone.",
        [],
        shown="the default subnet of each zone",
        pattern=rf"subnet-{_HEX}",
        form="subnet- and 8 or 17 hexadecimal digits",
    ),
    # Source: EC2 API CreateFleet, FleetLaunchTemplateOverridesRequest.MaxPrice must be above 0.001.
    "max_price": Key(
        "float",
        "Highest Spot price to pay for one instance; every limit only makes interruptions more likely.",
        shown="no limit below the On-Demand price",
        minimum=0.001,
        maximum=1000,
        unit="USD/hour",
    ),
    "allocation_strategy": Key(
        "text",
        "How AWS picks among the pools (type and zone).",
        "price-capacity-optimized",
        choices=(
            "price-capacity-optimized",
            "capacity-optimized",
            "capacity-optimized-prioritized",
            "diversified",
            "lowest-price",
        ),
    ),
    # Source: EC2 API CreateFleet; stop and hibernate need a fleet of type maintain, ours is instant.
    "interruption_behavior": Key(
        "text", "What AWS does with an instance that it takes back.", "terminate", choices=("terminate",)
    ),
    "wait": Key(
        "int", "How long to go on asking while no pool has capacity.", 300, minimum=0, maximum=86_400, unit="seconds"
    ),
    "on_demand": Key(
        "text",
        "Whether On-Demand instances may fill in: fallback asks for them when Spot capacity was not to be had for "
        "capacity.wait, base makes capacity.on_demand_base of the instances On-Demand from the start.",
        "never",
        choices=("never", "fallback", "base"),
    ),
    "on_demand_base": Key(
        "int",
        "How many of the instances are On-Demand, with capacity.on_demand base.",
        0,
        minimum=0,
        maximum=10_000,
        unit="instances",
    ),
    "iam_fleet_role": Key(
        "text",
        "Role of a Spot Fleet, to ask for capacity by RequestSpotFleet as older tools did; AWS calls that legacy.",
        shown="an EC2 Fleet",
        pattern=r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,640}",
        form="arn:aws:iam::ACCOUNT:role/NAME",
    ),
    "time_limit": Key(
        "int",
        "An instance flushes its volumes and ends so long after its launch, whatever happens to your machine.",
        shown="no limit",
        minimum=300,
        maximum=31_536_000,
        unit="seconds",
    ),
    "idle_limit": Key(
        "int",
        "An instance ends in the same way when for so long no job or notebook runs on it, nobody is logged in, and "
        "processors and GPUs are idle.",
        shown="no limit",
        minimum=300,
        maximum=31_536_000,
        unit="seconds",
    ),
}

IMAGE = {
    "id": Key("text", "Machine image (AMI) by id.", pattern=_IMAGE_ID, form=_IMAGE_ID_FORM),
    "ids": Key(
        "map",
        "Machine image by id for each region, {us-east-1: ami-…, eu-west-1: ami-…}.",
        {},
        shown="none",
        pattern=_REGION,
        form=_REGION_FORM,
    ),
    "ssm_parameter": Key(
        "text",
        "Machine image by the name of an SSM parameter that holds its id; the usual way to get the newest one.",
        pattern=r"/[A-Za-z0-9_./-]{1,1010}",
        form="a parameter name that starts with a slash",
    ),
    "name": Key(
        "text",
        "Machine image by name, the newest that matches; * and ? are wildcards, image.owner is needed.",
        pattern=r"[^\x00-\x1f]{3,128}",
        form="3 to 128 characters",
    ),
    "owner": Key(
        "text",
        "Who published the image that image.name looks for.",
        pattern=r"self|amazon|aws-marketplace|[0-9]{12}",
        form='self, amazon, aws-marketplace or an account number in quotes, "123456789012"',
    ),
    "root_volume_size": Key(
        "int", "Size of the system disk.", shown="as the image has it", minimum=1, maximum=65_536, unit="GiB"
    ),
    "root_volume_type": Key("text", "Type of the system disk.", "gp3", choices=("gp3", "gp2")),
}

ACCESS = {
    "key_name": Key(
        "text",
        "EC2 key pair that already exists; its private half is access.private_key_file.",
        shown="spot-EXPERIMENT, made or imported",
        pattern=r"[\x20-\x7e]{1,255}",
        form="1 to 255 printable characters",
    ),
    "private_key_file": Key(
        "text",
        "Private key to log in with; without access.key_name its public half is imported.",
        shown="a key made for the experiment under ~/.ssh/experiments.spot/",
        pattern=_LOCAL,
        form=_LOCAL_FORM,
    ),
    "security_group_ids": Key(
        "texts",
        "Security groups that already exist and let you in.",
        [],
        shown="one made for the experiment, open for access.ssh_cidr only",
        maximum=16,
        pattern=rf"sg-{_HEX}",
        form="sg- and 8 or 17 hexadecimal digits",
    ),
    "ssh_cidr": Key(
        "text", "IPv4 addresses that may log in, such as 203.0.113.7/32; auto is the address you have now.", "auto"
    ),
    "allow_any_cidr": Key(
        "bool", "Say true to really let the whole Internet knock (access.ssh_cidr wider than /8).", False
    ),
    "remote_user": Key("text", "User that the image lets in.", "ubuntu", pattern=_USER, form=_USER_FORM),
    "remote_group": Key(
        "text", "Group that owns what is made for the user.", shown="access.remote_user", pattern=_USER, form=_USER_FORM
    ),
    "address": Key("text", "Address to log in at.", "public", choices=("public", "private")),
    "port": Key("int", "Port of the ssh server.", 22, minimum=1, maximum=65_535),
    "instance_profile": Key(
        "text",
        "Instance profile (IAM role) of the instances, by name or ARN.",
        pattern=r"[\w+=,.@-]{1,128}|arn:aws[a-z-]*:iam::[0-9]{12}:instance-profile/[\w+=,.@/-]{1,640}",
        form="a name or arn:aws:iam::ACCOUNT:instance-profile/NAME",
    ),
    # Source: EC2 API InstanceMetadataOptionsRequest.HttpPutResponseHopLimit, 1 to 64.
    "http_put_response_hop_limit": Key(
        "int",
        "Network hops to the instance metadata; 2 lets containers on a bridge network read it.",
        1,
        minimum=1,
        maximum=64,
        unit="hops",
    ),
    "host_keys": Key(
        "text",
        "How the instance proves who it is: by the keys on its console, or by trusting the first answer.",
        "console",
        choices=("console", "accept-new"),
    ),
    "ssh_config": Key(
        "bool", "Write an entry for each instance, so that ssh spot-EXPERIMENT logs in; close.yml removes it.", True
    ),
    "wait": Key(
        "int", "How long to wait until an instance lets you in.", 300, minimum=10, maximum=3_600, unit="seconds"
    ),
}

VOLUME = {
    "name": Key(
        "text",
        "Name of the volume; the same name finds the same data again in the next launch.",
        required=True,
        pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}",
        form="letters, digits, dot, underscore and hyphen",
    ),
    "volume_id": Key(
        "text",
        "An EBS volume that already exists; it is never formatted when it holds anything.",
        shown="found by name, else made",
        pattern=rf"vol-{_HEX}",
        form="vol- and 8 or 17 hexadecimal digits",
    ),
    "size": Key("int", "Size of a new volume.", 50, minimum=1, maximum=65_536, unit="GiB"),
    "type": Key("text", "Type of a new volume.", "gp3", choices=("gp3", "gp2", "io1", "io2", "st1", "sc1", "standard")),
    "iops": Key(
        "int",
        "Operations of a new volume; gp3, io1 and io2 only.",
        shown="3000 for gp3",
        minimum=100,
        maximum=256_000,
        unit="per second",
    ),
    "throughput": Key(
        "int",
        "Throughput of a new volume; gp3 only.",
        shown="125 for gp3",
        minimum=125,
        maximum=2_000,
        unit="MiB/second",
    ),
    "snapshot_id": Key(
        "text",
        "Snapshot that a new volume starts from.",
        pattern=rf"snap-{_HEX}",
        form="snap- and 8 or 17 hexadecimal digits",
    ),
    "encrypted": Key("bool", "Encrypt a new volume.", True),
    # Source: EC2 user guide, "Device names for volumes"; /dev/sda and /dev/xvda are the system disk's.
    "device": Key(
        "text",
        "Device name to ask AWS for; only a hint, the volume is found by its id.",
        shown="the next free one",
        pattern=r"/dev/(sd[b-z][0-9]{0,2}|xvd[b-z][a-z]?)",
        form="/dev/sdf to /dev/sdp",
    ),
    "partition": Key(
        "int",
        "Number of the partition to mount, where an existing volume or a snapshot has partitions.",
        shown="the whole volume",
        minimum=1,
        maximum=128,
    ),
    "read_only": Key(
        "bool",
        "Never write to it: the volume of volume_id, or a copy of snapshot_id that comes and goes with each instance.",
        False,
    ),
    "mount_point": Key(
        "text",
        "Directory of the instance where the volume appears.",
        required=True,
        pattern=r"/[^\s\x00-\x1f]*",
        form="an absolute path without blanks, /like/this",
    ),
    "fs_type": Key("text", "File system put on an empty volume.", "ext4", choices=("ext4", "xfs")),
    "owner": Key("text", "Owner of the directory.", shown="access.remote_user", pattern=_USER, form=_USER_FORM),
    "group": Key("text", "Group of the directory.", shown="access.remote_group", pattern=_USER, form=_USER_FORM),
    "mode": Key(
        "text",
        "Permissions of the directory.",
        "0755",
        pattern=r"[0-7]{3,4}",
        form='3 or 4 octal digits in quotes, "0755"',
    ),
    "options": Key(
        "text",
        "Mount options.",
        "defaults,nofail",
        pattern=r"[^\s\x00-\x1f]+",
        form="options joined by commas, without blanks",
    ),
}

ACCESS_POINT = {
    # Source: EFS API RootDirectory, Path: at most four directories deep.
    "path": Key(
        "text",
        "Directory of the file system that is seen as its root, made when missing.",
        required=True,
        pattern=r"(/[^\s/$#<>;`|&?{}^*\x00-\x1f]+){1,4}",
        form="an absolute path of at most four directories, /like/this",
    ),
    "uid": Key("int", "User that every instance is.", 1000, minimum=0, maximum=4_294_967_295),
    "gid": Key("int", "Group that every instance is.", 1000, minimum=0, maximum=4_294_967_295),
    "permissions": Key(
        "text",
        "Permissions of the directory when it is made.",
        "0755",
        pattern=r"[0-7]{3,4}",
        form='3 or 4 octal digits in quotes, "0755"',
    ),
}

FILE_SYSTEM = {
    # Source: EFS API CreateFileSystem, CreationToken: at most 64 characters.
    "name": Key(
        "text",
        "Name of the file system (its creation token); the same name finds the same data again, in every experiment of "
        "the account and region.",
        required=True,
        pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        form="1 to 64 letters, digits, dots, underscores and hyphens",
    ),
    "file_system_id": Key(
        "text",
        "An EFS file system that already exists; its settings are left as they are.",
        shown="found by name, else made",
        pattern=r"fs-[0-9a-f]{8,40}",
        form="fs- and 8 to 40 hexadecimal digits",
    ),
    "mount_point": Key(
        "text",
        "Directory of the instances where it appears.",
        required=True,
        pattern=r"/[^\s\x00-\x1f]*",
        form="an absolute path without blanks, /like/this",
    ),
    "path": Key(
        "text",
        "Directory of the file system to mount, made when missing.",
        "/",
        pattern=r"/[^\s\x00-\x1f]*",
        form="an absolute path without blanks, /like/this",
    ),
    "access_point": Key(
        "section",
        "Access point to be made and mounted through; needs amazon-efs-utils on the image.",
        optional=True,
        keys=ACCESS_POINT,
    ),
    "access_point_id": Key(
        "text",
        "Access point that already exists; needs amazon-efs-utils on the image.",
        pattern=r"fsap-[0-9a-f]{8,40}",
        form="fsap- and 8 to 40 hexadecimal digits",
    ),
    "throughput_mode": Key(
        "text",
        "Throughput; elastic is paid by what is read and written, bursting is slow while the file system is small.",
        "elastic",
        choices=("elastic", "bursting", "provisioned"),
    ),
    # Source: EFS user guide, "Amazon EFS quotas".
    "provisioned_throughput": Key(
        "float", "Throughput of the mode provisioned.", minimum=1, maximum=3_414, unit="MiB/second"
    ),
    "performance_mode": Key(
        "text",
        "Performance mode of a new file system; maxIO does not go with elastic throughput.",
        "generalPurpose",
        choices=("generalPurpose", "maxIO"),
    ),
    "encrypted": Key("bool", "Encrypt a new file system.", True),
    "kms_key_id": Key(
        "text",
        "KMS key of a new file system, as an id, ARN or alias.",
        shown="AWS's own key for EFS",
        pattern=r"[A-Za-z0-9:/_-]{1,2048}",
        form="a key id, arn:aws:kms:REGION:ACCOUNT:key/ID or alias/NAME",
    ),
    # Source: EFS API LifecyclePolicy, TransitionToIA.
    "transition_to_ia": Key(
        "int",
        "Move files that were not used for so long to cheaper storage (Infrequent Access): 1, 7, 14, 30, 60, 90, 180, "
        "270 or 365.",
        shown="never",
        minimum=1,
        maximum=365,
        unit="days",
    ),
    "transit_encryption": Key(
        "text",
        "auto encrypts on the way (TLS) where the image has amazon-efs-utils and is plain NFS in the VPC otherwise; "
        "required stops without it; none is always plain NFS.",
        "auto",
        choices=("auto", "required", "none"),
    ),
    "owner": Key("text", "Owner of the directory.", shown="access.remote_user", pattern=_USER, form=_USER_FORM),
    "group": Key("text", "Group of the directory.", shown="access.remote_group", pattern=_USER, form=_USER_FORM),
    "mode": Key(
        "text",
        "Permissions of the directory.",
        "0755",
        pattern=r"[0-7]{3,4}",
        form='3 or 4 octal digits in quotes, "0755"',
    ),
    "read_only": Key("bool", "Mount it read-only.", False),
    "options": Key(
        "text",
        "More mount options; those of the same name replace the recommended ones of NFS 4.1.",
        "",
        pattern=r"[^\s\x00-\x1f]+",
        form="options joined by commas, without blanks",
    ),
}

CHANNEL = {
    "direction": Key(
        "text", "out sends to the instances, in brings back from them.", required=True, choices=("in", "out")
    ),
    "local_path": Key(
        "text",
        "Path on your machine; out starts from the directory of the profile's file, in from where you typed the "
        "command. A slash at the end of a source means its contents, as rsync has it.",
        required=True,
        pattern=_LOCAL,
        form=_LOCAL_FORM,
    ),
    "remote_path": Key(
        "text",
        "Path on the instances; ~/ is the home of access.remote_user.",
        required=True,
        pattern=r"(~/|/)[^\x00-\x1f]*",
        form="a path that starts with / or ~/",
    ),
    "name": Key(
        "text",
        "Name of the channel, for -e channel=NAME and for messages.",
        pattern=EXPERIMENT_PATTERN,
        form=EXPERIMENT_FORM,
    ),
    "recursive": Key("bool", "Take what is in sub-directories too.", False),
    "delay": Key(
        "float",
        "Continuous: shortest time between two transfers; what changes meanwhile goes together.",
        1.0,
        minimum=0.1,
        maximum=86_400,
        unit="seconds",
    ),
    "delete": Key(
        "bool",
        "Delete at the destination what the source does not have; asks first when that is more than a quarter of it.",
        False,
    ),
    "exclude": Key("texts", "rsync patterns of what to leave out.", []),
    "filter": Key(
        "texts", "rsync filter rules, in order, before exclude.", [], pattern=r"[^\x00\r\n]+", form="a rule of rsync(1)"
    ),
    "gitignore": Key("bool", "Leave out .git and what git ignores at the source; needs git there.", False),
    "compress": Key("text", "Compression on the way.", "auto", choices=("auto", "none", "zstd", "zlib")),
    "partial": Key("bool", "Keep what came of a file when the connection breaks, and go on from there.", True),
    "checksum": Key("bool", "Compare contents instead of size and time.", False),
    "sparse": Key("bool", "Files with holes keep them; writes large files a fifth slower.", False),
    # Source: rsync(1), --bwlimit; without a suffix it would be KiB.
    "bwlimit": Key(
        "text",
        "Rate limit, bytes a second.",
        shown="no limit",
        pattern=r"[0-9]+(\.[0-9]+)?[kmgKMG]",
        form="a number with k, m or g, such as 500k or 1.5m",
    ),
    "links": Key(
        "text",
        "Symlinks: keep them, keep those that stay inside (safe), follow them, or skip them.",
        "keep",
        choices=("keep", "safe", "follow", "skip"),
    ),
    "owner": Key(
        "text",
        "Owner on the instance of what goes out; takes sudo there.",
        shown="access.remote_user",
        pattern=rf"({_USER})(:({_USER}))?",
        form="USER or USER:GROUP",
    ),
    # Source: rsync(1), --chmod.
    "chmod": Key(
        "text",
        "Permissions at the destination.",
        shown="those of the source",
        pattern=r"[DF]?([0-7]{3,4}|[ugoa]*[-+=][rwxXst]*)(,[DF]?([0-7]{3,4}|[ugoa]*[-+=][rwxXst]*))*",
        form="rsync's --chmod, such as D755,F644",
    ),
    "on": Key(
        "texts",
        "When it runs: at the launch (out), with sync.yml -e continuous=true, when the job has ended (in). "
        "A plain sync.yml runs all.",
        ["launch", "continuous", "end"],
        minimum=1,
        pattern="launch|continuous|end",
        form="launch, continuous or end",
    ),
    "hosts": Key(
        "ranks",
        "Which instances: all, first, or their ranks.",
        ["all"],
        minimum=1,
        pattern="all|first|0|[1-9][0-9]{0,3}",
        form="all, first, or a list of ranks",
    ),
}

# Source: S3 user guide, "General purpose bucket naming rules".
BUCKET = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()-]+)*/?"
BUCKET_FORM = "s3://BUCKET or s3://BUCKET/PREFIX"

RESULTS = {
    "bucket": Key(
        "text",
        "S3 bucket, and a prefix if you like; each experiment has its own name below it. It may be in any region.",
        required=True,
        pattern=BUCKET,
        form=BUCKET_FORM,
    ),
    "paths": Key(
        "texts",
        "Directories of the instance whose files are results; ~/ is the home of access.remote_user.",
        [],
        shown="job.state_dir",
        pattern=r"(~/|/)[^\x00-\x1f]*",
        form="a path that starts with / or ~/",
    ),
    "exclude": Key("texts", "Patterns of files and directories that are not sent, such as *.cache.", []),
    "checkpoints": Key(
        "texts",
        "Patterns of checkpoints, below the directories of results.paths: a directory that fits is sent only as a "
        "whole, files that fit only together with those beside them.",
        [],
    ),
    "interval": Key(
        "int",
        "Pause between two pushes while the job runs; 0 pushes at its end and on a notice only.",
        60,
        minimum=0,
        maximum=86_400,
        unit="seconds",
    ),
    "restore": Key("bool", "Fill empty directories of a new instance with what the bucket holds.", True),
    "pull": Key(
        "text",
        "Directory of your machine to which sync.yml, and launch.yml at the end of the job, bring the results; from "
        "where you typed the command.",
        shown="they stay in the bucket",
        pattern=_LOCAL,
        form=_LOCAL_FORM,
    ),
    # Source: S3 API PutObject, x-amz-storage-class; those that can be read at once.
    "storage_class": Key(
        "text",
        "Storage class of the objects.",
        shown="STANDARD",
        choices=("STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"),
    ),
    "kms_key_id": Key(
        "text",
        "KMS key to encrypt the objects with, by id, ARN or alias.",
        shown="the bucket's own encryption",
        pattern=r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[\w/-]+|alias/[\w/-]+|[0-9a-f-]{36}|mrk-[0-9a-f]{32}",
        form="a key id, an ARN or alias/NAME",
    ),
}

CODE = {
    "repository": Key(
        "text",
        "Repository: git@HOST:PATH, ssh://…, https://… or codecommit::REGION://NAME, which the instance's role opens.",
        required=True,
        pattern=r"(https?|ssh|git)://[^\s\x00-\x1f'\"]+|[\w.-]+@[A-Za-z0-9.-]+:[^\s\x00-\x1f'\"]+"
        r"|codecommit(::[a-z0-9-]+)?://[\w.@-]+",
        form="an address such as https://github.com/alice/train.git or git@github.com:alice/train.git",
    ),
    # Source: git-check-ref-format(1); a hyphen in front would be an option.
    "version": Key(
        "text",
        "Branch, tag or commit (40 digits). All instances and all generations get the commit that the first one got.",
        shown="the default branch",
        pattern=r"[A-Za-z0-9_](?!.*(\.\.|//|@\{))[A-Za-z0-9_./+@#-]{0,254}",
        form="the name of a branch or tag, or a commit",
    ),
    "path": Key(
        "text",
        "Directory of the instance for it; ~/ is the home of access.remote_user.",
        shown="the name of the repository under the home of access.remote_user",
        pattern=r"(~/|/)[^\s\x00-\x1f]*",
        form="a path that starts with / or ~/, without blanks",
    ),
    "deploy_key": Key(
        "text",
        "Private key file of your machine, for SSH; it is on the instance only while git works.",
        pattern=_LOCAL,
        form=_LOCAL_FORM,
    ),
    "token": Key(
        "text",
        "Token for HTTPS; take it from your environment, \"{{ lookup('env', 'GIT_TOKEN') }}\", or from a vault. It is "
        "on the instance only while git works.",
        pattern=r"[\x21-\x7e]+",
        form="printable characters without blanks",
        secret=True,
    ),
    "token_user": Key(
        "text",
        "User name that goes with the token; GitHub and GitLab take any.",
        "x-access-token",
        pattern=r"[\w.@+-]+",
        form="letters, digits and ._@+-",
    ),
    "known_hosts": Key(
        "texts",
        "Host keys of the server, as lines of known_hosts.",
        [],
        shown="those that github.com, gitlab.com and bitbucket.org publish",
        pattern=r"(@(cert-authority|revoked) )?\S+ (ssh-|ecdsa-|sk-)\S+ [A-Za-z0-9+/=]+( .*)?",
        form="HOST TYPE KEY, as ssh-keyscan prints it",
    ),
    "submodules": Key("bool", "Take its submodules, too.", True),
}

RUNTIME = {
    "docker": Key("bool", "Set up the docker engine.", True),
    "gpu": Key(
        "text",
        "auto sets a GPU up where there is one, required stops when there is none.",
        "auto",
        choices=("auto", "none", "required"),
    ),
    "python_virtual_env": Key(
        "text",
        "Python environment for a job without image: a path, where one is made when missing, or the name of one that "
        "the machine image has, such as pytorch of a Deep Learning AMI.",
        shown="~/.venvs/EXPERIMENT when packages are named, else the Python of the image",
        pattern=r"(~/|/)[^\s\x00-\x1f]*|[A-Za-z0-9][\w.+-]*",
        form="a path that starts with / or ~/, or a name",
    ),
    "extra_python_packages": Key(
        "texts",
        "Packages to install there, as pip has them.",
        [],
        pattern=r"[A-Za-z0-9][^\x00-\x1f;`$|&]*",
        form="a package as pip has it, such as numpy or torch==2.9.1",
    ),
    "python_requirements": Key(
        "text",
        "Requirements file to install there; a relative path starts from code.path.",
        pattern=r"[^\s\x00-\x1f-][^\s\x00-\x1f]*",
        form="a path of the instance, without blanks",
    ),
}

BUILD = {
    "context": Key(
        "text",
        "Directory on the instance whose files the Dockerfile may copy.",
        shown="code.path",
        pattern=r"(~/|/)[^\x00-\x1f]*",
        form="a path that starts with / or ~/",
    ),
    "dockerfile": Key(
        "text",
        "The Dockerfile; a relative path starts from context.",
        "Dockerfile",
        pattern=r"[^\x00-\x1f]+",
        form="a path",
    ),
    "args": Key(
        "map",
        "Values for ARG in the Dockerfile; they are no secrets.",
        {},
        pattern=r"[A-Za-z_][A-Za-z0-9_]*",
        form="letters, digits and underscores",
    ),
    "target": Key(
        "text",
        "Stage of the Dockerfile to stop at.",
        shown="the last one",
        pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
        form="letters, digits, _, . and -",
    ),
}

JOB = {
    "name": Key("text", "Name of the job.", "job", pattern=EXPERIMENT_PATTERN, form=EXPERIMENT_FORM),
    "image": Key(
        "text",
        "Container image; without it the command or the scripts run on the instance itself.",
        shown="no container",
        pattern=_IMAGE,
        form="an image such as python:3.12-slim or registry:5000/team/image:tag",
    ),
    "build": Key(
        "section",
        "Build job.image on the instance from a Dockerfile, with docker's own cache, instead of pulling it.",
        optional=True,
        keys=BUILD,
    ),
    "archive": Key(
        "text",
        "Load job.image from this file of the instance, which docker save has made (.tar, .tar.gz, .tar.zst), instead "
        "of pulling it; a channel brings it there.",
        pattern=r"(~/|/)[^\x00-\x1f]+",
        form="a path that starts with / or ~/",
    ),
    "registry_username": Key(
        "text",
        "User of the registry of job.image. Amazon ECR needs none, it lets in the role of the instance.",
        pattern=r"[\x21-\x39\x3b-\x7e]+",
        form="printable characters without blanks and colons",
    ),
    "registry_password": Key(
        "text",
        "Password or token that goes with it; from your environment, \"{{ lookup('env', 'REGISTRY_TOKEN') }}\", "
        "or from a vault. It is on the instance in a file that only root can read.",
        pattern=r"[\x20-\x7e]+",
        form="printable characters",
        secret=True,
    ),
    "command": Key("argv", "Command, a list or one text; [] runs the own command of job.image."),
    "scripts": Key(
        "texts",
        "Instead of command, for a job without image: scripts with their arguments, run one after the other until one "
        "fails; a relative path starts from job.workdir.",
        [],
        pattern=r"[^\x00-\x1f]+",
        form="a script and its arguments, such as train.py --epochs 3",
    ),
    "matrix": Key(
        "lists",
        "Parameters with lists of values: the job is run for every combination, and the instances share them. Each has "
        "its values in its environment and instead of $(NAME) in command or scripts.",
        {},
        pattern=r"[A-Za-z_][A-Za-z0-9_]*",
        form="letters, digits and underscores",
    ),
    "retries": Key(
        "int",
        "How often a job that failed is started again on its instance, after 10 seconds and then ever longer; not "
        "after a stop, the time limit, a kill for memory, or a command that cannot be run.",
        0,
        minimum=0,
        maximum=100,
        unit="times",
    ),
    "workdir": Key(
        "text",
        "Directory to start in, of the container or, without image, of the instance.",
        shown="the image's own; without image code.path, else the home of the user",
        pattern=r"(~/|/)[^\x00-\x1f]*",
        form="a path that starts with / or, without image, with ~/",
    ),
    "env": Key(
        "map",
        "Environment of the command; take secrets from yours, \"{{ lookup('env', 'TOKEN') }}\".",
        {},
        pattern=r"[A-Za-z_][A-Za-z0-9_]*",
        form="letters, digits and underscores",
        secret=True,
    ),
    "secrets": Key(
        "texts",
        "Names of env that the job gets as files in /run/secrets (without image in $SPOT_SECRETS_DIR), not in its "
        "environment, which docker inspect shows.",
        [],
        pattern=r"[A-Za-z_][A-Za-z0-9_]*",
        form="a name in job.env",
    ),
    "mounts": Key(
        "texts",
        "Directories of the instance that the container sees; the state directory always is one.",
        [],
        pattern=r"(~/|/)[^:\x00-\x1f]*:/[^:\x00-\x1f]*(:(ro|rw))?",
        form="/host/path:/container/path, with :ro at the end for read-only",
    ),
    "user": Key(
        "text",
        "User in the container or, without image, of the instance.",
        shown="the image's own; without image access.remote_user",
        pattern=rf"({_USER})(:({_USER}))?",
        form='NAME, NAME:GROUP or numbers in quotes, "1000:1000"',
    ),
    "shm_size": Key(
        "text",
        "Shared memory, needed by data loaders with workers.",
        shown="docker's own, 64m",
        pattern=r"[1-9][0-9]*[bkmg]?",
        form="a number and b, k, m or g, such as 8g",
    ),
    "gpus": Key("text", "GPUs that the container sees.", "auto", choices=("auto", "none", "all")),
    "state_dir": Key(
        "text",
        "Directory for checkpoints and the ledger, the same path on the instance and in the container.",
        shown="EXPERIMENT under the mount point of the first volume, for one instance else of the first file system, "
        "else under the home of access.remote_user",
        pattern=_ABSOLUTE,
        form=_ABSOLUTE_FORM,
    ),
    # Source: EC2 user guide, "Spot Instance interruption notices": two minutes from notice to the end.
    "stop_grace": Key(
        "int", "Time between SIGTERM and SIGKILL when the job is stopped.", 60, minimum=0, maximum=3_600, unit="seconds"
    ),
    "time_limit": Key(
        "int",
        "Stop the job after this time, whose clock goes on after an interruption; of a matrix, each combination.",
        shown="no limit",
        minimum=60,
        maximum=31_536_000,
        unit="seconds",
    ),
    "network": Key("text", "Network of the container.", "bridge", choices=("bridge", "host")),
    "extra_args": Key("texts", "More arguments for docker run.", []),
    "at_end": Key(
        "text",
        "What happens to the instance when the job has ended: terminate has your machine end it; if that does not do "
        "so, a single instance ends itself.",
        "keep",
        choices=("keep", "terminate"),
    ),
    "keep_on_success": Key(
        "int",
        "With at_end terminate: how long an instance that nobody ends waits for its results to be fetched, at least 30 "
        "seconds.",
        600,
        minimum=0,
        maximum=31_536_000,
        unit="seconds",
    ),
    "keep_on_failure": Key(
        "int",
        "With at_end terminate: how long the instance stays after a job that failed, to be looked at; 0: not at all.",
        3_600,
        minimum=0,
        maximum=31_536_000,
        unit="seconds",
    ),
}

RECOVERY = {
    "mode": Key(
        "text",
        "Who asks again for what AWS took: controller is your machine (resume.yml, launch.yml -e watch=true or an "
        "event rule), self a fleet of AWS whose instances set themselves up, none nobody.",
        "controller",
        choices=("controller", "self", "none"),
    ),
    "bucket": Key(
        "text",
        "S3 bucket, and a prefix if you like, from which instances set themselves up; goes with mode self.",
        pattern=BUCKET,
        form=BUCKET_FORM,
    ),
    "max_generations": Key(
        "int",
        "Stop asking again after so many generations of instances.",
        20,
        minimum=1,
        maximum=1_000,
        unit="generations",
    ),
    "deadline": Key(
        "int",
        "Stop asking again so long after the first launch.",
        shown="no deadline",
        minimum=60,
        maximum=31_536_000,
        unit="seconds",
    ),
    "move_volumes": Key(
        "bool",
        "Where the zone of the volumes has no capacity for capacity.wait seconds, take them to another zone by "
        "snapshots; the old ones are kept and cost until you delete them.",
        False,
    ),
    # Source: EC2 user guide, "EC2 instance rebalance recommendations": a signal of elevated risk, not a notice.
    "rebalance": Key(
        "text",
        "What a rebalance recommendation means: act checkpoints and moves before AWS takes the instance, ignore waits "
        "for the interruption notice.",
        "ignore",
        choices=("ignore", "act"),
    ),
    # Source: EC2 user guide, "Spot Instance interruption notices": check every 5 seconds.
    "notice_period": Key(
        "int",
        "How often an instance asks whether AWS is about to take it.",
        5,
        minimum=1,
        maximum=60,
        unit="seconds",
    ),
    "webhook": Key(
        "text",
        "URL that an instance tells, by POST and in JSON, when AWS takes it, and when its job starts and ends.",
        pattern=r"https?://[^\s\x00-\x1f]{1,2000}",
        form="a URL that starts with https:// or http://",
        secret=True,
    ),
}

NOTIFY = {
    "events": Key(
        "texts",
        "What to tell: the job starts, it ends well, AWS takes an instance, something fails.",
        ["start", "end", "interruption", "failure"],
        pattern="start|end|interruption|failure",
        form="start, end, interruption or failure",
    ),
    "webhook": Key(
        "text",
        "URL that your machine tells, by POST and in JSON.",
        pattern=r"https?://[^\s\x00-\x1f]{1,2000}",
        form="a URL that starts with https:// or http://",
        secret=True,
    ),
    # Source: SNS API CreateTopic, Name. One that keeps an order wants a group for each message.
    "topic": Key(
        "text",
        "SNS topic that your machine publishes to; it needs sns:Publish.",
        pattern=rf"arn:aws[a-z-]*:sns:{_REGION}:[0-9]{{12}}:[A-Za-z0-9_-]{{1,256}}",
        form="the ARN of a standard topic, arn:aws:sns:REGION:ACCOUNT:NAME",
    ),
    "desktop": Key(
        "bool",
        "Show it on your machine, by notify-send or, on macOS, osascript, where there is one of them.",
        False,
    ),
}

SCHEMA: dict[str, Key] = {
    "description": Key("text", "One line that the list of profiles shows.", ""),
    "extends": Key(
        "text",
        "Name of the profile to start from; sections are merged, lists are replaced. Its own name means the one that "
        "this file hides.",
    ),
    "region": Key(
        "text",
        "AWS region.",
        shown="AWS_REGION, AWS_DEFAULT_REGION or the region of your AWS configuration; not asked for with "
        "capacity.regions",
        pattern=_REGION,
        form=_REGION_FORM,
    ),
    "experiment": Key(
        "text",
        "Name that ties together all that one launch makes; usually given as -e experiment=NAME.",
        shown="the profile's name",
        # Its key is ~/.ssh/experiments.spot/NAME, beside the configuration of ssh.
        pattern=rf"(?!config\Z){EXPERIMENT_PATTERN}",
        form=f"{EXPERIMENT_FORM}, and not config",
    ),
    "owner": Key(
        "text",
        "Your name in the tags.",
        "",
        shown="who the AWS credentials belong to",
        pattern=r"[\w .:/=+@-]{0,256}",
        form="at most 256 letters, digits, blanks and _.:/=+@-",
    ),
    "capacity": Key("section", "What to ask AWS for.", keys=CAPACITY),
    "recovery": Key("section", "What happens when AWS takes an instance.", keys=RECOVERY),
    "image": Key(
        "section",
        "Machine image of the instances; exactly one of id, ids, ssm_parameter and name.",
        keys=IMAGE,
        exclusive=("id", "ids", "ssm_parameter", "name"),
    ),
    "access": Key("section", "Who gets in, and how.", keys=ACCESS),
    "volumes": Key("items", "EBS volumes, which outlive the instances.", [], keys=VOLUME),
    "file_systems": Key(
        "items", "EFS file systems, which all instances share and which outlive them.", [], keys=FILE_SYSTEM
    ),
    "channels": Key("items", "Files that travel between your machine and the instances.", [], keys=CHANNEL),
    "results": Key(
        "section",
        "Checkpoints and results in a bucket: sent while the job runs, brought back to the next instance and to you.",
        optional=True,
        keys=RESULTS,
    ),
    "code": Key(
        "section",
        "Code that the instances get from git; a channel sends yours instead.",
        optional=True,
        keys=CODE,
    ),
    "runtime": Key("section", "What to set up on the instances.", keys=RUNTIME),
    "job": Key(
        "section",
        "What to run, in a container or not; a profile without it gives you instances only.",
        optional=True,
        keys=JOB,
    ),
    "notify": Key("section", "Whom your machine tells what happens, while a command runs.", keys=NOTIFY),
    "tags": Key(
        "map",
        "More tags for everything that is made.",
        {},
        # Source: EC2 user guide, "Tag restrictions"; 50 tags a resource, of which we use some ourselves.
        maximum=40,
        pattern=r"(?!aws:)(?!spot:)(?!Name$)[^\x00-\x1f]{1,128}",
        form="1 to 128 characters, not Name and not starting with aws: or spot:",
    ),
}

# Extra variables without a dot that are taken for a part of the profile. Others of the same names as keys, such as
# `description`, are more likely somebody else's.
PLAIN_OVERRIDES = (
    "region",
    "owner",
    *(name for name, key in SCHEMA.items() if key.kind in ("section", "items", "map")),
)


def walk(keys: Mapping[str, Key] | None = None, path: str = "") -> Iterator[tuple[str, Key]]:
    """Yield every key with its dotted path, `volumes[].size` for a key of a list's items."""
    for name, key in (SCHEMA if keys is None else keys).items():
        here = f"{path}{name}"
        yield here, key
        if key.keys:
            yield from walk(key.keys, f"{here}{'[]' if key.kind == 'items' else ''}.")
