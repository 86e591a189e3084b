# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""How modules behave in check mode, with a diff and when run twice, for those that share it."""

from __future__ import annotations


class ModuleDocFragment:
    """Parts of DOCUMENTATION, each for `extends_documentation_fragment: experiments.spot.attributes.NAME`."""

    # A module that asks AWS and changes nothing.
    READS = r"""
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
"""

    # A module that changes what differs, and predicts it.
    CHANGES = r"""
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run changes nothing.
    support: full
"""

    # A module that looks at a machine and changes nothing.
    LOOKS = r"""
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying the target.
    support: full
    details: [This module changes nothing.]
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: N/A
    details: [This module changes nothing.]
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run changes nothing.
    support: full
"""
