"""How the lab says no: an error in the shape and with the HTTP status of EC2."""

from __future__ import annotations

from moto.ec2.exceptions import EC2ClientError

# Everything not listed is 400. Source: EC2 API "Error codes": server errors, throttling and authorization.
HTTP_STATUS = {
    "AuthFailure": 401,
    "UnauthorizedOperation": 403,
    "DryRunOperation": 412,
    "InsufficientInstanceCapacity": 500,
    "InternalError": 500,
    "RequestLimitExceeded": 503,
    "ServiceUnavailable": 503,
    "Unavailable": 503,
}


class Refusal(EC2ClientError):
    """What AWS would answer instead of doing it."""

    def __init__(self, code: str, message: str, http: int = 0) -> None:
        super().__init__(code, message)
        self.http = http or HTTP_STATUS.get(code, 400)
