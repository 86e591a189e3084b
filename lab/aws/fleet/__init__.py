"""Fleets: EC2 Fleets and Spot Fleets over one model.

A Spot Fleet is an EC2 Fleet in other words (`spot_fleets.py` translates), so everything here speaks CreateFleet's
language. `checks` refuses, `pools` names where instances may come from, `fill` launches, `model` is what a fleet
remembers, `orders` are its waiting Spot requests, `keeper` looks after fleets of type request and maintain.

What is simpler than AWS: a pool that failed is tried again at every look instead of after 13 minutes; history shows
events at once instead of within 30 s; scale-down ends Spot Instances without their two minutes; load balancers,
capacity reservations and deletion of old records after 48 h do not exist.
"""
