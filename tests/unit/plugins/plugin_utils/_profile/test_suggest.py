from __future__ import annotations

import pytest

from ansible_collections.experiments.spot.plugins.plugin_utils._profile.schema import CAPACITY, SCHEMA, VOLUME, walk
from ansible_collections.experiments.spot.plugins.plugin_utils._profile.suggest import (
    GONE,
    REPLACED,
    nearest_key,
    replacement,
)


@pytest.mark.parametrize(
    ("name", "keys", "path", "meant"),
    [
        ("instance_typ", CAPACITY, "capacity", "capacity.instance_types"),
        ("instanceTypes", CAPACITY, "capacity", "capacity.instance_types"),
        ("max-price", CAPACITY, "capacity", "capacity.max_price"),
        ("capcity", SCHEMA, "", "capacity"),
        ("count", SCHEMA, "", "capacity.count"),
        ("remote_user", CAPACITY, "capacity", "access.remote_user"),
        ("mountpoint", VOLUME, "volumes[0]", "volumes[0].mount_point"),
        ("mount_point", SCHEMA, "", "volumes[].mount_point"),
        ("instance_typs", SCHEMA, "", "capacity.instance_types"),
    ],
)
def test_typos_and_wrong_sections(name: str, keys: dict, path: str, meant: str) -> None:
    assert nearest_key(name, keys, path) == meant


def test_nothing_is_suggested_for_what_is_like_nothing() -> None:
    assert nearest_key("qqqqqq", SCHEMA, "") is None


def test_replacements_name_keys_that_exist() -> None:
    existing = {path for path, _key in walk()}
    assert set(REPLACED.values()) <= existing
    assert not set(REPLACED) & set(GONE)


@pytest.mark.parametrize(
    "name", ["spot_instance", "spot_fleet", "persistent_volumes", "identity_file", "key_pair_name"]
)
def test_names_of_older_tools_are_known(name: str) -> None:
    assert any(replacement(name))


def test_names_in_the_case_of_the_api_are_known() -> None:
    assert replacement("ImageId") == ("image.id", None)
    assert replacement("KeyName") == ("access.key_name", None)


def test_no_name_of_an_older_tool_is_a_key_where_it_would_be_looked_up() -> None:
    assert not set(REPLACED) & set(SCHEMA)
    assert not set(GONE) & {path.rpartition(".")[2] for path, _key in walk()}
