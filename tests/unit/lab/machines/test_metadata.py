"""The metadata tree, path by path as a machine reads it."""

from __future__ import annotations

import json

import pytest
from lab_views import NOW, view

from lab.aws.machines import MetadataOptions, Notices
from lab.machines.metadata import lookup, tree


def get(path: str, instance=None, notices=None) -> str | None:
    body = lookup(path, tree(instance or view(), notices or Notices(), NOW))
    return None if body is None else body.decode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("instance-id", "i-0123456789abcdef0"),
        ("instance-type", "t3.medium"),
        ("instance-life-cycle", "spot"),
        ("placement/availability-zone", "us-east-1a"),
        ("placement/region", "us-east-1"),
        ("local-ipv4", "172.31.0.4"),
        ("public-ipv4", "198.18.0.1"),
        ("network/interfaces/macs/02:00:00:00:00:01/subnet-id", "subnet-1"),
        ("public-keys/0/openssh-key", "ssh-ed25519 AAAA demo\n"),
        ("security-groups", "spot-demo"),
    ],
)
def test_values(path, value):
    assert get(f"/latest/meta-data/{path}") == value


def test_every_version_shows_the_same():
    assert get("/2021-03-23/meta-data/instance-id") == get("/latest/meta-data/instance-id")
    assert get("/1999-01-01/meta-data/instance-id") is None


def test_listings():
    assert get("/").splitlines()[-1] == "latest"
    assert get("/latest/").splitlines() == ["dynamic/", "meta-data/"]
    assert "placement/" in get("/latest/meta-data/").splitlines()
    assert "instance-id" in get("/latest/meta-data").splitlines()
    # cloud-init needs the name behind the number. Source: EC2 User Guide, "public-keys/"
    assert get("/latest/meta-data/public-keys/") == "0=spot-demo"
    assert get("/latest/meta-data/public-keys/0/") == "openssh-key"


def test_user_data_is_there_only_when_there_is_some():
    assert get("/latest/user-data") is None
    data = b"#!/bin/sh\n\xff\x00"
    assert lookup("/latest/user-data", tree(view(user_data=data), Notices(), NOW)) == data


def test_nothing_is_shown_without_a_value():
    bare = view(public_ip="", public_dns_name="", public_key="")
    names = get("/latest/meta-data/", bare).splitlines()
    assert not {"public-ipv4", "public-hostname", "public-keys/", "iam/", "spot/", "tags/"} & set(names)


def test_tags_only_when_the_options_allow_it():
    tags = {"Name": "demo", "spot:experiment": "demo"}
    assert get("/latest/meta-data/tags/instance/Name", view(tags=tags)) is None
    open_view = view(tags=tags, metadata_options=MetadataOptions(instance_metadata_tags="enabled"))
    assert get("/latest/meta-data/tags/instance/spot:experiment", open_view) == "demo"


def test_no_notice_is_404():
    assert get("/latest/meta-data/spot/instance-action") is None
    assert get("/latest/meta-data/events/recommendations/rebalance") is None


def test_notices():
    told = Notices({"action": "terminate", "time": "2026-11-21T12:02:00Z"}, {"noticeTime": "2026-11-21T12:00:00Z"})
    assert json.loads(get("/latest/meta-data/spot/instance-action", notices=told))["action"] == "terminate"
    assert get("/latest/meta-data/spot/termination-time", notices=told) == "2026-11-21T12:02:00Z"
    assert "noticeTime" in get("/latest/meta-data/events/recommendations/rebalance", notices=told)
    assert get("/latest/meta-data/spot/instance-action", view(lifecycle="on-demand"), told) is None


@pytest.mark.parametrize("action", ["stop", "hibernate"])
def test_the_legacy_path_is_for_terminations(action):
    # Source: EC2 User Guide "Instance metadata categories", spot/termination-time
    told = Notices({"action": action, "time": "2026-11-21T12:02:00Z"})
    assert json.loads(get("/latest/meta-data/spot/instance-action", notices=told))["action"] == action
    assert get("/latest/meta-data/spot/termination-time", notices=told) is None


def test_role_credentials():
    with_role = view(instance_profile_arn="arn:aws:iam::123456789012:instance-profile/p", role_name="worker")
    assert get("/latest/meta-data/iam/security-credentials/", with_role) == "worker"
    found = json.loads(get("/latest/meta-data/iam/security-credentials/worker", with_role))
    assert found["AccessKeyId"].startswith("ASIA")
    assert found["Expiration"] == "2026-11-21T18:00:00Z"


def test_identity_document():
    document = json.loads(get("/latest/dynamic/instance-identity/document"))
    assert (document["instanceId"], document["region"]) == ("i-0123456789abcdef0", "us-east-1")


@pytest.mark.parametrize("path", ["/latest/meta-data/nothing", "/latest/meta-data/instance-id/more", "/x"])
def test_unknown_paths_are_404(path):
    assert get(path) is None
