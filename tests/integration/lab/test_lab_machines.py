"""An instance is a machine: it can be logged into, restarted, switched off, and there can be many."""

from __future__ import annotations

import concurrent.futures
import time

from lab_driver import until

from lab.aws.config import DAILY


def test_states_come_in_order_and_ssh_verifies_the_key_of_the_console(lab):
    machine = lab.order()[0]
    seen = [machine.describe()["State"]["Name"]]
    while seen[-1] != "running" and len(seen) < 2000:
        state = machine.state
        seen += [state] if state != seen[-1] else []
    assert seen == ["pending", "running"]
    machine.up()
    assert machine.run("hostname") == "ip-" + machine.private.replace(".", "-")
    assert machine.run("id -un; sudo -n id -un").split() == ["admin", "root"]

    seen = [lab.ec2.terminate_instances(InstanceIds=[machine.instance_id])["TerminatingInstances"][0]["CurrentState"]]
    assert seen[0]["Name"] == "shutting-down"
    machine.until("terminated")
    assert "SSH HOST KEY KEYS" in lab.console(machine.instance_id)


def test_public_and_private_address_answer(lab, machine):
    assert machine.address != machine.private
    public, machine.address = machine.address, machine.private
    assert machine.run("true") == ""
    machine.address = public
    assert machine.run("echo $SSH_CONNECTION").split()[0] == lab.slot.gateway
    assert machine.private in machine.run("ip -o -4 address show eth0")


def test_a_machine_reaches_another_one_and_the_api(lab, machine):
    other = lab.launch()
    assert machine.run(f"timeout 5 bash -c 'head -c 4 </dev/tcp/{other.address}/22'") == "SSH-"
    assert machine.run(f"timeout 5 bash -c 'echo >/dev/tcp/{lab.slot.gateway}/{lab.slot.port}'") == ""
    lab.terminate(other)


def test_the_machine_is_healthy(machine):
    until(lambda: machine.run("systemctl is-system-running", check=False) != "starting", "end of boot")
    assert machine.run("systemctl --failed --plain --no-legend") == ""
    assert machine.run("sudo docker info --format '{{.Driver}}'") == "overlay2"


def test_a_daily_image_has_no_docker(lab):
    machine = lab.launch(ImageId=DAILY.image_id("us-east-1"))
    until(lambda: machine.run("systemctl is-system-running", check=False) == "running", "end of boot")
    assert machine.run("pgrep -c 'dockerd|containerd'", check=False) == "0"
    lab.terminate(machine)


def test_stop_and_start_keep_the_disk(lab, machine):
    machine.run("echo kept > mark")
    lab.ec2.stop_instances(InstanceIds=[machine.instance_id])
    machine.until("stopped")
    lab.ec2.start_instances(InstanceIds=[machine.instance_id])
    machine.up()
    assert machine.run("cat mark") == "kept"


def test_reboot_from_inside_and_by_the_api_is_another_boot(lab, machine):
    boots = [machine.run("cat /proc/sys/kernel/random/boot_id")]
    for reboot in (
        lambda: machine.run("sudo systemctl reboot", check=False),
        lambda: lab.ec2.reboot_instances(InstanceIds=[machine.instance_id]),
    ):
        reboot()
        until(lambda: boot_id(machine) not in (*boots, ""), "another boot")
        boots.append(boot_id(machine))
        assert machine.state == "running"
    assert len(set(boots)) == 3


def boot_id(machine) -> str:
    return machine.run("cat /proc/sys/kernel/random/boot_id", check=False)


def test_poweroff_stops_or_terminates_as_the_instance_says(lab):
    # Source: EC2 API RunInstances, InstanceInitiatedShutdownBehavior (default: stop)
    stops, ends = lab.launch(), lab.launch(InstanceInitiatedShutdownBehavior="terminate")
    for machine in (stops, ends):
        machine.run("sudo systemctl poweroff", check=False)
    stops.until("stopped")
    ends.until("terminated")
    lab.terminate(stops)


def test_twenty_machines(lab):
    began = time.monotonic()
    machines = lab.order(20)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda machine: machine.up(), machines))
    print(f"20 machines: ssh to all after {time.monotonic() - began:.1f} s")
    assert len({machine.run("hostname") for machine in machines[:3]}) == 3
    began = time.monotonic()
    lab.terminate(*machines)
    print(f"20 machines: all terminated after {time.monotonic() - began:.1f} s")
