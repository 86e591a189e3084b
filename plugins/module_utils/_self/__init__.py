# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Recovery mode `self`: instances that set themselves up. PRIVATE to the collection.

On the controller: `userdata` (what an instance does first) and `bundle` (what it fetches). On the instance, with
Python's standard library only: `store` (S3), `fleet` (EC2), `loader` (from the user data: fetches the bundle), `keeper`
(from the bundle: sets up, watches the job, ends the fleet) and `state` (what keepers of all generations know).
"""
