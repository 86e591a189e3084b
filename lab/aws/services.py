"""AWS services that moto does not have or has empty: price list and EC2's service quotas (both JSON 1.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.aws import prices
from lab.aws.errors import Refusal
from lab.aws.world import World

# Source: EC2 User Guide, Spot and On-Demand quotas: group -> (Spot code, On-Demand code).
QUOTA_CODES = {
    "Standard": ("L-34B43A08", "L-1216C47A"),
    "G and VT": ("L-3819A6DF", "L-DB2E81BA"),
    "P": ("L-7212CCBC", "L-417A185B"),
}
NO_LIMIT = 10000.0  # what the quota API says when the lab has no limit


def get_products(world: World, args: dict[str, Any]) -> dict[str, Any]:
    """Pricing API GetProducts: `PriceList` holds JSON strings."""
    if args.get("ServiceCode") != "AmazonEC2":
        return {"FormatVersion": "aws_v1", "PriceList": []}
    fields = {one["Field"]: one["Value"] for one in args.get("Filters", [])}
    region = fields.get("regionCode", world.config.region)
    found = prices.products(args.get("Filters", []), region, world.config.not_offered)
    size = min(int(args.get("MaxResults") or 100), 100)
    start = int(args.get("NextToken") or 0)
    answer: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": found[start : start + size]}
    if start + size < len(found):
        answer["NextToken"] = str(start + size)
    return answer


def _quotas(world: World) -> list[dict[str, Any]]:
    quotas = []
    for group, codes in QUOTA_CODES.items():
        for code, name in zip(codes, ("Spot Instance Requests", "On-Demand instances"), strict=True):
            quotas.append(
                {
                    "ServiceCode": "ec2",
                    "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
                    "QuotaCode": code,
                    "QuotaName": f"{group} {name}",
                    "QuotaArn": f"arn:aws:servicequotas:{world.config.region}:{world.config.account_id}:ec2/{code}",
                    "Value": float(world.quota.get(group, NO_LIMIT)),
                    "Unit": "None",
                    "Adjustable": True,
                    "GlobalQuota": False,
                }
            )
    return quotas


def get_service_quota(world: World, args: dict[str, Any]) -> dict[str, Any]:
    """Service Quotas API GetServiceQuota."""
    for quota in _quotas(world):
        if quota["ServiceCode"] == args.get("ServiceCode") and quota["QuotaCode"] == args.get("QuotaCode"):
            return {"Quota": quota}
    raise Refusal("NoSuchResourceException", "The request failed because the specified service quota does not exist.")


def list_service_quotas(world: World, args: dict[str, Any]) -> dict[str, Any]:
    """Service Quotas API ListServiceQuotas."""
    return {"Quotas": _quotas(world) if args.get("ServiceCode") == "ec2" else []}


# X-Amz-Target -> what answers
ACTIONS: dict[str, Callable[[World, dict[str, Any]], dict[str, Any]]] = {
    "AWSPriceListService.GetProducts": get_products,
    "ServiceQuotasV20190624.GetServiceQuota": get_service_quota,
    "ServiceQuotasV20190624.ListServiceQuotas": list_service_quotas,
}
