#!/usr/bin/python
# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: job_wait
short_description: Wait for the job of an instance, or follow its log
version_added: 1.0.0
author:
  - experiments.spot authors (@experiments-spot)
description:
  - Waits until the job that M(experiments.spot.job) started is over and says now and then what it does, first after 5
    seconds, then each 15.
  - The job does not depend on this. Ctrl-C or a lost connection leave it running; the same command comes back to it.
  - When AWS announces to take the instance, or has taken it, the wait ends with the state V(interrupted).
  - Needs a host that is reached by ssh.
options:
  follow:
    description: Shows the log of the job as it is written, with the name of the host when there are several.
    type: bool
    default: false
  fail_on_error:
    description: Whether to fail when the job did not succeed. A lost connection and a timeout always fail.
    type: bool
    default: true
  timeout:
    description: Seconds to wait. Without it as long as the job takes.
    type: float
  log_lines:
    description: Number of lines of the end of the log to return.
    type: int
    default: 20
  reconnect:
    description: Seconds to try again when the connection is lost.
    type: float
    default: 120
  instance_id:
    description:
      - The EC2 instance of the host. When it does not answer any more AWS is asked what has become of it, so that an
        instance that AWS has taken is not waited for.
    type: str
  together:
    description:
      - A path on the controller. The wait for a host whose instance is taken writes a line with its id and the kind of
        the notice there, and the waits for the other hosts of the task end when the file appears, their jobs going on.
    type: path
  persistent:
    description: Never gives up on a lost connection while AWS says that the instance runs.
    type: bool
    default: false
  forward:
    description:
      - Makes a port of the host reachable at 127.0.0.1 of the controller while the job is waited for, by an SSH tunnel
        that is opened again when the connection was lost. When an HTTP server answers there the address is shown, once,
        and not in Ansible's log file. The controller's port is the same one where that is free.
    type: dict
    suboptions:
      port:
        description: The port at 127.0.0.1 of the host. Without it there is no tunnel.
        type: int
      file:
        description: A file of the host whose first line is the rest of the address, such as a path with a token.
        type: str
        default: ""
  quiet:
    description:
      - Shows nothing but the address of O(forward). Without it the environment variable E(EXPERIMENTS_SPOT_QUIET)
        decides.
    type: bool
attributes:
  check_mode:
    support: full
    description: Is skipped.
  diff_mode:
    support: none
    description: It changes nothing.
  idempotent:
    support: full
    description: It changes nothing.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
notes:
  - The AWS options are used only to ask about O(instance_id).
seealso:
  - module: experiments.spot.job
  - module: experiments.spot.job_info
"""

EXAMPLES = r"""
- name: Wait for the job and show its log
  experiments.spot.job_wait:
    follow: true
  register: result

- name: Wait for two hours at most, whatever the outcome
  experiments.spot.job_wait:
    timeout: 7200
    fail_on_error: false
"""

RETURN = r"""
job:
  description: Name of the job.
  type: str
  returned: success
experiment:
  description: Name of the experiment.
  type: str
  returned: success
state:
  description: V(succeeded), V(failed) or V(stopped).
  type: str
  returned: success
exit_code:
  description: Exit code of the container. Null when it never ran.
  type: int
  returned: success
message:
  description: One line that explains a failure.
  type: str
  returned: success
started:
  description: Begin of the run, ISO 8601 UTC.
  type: str
  returned: success
  sample: "2026-01-02T03:04:05Z"
finished:
  description: End of the run.
  type: str
  returned: success
image:
  description: Image of the run.
  type: str
  returned: success
code:
  description: Repository, version and commit of the code of the last run; null without code from git.
  type: dict
  returned: success
progress:
  description:
    - How far the run is, as the job told in C(progress.json) of its state directory - C(start) (the step it went on
      after), C(step), C(of) and C(unit); null when it tells nothing.
  type: dict
  returned: success
  sample: {"start": 0, "step": 45, "of": 100, "unit": "steps"}
generation:
  description: Generation of the run.
  type: int
  returned: success
rank:
  description: Rank of the instance.
  type: int
  returned: success
instance_id:
  description: The instance.
  type: str
  returned: success
unit_active:
  description: Whether the runner still runs.
  type: bool
  returned: success
log_tail:
  description: The last lines of the log, without control characters.
  type: list
  elements: str
  returned: success
waited:
  description: Seconds that the wait took.
  type: float
  returned: success
"""
