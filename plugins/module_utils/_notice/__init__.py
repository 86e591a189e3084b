# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The notice watcher of an instance, and how it is installed. PRIVATE to the collection.

`watcher`, `steps`, `imds`, `ec2`, `clocks` and `system` lie on the instance as the package `notice` in
/usr/local/lib/experiments-spot, so they need nothing but Python 3.9. `spec` belongs to the module notice_watcher.
"""
