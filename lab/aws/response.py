"""What all EC2 actions of the lab share: the world, the lock, parameters, answers."""

from __future__ import annotations

import logging
import uuid
from functools import cache
from typing import Any, ClassVar

from moto.core import responses
from moto.core.responses import ActionResult
from moto.ec2.responses import EC2Response

from lab.aws import consistency, events
from lab.aws.errors import Refusal
from lab.aws.world import World

log = logging.getLogger("lab.aws")
PAINTED = (
    "CreateVolumeResponse.State",
    "Image.CreationDate",
    "ModifyVolumeResponse.VolumeModification.Progress",
    "RunInstances.Reservation.Instances.Instance.State",
)
# moto looks through the whole class at each call.
responses.method_names_from_class = cache(responses.method_names_from_class)
UNLOCKED = ("GetConsoleOutput",)  # asks the machine, which may take its time


class Elsewhere(EC2Response):
    """A region without machines."""

    def _refuse(self) -> ActionResult:
        raise Refusal("OptInRequired", f"The lab has machines in some regions only, not in {self.region}.")

    run_instances = create_fleet = request_spot_instances = request_spot_fleet = _refuse


class LabResponse(EC2Response):
    """moto's EC2 actions, one request at a time: they run in threads and moto's tables are not made for that."""

    worlds: ClassVar[dict[str, World]]
    # moto paints fixed values over these answers; the lab knows the true ones.
    RESPONSE_KEY_PATH_TO_TRANSFORMER = {
        path: transform
        for path, transform in EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER.items()
        if path not in PAINTED
    }

    @property
    def world(self) -> World:
        """That of the region which the request is for."""
        return self.worlds[self.region]

    @property
    def args(self) -> dict[str, Any]:
        """The request's parameters in the shape and types of botocore's model."""
        return dict(self.params)

    @classmethod
    def dispatch(cls, *args: Any, **kwargs: Any) -> Any:
        """The lab has some regions; in the others there is a default network and nothing else."""
        request = args[0]
        region = cls().get_region_from_url(request, request.raw_url)
        if region in cls.worlds:
            return super().dispatch(*args, **kwargs)
        with next(iter(cls.worlds.values())).lock:
            return Elsewhere.dispatch(*args, **kwargs)

    def _dispatch(self, *args: Any, **kwargs: Any) -> Any:
        request = args[0]
        self.region = self.get_region_from_url(request, request.raw_url)
        if request.values.get("Action") in UNLOCKED:
            return super()._dispatch(*args, **kwargs)
        with self.world.lock:
            self.world.purge()
            with consistency.lagging(self.world, request.values.get("Action", "")):
                answer = super()._dispatch(*args, **kwargs)
            events.flush(self.world)
            return answer

    def call_action(self) -> Any:
        """What neither the lab nor moto can do is an error that says so, not a page of HTML."""
        try:
            return super().call_action()
        except NotImplementedError as err:  # moto raises it for calls it does not know
            return self._unable(f"The lab cannot do {self._get_action()}: {err}")
        except Exception as err:  # a bug of the lab must reach the caller as an answer, and the log as a traceback
            log.exception("%s failed", self._get_action())
            return self._unable(f"The lab failed in {self._get_action()}: {type(err).__name__}: {err}")

    def _unable(self, message: str) -> Any:
        return self.serialized(ActionResult(Refusal("LabNotImplemented", message, 501)))

    def serialized(self, action_result: ActionResult) -> Any:
        """Give a Refusal its own HTTP status; moto answers 400 to everything."""
        status, headers, body = super().serialized(action_result)
        body = str(body).replace("<requestId>request-id<", f"<requestId>{uuid.uuid4()}<")
        if isinstance(action_result.result, Refusal):
            status = action_result.result.http
        return status, headers, body

    def tags_of(self, resource_id: str) -> list[dict[str, str]]:
        """Tags in botocore's shape."""
        return [{"Key": k, "Value": v} for k, v in self.world.backend.tags.get(resource_id, {}).items()]

    def dry_run(self) -> None:
        """Source: EC2 API DryRun."""
        if self.params.get("DryRun"):
            raise Refusal("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
