# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Channels that keep going: what changes is moved, until somebody ends it. PRIVATE to the collection.

``lines`` decides (pure), ``remote_watch`` runs on the instance, ``session`` holds the connection to one instance,
``supervisor`` puts them together, ``state`` tells others how they are.
"""
