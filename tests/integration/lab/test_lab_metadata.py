"""The metadata service as a machine sees it."""

from __future__ import annotations

from lab_driver import until

IMDS = "http://169.254.169.254/latest"
TOKEN = f"curl -s -m 3 -X PUT {IMDS}/api/token -H 'X-aws-ec2-metadata-token-ttl-seconds: 60'"
STATUS = "curl -s -m 3 -o /dev/null -w '%{http_code}'"


def get(machine, path: str) -> str:
    return machine.run(f'curl -s -m 3 -H "X-aws-ec2-metadata-token: $({TOKEN})" {IMDS}/{path}')


def test_version_2_is_required_where_the_options_say_so(lab):
    strict = lab.launch(MetadataOptions={"HttpTokens": "required", "InstanceMetadataTags": "enabled"})
    assert strict.run(f"{STATUS} {IMDS}/meta-data/instance-id") == "401"
    assert strict.run(f"{STATUS} -H 'X-aws-ec2-metadata-token: guessed' {IMDS}/meta-data/instance-id") == "401"
    assert get(strict, "meta-data/instance-id") == strict.instance_id
    assert get(strict, "meta-data/public-ipv4") == strict.address
    assert get(strict, "meta-data/public-keys/") == "0=it"

    lab.ec2.create_tags(Resources=[strict.instance_id], Tags=[{"Key": "color", "Value": "blue"}])
    assert get(strict, "meta-data/tags/instance/color") == "blue"
    assert (
        strict.run(f'{STATUS} -H "X-aws-ec2-metadata-token: $({TOKEN})" {IMDS}/meta-data/spot/instance-action') == "404"
    )
    lab.terminate(strict)


def test_hop_limit_1_keeps_the_token_from_a_container(lab, machine):
    # A network namespace with one router in between is what a container on a bridge is.
    machine.run(
        "sudo sh -ec 'ip netns add box; ip link add out type veth peer name in netns box;"
        " ip address add 192.168.77.1/24 dev out; ip link set out up;"
        " ip -n box address add 192.168.77.2/24 dev in; ip -n box link set in up;"
        " ip -n box route add default via 192.168.77.1; echo 1 > /proc/sys/net/ipv4/ip_forward;"
        " iptables -P FORWARD ACCEPT; iptables -t nat -A POSTROUTING -s 192.168.77.0/24 -j MASQUERADE'"
    )
    assert machine.run(f"sudo ip netns exec box {STATUS} {IMDS}/ || :") in ("200", "401")
    assert machine.run(f"sudo ip netns exec box {TOKEN} || :") == ""
    assert len(machine.run(TOKEN)) == 56
    lab.ec2.modify_instance_metadata_options(InstanceId=machine.instance_id, HttpPutResponseHopLimit=2)
    assert len(machine.run(f"sudo ip netns exec box {TOKEN}")) == 56


def test_user_data_is_run_by_cloud_init(lab):
    script = "#!/bin/sh\necho done > /var/tmp/user-data-ran\n"
    machine = lab.launch(UserData=script, MetadataOptions={"HttpTokens": "required"})
    until(lambda: machine.run("cat /var/tmp/user-data-ran 2>/dev/null", check=False) == "done", "user data")
    assert get(machine, "user-data") == script.strip()
    assert machine.run("sudo cat ~admin/.ssh/authorized_keys").count("ssh-ed25519") >= 1
    lab.terminate(machine)


def test_each_machine_is_told_about_itself(lab, machine):
    other = lab.launch()
    assert get(machine, "meta-data/instance-id") == machine.instance_id
    assert get(other, "meta-data/instance-id") == other.instance_id
    lab.terminate(other)
