#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible module: pack the AWS SDK for an instance."""

from __future__ import annotations

DOCUMENTATION = r"""
module: results_sdk
short_description: Pack the AWS SDK of the controller for an instance
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Writes an archive of what S3 needs of the controller's own boto3, some 2 MB of pure Python, to a temporary file of
    this run. So instances need no package index to talk to S3.
  - Changes nothing else, and nothing on an instance.
options: {}
attributes:
  check_mode:
    description: Can run in check mode and return what it would outside of it.
    support: full
  diff_mode:
    description: Changes nothing, so it has no difference to show.
    support: none
  idempotent:
    description: When run twice in a row outside of check mode, with the same arguments, the second run changes nothing.
    support: full
  action:
    description: Runs on the controller only.
    support: full
"""

EXAMPLES = r"""
- name: Pack the SDK
  experiments.spot.results_sdk:
  register: sdk
"""

RETURN = r"""
path:
  description: Path of the archive on the controller; it is removed when the run ends.
  type: str
  returned: success
stamp:
  description: A file of the archive that is there once it is unpacked; its name tells two SDKs apart.
  type: str
  returned: success
  sample: experiments-spot/sdk/0123456789abcdef.complete
size:
  description: Bytes of the archive.
  type: int
  returned: success
"""
