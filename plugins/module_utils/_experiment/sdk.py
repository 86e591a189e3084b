# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Sessions of boto3 that share what botocore reads of its own data files.

A session reads them anew, for EC2 over a megabyte: an eighth of a second of processor time a client. A launch has
eight, each in a process that Ansible forks; what the parent has read, its children have.
"""

from __future__ import annotations

import contextlib
import functools
from typing import Any

with contextlib.suppress(ImportError):  # AnsibleAWSModule checks the SDK and says what to install.
    import boto3
    from botocore.exceptions import BotoCoreError
    from botocore.loaders import create_loader
    from botocore.session import Session


@functools.cache
def _models(data_path: str | None) -> Any:
    return create_loader(data_path)


def session(profile: str | None = None) -> Any:
    """A session of boto3 with credentials and settings of its own.

    Args:
        profile: of the AWS configuration; None takes what the environment says.

    Raises:
        BotoCoreError: there is no such profile, or the configuration cannot be read.
    """
    core = Session(profile=profile)
    models = _models(core.get_config_variable("data_path"))
    core.register_component("data_loader", models)
    made = boto3.session.Session(botocore_session=core)
    models.search_paths[:] = dict.fromkeys(models.search_paths)  # boto3 adds its folder each time
    return made


def preload(service: str) -> None:
    """Read the data files of a service now. Asks nobody, and fails at nothing: who makes a client is told."""
    with contextlib.suppress(NameError), contextlib.suppress(BotoCoreError, ValueError):
        keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
        client = session().client(service, region_name="us-east-1", **keys)
        # The first such question, whichever it is about, reads which calls come in pages.
        client.can_paginate(next(iter(client.meta.method_to_api_mapping)))
