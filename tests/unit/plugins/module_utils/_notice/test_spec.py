"""The watcher as files, and what is wrong with options."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.experiments.spot.plugins.module_utils._notice import spec, watcher
from ansible_collections.experiments.spot.plugins.module_utils._notice.spec import check_params, config_document

GOOD: dict[str, Any] = {
    **{key: None for key in spec.CONFIG_KEYS},
    "period": 5.0,
    "rebalance": "ignore",
    "volumes": [{"volume_id": "vol-0a", "mount_point": "/mnt/data/"}],
    "job_unit": "experiments-spot-job.service",
    "grace": 60,
    "reserve": 20,
    "idle_limit": 0.0,
    "detach": True,
}


def test_good_options() -> None:
    assert check_params(GOOD) == []
    assert check_params({**GOOD, "webhook": "https://h.example/x?y=z", "expires": "2026-01-02T03:04:05Z"}) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"period": 0}, "more than 0"),
        ({"period": 90}, "two minutes"),
        ({"grace": -1}, "grace must not be negative"),
        ({"reserve": -1}, "reserve must not be negative"),
        ({"idle_limit": -1}, "idle_limit must not be negative"),
        ({"expires": "tomorrow"}, "'tomorrow' is no time"),
        ({"webhook": "ftp://h/x"}, "webhook must be"),
        ({"webhook": "https://user:hunter2@h/x"}, "without user and password"),
        ({"webhook": "https://h:hunter2/x"}, "webhook is no usable address"),
        ({"ec2_endpoint": "ec2.amazonaws.com"}, "ec2_endpoint must be"),
        ({"imds_endpoint": "https://169.254.169.254"}, "imds_endpoint must be http"),
        ({"volumes": [{"volume_id": "data", "mount_point": "/x"}]}, "'data' is no volume id"),
        ({"volumes": [{"volume_id": "vol-1", "mount_point": "/x/.."}]}, "below /"),
        ({"volumes": [{"volume_id": "vol-1", "mount_point": "x"}]}, "no absolute path"),
    ],
)
def test_bad_options(change: dict[str, Any], text: str) -> None:
    (error,) = check_params({**GOOD, **change})
    assert text in error and "hunter2" not in error


def test_all_mistakes_at_once() -> None:
    assert len(check_params({**GOOD, "period": 0, "grace": -1, "expires": "x"})) == 3


def test_configuration_is_one_that_the_watcher_reads() -> None:
    document = config_document({**GOOD, "webhook": "https://h/x", "rank": 0})
    assert set(document) - {"schema"} <= set(watcher.DEFAULTS)
    assert document["volumes"] == [{"volume_id": "vol-0a", "mount_point": "/mnt/data"}]
    assert document["rank"] == 0 and "expires" not in document
    assert set(spec.CONFIG_KEYS) | {"job_file", "state_file"} == set(watcher.DEFAULTS)


def test_the_webhook_is_not_shown() -> None:
    shown = spec.shown(config_document({**GOOD, "webhook": "https://h.example/hunter2?token=hunter3"}))
    assert shown["webhook"] == "https://h.example/…"
    assert spec.shown({"period": 5}) == {"period": 5}


def test_the_unit_has_no_mounts_of_its_own() -> None:
    text = spec.unit_text("exp")
    assert "of experiment exp" in text and "of experiment" not in spec.unit_text(None)
    assert "MemoryMax=128M" in text and "Restart=always" in text
    own = r"^(Private|Protect|ReadOnly|ReadWrite|Inaccessible|Bind|TemporaryFile|Root|Mount|ProcSubset|Dynamic)\w*="
    assert not re.findall(own, text, re.MULTILINE)
