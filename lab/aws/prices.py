"""Prices and where types are sold, deterministic, with realistic figures for us-east-1.

On-demand prices are AWS's list prices (Linux, us-east-1, USD per hour, 2025/26) for the types people use in
experiments; any other type costs by its vCPUs. Spot prices are a share of them that differs by type, zone and time
(a new price every six hours), so that ranking by price has something to rank.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from itertools import takewhile
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES

STEP = timedelta(hours=6)
HISTORY = timedelta(days=90)  # Source: EC2 API DescribeSpotPriceHistory
EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)

ON_DEMAND = {
    "t3.nano": 0.0052, "t3.micro": 0.0104, "t3.small": 0.0208, "t3.medium": 0.0416, "t3.large": 0.0832,
    "t3.xlarge": 0.1664, "t3.2xlarge": 0.3328, "t3a.medium": 0.0376, "t3a.large": 0.0752, "t4g.medium": 0.0336,
    "t4g.large": 0.0672, "t2.micro": 0.0116, "t2.medium": 0.0464, "t2.large": 0.0928,
    "m5.large": 0.096, "m5.xlarge": 0.192, "m5.2xlarge": 0.384, "m5.4xlarge": 0.768, "m5a.large": 0.086,
    "m6i.large": 0.096, "m6i.xlarge": 0.192, "m6a.large": 0.0864, "m7i.large": 0.1008, "m7g.large": 0.0816,
    "m6g.large": 0.077, "c5.large": 0.085, "c5.xlarge": 0.17, "c5.2xlarge": 0.34, "c5.4xlarge": 0.68,
    "c6i.large": 0.085, "c6i.xlarge": 0.17, "c6a.large": 0.0765, "c7i.large": 0.08925, "c7g.large": 0.0725,
    "r5.large": 0.126, "r5.xlarge": 0.252, "r6i.large": 0.126,
    "g4dn.xlarge": 0.526, "g4dn.2xlarge": 0.752, "g4dn.4xlarge": 1.204, "g4dn.8xlarge": 2.176,
    "g4dn.12xlarge": 3.912, "g4dn.16xlarge": 4.352, "g4dn.metal": 7.824,
    "g5.xlarge": 1.006, "g5.2xlarge": 1.212, "g5.4xlarge": 1.624, "g5.8xlarge": 2.448, "g5.12xlarge": 5.672,
    "g5.16xlarge": 4.096, "g5.24xlarge": 8.144, "g5.48xlarge": 16.288,
    "g6.xlarge": 0.8048, "g6.2xlarge": 0.9776, "g6.4xlarge": 1.3232, "g6.8xlarge": 2.0144, "g6.12xlarge": 4.6016,
    "g6.16xlarge": 3.3968, "g6.24xlarge": 6.6752, "g6.48xlarge": 13.3504,
    "g6e.xlarge": 1.861, "g6e.2xlarge": 2.24208, "g6e.4xlarge": 3.00424, "g6e.8xlarge": 4.52856,
    "p4d.24xlarge": 21.957642, "p5.48xlarge": 55.04,
}  # fmt: skip
VCPU_PRICE = 0.048  # for a type that is not in the table
GPU_PRICE = 0.8
QUOTA_GROUPS = {"g": "G and VT", "gr": "G and VT", "vt": "G and VT", "p": "P", "f": "F", "x": "X", "inf": "Inf",
                "trn": "Trn", "dl": "DL"}  # fmt: skip
# Share of the on-demand price that Spot costs, by family; 0.42 otherwise.
SPOT_SHARE = {"t3": 0.36, "t3a": 0.34, "m5": 0.40, "c5": 0.41, "g4dn": 0.38, "g5": 0.43, "g6": 0.46, "p4d": 0.55}


def _hash(*parts: object) -> float:
    """A number in [0, 1) that belongs to the parts for ever."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def vcpus(type_name: str) -> int:
    """Default vCPUs of a type."""
    return int(INSTANCE_TYPES[type_name]["VCpuInfo"]["DefaultVCpus"])


def quota_group(type_name: str) -> str:
    """The family group whose quota counts the type. Source: EC2 User Guide "Spot Instance quotas"."""
    kind = "".join(takewhile(str.isalpha, type_name))
    return QUOTA_GROUPS.get(kind, "Standard")


@lru_cache
def _zones_by_type(region: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for offer in INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, []):
        found.setdefault(offer["InstanceType"], set()).add(offer["Location"])
    return {name: tuple(sorted(zones)) for name, zones in found.items()}


def offered_zones(type_name: str, region: str, retired: tuple[str, ...] = ()) -> list[str]:
    """Zones that sell the type, sorted."""
    if type_name.startswith(retired):
        return []
    return list(_zones_by_type(region).get(type_name, ()))


def on_demand(type_name: str) -> float:
    """USD per hour."""
    if type_name in ON_DEMAND:
        return ON_DEMAND[type_name]
    gpus = sum(g["Count"] for g in INSTANCE_TYPES[type_name].get("GpuInfo", {}).get("Gpus", []))
    return round(vcpus(type_name) * VCPU_PRICE + gpus * GPU_PRICE, 4)


def spot(type_name: str, zone: str, at: datetime) -> float:
    """USD per hour at a time; changes every `STEP`."""
    return _spot(type_name, zone, _step(at))


@lru_cache(maxsize=1 << 18)  # a history of 90 days for all types and zones of a region has 100,000 of them
def _spot(type_name: str, zone: str, step: int) -> float:
    share = SPOT_SHARE.get(type_name.split(".", maxsplit=1)[0], 0.42)
    place = 0.85 + 0.3 * _hash(type_name, zone)
    moment = 0.97 + 0.06 * _hash(type_name, zone, step)
    return round(on_demand(type_name) * share * place * moment, 6)


def _step(at: datetime) -> int:
    return int((at - EPOCH) // STEP)


def history(type_name: str, zone: str, start: datetime, end: datetime) -> Iterator[tuple[datetime, float]]:
    """Changes from newest to oldest, with the last one before `start`. Source: DescribeSpotPriceHistory."""
    step = _step(end)
    while True:
        at = EPOCH + step * STEP
        yield at, _spot(type_name, zone, step)
        if at <= start:
            return
        step -= 1


def product(type_name: str, region: str) -> str:
    """One entry of `PriceList` in the answer of pricing GetProducts: a JSON string, as AWS sends it."""
    sku = hashlib.sha256(type_name.encode()).hexdigest()[:16].upper()
    attributes = _attributes(type_name, region)
    entry = {
        "product": {"productFamily": "Compute Instance", "attributes": attributes, "sku": sku},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": _term(type_name, sku)},
        "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
    }
    return json.dumps(entry)


def _attributes(type_name: str, region: str) -> dict[str, str]:
    data = INSTANCE_TYPES[type_name]
    return {
        "instanceType": type_name,
        "vcpu": str(vcpus(type_name)),
        "memory": f"{data['MemoryInfo']['SizeInMiB'] / 1024:g} GiB",
        "regionCode": region,
        "location": "US East (N. Virginia)" if region == "us-east-1" else region,
        "locationType": "AWS Region",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "licenseModel": "No License required",
        "marketoption": "OnDemand",
        "operation": "RunInstances",
        "servicecode": "AmazonEC2",
        "servicename": "Amazon Elastic Compute Cloud",
        "currentGeneration": "Yes" if data.get("CurrentGeneration") else "No",
    }


def _term(type_name: str, sku: str) -> dict[str, Any]:
    """The hour's price, two levels deep under codes that AWS gives to every offer and every rate."""
    term = f"{sku}.JRTCKXETXF"
    rate = f"{term}.6YS6EN2CT7"
    price = f"{on_demand(type_name):.10f}"
    dimension = {
        "unit": "Hrs",
        "endRange": "Inf",
        "description": f"${price} per On Demand Linux {type_name} Instance Hour",
        "appliesTo": [],
        "rateCode": rate,
        "beginRange": "0",
        "pricePerUnit": {"USD": price},
    }
    return {
        term: {
            "priceDimensions": {rate: dimension},
            "sku": sku,
            "effectiveDate": "2026-11-01T00:00:00Z",
            "offerTermCode": "JRTCKXETXF",
            "termAttributes": {},
        }
    }


def _values(condition: dict[str, str]) -> list[str]:
    """What a field may be, in lower case. Source: Pricing API Filter, types TERM_MATCH, EQUALS and ANY_OF."""
    text = condition["Value"].lower()
    return [one.strip() for one in text.split(",")] if condition.get("Type") == "ANY_OF" else [text]


def products(filters: list[dict[str, str]], region: str, retired: tuple[str, ...]) -> list[str]:
    """All products that match filters of the types TERM_MATCH, EQUALS and ANY_OF."""
    wanted = {f["Field"]: _values(f) for f in filters}
    names = wanted.get("instanceType") or sorted(_zones_by_type(region))
    found = []
    for name in names:
        if name in INSTANCE_TYPES and offered_zones(name, region, retired):
            entry = product(name, region)
            attributes = json.loads(entry)["product"]["attributes"]
            if all(attributes.get(key, "").lower() in values for key, values in wanted.items() if key != "ServiceCode"):
                found.append(entry)
    return found
