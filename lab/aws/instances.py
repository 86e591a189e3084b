"""RunInstances, DescribeInstances and the life cycle of instances."""

from __future__ import annotations

import base64
import copy
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from lab.aws import cloud, filters, launches, rules, tokens
from lab.aws.errors import Refusal
from lab.aws.response import LabResponse
from lab.aws.world import Record, World, now

# Source: EC2 API DescribeInstances, Filters; the paths are those of the answer.
FILTERS = filters.table(
    {
        "affinity": "Placement.Affinity",
        "architecture": "Architecture",
        "availability-zone": "Placement.AvailabilityZone",
        "block-device-mapping.attach-time": "BlockDeviceMappings.Ebs.AttachTime",
        "block-device-mapping.delete-on-termination": "BlockDeviceMappings.Ebs.DeleteOnTermination",
        "block-device-mapping.device-name": "BlockDeviceMappings.DeviceName",
        "block-device-mapping.status": "BlockDeviceMappings.Ebs.Status",
        "block-device-mapping.volume-id": "BlockDeviceMappings.Ebs.VolumeId",
        "client-token": "ClientToken",
        "dns-name": "PublicDnsName",
        "group-id": "SecurityGroups.GroupId",
        "group-name": "SecurityGroups.GroupName",
        "hypervisor": "Hypervisor",
        "iam-instance-profile.arn": "IamInstanceProfile.Arn",
        "iam-instance-profile.id": "IamInstanceProfile.Id",
        "image-id": "ImageId",
        "instance-id": "InstanceId",
        "instance-lifecycle": "InstanceLifecycle",
        "instance-state-code": "State.Code",
        "instance-state-name": "State.Name",
        "instance-type": "InstanceType",
        "instance.group-id": "SecurityGroups.GroupId",
        "instance.group-name": "SecurityGroups.GroupName",
        "ip-address": "PublicIpAddress",
        "key-name": "KeyName",
        "launch-index": "AmiLaunchIndex",
        "launch-time": "LaunchTime",
        "metadata-options.http-endpoint": "MetadataOptions.HttpEndpoint",
        "metadata-options.http-put-response-hop-limit": "MetadataOptions.HttpPutResponseHopLimit",
        "metadata-options.http-tokens": "MetadataOptions.HttpTokens",
        "metadata-options.instance-metadata-tags": "MetadataOptions.InstanceMetadataTags",
        "monitoring-state": "Monitoring.State",
        "network-interface.addresses.association.public-ip": "NetworkInterfaces.Association.PublicIp",
        "network-interface.addresses.private-ip-address": "NetworkInterfaces.PrivateIpAddress",
        "network-interface.group-id": "NetworkInterfaces.Groups.GroupId",
        "network-interface.network-interface-id": "NetworkInterfaces.NetworkInterfaceId",
        "network-interface.subnet-id": "NetworkInterfaces.SubnetId",
        "network-interface.vpc-id": "NetworkInterfaces.VpcId",
        "owner-id": "NetworkInterfaces.OwnerId",
        "placement-group-name": "Placement.GroupName",
        "private-dns-name": "PrivateDnsName",
        "private-ip-address": "PrivateIpAddress",
        "reason": "StateTransitionReason",
        "reservation-id": "__reservation__",
        "root-device-name": "RootDeviceName",
        "root-device-type": "RootDeviceType",
        "source-dest-check": "SourceDestCheck",
        "spot-instance-request-id": "SpotInstanceRequestId",
        "state-reason-code": "StateReason.Code",
        "state-reason-message": "StateReason.Message",
        "subnet-id": "SubnetId",
        "tenancy": "Placement.Tenancy",
        "virtualization-type": "VirtualizationType",
        "vpc-id": "VpcId",
    }
)


def tag_list(world: World, resource_id: str) -> list[dict[str, str]]:
    """Tags in botocore's shape."""
    return [{"Key": k, "Value": v} for k, v in world.backend.tags.get(resource_id, {}).items()]


# What the lab has one kind of only.
SAME: dict[str, Any] = {
    "ProductCodes": [],
    "UsageOperation": "RunInstances",
    "PlatformDetails": "Linux/UNIX",
    "RootDeviceType": "ebs",
    "Hypervisor": "xen",
    "EnaSupport": True,
    "CapacityReservationSpecification": {"CapacityReservationPreference": "open"},
    "HibernationOptions": {"Configured": False},
    "EnclaveOptions": {"Enabled": False},
    "MaintenanceOptions": {"AutoRecovery": "default"},
    "BootMode": "uefi-preferred",
}


def describe(world: World, record: Record) -> dict[str, Any]:
    """One instance in the shape of EC2 API Instance."""
    i = record.instance
    alive = not record.ended
    shape: dict[str, Any] = {
        "InstanceId": i.id,
        "ImageId": i.image_id,
        "InstanceType": i.instance_type,
        "State": {"Code": i.state_code, "Name": i.state},
        "StateTransitionReason": record.transition,
        "KeyName": i.key_name,
        "AmiLaunchIndex": i.ami_launch_index,
        "LaunchTime": record.launched,
        "UsageOperationUpdateTime": record.launched,
        "Placement": {
            "AvailabilityZone": i.availability_zone,
            "AvailabilityZoneId": i.nics[0].subnet.availability_zone_id,
            "GroupName": "",
            "Tenancy": "default",
        },
        "Monitoring": {"State": i.monitoring_state},
        "Architecture": i.architecture,
        "RootDeviceName": i.root_device_name,
        "VirtualizationType": i.virtualization_type,
        "ClientToken": record.client_token,
        "EbsOptimized": i.ebs_optimized,
        "BlockDeviceMappings": _devices(world, record),
        "NetworkInterfaces": [_interface(world, record)] if alive else [],
        "SecurityGroups": _groups(i) if alive else [],
        "PublicDnsName": (i.public_dns_name or "") if alive else "",
        "PrivateDnsName": i.private_dns_name if alive else "",
        "MetadataOptions": _metadata(i.metadata_options, alive),
        "CpuOptions": _cpu(i.instance_type),
        "Tags": tag_list(world, i.id),
        "__reservation__": record.reservation_id,
    }
    return copy.deepcopy(SAME) | shape | _optional(record, alive)


def _optional(record: Record, alive: bool) -> dict[str, Any]:
    """Members that AWS leaves out when there is nothing to say."""
    i = record.instance
    found: dict[str, Any] = {}
    if record.lifecycle == "spot":
        found |= {"InstanceLifecycle": "spot", "SpotInstanceRequestId": record.spot_request_id}
    if record.reason[0]:
        found["StateReason"] = {"Code": record.reason[0], "Message": record.reason[1]}
    if not alive:
        return found
    nic = i.nics[0]
    found |= {
        "PrivateIpAddress": nic.private_ip_address,
        "SubnetId": nic.subnet.id,
        "VpcId": nic.subnet.vpc_id,
        "SourceDestCheck": i.source_dest_check,
    }
    if nic.public_ip:
        found["PublicIpAddress"] = nic.public_ip
    if record.profile:
        found["IamInstanceProfile"] = {"Arn": record.profile["Arn"], "Id": record.profile["Id"]}
    return found


def _devices(world: World, record: Record) -> list[dict[str, Any]]:
    devices = []
    for name, device in record.instance.get_block_device_mapping:
        volume = world.backend.volumes.get(device.volume_id)
        if volume is not None:
            devices.append(
                {
                    "DeviceName": name,
                    "Ebs": {
                        "AttachTime": volume.attachment.attach_time if volume.attachment else record.launched,
                        "DeleteOnTermination": bool(device.delete_on_termination),
                        "Status": world.volume_states.get(volume.id, "attached"),
                        "VolumeId": volume.id,
                    },
                }
            )
    return devices


def _groups(instance: Any) -> list[dict[str, str]]:
    return [{"GroupId": g.id, "GroupName": g.name} for g in instance.security_groups]


def _interface(world: World, record: Record) -> dict[str, Any]:
    i = record.instance
    nic = i.nics[0]
    shape: dict[str, Any] = {
        "NetworkInterfaceId": nic.id,
        "MacAddress": nic.mac_address,
        "Description": "",
        "Groups": _groups(i),
        "InterfaceType": "interface",
        "Ipv6Addresses": [],
        "OwnerId": world.config.account_id,
        "PrivateDnsName": i.private_dns_name,
        "PrivateIpAddress": nic.private_ip_address,
        "PrivateIpAddresses": [
            {"Primary": True, "PrivateIpAddress": nic.private_ip_address, "PrivateDnsName": i.private_dns_name}
        ],
        "SourceDestCheck": True,
        "Status": "in-use",
        "SubnetId": nic.subnet.id,
        "VpcId": nic.subnet.vpc_id,
        "Attachment": {
            "AttachTime": record.launched,
            "AttachmentId": nic.attachment_id,
            "DeleteOnTermination": True,
            "DeviceIndex": 0,
            "Status": "attaching" if i.state == "pending" else "attached",
            "NetworkCardIndex": 0,
        },
    }
    if nic.public_ip:
        association = {"IpOwnerId": "amazon", "PublicDnsName": i.public_dns_name or "", "PublicIp": nic.public_ip}
        shape["Association"] = association
        shape["PrivateIpAddresses"][0]["Association"] = association
    return shape


def _metadata(options: Any, alive: bool) -> dict[str, Any]:
    return {
        "State": "applied" if alive else "pending",
        "HttpTokens": options.http_tokens,
        "HttpPutResponseHopLimit": options.http_put_response_hop_limit,
        "HttpEndpoint": options.http_endpoint,
        "HttpProtocolIpv6": options.http_protocol_ipv6,
        "InstanceMetadataTags": options.instance_metadata_tags,
    }


def _cpu(type_name: str) -> dict[str, int]:
    info = rules.INSTANCE_TYPES[type_name]["VCpuInfo"]
    threads = info.get("DefaultThreadsPerCore", 1)
    return {"CoreCount": info.get("DefaultCores", info["DefaultVCpus"] // threads), "ThreadsPerCore": threads}


def reservations(world: World, shapes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Instances grouped by the call that launched them."""
    found: dict[str, dict[str, Any]] = {}
    for shape in shapes:
        one = found.setdefault(
            shape["__reservation__"],
            {
                "ReservationId": shape["__reservation__"],
                "OwnerId": world.config.account_id,
                "Groups": [],
                "Instances": [],
            },
        )
        one["Instances"].append(shape)
    return list(found.values())


class Instances(LabResponse):
    """Actions on instances."""

    def run_instances(self) -> ActionResult:
        """EC2 API RunInstances."""
        args = self.args
        rules.counts(int(args["MinCount"]), int(args["MaxCount"]))
        key = ("RunInstances", _token_zone(args), args.get("ClientToken") or "")
        earlier = tokens.known(self.world, key, args)
        if earlier is not None:
            return self._earlier(earlier)
        spec = launches.with_template(self.world, args)
        planned = launches.plan(self.world, spec)
        self.dry_run()
        count = self._count(planned, int(args["MinCount"]), int(args["MaxCount"]))
        records = launches.launch(self.world, planned, count, client_token=key[-1])
        tokens.remember(self.world, key, args, [r.instance.id for r in records])
        launches.start(self.world, records)
        return self._reservation(records)

    def _count(self, planned: launches.Plan, minimum: int, maximum: int) -> int:
        """As many as there is room for, between minimum and maximum. Source: EC2 API RunInstances, MinCount."""
        free = rules.free_places(self.world, planned.type_name, planned.zone, planned.market)
        return maximum if free is None else min(maximum, max(minimum, free))

    def _earlier(self, instance_ids: list[str]) -> ActionResult:
        states = [self.world.records[i].instance.state if i in self.world.records else "gone" for i in instance_ids]
        rules.not_terminated(states)
        return self._reservation([self.world.records[i] for i in instance_ids])

    def _reservation(self, records: list[Record]) -> ActionResult:
        shapes = [describe(self.world, r) for r in records]
        return ActionResult(reservations(self.world, shapes)[0])

    def describe_instances(self) -> ActionResult:
        """EC2 API DescribeInstances."""
        args = self.args
        ids = args.get("InstanceIds") or []
        if ids and args.get("MaxResults"):
            raise Refusal(
                "InvalidParameterCombination",
                "The parameter instancesSet cannot be used with the parameter maxResults",
            )
        records = self._records(ids) if ids else list(self.world.records.values())
        shapes = [describe(self.world, r) for r in records]
        shapes = filters.apply(shapes, args.get("Filters", []), FILTERS)
        found, token = filters.page(shapes, args)
        return ActionResult({"Reservations": reservations(self.world, found), "NextToken": token})

    def _records(self, ids: list[str]) -> list[Record]:
        """Source: [ERR] InvalidInstanceID.NotFound."""
        for instance_id in ids:
            rules.well_formed("i", instance_id)
        missing = [i for i in ids if i not in self.world.records]
        if missing:
            noun = f"IDs '{', '.join(missing)}' do" if len(missing) > 1 else f"ID '{missing[0]}' does"
            raise Refusal("InvalidInstanceID.NotFound", f"The instance {noun} not exist")
        return [self.world.records[i] for i in ids]

    def describe_instance_status(self) -> ActionResult:
        """EC2 API DescribeInstanceStatus; running instances only unless all are asked for."""
        args = self.args
        ids = args.get("InstanceIds") or []
        records = self._records(ids) if ids else list(self.world.records.values())
        if not args.get("IncludeAllInstances"):
            records = [r for r in records if r.instance.state == "running"]
        shapes = filters.apply([_status(r) for r in records], args.get("Filters", []), STATUS_FILTERS)
        found, token = filters.page(shapes, args)
        return ActionResult({"InstanceStatuses": found, "NextToken": token})

    def terminate_instances(self) -> ActionResult:
        """EC2 API TerminateInstances; all or none, twice is no error."""
        records = self._records(self._ids())
        for record in records:
            if record.instance.disable_api_termination:
                raise Refusal(
                    "OperationNotPermitted",
                    f"The instance '{record.instance.id}' may not be terminated. Modify its 'disableApiTermination' "
                    "instance attribute and try again.",
                )
        self.dry_run()
        changes = []
        for record in records:
            before = _state(record)
            cloud.terminate(self.world, record, cloud.USER, cloud.stamp("User initiated"))
            after = before if before["Name"] == "terminated" else {"Code": 32, "Name": "shutting-down"}
            changes.append({"InstanceId": record.instance.id, "PreviousState": before, "CurrentState": after})
        return ActionResult({"TerminatingInstances": changes})

    def stop_instances(self) -> ActionResult:
        """EC2 API StopInstances."""
        records = self._records(self._ids())
        for record in records:
            request = self.world.spot_requests.get(record.spot_request_id, {})
            rules.stoppable(record.instance.id, record.instance.state, request.get("Type"))
            if record.instance.disable_api_stop:
                raise Refusal("OperationNotPermitted", f"The instance '{record.instance.id}' may not be stopped.")
        self.dry_run()
        changes = []
        for record in records:
            before = _state(record)
            if before["Name"] == "running":
                cloud.stop(self.world, record, cloud.USER, cloud.stamp("User initiated"))
            after = before if before["Name"] == "stopped" else {"Code": 64, "Name": "stopping"}
            changes.append({"InstanceId": record.instance.id, "PreviousState": before, "CurrentState": after})
        return ActionResult({"StoppingInstances": changes})

    def start_instances(self) -> ActionResult:
        """EC2 API StartInstances; needs capacity like a launch."""
        records = self._records(self._ids())
        for record in records:
            rules.startable(record.instance.id, record.instance.state)
        self.dry_run()
        changes = []
        for record in records:
            before = _state(record)
            if before["Name"] == "stopped":
                cloud.start(self.world, record)
            after = before if before["Name"] == "running" else {"Code": 0, "Name": "pending"}
            changes.append({"InstanceId": record.instance.id, "PreviousState": before, "CurrentState": after})
        return ActionResult({"StartingInstances": changes})

    def reboot_instances(self) -> ActionResult:
        """EC2 API RebootInstances."""
        records = self._records(self._ids())
        for record in records:
            rules.rebootable(record.instance.id, record.instance.state)
        self.dry_run()
        for record in records:
            self.world.machines.reboot(record.instance.id)
        return EmptyResult()

    def _ids(self) -> list[str]:
        ids = self.args.get("InstanceIds") or []
        if not ids:
            raise Refusal("MissingParameter", "The request must contain the parameter InstanceIds")
        return list(dict.fromkeys(ids))

    def get_console_output(self) -> ActionResult:
        """EC2 API GetConsoleOutput; the text comes from the machine."""
        with self.world.lock:
            record = self._records([self.args.get("InstanceId", "")])[0]
        text = self.world.machines.console_output(record.instance.id)  # AWS keeps it after the end, too
        output = base64.b64encode(text.encode()[-65536:]).decode()
        return ActionResult({"InstanceId": record.instance.id, "Output": output, "Timestamp": now()})

    def modify_instance_metadata_options(self) -> ActionResult:
        """EC2 API ModifyInstanceMetadataOptions; what is not said stays (moto forgets it)."""
        args = self.args
        record = self._records([args.get("InstanceId", "")])[0]
        options = record.instance.metadata_options
        tags = self.world.backend.tags.get(record.instance.id, {})
        rules.metadata_tag_keys(
            {k: v for k, v in tags.items() if not k.startswith("aws:")},
            args,
        )
        self.dry_run()
        for name, attribute in METADATA_ATTRIBUTES.items():
            if args.get(name) is not None:
                setattr(options, attribute, args[name])
        shape = _metadata(options, alive=True) | {"State": "pending"}
        return ActionResult({"InstanceId": record.instance.id, "InstanceMetadataOptions": shape})


METADATA_ATTRIBUTES = {
    "HttpTokens": "http_tokens",
    "HttpPutResponseHopLimit": "http_put_response_hop_limit",
    "HttpEndpoint": "http_endpoint",
    "InstanceMetadataTags": "instance_metadata_tags",
}
STATUS_FILTERS = filters.table(
    {
        "availability-zone": "AvailabilityZone",
        "instance-state-code": "InstanceState.Code",
        "instance-state-name": "InstanceState.Name",
        "instance-status.status": "InstanceStatus.Status",
        "system-status.status": "SystemStatus.Status",
    }
)


def _token_zone(args: dict[str, Any]) -> str:
    """RunInstances tokens are zonal when the request names a place. Source: [UG Run_Instance_Idempotency]."""
    first = (args.get("NetworkInterfaces") or [{}])[0]
    return str(args.get("SubnetId") or first.get("SubnetId") or args.get("Placement", {}).get("AvailabilityZone") or "")


def _state(record: Record) -> dict[str, Any]:
    return {"Code": record.instance.state_code, "Name": record.instance.state}


def _status(record: Record) -> dict[str, Any]:
    check: dict[str, Any] = {"Status": "not-applicable"}
    if record.instance.state == "running":
        ok = not record.impaired
        detail = {"Name": "reachability", "Status": "passed" if ok else "failed"}
        check = {"Status": "ok" if ok else "impaired", "Details": [detail]}
    return {
        "InstanceId": record.instance.id,
        "AvailabilityZone": record.instance.availability_zone,
        "InstanceState": _state(record),
        "InstanceStatus": check,
        "SystemStatus": check,
    }
