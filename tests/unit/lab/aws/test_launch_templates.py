"""Launch templates, and how a request and its template become one."""

from __future__ import annotations

from typing import Any

from lab.aws.launches import merge

TAGS = [{"ResourceType": "launch-template", "Tags": [{"Key": "a", "Value": "b"}]}]


def test_data_comes_back_as_given(ec2: Any, template: Any) -> None:
    data = {
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": ["sg-0123456789abcdef0"]}],
        "UserData": "aGVsbG8=",
        "TagSpecifications": [{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}],
    }
    made = template(**data)
    (version,) = ec2.describe_launch_template_versions(LaunchTemplateId=made["LaunchTemplateId"])[
        "LaunchTemplateVersions"
    ]
    assert {k: version["LaunchTemplateData"][k] for k in data} == data
    assert (version["VersionNumber"], version["DefaultVersion"]) == (1, True)


def test_tags_filters_and_delete(ec2: Any, ami: str) -> None:
    made = ec2.create_launch_template(
        LaunchTemplateName="one", LaunchTemplateData={"ImageId": ami}, TagSpecifications=TAGS
    )["LaunchTemplate"]
    ec2.create_launch_template(LaunchTemplateName="two", LaunchTemplateData={"ImageId": ami})
    found = ec2.describe_launch_templates(Filters=[{"Name": "tag:a", "Values": ["b"]}])["LaunchTemplates"]
    assert [t["LaunchTemplateName"] for t in found] == ["one"]
    (tag,) = ec2.describe_tags(Filters=[{"Name": "resource-type", "Values": ["launch-template"]}])["Tags"]
    assert (tag["ResourceId"], tag["Value"]) == (made["LaunchTemplateId"], "b")
    ec2.delete_launch_template(LaunchTemplateId=made["LaunchTemplateId"])
    assert [t["LaunchTemplateName"] for t in ec2.describe_launch_templates()["LaunchTemplates"]] == ["two"]
    assert not ec2.describe_tags()["Tags"]


def test_pages(ec2: Any, ami: str) -> None:
    for n in range(20):
        ec2.create_launch_template(LaunchTemplateName=f"lt{n:02}", LaunchTemplateData={"ImageId": ami})
    assert len(ec2.describe_launch_templates()["LaunchTemplates"]) == 20
    pages = list(ec2.get_paginator("describe_launch_templates").paginate(PaginationConfig={"PageSize": 15}))
    assert [len(p["LaunchTemplates"]) for p in pages] == [15, 5]


def test_client_token(ec2: Any, ami: str, refused: Any) -> None:
    """[API CreateLaunchTemplate] ClientToken"""
    args = {"LaunchTemplateName": "one", "LaunchTemplateData": {"ImageId": ami}, "ClientToken": "t"}
    first, again = ec2.create_launch_template(**args), ec2.create_launch_template(**args)
    assert first["LaunchTemplate"]["LaunchTemplateId"] == again["LaunchTemplate"]["LaunchTemplateId"]
    with refused("IdempotentParameterMismatch"):
        ec2.create_launch_template(**{**args, "LaunchTemplateName": "two"})


def test_versions_inherit(ec2: Any, template: Any, run: Any, refused: Any) -> None:
    """[API CreateLaunchTemplateVersion] SourceVersion"""
    made = template("one", KeyName="k")
    ec2.create_launch_template_version(
        LaunchTemplateName="one", SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.large"}
    )
    newest = ec2.describe_launch_template_versions(LaunchTemplateName="one", Versions=["$Latest"])
    data = newest["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert (data["KeyName"], data["InstanceType"]) == ("k", "t3.large")
    ec2.modify_launch_template(LaunchTemplateName="one", DefaultVersion="2")
    assert ec2.describe_launch_templates()["LaunchTemplates"][0]["DefaultVersionNumber"] == 2
    with refused("InvalidLaunchTemplateId.VersionNotFound"):
        ec2.describe_launch_template_versions(LaunchTemplateId=made["LaunchTemplateId"], Versions=["3"])
    done = ec2.delete_launch_template_versions(LaunchTemplateName="one", Versions=["1", "2"])
    assert [v["VersionNumber"] for v in done["SuccessfullyDeletedLaunchTemplateVersions"]] == [1]
    assert [v["VersionNumber"] for v in done["UnsuccessfullyDeletedLaunchTemplateVersions"]] == [2]
    newest = ec2.create_launch_template_version(LaunchTemplateName="one", LaunchTemplateData={"KeyName": "k"})
    assert newest["LaunchTemplateVersion"]["VersionNumber"] == 3


def test_request_over_template(run: Any, template: Any, instance: Any) -> None:
    template("one", TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "1"}]}])
    one = run(
        ImageId=None,
        InstanceType="t3.large",
        LaunchTemplate={"LaunchTemplateName": "one"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "b", "Value": "2"}]}],
    )
    told = {t["Key"]: t["Value"] for t in instance(one["InstanceId"])["Tags"]}
    assert one["InstanceType"] == "t3.large"
    assert (told["a"], told["b"], told["aws:ec2launchtemplate:version"]) == ("1", "2", "1")


def test_merge_keeps_what_the_request_does_not_say() -> None:
    assert merge({"KeyName": "k", "ImageId": "ami-1"}, {"ImageId": "ami-2", "KeyName": None}) == {
        "KeyName": "k",
        "ImageId": "ami-2",
    }


def test_merge_devices_by_name() -> None:
    template = {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3"}}]}
    request = {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30}}]}
    assert merge(template, request)["BlockDeviceMappings"] == [
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30, "VolumeType": "gp3"}}
    ]


def test_merge_puts_a_subnet_into_the_interface() -> None:
    template = {"NetworkInterfaces": [{"DeviceIndex": 0, "Groups": ["sg-1"]}]}
    merged = merge(template, {"SubnetId": "subnet-1"})
    assert merged == {"NetworkInterfaces": [{"DeviceIndex": 0, "Groups": ["sg-1"], "SubnetId": "subnet-1"}]}
