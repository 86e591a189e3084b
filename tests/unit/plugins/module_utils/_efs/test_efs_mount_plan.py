"""How a file system is mounted: options, client, fstab, steps, words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._ebs import fstab
from ansible_collections.experiments.spot.plugins.module_utils._ebs.probe import Mount
from ansible_collections.experiments.spot.plugins.module_utils._efs import mount
from ansible_collections.experiments.spot.plugins.module_utils._efs.mount import Machine, Wanted

DNS = "fs-0123456789abcdef0.efs.us-east-1.amazonaws.com"
WANTED = Wanted(
    "team",
    "/mnt/team",
    file_system_id="fs-0123456789abcdef0",
    dns_name=DNS,
    address="172.31.0.9",
    uid=1000,
    gid=1000,
    mode=0o755,
)
NAMES = Machine(resolves=True)
HELPER = Machine(helper=True, resolves=True)


def mounted(machine: Machine, plan: mount.Plan, **more: object) -> Machine:
    """The machine after the plan."""
    there = Mount("/mnt/team", "0:1", "anything", "nfs4", "rw")
    known = {"uid": 1000, "gid": 1000, "mode": 0o755, **more}
    return replace(machine, mounted=there, exists=True, fstab=plan.fstab_text, **known)


def test_the_recommended_options_are_written() -> None:
    """EFS user guide, "Recommended NFS mount settings"; nothing that AWS does not support (nconnect)."""
    line = mount.entry(WANTED, NAMES)
    assert line.spec == f"{DNS}:/"
    assert line.fs_type == "nfs4"
    assert line.options == (
        "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport,_netdev,nofail,"
        "x-spot.file-system=team"
    )
    assert fstab.render(line).endswith(" 0 0")


def test_the_address_stands_in_for_a_name_that_leads_nowhere() -> None:
    assert mount.entry(WANTED, Machine()).spec == "172.31.0.9:/"
    helper = mount.entry(WANTED, Machine(helper=True))
    assert helper.options.startswith("tls,mounttargetip=172.31.0.9,_netdev,nofail")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("rsize=65536", "rsize=65536"),
        ("soft", "soft"),
        ("vers=4.2", "vers=4.2"),
        ("noatime", "noatime"),
    ],
)
def test_options_of_the_user_win(given: str, expected: str) -> None:
    options = mount.entry(replace(WANTED, options=given), NAMES).options.split(",")
    assert expected in options
    assert not {"soft": {"hard"}, "vers=4.2": {"nfsvers=4.1"}, "rsize=65536": {"rsize=1048576"}}.get(
        given, set()
    ) & set(options)
    assert "nofail" in options


def test_read_only_touches_no_owner() -> None:
    plan = mount.plan_mounted(replace(WANTED, read_only=True), NAMES)
    assert "ro" in plan.entry.options.split(",")  # type: ignore[union-attr]
    assert "owner" not in plan.steps


def test_tls_where_the_helper_is() -> None:
    line = mount.entry(WANTED, HELPER)
    assert (line.spec, line.fs_type) == ("fs-0123456789abcdef0:/", "efs")
    assert line.options == "tls,_netdev,nofail,x-spot.file-system=team"
    assert mount.entry(replace(WANTED, transit_encryption="none"), HELPER).fs_type == "nfs4"
    point = replace(WANTED, access_point_id="fsap-1")
    assert mount.entry(point, HELPER).options.startswith("tls,accesspoint=fsap-1,")


@pytest.mark.parametrize(
    ("wanted", "machine", "words"),
    [
        (replace(WANTED, transit_encryption="required"), NAMES, "transit_encryption required needs amazon-efs-utils"),
        (replace(WANTED, access_point_id="fsap-1"), NAMES, "an access point needs amazon-efs-utils"),
        (replace(WANTED, access_point_id="fsap-1", transit_encryption="none"), HELPER, "only with encryption"),
        (WANTED, Machine(nfs=False, resolves=True), "install nfs-common"),
        (replace(WANTED, address=""), Machine(), "has no mount target in this zone"),
        (replace(WANTED, mount_point="/etc"), NAMES, "hide a directory that the system needs"),
        (WANTED, replace(NAMES, mounted=Mount("/mnt/team", "8:1", "/dev/x", "ext4", "rw")), "in use by /dev/x (ext4)"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_done(wanted: Wanted, machine: Machine, words: str) -> None:
    plan = mount.plan_mounted(wanted, machine)
    assert words in "; ".join(plan.errors)
    assert plan.steps == []


def test_first_time_second_time_and_after_a_change() -> None:
    first = mount.plan_mounted(WANTED, NAMES)
    assert first.steps == ["mkdir", "reach", "mount", "fstab", "owner"]
    then = mounted(NAMES, first)
    assert mount.plan_mounted(WANTED, then).steps == []
    assert mount.plan_mounted(WANTED, replace(then, mode=0o700)).steps == ["owner"]
    changed = mount.plan_mounted(replace(WANTED, options="noatime"), then)
    assert changed.steps == ["unmount", "reach", "mount", "fstab", "owner"]
    assert changed.fstab_text.count("/mnt/team") == 1


def test_two_directories_of_one_file_system_have_a_line_each() -> None:
    first = mount.plan_mounted(WANTED, NAMES).fstab_text
    second = mount.plan_mounted(replace(WANTED, mount_point="/mnt/more"), replace(NAMES, fstab=first))
    assert [line.mount_point for line in mount.our_entries(second.fstab_text)] == ["/mnt/team", "/mnt/more"]


def test_other_lines_of_fstab_stay() -> None:
    text = "# mine\nUUID=1 / ext4 defaults 0 1\nserver:/home /home nfs4 _netdev 0 0\n"
    plan = mount.plan_mounted(WANTED, replace(NAMES, fstab=text))
    assert plan.fstab_text.startswith(text)
    then = mounted(NAMES, plan)
    gone = mount.plan_unmounted(replace(WANTED, state="absent"), then)
    assert gone.steps == ["unmount", "fstab", "rmdir"]
    assert gone.fstab_text == text


def test_unmounting_leaves_alone_what_is_not_ours() -> None:
    there = replace(NAMES, mounted=Mount("/mnt/team", "0:1", "server:/home", "nfs4", "rw"), exists=True)
    assert "not a file system of ours" in mount.plan_unmounted(replace(WANTED, state="unmounted"), there).errors[0]
    assert mount.plan_unmounted(replace(WANTED, state="unmounted"), NAMES).steps == []


def test_prediction_is_what_the_next_run_finds() -> None:
    plan = mount.plan_mounted(WANTED, NAMES)
    after = mount.predict(mount.state_of(WANTED, NAMES), WANTED, plan)
    assert after == mount.state_of(WANTED, mounted(NAMES, plan))


def test_failures_say_what_to_look_at() -> None:
    assert "security group" in mount.unreachable(WANTED, DNS, "timeout")
    assert "no NFS server" in mount.unreachable(WANTED, DNS, "refused")
    assert "DNS resolution" in mount.unreachable(WANTED, DNS, "dns")
    assert "amazon-efs-utils" in mount.mount_failure(WANTED, "mount.nfs4: access denied by server")
    assert "no NFS client" in mount.mount_failure(WANTED, "mount.nfs4: No such device")
    assert "go on by themselves" in mount.silent(WANTED, 10)
