"""EBS volumes are disks with a memory."""

from __future__ import annotations

from lab_driver import output, until


def zone(machine) -> str:
    return machine.describe()["Placement"]["AvailabilityZone"]


def test_data_survive_detach_and_the_end_of_the_machine(lab, machine):
    volume = lab.volume(zone(machine))
    link = lab.attach(volume, machine)
    assert machine.run(f"readlink -f {link}") == "/dev/nvme1n1"
    machine.run(
        f"sudo mkfs.ext4 -q {link} && sudo mount {link} /mnt && echo data | sudo tee /mnt/file && sudo umount /mnt"
    )
    lab.ec2.detach_volume(VolumeId=volume)
    lab.until_volume(volume, "available")
    assert machine.run("ls /dev/nvme* 2>/dev/null || :") == ""

    second = lab.launch(Placement={"AvailabilityZone": zone(machine)})
    link = lab.attach(volume, second)
    assert second.run(f"sudo mount {link} /mnt && cat /mnt/file") == "data"
    lab.terminate(second)  # mounted
    lab.until_volume(volume, "available")
    assert volume not in output("losetup", "-a")

    link = lab.attach(volume, machine)
    assert machine.run(f"sudo mount {link} /mnt && cat /mnt/file") == "data"
    machine.run("sudo umount /mnt")
    lab.ec2.detach_volume(VolumeId=volume)
    lab.until_volume(volume, "available")
    lab.ec2.delete_volume(VolumeId=volume)
    until(lambda: not list(lab.slot.path.rglob(f"{volume}*")), "data gone")


def test_a_mounted_volume_stays_busy_until_it_is_unmounted(lab, machine):
    volume = lab.volume(zone(machine))
    link = lab.attach(volume, machine)
    machine.run(f"sudo mkfs.xfs -q {link} && sudo mount {link} /mnt && echo alive | sudo tee /mnt/file")
    lab.ec2.detach_volume(VolumeId=volume)
    until(lambda: lab.attachment(volume) in ("detaching", "busy"), "detaching")
    assert machine.run("cat /mnt/file") == "alive"
    assert lab.volume_state(volume) == "in-use"
    machine.run("sudo umount /mnt")
    lab.until_volume(volume, "available")
    lab.ec2.delete_volume(VolumeId=volume)


def test_fstab_finds_its_disks_after_stop_and_reboot(lab, machine):
    volume = lab.volume(zone(machine))
    link = lab.attach(volume, machine)
    machine.run(
        f"sudo mkfs.xfs -q {link}; echo '{link} /mnt xfs defaults,nofail 0 0' | sudo tee -a /etc/fstab; sudo mount /mnt"
    )
    machine.run("echo kept | sudo tee /mnt/file; sync")
    lab.ec2.stop_instances(InstanceIds=[machine.instance_id])
    machine.until("stopped")
    lab.ec2.start_instances(InstanceIds=[machine.instance_id])
    machine.up()
    until(lambda: machine.run("cat /mnt/file", check=False) == "kept", "mounted after a start")
    before = machine.run("cat /proc/sys/kernel/random/boot_id")
    machine.run("sudo systemctl reboot", check=False)
    until(lambda: machine.run("cat /proc/sys/kernel/random/boot_id", check=False) not in (before, ""), "reboot")
    until(lambda: machine.run("cat /mnt/file", check=False) == "kept", "mounted after a reboot")


def test_a_snapshot_is_a_copy_of_that_moment(lab, machine):
    volume = lab.volume(zone(machine))
    link = lab.attach(volume, machine)
    machine.run(f"sudo mkfs.ext4 -q {link} && sudo mount {link} /mnt && echo then | sudo tee /mnt/file && sync")
    snapshot = lab.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    state = lambda: lab.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"]  # noqa: E731
    until(lambda: state() == "completed", "snapshot")
    machine.run("echo now | sudo tee /mnt/file && sync")
    copy = lab.volume(zone(machine), SnapshotId=snapshot, Size=2)
    link = lab.attach(copy, machine, "/dev/sdg")
    assert machine.run(f"sudo mkdir /copy && sudo mount {link} /copy && cat /copy/file") == "then"
    assert machine.run(f"sudo blockdev --getsize64 {link}") == str(2 * 2**30)


def test_a_volume_of_the_launch_is_there_from_the_first_moment(lab):
    mapping = [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 3, "DeleteOnTermination": True}}]
    machine = lab.launch(BlockDeviceMappings=mapping)
    assert machine.run("sudo blockdev --getsize64 /dev/nvme1n1") == str(3 * 2**30)
    lab.terminate(machine)
