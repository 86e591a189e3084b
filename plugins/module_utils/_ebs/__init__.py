# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""EBS volumes as the instance sees them: find, probe, decide, mount. PRIVATE to the collection."""
