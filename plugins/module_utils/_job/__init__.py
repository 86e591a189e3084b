# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The job on the instance: its runner, and the decisions of the modules job and job_info. PRIVATE to the collection."""
