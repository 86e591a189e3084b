# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Code from git: where a repository is, how it lets an instance in, what a path holds. PRIVATE to the collection."""
