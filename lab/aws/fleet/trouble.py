"""Refusals of pools as events of a fleet's history.

Sources: EC2 API EventInformation (sub-types), EC2 User Guide "EC2 Fleet event types" (texts of the examples), [OBS] the
texts of launchSpecTemporarilyBlacklisted.
"""

from __future__ import annotations

from lab.aws.fleet.model import Fleet
from lab.aws.fleet.pools import Pool

SEVERAL = 3  # "several attempts": so many failures in a row make a pool `launchSpecTemporarilyBlacklisted`
# Codes that pass by themselves; every other code means that the configuration is wrong.
PASSING = (
    "InsufficientFreeAddressesInSubnet",
    "InsufficientInstanceCapacity",
    "InternalError",
    "RequestLimitExceeded",
    "UnfulfillableCapacity",
)
LIMITS = ("MaxSpotInstanceCountExceeded", "VcpuLimitExceeded")
STATUS = {"SpotMaxPriceTooLow": "price-too-low"}  # code -> code of a waiting Spot request


def status(error: tuple[str, str] | None) -> str:
    """Status code of the Spot request that waits for a pool. Source: EC2 User Guide, spot-request-status."""
    return STATUS.get(error[0], "capacity-not-available") if error else "capacity-not-available"


def report(fleet: Fleet, tried: list[Pool]) -> None:
    """Tell what the pools of one look have said; success ends the trouble of a pool."""
    for pool in tried:
        key = f"{pool.market}/{pool.name}"
        if pool.records:
            forget(fleet, key)
        elif pool.error:
            fleet.failures[key] = fleet.failures.get(key, 0) + 1
            _report(fleet, pool, key)
    if any(pool.records for pool in tried):
        fleet.told -= {"all", "limit", "role", "template"}
        fleet.trouble = False
    else:
        _all(fleet, tried)


def forget(fleet: Fleet, key: str) -> None:
    """A pool works again."""
    fleet.failures.pop(key, None)
    fleet.told = {told for told in fleet.told if told != key and not told.endswith(f":{key}")}


def _report(fleet: Fleet, pool: Pool, key: str) -> None:
    assert pool.error
    code, message = pool.error
    if code == "SpotMaxPriceTooLow":
        text = f"{pool.name}, Spot price in the fleet or its launch template is less than Spot market price. {message}"
        fleet.note_once(f"price:{key}", "information", "launchSpecUnusable", text)
    elif code in LIMITS:
        fleet.note_once("limit", "error", "spotInstanceCountLimitExceeded")
    elif code == "UnauthorizedOperation":
        fleet.note_once("role", "error", "iamFleetRoleInvalid", message)
    elif code not in PASSING:
        fleet.note_once(f"config:{key}", "error", "spotFleetRequestConfigurationInvalid", f"{pool.name}: {message}")
    if fleet.failures[key] >= SEVERAL and code != "SpotMaxPriceTooLow":
        text = (
            f'Repeated errors have occurred processing the launch specification "{pool.name} while launching '
            f'{pool.market} instance". Error message: {message} (Service: AmazonEC2; Error Code: {code})'
        )
        fleet.note_once(f"blacklist:{key}", "information", "launchSpecTemporarilyBlacklisted", text)


def _all(fleet: Fleet, tried: list[Pool]) -> None:
    """What is true of the fleet when none of its pools gives anything."""
    failed = [p for p in tried if p.error]
    if not tried or len(failed) < len(tried):
        return
    codes = {p.error[0] for p in failed if p.error}
    fleet.trouble = fleet.trouble or not codes <= set(PASSING)
    if codes == {"SpotMaxPriceTooLow"}:
        text = "All launch specifications are unusable: every price is below the Spot price."
        fleet.note_once("all", "information", "fleetProgressHalted", text)
    elif all(fleet.failures[f"{p.market}/{p.name}"] >= SEVERAL for p in failed):
        fleet.trouble = True
        text = (
            "Several attempts to launch instances have failed. Either the request could not be satisfied or the "
            "configuration is not valid. The request is tried again later; the reasons stand in the events before."
        )
        fleet.note_once("all", "error", "allLaunchSpecsTemporarilyBlacklisted", text)
