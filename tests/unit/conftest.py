"""Makes the checkout importable as ansible_collections.experiments.spot, as Ansible itself sees it."""

from __future__ import annotations

import functools
import gc
import os
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.client import ClientCreator
from botocore.hooks import EventAliaser
from botocore.loaders import JSONFileLoader
from botocore.model import ServiceModel
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]

# Every boto3 session reads the description of a service anew, EC2's in a fifth of a second. The tests make hundreds.
_read = JSONFileLoader.load_file
_shared = functools.cache(lambda path: _read(JSONFileLoader(), path))
JSONFileLoader.load_file = lambda self, path: _shared(path)

# Every client has its methods made anew, EC2's 700 in a tenth of a second: a quarter of all that the unit tests did.
_make, _made = ClientCreator._create_methods, dict[tuple[str, str], dict[str, Any]]()


def _methods(self: ClientCreator, service_model: Any) -> dict[str, Any]:
    key = (service_model.service_name, service_model.api_version)
    if key not in _made:
        _made[key] = _make(self, service_model)
    return dict(_made[key])


ClientCreator._create_methods = _methods

# It also looks through all operations of the service, and each of its own calls builds shapes that were built before.
_models = dict[int, tuple[Any, ServiceModel]]()


def _model(self: ClientCreator, service_name: str, api_version: str | None = None) -> ServiceModel:
    read = self._loader.load_service_model(service_name, "service-2", api_version=api_version)
    return _models.setdefault(id(read), (read, ServiceModel(read, service_name=service_name)))[1]


ClientCreator._load_service_model = _model

# Every session compares the names of some hundred events with all that were ever renamed.
_alias, _aliaser = EventAliaser._alias_event_name, EventAliaser(None)
EventAliaser._alias_event_name = lambda self, name: _alias(_aliaser, name)

# `boto3.client` keeps a session, and with it the credentials of the first test that asked: one for each credentials here.
_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
)
_session_of = functools.cache(lambda *_keys: boto3.Session())
boto3._get_default_session = lambda: _session_of(*(os.environ.get(key) for key in _KEYS))

# A machine that is slow, or busy with whole runs, is no mistake of ours.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_collection_finish() -> None:
    """Eight thousand tests stay until the end; Python's collector would look through them again and again."""
    gc.freeze()
    gc.set_threshold(100_000)
