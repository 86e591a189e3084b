# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Results in a bucket: what is pushed, the manifest, and how both sides read it. PRIVATE to the collection.

`plan`, `store`, `files`, `fetch` and `pusher` lie on the instance as the package `results` in
/usr/local/lib/experiments-spot, beside the SDK that the controller has sent; they need Python 3.10 and import nothing
else. `spec` belongs to the module results_pusher.
"""
