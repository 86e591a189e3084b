"""What EC2 refuses: one test a rule; the source of each rule stands in lab/aws/rules.py.

Names of sources: [ERR] "Error codes for the Amazon EC2 API", [API x] the API reference page, [UG x] the user guide.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest


def spot(**options: Any) -> dict[str, Any]:
    return {"MarketType": "spot", "SpotOptions": options}


def test_unknown_image(run: Any, refused: Any) -> None:
    """[ERR] InvalidAMIID.NotFound"""
    with refused("InvalidAMIID.NotFound", text="'[ami-0123456789abcdef0]' does not exist"):
        run(ImageId="ami-0123456789abcdef0")


def test_malformed_image(run: Any, refused: Any) -> None:
    """[ERR] InvalidAMIID.Malformed"""
    with refused("InvalidAMIID.Malformed"):
        run(ImageId="debian-12")


def test_no_image(run: Any, refused: Any) -> None:
    """[ERR] MissingParameter"""
    with refused("MissingParameter", text="ImageId"):
        run(ImageId=None)


def test_image_by_unknown_parameter(run: Any, refused: Any) -> None:
    """[API RunInstances] ImageId resolve:ssm"""
    with refused("InvalidParameterValue", text="/no/such"):
        run(ImageId="resolve:ssm:/no/such")


def test_unknown_type(run: Any, refused: Any) -> None:
    """[API RunInstances] InstanceType"""
    with refused("InvalidParameterValue", text="'t3.huge' for InstanceType"):
        run(InstanceType="t3.huge")


def test_retired_type(run: Any, refused: Any) -> None:
    """p2 is offered nowhere any more: [UG instance types, previous generation]"""
    with refused("InvalidParameterValue", text="p2.xlarge"):
        run(InstanceType="p2.xlarge")


def test_unknown_type_described(ec2: Any, refused: Any) -> None:
    """[ERR] InvalidInstanceType"""
    with refused("InvalidInstanceType", text="[p2.xlarge]"):
        ec2.describe_instance_types(InstanceTypes=["p2.xlarge", "t3.medium"])


def test_type_not_in_zone(run: Any, subnets: dict[str, str], refused: Any) -> None:
    """[ERR] Unsupported"""
    with refused("Unsupported", text="not supported in your requested Availability Zone (us-east-1e)"):
        run(SubnetId=subnets["e"])


def test_arm_type_on_x86_image(run: Any, refused: Any) -> None:
    """[API RunInstances]: architectures must match"""
    with refused("InvalidParameterValue", text="'arm64' of the specified instance type does not match"):
        run(InstanceType="t4g.medium")


def test_x86_type_on_arm_image(run: Any, arm_ami: str, refused: Any) -> None:
    """[API RunInstances]: architectures must match"""
    with refused("InvalidParameterValue", text="'arm64' of the specified AMI"):
        run(ImageId=arm_ami)


def test_unknown_subnet(run: Any, refused: Any) -> None:
    """[ERR] InvalidSubnetID.NotFound"""
    with refused("InvalidSubnetID.NotFound"):
        run(SubnetId="subnet-0123456789abcdef0")


def test_malformed_subnet(run: Any, refused: Any) -> None:
    """[ERR] InvalidSubnetID.Malformed"""
    with refused("InvalidSubnetID.Malformed"):
        run(SubnetId="default")


def test_unknown_zone(run: Any, refused: Any) -> None:
    """[API RunInstances] Placement"""
    with refused("InvalidParameterValue", text="us-east-1z"):
        run(Placement={"AvailabilityZone": "us-east-1z"})


def test_subnet_of_another_zone(run: Any, subnets: dict[str, str], refused: Any) -> None:
    """[API RunInstances] Placement"""
    with refused("InvalidParameterValue", text="does not match"):
        run(SubnetId=subnets["a"], Placement={"AvailabilityZone": "us-east-1b"})


def test_unknown_key_pair(run: Any, refused: Any) -> None:
    """[ERR] InvalidKeyPair.NotFound"""
    with refused("InvalidKeyPair.NotFound", text="'nobody'"):
        run(KeyName="nobody")


def test_unknown_security_group(run: Any, refused: Any) -> None:
    """[ERR] InvalidGroup.NotFound"""
    with refused("InvalidGroup.NotFound"):
        run(SecurityGroupIds=["sg-0123456789abcdef0"])


def test_malformed_security_group(run: Any, refused: Any) -> None:
    """[ERR] InvalidGroupId.Malformed"""
    with refused("InvalidGroupId.Malformed"):
        run(SecurityGroupIds=["ssh"])


def test_security_group_of_another_vpc(ec2: Any, run: Any, refused: Any) -> None:
    """[ERR] InvalidParameter"""
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="far", Description="far", VpcId=vpc)["GroupId"]
    with refused("InvalidParameter", text="belong to different networks"):
        run(SecurityGroupIds=[group])


def test_unknown_instance_profile(run: Any, refused: Any) -> None:
    """[API RunInstances] IamInstanceProfile"""
    with refused("InvalidParameterValue", text="iamInstanceProfile.name"):
        run(IamInstanceProfile={"Name": "nobody"})


def test_user_data_too_long(run: Any, refused: Any) -> None:
    """[UG user-data]: 16 KB before encoding; botocore encodes it for RunInstances"""
    assert run(UserData="x" * 16384)
    with refused("InvalidParameterValue", text="limited to 16384 bytes"):
        run(UserData="x" * 16385)


def test_user_data_not_base64(template: Any, refused: Any) -> None:
    """[ERR] InvalidUserData.Malformed; nobody encodes it for a launch template"""
    with refused("InvalidUserData.Malformed"):
        template(UserData="#!/bin/sh\necho hello")


@pytest.mark.parametrize(("low", "high"), [(0, 1), (2, 1)])
def test_counts(run: Any, refused: Any, low: int, high: int) -> None:
    """[API RunInstances] MinCount, MaxCount"""
    with refused("InvalidParameterValue", text="minCount"):
        run(MinCount=low, MaxCount=high)


@pytest.mark.parametrize("price", ["0.001", "0", "abc"])
def test_max_price_without_meaning(run: Any, refused: Any, price: str) -> None:
    """[API RunInstances] SpotOptions.MaxPrice must be above 0.001"""
    with refused("InvalidParameterValue"):
        run(InstanceMarketOptions=spot(MaxPrice=price))


def test_max_price_below_spot_price(run: Any, refused: Any) -> None:
    """[ERR] SpotMaxPriceTooLow"""
    with refused("SpotMaxPriceTooLow", text="lower than the minimum required Spot request fulfillment price"):
        run(InstanceMarketOptions=spot(MaxPrice="0.002"))


def test_persistent_request_with_terminate(run: Any, refused: Any) -> None:
    """[UG spot-requests]: RunInstances wants stop or hibernate for persistent requests"""
    with refused("InvalidParameterCombination"):
        run(InstanceMarketOptions=spot(SpotInstanceType="persistent"))


def test_spot_blocks(run: Any, refused: Any) -> None:
    """[API RunInstances] BlockDurationMinutes is deprecated and gone"""
    with refused("Unsupported"):
        run(InstanceMarketOptions=spot(BlockDurationMinutes=60))


@pytest.mark.parametrize("key", ["has space", "a/b", "_index", ".."])
def test_tag_keys_in_metadata(run: Any, refused: Any, key: str) -> None:
    """[UG work-with-tags-in-IMDS]"""
    tags = [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": "x"}]}]
    assert run(TagSpecifications=tags)
    with refused("InvalidParameterValue", text="is not a valid tag key"):
        run(TagSpecifications=tags, MetadataOptions={"InstanceMetadataTags": "enabled"})


def test_tag_keys_of_ours_in_metadata(run: Any) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "spot:experiment", "Value": "a b"}]}]
    assert run(TagSpecifications=tags, MetadataOptions={"InstanceMetadataTags": "enabled"})


def test_reserved_tag_key(run: Any, refused: Any) -> None:
    """[UG Using_Tags] restrictions"""
    with refused("InvalidParameterValue", text="aws:"):
        run(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "aws:x", "Value": ""}]}])


def test_too_many_tags(ec2: Any, run: Any, refused: Any) -> None:
    """[ERR] TagLimitExceeded"""
    tags = [{"Key": f"k{n}", "Value": "x"} for n in range(51)]
    with refused("TagLimitExceeded"):
        run(TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
    one = run()["InstanceId"]
    ec2.create_tags(Resources=[one], Tags=tags[:50])
    with refused("TagLimitExceeded"):
        ec2.create_tags(Resources=[one], Tags=tags[50:])


def test_long_tags(run: Any, refused: Any) -> None:
    """[UG Using_Tags]: key 128, value 256 characters"""
    for key, value in (("k" * 129, ""), ("k", "v" * 257)):
        with refused("InvalidParameterValue"):
            run(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": key, "Value": value}]}])


def test_long_client_token(run: Any, refused: Any) -> None:
    """[ERR] InvalidClientToken"""
    with refused("InvalidClientToken"):
        run(ClientToken="x" * 65)


def test_interfaces_and_groups_at_once(run: Any, subnets: dict[str, str], refused: Any) -> None:
    """[API RunInstances] NetworkInterfaces"""
    with refused("InvalidParameterCombination"):
        run(SubnetId=subnets["a"], NetworkInterfaces=[{"DeviceIndex": 0}])


def test_small_root_volume(run: Any, refused: Any) -> None:
    """[UG block-device-mapping]: not smaller than the snapshot"""
    with refused("InvalidBlockDeviceMapping", text="expect size >= 8GB"):
        run(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 4}}])


@pytest.mark.parametrize("call", ["terminate_instances", "stop_instances", "start_instances", "reboot_instances"])
def test_unknown_instance(ec2: Any, refused: Any, call: str) -> None:
    """[ERR] InvalidInstanceID.NotFound, .Malformed"""
    with refused("InvalidInstanceID.NotFound", text="'i-0123456789abcdef0' does not exist"):
        getattr(ec2, call)(InstanceIds=["i-0123456789abcdef0"])
    with refused("InvalidInstanceID.Malformed"):
        getattr(ec2, call)(InstanceIds=["mine"])


def test_stop_of_a_one_time_spot_instance(ec2: Any, run: Any, refused: Any) -> None:
    """[UG spot-requests] stop a Spot Instance; [ERR] UnsupportedOperation"""
    one = run(InstanceMarketOptions=spot())["InstanceId"]
    with refused("UnsupportedOperation", text="one-time Spot Instance request"):
        ec2.stop_instances(InstanceIds=[one])


def test_wrong_states(ec2: Any, run: Any, machines: Any, refused: Any) -> None:
    """[ERR] IncorrectInstanceState"""
    machines.hold = True
    one = run()["InstanceId"]
    with refused("IncorrectInstanceState", text="stopped"):
        ec2.stop_instances(InstanceIds=[one])
    with refused("IncorrectInstanceState", text="rebooted"):
        ec2.reboot_instances(InstanceIds=[one])
    ec2.terminate_instances(InstanceIds=[one])
    with refused("IncorrectInstanceState", text="started"):
        ec2.start_instances(InstanceIds=[one])


def test_termination_protection(ec2: Any, run: Any, refused: Any) -> None:
    """[API TerminateInstances] DisableApiTermination; all or none"""
    safe, other = run(DisableApiTermination=True)["InstanceId"], run()["InstanceId"]
    with refused("OperationNotPermitted", text=safe):
        ec2.terminate_instances(InstanceIds=[other, safe])
    states = ec2.describe_instance_status(InstanceIds=[other])["InstanceStatuses"]
    assert states[0]["InstanceState"]["Name"] == "running"


@pytest.fixture
def placed(ec2: Any, run: Any, subnets: dict[str, str]) -> tuple[str, str]:
    """An instance and a free volume, both in us-east-1a."""
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=5, VolumeType="gp3")["VolumeId"]
    return run(SubnetId=subnets["a"])["InstanceId"], volume


def test_volume_in_another_zone(ec2: Any, placed: tuple[str, str], refused: Any) -> None:
    """[ERR] InvalidVolume.ZoneMismatch"""
    far = ec2.create_volume(AvailabilityZone="us-east-1b", Size=5)["VolumeId"]
    with refused("InvalidVolume.ZoneMismatch"):
        ec2.attach_volume(VolumeId=far, InstanceId=placed[0], Device="/dev/sdf")


def test_volume_in_use(ec2: Any, placed: tuple[str, str], refused: Any) -> None:
    """[ERR] VolumeInUse, for attach and delete"""
    one, volume = placed
    ec2.attach_volume(VolumeId=volume, InstanceId=one, Device="/dev/sdf")
    with refused("VolumeInUse", text="already attached"):
        ec2.attach_volume(VolumeId=volume, InstanceId=one, Device="/dev/sdg")
    with refused("VolumeInUse", text=f"currently attached to {one}"):
        ec2.delete_volume(VolumeId=volume)


def test_device_name_in_use(ec2: Any, placed: tuple[str, str], refused: Any) -> None:
    """[ERR] InvalidParameterValue: Attachment point is already in use"""
    one, volume = placed
    other = ec2.create_volume(AvailabilityZone="us-east-1a", Size=5)["VolumeId"]
    ec2.attach_volume(VolumeId=volume, InstanceId=one, Device="/dev/sdf")
    with refused("InvalidParameterValue", text="already in use"):
        ec2.attach_volume(VolumeId=other, InstanceId=one, Device="/dev/sdf")


def test_device_name_without_meaning(ec2: Any, placed: tuple[str, str], refused: Any) -> None:
    """[UG device_naming]"""
    with refused("InvalidParameterValue", text="not a valid EBS device name"):
        ec2.attach_volume(VolumeId=placed[1], InstanceId=placed[0], Device="/mnt/data")


def test_attach_while_pending(ec2: Any, run: Any, machines: Any, subnets: dict[str, str], refused: Any) -> None:
    """[ERR] IncorrectState: the instance is not running"""
    machines.hold = True
    one = run(SubnetId=subnets["a"])["InstanceId"]
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=5)["VolumeId"]
    with refused("IncorrectState", text="is not 'running'"):
        ec2.attach_volume(VolumeId=volume, InstanceId=one, Device="/dev/sdf")


def test_unknown_volume(ec2: Any, placed: tuple[str, str], refused: Any) -> None:
    """[ERR] InvalidVolume.NotFound"""
    gone = "vol-0123456789abcdef0"
    with refused("InvalidVolume.NotFound"):
        ec2.attach_volume(VolumeId=gone, InstanceId=placed[0], Device="/dev/sdf")
    with refused("InvalidVolume.NotFound"):
        ec2.describe_volumes(VolumeIds=[gone])
    with refused("InvalidVolume.NotFound"):
        ec2.delete_volume(VolumeId=gone)
    with refused("InvalidParameterValue", text="Expected: 'vol-...'"):
        ec2.delete_volume(VolumeId="data")


def test_detach_what_is_not_attached(ec2: Any, placed: tuple[str, str], refused: Any) -> None:
    """[ERR] IncorrectState; [ERR] InvalidAttachment.NotFound for another instance"""
    one, volume = placed
    with refused("IncorrectState", text="'available'"):
        ec2.detach_volume(VolumeId=volume)
    ec2.attach_volume(VolumeId=volume, InstanceId=one, Device="/dev/sdf")
    with refused("InvalidAttachment.NotFound"):
        ec2.detach_volume(VolumeId=volume, InstanceId="i-0123456789abcdef0")


def test_detach_of_the_root_volume(ec2: Any, placed: tuple[str, str], instance: Any, refused: Any) -> None:
    """[API DetachVolume]: not while the instance runs"""
    root = instance(placed[0])["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    with refused("OperationNotPermitted", text="root volume"):
        ec2.detach_volume(VolumeId=root)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ({"AvailabilityZone": "us-east-1z", "Size": 1}, "InvalidZone.NotFound"),
        ({"AvailabilityZone": "us-east-1a"}, "MissingParameter"),
        ({"AvailabilityZone": "us-east-1a", "Size": 1, "VolumeType": "fast"}, "InvalidParameterValue"),
        ({"AvailabilityZone": "us-east-1a", "Size": 100, "VolumeType": "st1"}, "InvalidParameterValue"),
        ({"AvailabilityZone": "us-east-1a", "SnapshotId": "snap-0123456789abcdef0"}, "InvalidSnapshot.NotFound"),
        ({"AvailabilityZone": "us-east-1a", "Size": 10, "VolumeType": "io1"}, "InvalidParameterDependency"),
    ],
)
def test_volumes_that_cannot_be(ec2: Any, refused: Any, args: dict[str, Any], code: str) -> None:
    """[API CreateVolume]; [ERR]"""
    with refused(code):
        ec2.create_volume(**args)


def test_volume_smaller_than_its_snapshot(ec2: Any, refused: Any) -> None:
    """[API CreateVolume] Size"""
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=5)["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    with refused("InvalidParameterValue", text="smaller than snapshot"):
        ec2.create_volume(AvailabilityZone="us-east-1a", Size=4, SnapshotId=snapshot)
    with refused("InvalidParameterValue", text="cannot be smaller"):
        ec2.modify_volume(VolumeId=volume, Size=4)


def test_security_group_in_use(ec2: Any, run: Any, machines: Any, app: Any, refused: Any) -> None:
    """[ERR] DependencyViolation until the instance is terminated; [ERR] CannotDelete for the default group"""
    group = ec2.create_security_group(GroupName="g", Description="g")["GroupId"]
    one = run(SecurityGroupIds=[group])["InstanceId"]
    with refused("DependencyViolation", text=group):
        ec2.delete_security_group(GroupId=group)
    machines.hold = True
    ec2.terminate_instances(InstanceIds=[one])
    with refused("DependencyViolation"):
        ec2.delete_security_group(GroupId=group)
    app.cloud.terminated(one)
    ec2.delete_security_group(GroupId=group)
    default = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    with refused("CannotDelete"):
        ec2.delete_security_group(GroupId=default)


def test_security_group_used_by_a_rule(ec2: Any, refused: Any) -> None:
    """[ERR] DependencyViolation"""
    one = ec2.create_security_group(GroupName="g1", Description="g")["GroupId"]
    two = ec2.create_security_group(GroupName="g2", Description="g")["GroupId"]
    pair = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": one}]}
    ec2.authorize_security_group_ingress(GroupId=two, IpPermissions=[pair])
    with refused("DependencyViolation"):
        ec2.delete_security_group(GroupId=one)


def test_names_twice(ec2: Any, template: Any, refused: Any) -> None:
    """[ERR] InvalidGroup.Duplicate, InvalidKeyPair.Duplicate, InvalidPermission.Duplicate, launch template name"""
    ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    with refused("InvalidKeyPair.Duplicate", text="k"):
        ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    group = ec2.create_security_group(GroupName="g", Description="g")["GroupId"]
    with refused("InvalidGroup.Duplicate", text="'g' already exists for VPC"):
        ec2.create_security_group(GroupName="g", Description="g")
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.1/32"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    with refused("InvalidPermission.Duplicate"):
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    template("temp")
    with refused("InvalidLaunchTemplateName.AlreadyExistsException"):
        template("temp")


def test_key_that_is_none(ec2: Any, refused: Any) -> None:
    """[ERR] InvalidKey.Format"""
    with refused("InvalidKeyPair.Format"):
        ec2.import_key_pair(KeyName="k", PublicKeyMaterial=b"ssh-rsa nonsense")


def test_unknown_launch_template(run: Any, template: Any, refused: Any) -> None:
    """[ERR] InvalidLaunchTemplateName.NotFoundException, InvalidLaunchTemplateId.*"""
    made = template()
    by_id = {"LaunchTemplateId": made["LaunchTemplateId"]}
    with refused("InvalidLaunchTemplateName.NotFoundException", text="nobody"):
        run(LaunchTemplate={"LaunchTemplateName": "nobody"})
    with refused("InvalidLaunchTemplateId.NotFound"):
        run(LaunchTemplate={"LaunchTemplateId": "lt-0123456789abcdef0"})
    with refused("InvalidLaunchTemplateId.Malformed"):
        run(LaunchTemplate={"LaunchTemplateId": "mine"})
    with refused("InvalidLaunchTemplateId.VersionNotFound", text="version 9"):
        run(LaunchTemplate={**by_id, "Version": "9"})
    with refused("InvalidParameterCombination"):
        run(LaunchTemplate={**by_id, "LaunchTemplateName": "temp"})


def test_launch_template_name(template: Any, refused: Any) -> None:
    """[API CreateLaunchTemplate] LaunchTemplateName"""
    with refused("InvalidLaunchTemplateName.MalformedException"):
        template("my template")


def test_launch_template_with_groups_twice(template: Any, refused: Any) -> None:
    """[API CreateLaunchTemplate]: groups stand in the interface or beside it"""
    with refused("InvalidParameterCombination"):
        template(SecurityGroupIds=["sg-0123456789abcdef0"], NetworkInterfaces=[{"DeviceIndex": 0}])


def test_vcpu_quota(run: Any, control: Any, refused: Any) -> None:
    """[UG using-spot-limits]; [ERR] MaxSpotInstanceCountExceeded, VcpuLimitExceeded"""
    control("quota", new_account=True)
    with refused("MaxSpotInstanceCountExceeded"):
        run(InstanceType="g4dn.xlarge", InstanceMarketOptions=spot())
    with refused("VcpuLimitExceeded", text="limit of 0"):
        run(InstanceType="g4dn.xlarge")
    run(InstanceMarketOptions=spot(), MinCount=2, MaxCount=2)  # 4 of 5 vCPUs
    with refused("MaxSpotInstanceCountExceeded"):
        run(InstanceMarketOptions=spot())


def test_no_capacity(run: Any, control: Any, subnets: dict[str, str], refused: Any) -> None:
    """[ERR] InsufficientInstanceCapacity, a server error (HTTP 500)"""
    control("capacity", type="t3.medium", zone="us-east-1a", count=1)
    assert run(SubnetId=subnets["a"])
    with refused("InsufficientInstanceCapacity", http=500, text="sufficient t3.medium capacity"):
        run(SubnetId=subnets["a"])
    with refused("InsufficientInstanceCapacity", http=500, text="no Spot capacity available"):
        run(SubnetId=subnets["a"], InstanceMarketOptions=spot())
    assert run(SubnetId=subnets["b"])


def test_no_free_addresses(ec2: Any, run: Any, refused: Any) -> None:
    """[ERR] InsufficientFreeAddressesInSubnet: a /28 has 16 addresses, 5 of them reserved"""
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.240.0/28", AvailabilityZone="us-east-1a")["Subnet"][
        "SubnetId"
    ]
    with refused("InsufficientFreeAddressesInSubnet", text=made):
        run(SubnetId=made, MinCount=12, MaxCount=12)
    assert run(SubnetId=made, MinCount=11, MaxCount=11)


def test_dry_run(ec2: Any, run: Any, refused: Any) -> None:
    """[ERR] DryRunOperation (HTTP 412), after all checks and without doing anything"""
    with refused("DryRunOperation", http=412):
        run(DryRun=True)
    with refused("InvalidAMIID.NotFound"):
        run(DryRun=True, ImageId="ami-0123456789abcdef0")
    assert not ec2.describe_instances()["Reservations"]


def test_filter_without_meaning(ec2: Any, refused: Any) -> None:
    """[ERR] InvalidParameterValue: The filter is invalid"""
    for call in (ec2.describe_instances, ec2.describe_volumes, ec2.describe_images, ec2.describe_tags):
        with refused("InvalidParameterValue", text="The filter 'colour' is invalid"):
            call(Filters=[{"Name": "colour", "Values": ["red"]}])


def test_ids_and_pages(ec2: Any, run: Any, refused: Any) -> None:
    """[API DescribeInstances] MaxResults"""
    with refused("InvalidParameterCombination", text="maxResults"):
        ec2.describe_instances(InstanceIds=[run()["InstanceId"]], MaxResults=5)


def test_resources_that_do_not_exist_cannot_be_tagged(ec2: Any, refused: Any) -> None:
    """[ERR] InvalidVolume.NotFound, InvalidID"""
    tags = [{"Key": "a", "Value": "b"}]
    with refused("InvalidVolume.NotFound"):
        ec2.create_tags(Resources=["vol-0123456789abcdef0"], Tags=tags)
    with refused("InvalidID"):
        ec2.create_tags(Resources=["mine"], Tags=tags)


def test_user_data_is_decoded(run: Any, app: Any) -> None:
    assert base64.b64encode(app.cloud.view(run(UserData="#!/bin/sh")["InstanceId"]).user_data) == base64.b64encode(
        b"#!/bin/sh"
    )
