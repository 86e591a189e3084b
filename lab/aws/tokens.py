"""Client tokens: the same token and the same parameters get the same answer."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from lab.aws import rules
from lab.aws.world import Token, World


def fingerprint(params: dict[str, Any]) -> str:
    """What makes two requests the same: all parameters but the token."""
    kept = {k: v for k, v in params.items() if k not in ("ClientToken", "DryRun")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()


def known(world: World, key: tuple[str, ...], params: dict[str, Any]) -> Any:
    """The earlier answer to this token, or None; refuses other parameters. `key`: action, zone or "", token."""
    rules.client_token(key[-1])
    token = world.tokens.get(key) if key[-1] else None
    if token is None:
        return None
    rules.same_request(token.fingerprint, fingerprint(params))
    return token.result


def remember(world: World, key: tuple[str, ...], params: dict[str, Any], result: Any) -> None:
    """Keep the answer; failed requests are not kept, so that they can be tried again."""
    if key[-1]:
        world.tokens[key] = Token(fingerprint(params), result)
