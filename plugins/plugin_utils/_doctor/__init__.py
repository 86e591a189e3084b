# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a launch can work from here: checks of the controller, the account and a profile.

PRIVATE to the collection.
"""
