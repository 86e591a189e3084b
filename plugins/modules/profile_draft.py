#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: profile_draft
short_description: Write a new profile, or import one from another tool
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Writes C(NAME.yml) with the few keys that a profile needs, and every other key as a comment with its type, default
    and meaning. The file is a right profile as it is.
  - Imports what other tools have. What cannot be carried over is told with the reason, and stands in the file as a
    comment.
  - A file that exists is never changed.
  - Runs on the controller.
options:
  name:
    description: Name of the new profile; 1 to 40 lower-case letters, digits and hyphens.
    type: str
    required: true
  dir:
    description: Directory of the file, made when missing; from where the command was typed.
    type: path
    default: profiles
  from_file:
    description:
      - File to import, as JSON, YAML or a Python dictionary; from where the command was typed.
      - Values that hold a template are not carried over.
    type: str
    default: ""
  from_kind:
    description:
      - What O(from_file) is, V(portal_gun), V(launch_specification), V(spot_connect) or V(stack_config). Without it the
        content tells.
    type: str
    default: ""
  from_request:
    description: Id of an EC2 Spot request to import, read by DescribeSpotInstanceRequests.
    type: str
    default: ""
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    support: full
    description: Writes nothing and shows the file as a difference.
  diff_mode:
    support: full
    description: Shows the new file.
  idempotent:
    support: full
    description: A file that exists stays as it is.
seealso:
  - module: experiments.spot.profile
"""

EXAMPLES = r"""
- name: Write a draft to profiles/mine.yml
  experiments.spot.profile_draft:
    name: mine

- name: Import a specification of Portal Gun
  experiments.spot.profile_draft:
    name: mine
    from_file: mine.json

- name: Import a Spot request of the account
  experiments.spot.profile_draft:
    name: mine
    from_request: sir-8456a1fz
    region: eu-west-1
"""

RETURN = r"""
file:
  description: The new file, or the one that exists.
  returned: success
  type: str
  sample: /home/alice/work/profiles/mine.yml
carried:
  description: Fields of the source, and the keys of the profile where they went.
  returned: success
  type: dict
  sample: {spot_instance.image_id: image.id}
left:
  description: Fields of the source that were not carried over, and why.
  returned: success
  type: dict
  sample: {spot_instance.ebs_optimized: "remove it; every current type is optimised for EBS by default"}
remarks:
  description: What else one should know.
  returned: success
  type: list
  elements: str
msg:
  description: All of that as lines to show.
  returned: success
  type: list
  elements: str
"""
