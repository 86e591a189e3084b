# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules between keys: each a small function that looks at a checked profile and reports what does not go together."""

from __future__ import annotations

import fnmatch
import ipaddress
import posixpath
import re
import shlex
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ...module_utils._code.checkout import without_login
from ...module_utils._code.repository import Repository, knows_host, parse
from ...module_utils._ebs.attach import DEVICE_NAMES
from ...module_utils._job.matrix import LARGEST, size_of
from ...module_utils._results.plan import PlanError, names_of
from .problem import show
from .schema import IMAGE

if TYPE_CHECKING:
    from .validate import Checked

# Mounting over one of these hides the system, or the key that lets us in.
SYSTEM = ("/", "/home", "/var", "/var/lib", "/var/log", "/var/tmp", "/tmp", "/opt", "/srv", "/mnt", "/media")
SYSTEM_TREES = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
)
PRIVATE = (".ssh", ".docker", ".aws")
MAY_MOUNT = ("/opt", "/srv", "/mnt", "/media")

# type -> smallest and largest size in GiB. Source: EBS user guide, "Amazon EBS volume types".
SIZES = {
    "gp3": (1, 65_536),
    "gp2": (1, 16_384),
    "io1": (4, 16_384),
    "io2": (4, 65_536),
    "st1": (125, 16_384),
    "sc1": (125, 16_384),
    "standard": (1, 1_024),
}
# type -> smallest number of IOPS that may be given. Source: EC2 API CreateVolume, Iops.
IOPS = {"gp3": 3_000, "io1": 100, "io2": 100}
# Source: EBS user guide, "General Purpose SSD volumes": 500 IOPS a GiB, 0.25 MiB/s an IOPS.
GP3_IOPS_A_GIB = 500
GP3_IOPS_A_MIB = 4

# Sections whose entries have a mount point, in the order in which they are mounted.
MOUNTED = ("volumes", "file_systems")
# Source: EFS API LifecyclePolicy, TransitionToIA.
IA_DAYS = (1, 7, 14, 30, 60, 90, 180, 270, 365)

LOCATIONS = ("local_path", "remote_path")

# Arguments of docker run that the job's own keys, or the unit that owns the container, decide.
TAKEN_ARGS = {
    "--name": "the job's unit names the container",
    "--rm": "the job's unit removes the container",
    "-d": "the job's unit watches the container",
    "--detach": "the job's unit watches the container",
    "--restart": "the job's unit restarts the job",
    "-i": "a job has no terminal",
    "-t": "a job has no terminal",
    "-it": "a job has no terminal",
    "--env-file": "use job.env",
    "--gpus": "use job.gpus",
    "--network": "use job.network",
    "--net": "use job.network",
    "--shm-size": "use job.shm_size",
    "--user": "use job.user",
    "-u": "use job.user",
    "--workdir": "use job.workdir",
    "-w": "use job.workdir",
}


def image_source(checked: Checked) -> None:
    """Exactly one of image.id, image.ids, image.ssm_parameter and image.name."""
    image = checked.profile["image"]
    keys = ("id", "ids", "ssm_parameter", "name")
    if not all(checked.ok("image", key) for key in keys):
        return
    given = [key for key in keys if image[key]]
    if not given and checked.complete:
        todo = "give one of image.id, image.ids, image.ssm_parameter, image.name, or extend a profile that does"
        checked.report(("image",), "no machine image is given", todo)
    elif len(given) > 1:
        names = " and ".join(f"image.{key}" for key in given)
        checked.report(("image", given[-1]), f"{names} exclude each other", "keep one of them")


def image_ids(checked: Checked) -> None:
    """An image for each region, and each of them an image."""
    if not checked.ok("image", "ids"):
        return
    ids = checked.profile["image"]["ids"]
    for region, image in ids.items():
        if not re.fullmatch(IMAGE["id"].pattern, image):
            todo = f"allowed: {IMAGE['id'].form}"
            checked.report(("image", "ids", region), f"{show(image)} is not allowed", todo, image)
    if not ids or not checked.ok("region") or not checked.ok("capacity", "regions"):
        return
    for region in _regions(checked):
        if region not in ids:
            what = f"there is none for {region}"
            checked.report(("image", "ids"), what, f"add {region}: ami-…, or use image.ssm_parameter")


def image_owner(checked: Checked) -> None:
    """Anybody may publish an image of any name, so a search by name needs the publisher."""
    image = checked.profile["image"]
    if not (checked.ok("image", "owner") and checked.ok("image", "name")):
        return
    if image["name"] and not image["owner"]:
        what = "it is missing, and anybody may publish an image of that name"
        checked.report(("image", "owner"), what, "say who: self, amazon or an account number in quotes")
    elif image["owner"] and not image["name"]:
        checked.report(("image", "owner"), "it goes only with image.name", "remove it")


def region_form(checked: Checked) -> None:
    """Zones belong to the regions."""
    regions = _regions(checked)
    if not regions or not all(checked.ok(*path) for path in (("region",), ("capacity", "zones"))):
        return
    zones = checked.profile["capacity"]["zones"]
    for index, zone in enumerate(zones):
        if not any(in_region(zone, region) for region in regions):
            where = f"the region {regions[0]}" if len(regions) == 1 else f"one of {', '.join(regions)}"
            checked.report(("capacity", "zones", index), f'"{zone}" is not in {where}', f"use {regions[0]}a, …", zone)
    for region in regions if zones and len(regions) > 1 else []:
        if not any(in_region(zone, region) for zone in zones):
            what = f"none of them is in {region}, which capacity.regions names"
            checked.report(("capacity", "zones"), what, f"add {region}a, …, or take the region out")


def in_region(zone: str, region: str) -> bool:
    """Whether a zone is one of a region, by their names. Source: EC2 user guide, "Regions and Zones"."""
    return bool(re.fullmatch(re.escape(region) + r"(-[a-z]{3}-[0-9]{1,2})?[a-z]", zone))


def _regions(checked: Checked) -> list[str]:
    """The regions that may be used; empty when they are not known, or wrong."""
    if not checked.ok("capacity", "regions"):
        return []
    profile = checked.profile
    return profile["capacity"]["regions"] or ([profile["region"]] if profile["region"] else [])


def region_of_regions(checked: Checked) -> None:
    """The region is one of the regions, where both are given."""
    regions, region = checked.profile["capacity"]["regions"], checked.profile["region"]
    if regions and region not in regions and checked.ok("region") and checked.ok("capacity", "regions"):
        what = f"{region} is not one of capacity.regions ({', '.join(regions)})"
        checked.report(("region",), what, "add it there, or remove it here", region)


# What exists in one region only: path of the key -> what to do about it where several regions may be used. A `*` stands
# for each entry of a list. Source: EC2 user guide, "Resource locations"; image.id has a rule of its own to say more.
BOUND = {
    ("capacity", "subnet_ids"): "remove it for the default subnets",
    ("access", "security_group_ids"): "remove it, and one is made where it is needed",
    ("volumes", "*", "volume_id"): "remove it, and the volume is found by its name",
    ("volumes", "*", "snapshot_id"): "remove it",
    ("file_systems", "*"): "remove it",
    ("capacity", "iam_fleet_role"): "remove it",
}


def bound_to_region(checked: Checked) -> None:
    """What belongs to one region does not go with several."""
    if len(_regions(checked)) < 2:
        return
    image = checked.profile["image"]
    if image["id"] and checked.ok("image", "id"):
        example = ", ".join(f"{region}: ami-…" for region in _regions(checked))
        todo = f"name one for each under image.ids: {{{example}}}, or use image.ssm_parameter"
        checked.report(("image", "id"), "an image belongs to one region, and capacity.regions names several", todo)
    for pattern, todo in BOUND.items():
        for path in _given(checked.profile, pattern):
            what = "it belongs to one region, and capacity.regions names several"
            if checked.ok(*path):
                checked.report(path, what, f"{todo}, or name one region only")
    if checked.profile["recovery"]["mode"] == "self" and checked.ok("recovery", "mode"):
        what = "a fleet keeps its instance in one region, and capacity.regions names several"
        checked.report(("recovery", "mode"), what, "name one region only, or use mode controller")


def _given(data: Any, pattern: tuple[str, ...], path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of the values that are given and fit a pattern; a section need not be there."""
    if not pattern:
        if data:
            yield path
    elif pattern[0] == "*":
        for index, entry in enumerate(data or []):
            yield from _given(entry, pattern[1:], (*path, index))
    elif data:
        yield from _given(data.get(pattern[0]), pattern[1:], (*path, pattern[0]))


def max_price(checked: Checked) -> None:
    """A highest price is a Spot word."""
    capacity = checked.profile["capacity"]
    if capacity["max_price"] is not None and capacity["market"] == "on-demand" and checked.ok("capacity"):
        checked.report(("capacity", "max_price"), "it goes only with market spot", "remove it")


def on_demand(checked: Checked) -> None:
    """On-Demand beside Spot, and how much of it."""
    capacity = checked.profile["capacity"]
    if not all(checked.ok("capacity", key) for key in ("market", "on_demand", "on_demand_base", "count")):
        return
    mode, base, count = capacity["on_demand"], capacity["on_demand_base"], capacity["count"]
    if capacity["market"] == "on-demand":
        if mode != "never" or base:
            key = "on_demand" if mode != "never" else "on_demand_base"
            checked.report(("capacity", key), "with market on-demand all instances are On-Demand", "remove it")
    elif mode == "base" and not 0 < base <= count:
        what = f"with on_demand base it must be 1 to capacity.count ({count}), it is {base}"
        checked.report(("capacity", "on_demand_base"), what, "say how many are to be On-Demand")
    elif mode != "base" and base:
        checked.report(
            ("capacity", "on_demand_base"), "it goes only with on_demand base", "remove it, or set on_demand"
        )


def self_recovery(checked: Checked) -> None:
    """What instances that set themselves up need."""
    recovery, access = checked.profile["recovery"], checked.profile["access"]
    if not checked.complete or not all(checked.ok("recovery", key) for key in ("mode", "bucket")):
        return
    if recovery["mode"] != "self":
        if recovery["bucket"]:
            checked.report(("recovery", "bucket"), "it goes only with recovery.mode self", "remove it")
        return
    if not recovery["bucket"]:
        what = "it is missing, and with mode self instances set themselves up from there"
        checked.report(("recovery", "bucket"), what, "give a bucket of yours, s3://BUCKET/PREFIX")
    if not access["instance_profile"] and checked.ok("access", "instance_profile"):
        what = "it is missing, and with recovery.mode self instances attach their volumes themselves"
        checked.report(("access", "instance_profile"), what, "name a role with the policy of docs/self.md")
    if recovery["move_volumes"] and checked.ok("recovery", "move_volumes"):
        what = "with recovery.mode self no machine is there to move volumes"
        checked.report(("recovery", "move_volumes"), what, "remove it, or use recovery.mode controller")
    _self_capacity(checked)


def notify_from_here(checked: Checked) -> None:
    """News come from the controller, which recovery.mode self does without."""
    notify, recovery = checked.profile["notify"], checked.profile["recovery"]
    if not checked.complete or not checked.ok("recovery", "mode") or recovery["mode"] != "self":
        return
    for key in ("webhook", "topic", "desktop"):
        if checked.ok("notify", key) and notify[key]:
            what = "with recovery.mode self no machine of yours is there to tell anything"
            checked.report(("notify", key), what, "remove it; recovery.webhook is what an instance tells")


def _self_capacity(checked: Checked) -> None:
    """What a fleet that AWS keeps full does not do in this version."""
    capacity = checked.profile["capacity"]
    if checked.ok("capacity", "count") and capacity["count"] > 1:
        what = "recovery.mode self runs one instance in this version"
        checked.report(("capacity", "count"), what, "use 1, or recovery.mode controller")
    if checked.ok("capacity", "on_demand") and capacity["on_demand"] != "never":
        checked.report(("capacity", "on_demand"), "recovery.mode self does not use it", "remove it")
    if checked.ok("capacity", "iam_fleet_role") and capacity["iam_fleet_role"]:
        what = "it chooses Spot Fleet, and recovery.mode self uses EC2 Fleet"
        checked.report(("capacity", "iam_fleet_role"), what, "remove it")


def results_role(checked: Checked) -> None:
    """Only the role of the instances lets them write to a bucket."""
    if not checked.profile["results"] or not checked.complete or not checked.ok("results"):
        return
    if not checked.profile["access"]["instance_profile"] and checked.ok("access", "instance_profile"):
        what = "it is missing, and without a role the instances cannot write to the bucket of results"
        checked.report(("access", "instance_profile"), what, "name a role with the policy of docs/results.md")


def results_paths(checked: Checked) -> None:
    """Directories that can be told apart in the bucket, and none of the system's."""
    results, job = checked.profile["results"], checked.profile["job"]
    if not results or not checked.ok("results", "paths"):
        return
    if not results["paths"]:
        what = "it is missing, and there is no job whose state directory it could be"
        checked.report(("results", "paths"), what, "name the directories that hold results")
    for index, path in enumerate(results["paths"]):
        hides = _system(path, _home(checked), ())
        if hides:
            checked.report(("results", "paths", index), f"{path} {hides}", "use a directory of its own", path)
    try:
        names_of(results["paths"], job["state_dir"] if job else "")
    except PlanError as error:
        what, _sep, todo = str(error).partition("; ")
        checked.report(("results", "paths"), what, todo)


def spot_fleet(checked: Checked) -> None:
    """A Spot Fleet is asked for Spot capacity only."""
    capacity = checked.profile["capacity"]
    if not capacity["iam_fleet_role"] or not checked.ok("capacity"):
        return
    if capacity["market"] == "on-demand" or capacity["on_demand"] != "never":
        what = "it goes only with Spot capacity"
        checked.report(("capacity", "iam_fleet_role"), what, "remove it, or set market spot and on_demand never")


def ssh_cidr(checked: Checked) -> None:
    """IPv4 network, and not the whole Internet by accident."""
    access = checked.profile["access"]
    given = access["ssh_cidr"]
    path = ("access", "ssh_cidr")
    if given == "auto" or not checked.ok(*path):
        return
    try:
        access["ssh_cidr"] = cidr(given, access["allow_any_cidr"])
    except ValueError as error:
        what, _sep, todo = str(error).partition("; ")
        checked.report(path, what, todo, given)


def cidr(given: str, allow_any: bool = False) -> str:
    """An IPv4 network in its usual form; a bare address is one address.

    Raises:
        ValueError: "what is wrong; what to do".
    """
    todo = "allowed: auto or IPv4 such as 203.0.113.7/32"
    try:
        network = ipaddress.IPv4Network(given.strip(), strict=False)
    except ValueError:
        raise ValueError(f"{show(given)} is no IPv4 network; {todo}") from None
    if str(network.network_address) != given.strip().split("/", maxsplit=1)[0]:
        raise ValueError(f"{show(given)} is an address inside a network; did you mean {network}?")
    if network.prefixlen < 8 and not allow_any:
        todo = "use auto or your own network, or set access.allow_any_cidr to true if it is meant"
        raise ValueError(f"{show(given)} lets the whole Internet knock; {todo}")
    return str(network)


def key_pair(checked: Checked) -> None:
    """A key pair of AWS is of no use without its private half."""
    access = checked.profile["access"]
    if access["key_name"] and not access["private_key_file"] and checked.ok("access", "private_key_file"):
        what = "the private half of the key pair is not given"
        todo = "set access.private_key_file, or remove key_name to have a key made"
        checked.report(("access", "key_name"), what, todo)


def volume_names(checked: Checked) -> None:
    """Names of volumes differ, also from those that further instances get (data, data-1, …)."""
    count = checked.profile["capacity"]["count"]
    owners: dict[str, str] = {}
    for index, volume in _volumes(checked, "name"):
        name = volume["name"]
        if name in owners:
            what = f'the name "{name}" stands twice'
            if owners[name] != name:
                what = f'the name "{name}" is that of volume "{owners[name]}" on another instance'
            checked.report(("volumes", index, "name"), what, "choose another name", name)
        else:
            owners[name] = name
        for rank in range(1, min(count, 1_000)):
            owners.setdefault(f"{name}-{rank}", name)


def volume_twice(checked: Checked) -> None:
    """One volume, snapshot excluded, and one device name a volume."""
    for key in ("volume_id", "device"):
        seen: set[str] = set()
        for index, volume in _volumes(checked, key):
            if volume[key] in seen:
                checked.report(("volumes", index, key), f"{volume[key]} stands twice", "give each volume its own")
            seen.add(volume[key])


def volume_of_many(checked: Checked) -> None:
    """An existing volume is one; several instances need one each."""
    count = checked.profile["capacity"]["count"]
    for index, _volume in _volumes(checked, "volume_id"):
        if count > 1:
            what = f"one volume cannot be attached to the {count} instances of capacity.count"
            checked.report(
                ("volumes", index, "volume_id"), what, "remove volume_id: each instance gets a volume by name"
            )


def volume_origin(checked: Checked) -> None:
    """A volume that exists is not made from a snapshot."""
    for index, volume in _volumes(checked, "volume_id"):
        if volume["snapshot_id"]:
            what = "it goes only with a new volume, and volume_id names one that exists"
            checked.report(("volumes", index, "snapshot_id"), what, "keep one of them")


def volume_read_only(checked: Checked) -> None:
    """What is never written must be there before, and is mounted as it is."""
    for index, volume in _volumes(checked, "read_only", "options"):
        at = ("volumes", index)
        if not volume["read_only"]:
            continue
        given = _list(checked.document.data, "volumes")[index]
        if not (volume["volume_id"] or volume["snapshot_id"]):
            what = "a new volume could not be filled"
            checked.report((*at, "read_only"), what, "give volume_id or snapshot_id, or remove it")
        elif volume["snapshot_id"] and given.get("size"):
            checked.report((*at, "size"), "it has the size of its snapshot", "remove it", given["size"])
        if "rw" in (volume["options"] or "").split(","):
            checked.report((*at, "options"), "rw contradicts read_only", "remove one of them", volume["options"])
        for key in ("owner", "group", "mode"):
            if given.get(key):
                checked.report((*at, key), "nothing is changed on a read_only volume", "remove it", given[key])


def volume_partition(checked: Checked) -> None:
    """A new volume has no partitions."""
    for index, volume in _new_volumes(checked, "partition"):
        if not volume["snapshot_id"]:
            what = "a new volume has no partitions"
            checked.report(("volumes", index, "partition"), what, "remove it, or give volume_id or snapshot_id")


def volume_count(checked: Checked) -> None:
    """An instance takes so many. Source: EC2 user guide, "Amazon EBS volume limits"."""
    given, most = len(checked.profile["volumes"]), len(DEVICE_NAMES)
    if given > most:
        what = f"{given} volumes are too many for one instance"
        checked.report(("volumes",), what, f"most types take {most} besides the system disk; use fewer, larger ones")


def job_writes(checked: Checked) -> None:
    """Nothing of a job lies on a volume that is never written."""
    job = checked.profile["job"]
    if not job or not checked.ok("job", "state_dir"):
        return
    for _index, volume in _volumes(checked, "read_only", "mount_point"):
        if volume["read_only"] and _within(job["state_dir"], volume["mount_point"]):
            what = f"{job['state_dir']} lies on the volume {volume['name']}, which is read_only"
            checked.report(("job", "state_dir"), what, "use a directory that can be written")


def volume_size(checked: Checked) -> None:
    """Sizes that the type of a new volume can have."""
    for index, volume in _new_volumes(checked, "type", "size"):
        low, high = SIZES[volume["type"]]
        if not low <= volume["size"] <= high:
            what = f"{volume['size']} GiB is out of range for {volume['type']}"
            checked.report(("volumes", index, "size"), what, f"allowed: {low:,} to {high:,} GiB", volume["size"])


def volume_iops(checked: Checked) -> None:
    """IOPS and throughput only where the type has them."""
    for index, volume in _new_volumes(checked, "type", "iops"):
        kind, iops = volume["type"], volume["iops"]
        at = ("volumes", index, "iops")
        if iops is None and kind in ("io1", "io2"):
            checked.report(at, f"it is missing, and {kind} needs it", "set it, or use type gp3")
        elif iops is not None and kind not in IOPS:
            checked.report(at, f"it goes only with gp3, io1 and io2, not {kind}", "remove it, or use type gp3", iops)
        elif iops is not None and iops < IOPS[kind]:
            checked.report(at, f"{iops} is less than {kind} has", f"allowed: at least {IOPS[kind]}", iops)
        elif iops is not None and kind == "gp3" and iops > max(3_000, GP3_IOPS_A_GIB * volume["size"]):
            todo = f"allowed: {GP3_IOPS_A_GIB} a GiB, so at most {max(3_000, GP3_IOPS_A_GIB * volume['size'])}"
            checked.report(at, f"{iops} is too much for {volume['size']} GiB of gp3", todo, iops)


def volume_throughput(checked: Checked) -> None:
    """Throughput is a gp3 word, and needs IOPS."""
    for index, volume in _new_volumes(checked, "type", "iops", "throughput"):
        given = volume["throughput"]
        at = ("volumes", index, "throughput")
        if given is None:
            continue
        if volume["type"] != "gp3":
            checked.report(at, f"it goes only with gp3, not {volume['type']}", "remove it, or use type gp3", given)
        elif given * GP3_IOPS_A_MIB > (volume["iops"] or 3_000):
            what = f"{given} MiB/second needs {given * GP3_IOPS_A_MIB} IOPS"
            checked.report(at, what, f"set iops to {given * GP3_IOPS_A_MIB} or more", given)


def mount_points(checked: Checked) -> None:
    """Mount points differ, leave the system alone, and parents come first."""
    seen: list[str] = []
    home = _home(checked)
    for at, path in _mounted(checked):
        hides = _system(path, home, MAY_MOUNT)
        if hides:
            checked.report(at, f"{path} {hides}", "use a directory of its own, such as /data", path)
        elif path in seen:
            checked.report(at, f"{path} stands twice", f"give each {_noun(at)} its own mount point", path)
        else:
            inner = next((other for other in seen if other.startswith(f"{path}/")), None)
            if inner:
                checked.report(at, f"{path} would hide {inner}", _outer_first(at, path, inner), path)
        seen.append(path)


def _mounted(checked: Checked) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Where mount points stand and what they are, in the order in which they are mounted."""
    for section in MOUNTED:
        for index, one in _entries(checked, section, ("mount_point",)):
            yield (section, index, "mount_point"), one["mount_point"]


def _noun(at: tuple[Any, ...]) -> str:
    return {"volumes": "volume", "file_systems": "file system"}[at[0]]


def _outer_first(at: tuple[Any, ...], path: str, inner: str) -> str:
    """Volumes are mounted before file systems, so that no volume depends on the network."""
    if at[0] == "volumes":
        return f"list the volume of {path} before that of {inner}"
    return f"volumes are mounted first: mount this one beside or below {inner}; of file systems, list {path} first"


def raw_mount_points(checked: Checked) -> None:
    """No .. in a mount point."""
    for section in MOUNTED:
        for index, one in enumerate(_list(checked.document.data, section)):
            given = one.get("mount_point") if isinstance(one, dict) else None
            if isinstance(given, str) and ".." in given.split("/") and checked.ok(section, index, "mount_point"):
                checked.report(
                    (section, index, "mount_point"), f'"{given}" contains ..', "write the path itself", given
                )


def file_system_names(checked: Checked) -> None:
    """A name means one file system, which may be mounted at several places; an id too."""
    ids: dict[str, Any] = {}
    for index, one in _entries(checked, "file_systems", ("name", "file_system_id")):
        ids[one["name"]] = ids.get(one["name"], one["file_system_id"])
        if ids[one["name"]] != one["file_system_id"]:
            at = ("file_systems", index, "file_system_id")
            what = f'the name "{one["name"]}" means {ids[one["name"]]} above'
            checked.report(at, what, "choose another name", one["file_system_id"])


def file_system_throughput(checked: Checked) -> None:
    """Source: EFS API CreateFileSystem, ProvisionedThroughputInMibps; EFS user guide, "Performance modes"."""
    for index, one in _entries(checked, "file_systems", ("throughput_mode", "provisioned_throughput")):
        at = ("file_systems", index, "provisioned_throughput")
        provisioned, given = one["throughput_mode"] == "provisioned", one["provisioned_throughput"]
        if provisioned and given is None:
            checked.report(at, "it is missing, and throughput_mode provisioned needs it", "set it, or use elastic")
        elif given is not None and not provisioned:
            what = f"it goes only with throughput_mode provisioned, not {one['throughput_mode']}"
            checked.report(at, what, "remove it", given)
        if one["throughput_mode"] == "elastic" and one["performance_mode"] == "maxIO":
            what = "maxIO does not go with elastic throughput"
            checked.report(("file_systems", index, "performance_mode"), what, "remove it, or use bursting")


def file_system_access(checked: Checked) -> None:
    """One access point, encrypted on the way. Source: efs-utils, README, "accesspoint requires tls"."""
    for index, one in _entries(checked, "file_systems", ("name",)):
        point = one["access_point"] or one["access_point_id"]
        if one["access_point"] and one["access_point_id"]:
            at = ("file_systems", index, "access_point_id")
            checked.report(at, "access_point and access_point_id exclude each other", "keep one of them")
        if point and one["transit_encryption"] == "none":
            at = ("file_systems", index, "transit_encryption")
            checked.report(at, "an access point is mounted only with encryption on the way", "remove it")
        if point and one["path"] != "/":
            at = ("file_systems", index, "path")
            checked.report(
                at, "an access point has a root of its own", "remove it, access_point.path says it", one["path"]
            )


def file_system_key(checked: Checked) -> None:
    """A key encrypts; and days are those that EFS knows."""
    for index, one in _entries(checked, "file_systems", ("name",)):
        if one["kms_key_id"] and not one["encrypted"]:
            checked.report(("file_systems", index, "kms_key_id"), "it goes only with encrypted true", "remove it")
        days = one["transition_to_ia"]
        if days is not None and days not in IA_DAYS and checked.ok("file_systems", index, "transition_to_ia"):
            todo = f"allowed: {', '.join(map(str, IA_DAYS))} days"
            checked.report(("file_systems", index, "transition_to_ia"), f"{days} days are not offered", todo, days)


def shared_ledger(checked: Checked) -> None:
    """Several instances must not write one ledger: a file system is the same directory on all of them."""
    job, count = checked.profile["job"], checked.profile["capacity"]["count"]
    if not job or count == 1 or not checked.ok("job", "state_dir"):
        return
    places = [path for at, path in _mounted(checked) if at[0] == "file_systems"]
    if any(_within(job["state_dir"], path) for path in places):
        what = f"the {count} instances of capacity.count would write one ledger in {job['state_dir']}"
        checked.report(("job", "state_dir"), what, "use a volume, which each instance has of its own")


def channel_targets(checked: Checked) -> None:
    """What is written to, and what `delete` would empty, is no system or home directory."""
    home, setting = _home(checked), checked.setting
    for index, channel in _channels(checked, "remote_path"):
        hides = _system(posixpath.normpath(channel["remote_path"]), home, (home, *MAY_MOUNT))
        if channel["direction"] == "out" and hides:
            at = ("channels", index, "remote_path")
            checked.report(at, f"{channel['remote_path']} {hides}", f"send to a directory under {home}/ or a volume")
    for index, channel in _channels(checked, "delete"):
        local, remote = channel["local_path"], channel["remote_path"]
        risky = (
            (remote, (home, *MAY_MOUNT)) if channel["direction"] == "out" else (local, (setting.home, setting.cwd, "/"))
        )
        if channel["delete"] and risky[0] and posixpath.normpath(risky[0]) in {path for path in risky[1] if path}:
            what = f"it would empty {risky[0]}"
            checked.report(("channels", index, "delete"), what, "use a directory of the channel's own")


def channel_twice(checked: Checked) -> None:
    """Two channels of one direction do not delete what the other one brings."""
    seen: list[tuple[dict[str, Any], str]] = []
    for index, channel in _channels(checked, "direction", "remote_path", "local_path"):
        side = "remote_path" if channel["direction"] == "out" else "local_path"
        target = posixpath.normpath(channel[side])
        for other, place in seen:
            same = other["direction"] == channel["direction"] and _share_hosts(channel, other)
            emptied = (channel["delete"] and _within(place, target)) or (other["delete"] and _within(target, place))
            if same and emptied:
                what = f"another channel writes to {place}, and one of them deletes"
                checked.report(("channels", index, side), what, "give each channel its own directory, or remove delete")
                break
        seen.append((channel, target))


def channel_circle(checked: Checked) -> None:
    """No two channels write into each other: what one brings would be what the other one takes back."""
    sent = [(i, c) for i, c in _channels(checked, "direction", "remote_path", "local_path") if c["direction"] == "out"]
    for index, back in _channels(checked, "direction", "remote_path", "local_path"):
        if back["direction"] == "out":
            continue
        for number, out in sent:
            both = (_overlap(out["local_path"], back["local_path"]), _overlap(out["remote_path"], back["remote_path"]))
            if all(both) and _share_hosts(out, back) and not _kept_apart(out, back):
                what = f"it brings back what channels[{number}] sends, to where that takes it from"
                todo = "give the two different directories, or let the outer one exclude the inner one"
                checked.report(("channels", index, "local_path"), what, todo)


def channel_names(checked: Checked) -> None:
    """A name belongs to one channel."""
    seen: dict[str, int] = {}
    for index, channel in _channels(checked, "name"):
        first = seen.setdefault(channel["name"], index)
        if first != index:
            what = f"channels[{first}] has the same name"
            checked.report(("channels", index, "name"), what, "give each channel a name of its own", channel["name"])


def channel_fits(checked: Checked) -> None:
    """What a channel says goes with its direction and with the number of instances."""
    for index, channel in _channels(checked, "direction", "on"):
        never = {"out": "end", "in": "launch"}[channel["direction"]]
        if channel["on"] == [never]:
            what = f"a channel with direction {channel['direction']} has nothing to do at the {never}"
            checked.report(("channels", index, "on"), what, "use launch for out, end for in, or continuous")
    for index, channel in _channels(checked, "owner", "direction"):
        if channel["direction"] == "in":
            what = "what comes in belongs to you"
            checked.report(("channels", index, "owner"), what, "remove it; it is for direction out")
    count = checked.profile["capacity"]["count"]
    for index, channel in _channels(checked, "hosts"):
        words = channel["hosts"]
        if len(words) > 1 and {"all", "first"} & set(words):
            checked.report(
                ("channels", index, "hosts"), f"{', '.join(words)}: too many", "one word, or a list of ranks"
            )
        beyond = [word for word in words if word.isdigit() and int(word) >= count]
        if beyond and checked.ok("capacity", "count"):
            what = f"there is no rank {beyond[0]}; capacity.count is {count}"
            checked.report(("channels", index, "hosts"), what, f"allowed: 0 to {count - 1}")


def _overlap(one: str, other: str) -> bool:
    first, second = posixpath.normpath(one), posixpath.normpath(other)
    return _within(first, second) or _within(second, first)


def _kept_apart(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the channel with the outer directory leaves out the inner one, on either side."""
    pairs = ((outer, inner, side) for outer, inner in ((one, other), (other, one)) for side in LOCATIONS)
    return any(_excludes(outer, posixpath.relpath(inner[side], outer[side])) for outer, inner, side in pairs)


def _excludes(channel: dict[str, Any], inside: str) -> bool:
    """Whether the patterns leave out a path below the source, or a directory around it.

    Source: rsync(1), "Pattern matching rules": a pattern with a slash in front or inside is compared from the source
    on, the others with each name. A source without a slash at its end adds its own name to the path.
    """
    parts = inside.split("/")
    if parts[0] in (".", ".."):
        return False
    source = channel["local_path" if channel["direction"] == "out" else "remote_path"]
    top = "" if source.endswith("/") else posixpath.basename(source) + "/"
    around = [top + "/".join(parts[: length + 1]) for length in range(len(parts))]
    patterns = [pattern.rstrip("/") for pattern in channel["exclude"]]
    return any(
        any(fnmatch.fnmatchcase(one, pattern.lstrip("/")) for one in (around if "/" in pattern else parts))
        for pattern in patterns
    )


def _share_hosts(one: dict[str, Any], other: dict[str, Any]) -> bool:
    ranks = [{"0" if word == "first" else word for word in channel["hosts"]} for channel in (one, other)]
    return "all" in ranks[0] | ranks[1] or bool(ranks[0] & ranks[1])


def code_address(checked: Checked) -> None:
    """An address that is one, without a password in it, and a server whose host key is known."""
    found = _repository(checked)
    at = ("code", "repository")
    if found is None:
        code = checked.profile["code"]
        if code and code["repository"] and checked.ok(*at):
            todo = "use https://HOST/PATH, git@HOST:PATH or codecommit::REGION://NAME"
            checked.report(at, f"{show(without_login(code['repository']))} is no address of a repository", todo)
    elif found.password:
        checked.report(at, "a password stands in the address", "remove it, and give it as code.token")
    elif found.kind == "codecommit" and not (found.region or checked.profile["region"]):
        checked.report(at, "it names no region", f"use codecommit::REGION://{found.name}")
    elif found.kind == "ssh":
        _code_host_key(checked, found)


def _code_host_key(checked: Checked, found: Repository) -> None:
    at = ("code", "known_hosts")
    if checked.ok(*at) and not knows_host(found, checked.profile["code"]["known_hosts"]):
        what = f"no host key of {found.known_host} is given, and a server is trusted only by its host key"
        todo = f"compare what ssh-keyscan {found.host} prints with what its operator publishes, and put it here"
        checked.report(at, what, todo)


def _repository(checked: Checked) -> Repository | None:
    """The repository of the code, None where there is none or its address is wrong."""
    code = checked.profile["code"]
    return parse(code["repository"] or "") if code and checked.ok("code", "repository") else None


def code_login(checked: Checked) -> None:
    """A key goes with SSH, a token with HTTPS."""
    code, found = checked.profile["code"], _repository(checked)
    if found is None:
        return
    if code["deploy_key"] and found.kind != "ssh" and checked.ok("code", "deploy_key"):
        todo = f"use git@{found.host}:{found.path}.git, or code.token" if found.kind == "https" else "remove it"
        checked.report(("code", "deploy_key"), f"a key is of no use with {found.kind}", todo)
    if not code["token"] or not checked.ok("code", "token") or found.kind == "https":
        return
    what, todo = {
        "ssh": ("a token is of no use with ssh", "use code.deploy_key, or an https address"),
        "codecommit": ("CodeCommit opens by the role of the instance", "remove it"),
    }.get(found.kind, (f"{found.kind} would send it in the clear", "use an https address"))
    checked.report(("code", "token"), what, todo)


def code_role(checked: Checked) -> None:
    """CodeCommit is opened by a role."""
    access, found = checked.profile["access"], _repository(checked)
    if found is None or found.kind != "codecommit" or not checked.complete:
        return
    if not access["instance_profile"] and checked.ok("access", "instance_profile"):
        what = "it is missing, and without a role the instances cannot read from CodeCommit"
        checked.report(("access", "instance_profile"), what, "name a role that allows codecommit:GitPull")


def code_path(checked: Checked) -> None:
    """A directory of its own: no channel writes into it, and no state of the job lies there."""
    code, job = checked.profile["code"], checked.profile["job"]
    at = ("code", "path")
    if not code or not checked.ok(*at) or not checked.ok("code", "repository"):
        return
    path = code["path"]
    hides = _system(path, _home(checked), ())
    if hides:
        checked.report(at, f"{path} {hides}", "use a directory of its own, such as ~/code", path)
    elif any(path == mounted for _at, mounted in _mounted(checked)):
        checked.report(at, f"{path} is a mount point", f"use a directory in it, such as {path}/code", path)
    elif job and checked.ok("job", "state_dir") and _within(job["state_dir"], path):
        what = f"job.state_dir ({job['state_dir']}) lies in it"
        checked.report(at, what, "give the two different directories", path)
    for index, channel in _channels(checked, "remote_path"):
        target = posixpath.normpath(channel["remote_path"])
        if channel["direction"] == "out" and (_within(target, path) or (channel["delete"] and _within(path, target))):
            todo = f"send it elsewhere; {path} is what git keeps (code.path)"
            checked.report(("channels", index, "remote_path"), f"it would write over the code in {path}", todo)


# Keys of a job that only a container has -> what to do without one.
CONTAINER_KEYS = {
    "mounts": "remove it; the job sees the whole instance",
    "shm_size": "remove it; the job has the shared memory of the instance",
    "extra_args": "remove it",
}


def job_runs(checked: Checked) -> None:
    """What a job runs: a command, or scripts, which a container does not take."""
    job = checked.profile["job"]
    if not job or not all(checked.ok("job", key) for key in ("image", "command", "scripts")):
        return
    if job["command"] is not None and job["scripts"]:
        checked.report(("job", "scripts"), "command and scripts exclude each other", "keep one of them")
    elif job["image"] and job["scripts"]:
        todo = "use command, or remove job.image to run them on the instance"
        checked.report(("job", "scripts"), "scripts run without a container", todo)
    elif job["image"] and job["command"] is None and checked.complete:
        checked.report(("job", "command"), "it is missing", "say what to run; [] runs the image's own command")
    elif not job["image"] and not job["command"] and not job["scripts"] and checked.complete:
        todo = "give command or scripts, and image to run the command in a container"
        checked.report(("job",), "it says nothing to run", todo)
    for number, script in enumerate(job["scripts"]):
        if not words(script):
            what = "its quotes do not match"
            checked.report(("job", "scripts", number), what, "write it as you would type it", script)


def words(text: str) -> list[str]:
    """A command line as words, [] when its quotes do not match."""
    try:
        return shlex.split(text)
    except ValueError:
        return []


def job_native(checked: Checked) -> None:
    """Without a container there is nothing that a container has."""
    job = checked.profile["job"]
    if not job or not checked.ok("job", "image"):
        return
    if job["image"]:
        if job["workdir"] and job["workdir"].startswith("~/") and checked.ok("job", "workdir"):
            what = "there is no ~ in a container"
            checked.report(("job", "workdir"), what, "use an absolute path", job["workdir"])
        return
    for key, todo in CONTAINER_KEYS.items():
        if job[key] and checked.ok("job", key):
            checked.report(("job", key), "it goes only with job.image", todo)


def python_env(checked: Checked) -> None:
    """Python environments are for jobs on the instance, and a requirements file is somewhere."""
    runtime, job = checked.profile["runtime"], checked.profile["job"]
    keys = ("python_virtual_env", "extra_python_packages", "python_requirements")
    if not all(checked.ok("runtime", key) for key in keys):
        return
    given = [key for key in keys if runtime[key]]
    if given and job and job["image"] and checked.ok("job", "image"):
        what = "a job in a container does not see it"
        checked.report(("runtime", given[-1]), what, "put it into job.image, or remove job.image")
    file, env = runtime["python_requirements"], runtime["python_virtual_env"]
    if file and not file.startswith("/"):
        what = f"{file} is relative, and there is no code that it could lie in"
        checked.report(("runtime", "python_requirements"), what, "give an absolute path, or the section code")
    hides = _system(env, _home(checked), ()) if env and env.startswith("/") else ""
    if hides and not env.startswith("/opt/"):
        checked.report(("runtime", "python_virtual_env"), f"{env} {hides}", "use a directory of its own", env)


def runtime_fits(checked: Checked) -> None:
    """A job in a container needs docker, and asks for GPUs only where they are set up."""
    job, runtime = checked.profile["job"], checked.profile["runtime"]
    if not job:
        return
    if not runtime["docker"] and job["image"]:
        what = "job.image runs in a container"
        checked.report(("runtime", "docker"), what, "set it to true, or remove job.image")
    pair = (runtime["gpu"], job["gpus"])
    if pair in (("none", "all"), ("required", "none")):
        what = f"gpus {job['gpus']} does not go with runtime.gpu {runtime['gpu']}"
        checked.report(("job", "gpus"), what, "use auto for both")


# Source: Amazon ECR user guide, "Private registry authentication".
ECR = re.compile(r"[0-9]{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/.+")


def job_registry(checked: Checked) -> None:
    """A login has two parts and an image to pull; ECR lets in a role."""
    job, access = checked.profile["job"], checked.profile["access"]
    if not job or not all(checked.ok("job", key) for key in ("image", "registry_username", "registry_password")):
        return
    pair = ("registry_username", "registry_password")
    for key, other in (pair, pair[::-1]):
        if job[key] and not job[other]:
            checked.report(("job", other), f"it is missing, and job.{key} is given", "give both, or none")
    if any(job[key] for key in pair) and not job["image"]:
        checked.report(("job", pair[0]), "a job without image pulls nothing", "remove it, and job.registry_password")
    pulled = not job["build"] and not job["archive"] and ECR.fullmatch(job["image"] or "")
    if not checked.complete or not pulled or job["registry_username"]:
        return
    if not access["instance_profile"] and checked.ok("access", "instance_profile"):
        what = "it is missing, and without a role the instances cannot pull from Amazon ECR"
        checked.report(("access", "instance_profile"), what, "name a role with the permissions of docs/code.md")


def job_image(checked: Checked) -> None:
    """An image is pulled, or built, or loaded; what is loaded has a name, and what is built lies somewhere."""
    job = checked.profile["job"]
    if not job or not all(checked.ok("job", key) for key in ("image", "build", "archive")):
        return
    if job["build"] and job["archive"]:
        checked.report(("job", "archive"), "job.build is given too", "keep one of them")
    elif job["archive"] and not job["image"]:
        todo = "name the image that the archive has, as docker images shows it"
        checked.report(("job", "image"), "it is missing, and job.archive is given", todo)
    elif job["build"] and not job["build"]["context"] and checked.complete:
        todo = "name a directory of the instance, or give the section code"
        checked.report(("job", "build", "context"), "it is missing, and there is no code to build from", todo)


def job_env(checked: Checked) -> None:
    """Names that the runner sets itself."""
    job = checked.profile["job"]
    for name in job["env"] if job else ():
        if name.startswith("SPOT_") and checked.ok("job", "env"):
            checked.report(
                ("job", "env", name), "names that start with SPOT_ are set for the job", "choose another name"
            )


def job_secrets(checked: Checked) -> None:
    """Secrets are values of the environment that go another way."""
    job = checked.profile["job"]
    if not job or not checked.ok("job", "env") or not checked.ok("job", "secrets"):
        return
    for index, name in enumerate(job["secrets"]):
        if name not in job["env"]:
            what = f"{name} is not in job.env"
            checked.report(("job", "secrets", index), what, f"give its value there, job.env.{name}", name)


def job_matrix(checked: Checked) -> None:
    """Names that nothing else sets, not too many combinations, and one at least for each instance."""
    job, count = checked.profile["job"], checked.profile["capacity"]["count"]
    if not job or not job["matrix"] or not checked.ok("job", "matrix"):
        return
    for name in job["matrix"]:
        if name.startswith("SPOT_"):
            what = "names that start with SPOT_ are set for the job"
            checked.report(("job", "matrix", name), what, "choose another name")
        elif name in job["env"] and checked.ok("job", "env"):
            checked.report(("job", "matrix", name), "it stands in job.env too", "keep it in one of them")
    size = size_of(job["matrix"])
    if size > LARGEST:
        todo = f"allowed: at most {LARGEST}; take shorter lists, or several experiments"
        checked.report(("job", "matrix"), f"its lists make {size} combinations", todo)
    elif size < count and checked.ok("capacity", "count"):
        what = f"{count} instances share {size} combination{'' if size == 1 else 's'}, so some would have nothing to do"
        checked.report(("capacity", "count"), what, f"use at most {size}")


def job_mounts(checked: Checked) -> None:
    """Each container path once, and none on the state directory."""
    job = checked.profile["job"]
    seen: set[str] = set()
    if not job or not checked.ok("job", "mounts"):
        return
    for index, mount in enumerate(job["mounts"]):
        inside = posixpath.normpath(mount.split(":")[1])
        at = ("job", "mounts", index)
        if inside in seen:
            checked.report(at, f"{inside} in the container stands twice", "keep one of them", mount)
        elif inside == "/":
            checked.report(at, "it would replace the whole image", "mount on a directory of its own", mount)
        elif inside == job["state_dir"]:
            checked.report(at, "the state directory is mounted already, at the same path", "remove it", mount)
        seen.add(inside)


def job_state(checked: Checked) -> None:
    """The state directory is a directory of its own."""
    job = checked.profile["job"]
    given = checked.document.data.get("job")
    if not job or not checked.ok("job", "state_dir") or not isinstance(given, dict) or not given.get("state_dir"):
        return
    hides = _system(job["state_dir"], _home(checked), ())
    if hides:
        checked.report(("job", "state_dir"), f"{job['state_dir']} {hides}", "use a directory of its own")


def job_arguments(checked: Checked) -> None:
    """Arguments of docker run that other keys decide."""
    job = checked.profile["job"]
    if not job or not checked.ok("job", "extra_args"):
        return
    for index, argument in enumerate(job["extra_args"]):
        reason = TAKEN_ARGS.get(argument.split("=", maxsplit=1)[0])
        if reason:
            checked.report(("job", "extra_args", index), f"{argument} is not for you to give", reason, argument)


def tag_values(checked: Checked) -> None:
    """Values of tags are at most 256 characters (EC2 user guide, "Tag restrictions")."""
    for name, value in checked.profile["tags"].items():
        if len(value) > 256:
            checked.report(("tags", name), f"{len(value)} characters", "allowed: at most 256", value)


RULES: tuple[Callable[[Checked], None], ...] = (
    image_source,
    image_ids,
    image_owner,
    region_of_regions,
    region_form,
    bound_to_region,
    max_price,
    on_demand,
    spot_fleet,
    self_recovery,
    notify_from_here,
    results_role,
    results_paths,
    ssh_cidr,
    key_pair,
    volume_names,
    volume_twice,
    volume_of_many,
    volume_origin,
    volume_read_only,
    volume_partition,
    volume_count,
    volume_size,
    volume_iops,
    volume_throughput,
    raw_mount_points,
    mount_points,
    file_system_names,
    file_system_throughput,
    file_system_access,
    file_system_key,
    shared_ledger,
    channel_targets,
    channel_twice,
    channel_circle,
    channel_names,
    channel_fits,
    code_address,
    code_login,
    code_role,
    code_path,
    python_env,
    runtime_fits,
    job_runs,
    job_native,
    job_registry,
    job_image,
    job_env,
    job_secrets,
    job_matrix,
    job_mounts,
    job_state,
    job_writes,
    job_arguments,
    tag_values,
)


def _volumes(checked: Checked, *keys: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Volumes whose keys are right and, for the first key, given."""
    yield from _entries(checked, "volumes", keys)


def _new_volumes(checked: Checked, *keys: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, volume in _entries(checked, "volumes", keys):
        if not volume["volume_id"]:
            yield index, volume


def _channels(checked: Checked, *keys: str) -> Iterator[tuple[int, dict[str, Any]]]:
    yield from _entries(checked, "channels", keys)


def _entries(checked: Checked, section: str, keys: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, entry in enumerate(checked.profile[section]):
        if entry and entry[keys[0]] is not None and all(checked.ok(section, index, key) for key in keys):
            yield index, entry


def _home(checked: Checked) -> str:
    user = checked.profile["access"]["remote_user"]
    return "/root" if user == "root" else f"/home/{user}"


def _system(path: str, home: str, except_for: tuple[str, ...]) -> str:
    """Why a path of the instance is not for use, "" when it is."""
    if path in except_for:
        return ""
    if path == home:
        return "is the home directory of the user who logs in"
    if any(_within(path, f"{home}/{private}") for private in PRIVATE):
        return "holds the keys of the user who logs in"
    if path in SYSTEM or any(_within(path, tree) for tree in SYSTEM_TREES if not _within(path, home)):
        return "belongs to the system"
    return ""


def _within(path: str, tree: str) -> bool:
    return path == tree or path.startswith(f"{tree}/")


def _list(data: Any, key: str) -> list[Any]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []
