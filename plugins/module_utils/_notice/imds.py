# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The instance metadata service, version 2.

Part of the notice watcher on the instance.
Source: EC2 User Guide "Use the Instance Metadata Service to access instance metadata", "Spot Instance interruption
notices", "EC2 instance rebalance recommendations".
"""

from __future__ import annotations

import http.client
import os
import urllib.parse
from typing import Callable, NamedTuple

from . import clocks

ENDPOINT = "http://169.254.169.254"
ENDPOINT_VARIABLE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
TTL = 21600
RENEW = 60.0
TIMEOUT = 2.0
LIMIT = 65536
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "X-aws-ec2-metadata-token"

Headers = dict[str, str]


class ImdsError(Exception):
    """The service cannot be asked now; the text is short and the same for the same cause."""


class Answer(NamedTuple):
    """Status, body, AWS's clock if the answer told it, and the seconds that a token lives."""

    status: int
    body: str
    date: float | None
    ttl: float


def endpoint(configured: str | None, environ: dict[str, str] | None = None) -> str:
    """Base URL: the SDKs' own variable, the configuration, or the link-local address."""
    found = (os.environ if environ is None else environ).get(ENDPOINT_VARIABLE) or configured or ENDPOINT
    return found.rstrip("/")


def reason(error: Exception) -> str:
    """A cause in a few words without addresses and counts, so that the same cause is told once."""
    if isinstance(error, OSError):
        return (error.strerror or "no answer in time").lower()
    return f"no usable HTTP ({type(error).__name__})"


def request(base: str, method: str, path: str, headers: Headers) -> Answer:
    """One request, straight to the service: no proxy of the environment is ever used.

    Raises:
        ImdsError: no answer in time, or none that is HTTP.
    """
    url = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=TIMEOUT)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        body = response.read(LIMIT).decode("utf-8", "replace")
        ttl = response.getheader(TTL_HEADER) or ""
        date = clocks.parse_date(response.getheader("Date"))
        return Answer(response.status, body, date, float(ttl) if ttl.isdigit() else TTL)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ImdsError(reason(error)) from error
    finally:
        connection.close()


class Imds:
    """The service with its token: renewed before it expires, and once when it is refused; never without one."""

    def __init__(self, base: str, clock: Callable[[], float] = clocks.uptime) -> None:
        self.base = base
        self.clock = clock
        self._token = ""
        self._until = 0.0

    def get(self, path: str) -> Answer:
        """A path below /latest/meta-data/; the status is 200, or 404 where there is nothing.

        Raises:
            ImdsError: any other answer, or none.
        """
        answer = self._get(path)
        if answer.status == 401:
            self._token = ""
            answer = self._get(path)
        if answer.status not in (200, 404):
            raise ImdsError(f"status {answer.status}")
        return answer

    def text(self, path: str) -> str | None:
        """Body of a path, None where there is nothing.

        Raises:
            ImdsError: see `get`.
        """
        answer = self.get(path)
        return answer.body.strip() if answer.status == 200 else None

    def _get(self, path: str) -> Answer:
        return request(self.base, "GET", f"/latest/meta-data/{path}", {TOKEN_HEADER: self._valid_token()})

    def _valid_token(self) -> str:
        if not self._token or self.clock() >= self._until:
            asked = self.clock()
            answer = request(self.base, "PUT", "/latest/api/token", {TTL_HEADER: str(TTL), "Content-Length": "0"})
            if answer.status != 200 or not answer.body.strip():
                raise ImdsError(f"no token, status {answer.status}")
            self._token = answer.body.strip()
            self._until = asked + answer.ttl - min(RENEW, answer.ttl / 2)
        return self._token
