# Copyright: (c) 2026, the experiments.spot authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what public_image_info tells: all folders of parameters at the same time, then all images in one call.

Note that this module util is private to the collection and may change at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from .._experiment import api as plan_api
from .._experiment.api import calls, filters, pages
from .._experiment.connection import Clients
from .._experiment.reads import ReadError, failures
from . import public

Client = Any
Resource = dict[str, Any]


@calls("ssm:GetParametersByPath")
def parameters(ssm: Client, path: str) -> list[Resource]:
    """All parameters below a path, none where there is nothing. Source: Systems Manager API GetParametersByPath."""
    return pages(ssm, "get_parameters_by_path", "Parameters", Path=path, Recursive=True)


@calls("ec2:DescribeImages")
def images(ec2: Client, ids: list[str]) -> list[Resource]:
    """Images of these ids; unknown ones are left out. Source: EC2 API DescribeImages."""
    return pages(ec2, "describe_images", "Images", Filters=filters(image_id=ids)) if ids else []


def public_images(clients: Clients, params: Mapping[str, Any]) -> Resource:
    """Public images of a region.

    Args:
        clients: of the region.
        params: options of public_image_info.

    Returns:
        ``images`` and ``notes``.

    Raises:
        ReadError: the parameters cannot be read.
    """
    wanted = {path: kind for kind in params["kinds"] for path in public.KINDS[kind].paths}
    other = {"x86_64": "/arm64", "arm64": "/x86_64"}[params["architecture"]]
    paths = [path for path in wanted if not path.endswith(other)]
    answers, errors = plan_api.gather({path: partial(_parameters, clients, path) for path in paths})
    if errors:  # Each folder is refused for the same reason, under another id.
        reasons = {error.code: error for error in errors.values()}
        raise ReadError(failures(reasons.values()), errors.values())
    entries = [
        one
        for kind in params["kinds"]
        for one in public.rows(
            [found for path in paths if wanted[path] == kind for found in answers[path]], kind, params["architecture"]
        )
    ]
    known, notes = _described(clients, entries)
    described = [public.described(one, known) for one in entries]
    return {"images": [one for one in described if public.matching(one, params["search"])], "notes": notes}


def _parameters(clients: Clients, path: str) -> list[Resource]:
    return parameters(clients("ssm"), path)


def _described(clients: Clients, entries: list[Resource]) -> tuple[dict[str, Resource], list[str]]:
    try:
        found = images(clients("ec2"), sorted({one["image_id"] for one in entries}))
    except plan_api.ApiError as error:
        if not error.denied:
            raise
        return {}, [f"No answer about names of images ({error.action}: {error.reason})"]
    return {raw["ImageId"]: raw for raw in found}, []
