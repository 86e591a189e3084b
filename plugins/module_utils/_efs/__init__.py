# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""EFS: file systems at AWS (api, plan, waiters) and as an instance mounts them (mount). PRIVATE to the collection."""
