# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What experiments left behind: find it, tell what it costs, remove it. PRIVATE to the collection."""
