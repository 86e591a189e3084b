#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: notify
short_description: Tell what happened to an experiment
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Tells news by a webhook, an SNS topic and a notification on the desktop.
  - Never fails because of them. What could not be told is a warning.
  - Runs on the controller. A topic needs the permission C(sns:Publish).
options:
  experiment:
    description: Name of the experiment.
    type: str
    required: true
  event:
    description: What happened.
    type: str
    required: true
    choices: [start, end, interruption, failure]
  text:
    description: Some lines for people.
    type: str
    default: ""
  webhook:
    description:
      - URL that is told by POST, in JSON with C(experiment), C(event), C(time) and C(text).
    type: str
  topic:
    description: ARN of an SNS topic, which names its region. Experiment and event are attributes of the message.
    type: str
  desktop:
    description: Whether C(notify-send) or, on macOS, C(osascript) shows it, where there is one of them.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Tells nothing.
  diff_mode:
    support: none
    description: It changes nothing.
  idempotent:
    support: none
    description: Each call tells the news again.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
seealso:
  - name: Publish
    description: How SNS takes a message.
    link: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""

EXAMPLES = r"""
- name: Tell that the data are there
  experiments.spot.notify:
    experiment: digits
    event: end
    text: The data are there
    webhook: "{{ lookup('ansible.builtin.env', 'CHAT_WEBHOOK') }}"
    topic: arn:aws:sns:us-east-1:123456789012:experiments-spot
    desktop: true
"""

RETURN = r"""
told:
  description: The ways by which it was told.
  type: list
  elements: str
  returned: success
  sample: [webhook, topic]
failed_ways:
  description: Why it was not told by the others that were asked for, a line each.
  type: list
  elements: str
  returned: success
"""
