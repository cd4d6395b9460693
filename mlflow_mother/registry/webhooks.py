"""Webhooks at an MLflow server: made, listed, tested and removed through MLflow's own client.

A server sends webhooks to public ``https`` addresses only, unless the variables below say otherwise, and keeps their
secrets encrypted with a key of its own. When it refuses, the error names the variable to set, and where.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlflow_mother.errors import RegistryError
from mlflow_mother.registry.connection import ForbiddenError, NotFoundError, Registry, mlflow_errors

EVENT = "model_version.created"
"""What Mother wants to hear of."""

SCHEMES = "MLFLOW_WEBHOOK_ALLOWED_SCHEMES"
PRIVATE_IPS = "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS"
ENCRYPTION_KEY = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"
"""Variables of the MLflow server's environment."""

KEY_ADVICE = (
    f"The server keeps the secret only if {ENCRYPTION_KEY} is set in its environment: without it every worker process "
    "has a key of its own, and a restart or a second worker loses all deliveries."
)
"""What nobody can see from outside a server."""

_REFUSALS = (
    (
        r"webhook url scheme",
        "MLflow sends webhooks to https only. Put the receiver behind a reverse proxy with a certificate, or set "
        f"{SCHEMES}=http,https in the MLflow server's environment and restart it.",
    ),
    (
        r"non-public ip address",
        "MLflow sends webhooks to public addresses only. If the server may reach private ones, set "
        f"{PRIVATE_IPS}=true in its environment and restart it.",
    ),
    (r"cannot resolve", "The MLflow server does not know that host; use a name that resolves there."),
    (
        r"invalidtoken|\b500\b|internal_error",
        f"The server could not use its stored webhooks. Their secrets are encrypted with {ENCRYPTION_KEY}; without it, "
        "or with another key than before, none can be read and none is delivered. Restart the server with the old key, "
        "or delete the rows of its table `webhooks` and set a key; its log says more.",
    ),
)


@dataclass(frozen=True)
class Webhook:
    """A webhook as the server describes it; a server never tells a secret.

    Attributes:
        id: The server's identifier.
        name: Its name.
        url: Where it delivers to.
        events: What it delivers.
        active: Whether it delivers.
    """

    id: str
    name: str
    url: str
    events: tuple[str, ...]
    active: bool


@dataclass(frozen=True)
class Trial:
    """How a delivery went that the server made to try a webhook out.

    Attributes:
        arrived: Whether the receiver accepted it.
        detail: The receiver's answer, or why there was none.
    """

    arrived: bool
    detail: str


def register(registry: Registry, name: str, url: str, secret: str) -> tuple[Webhook, bool]:
    """Makes the server tell ``url`` of every new model version; a webhook of this name is changed, not doubled.

    Args:
        registry: The registry.
        name: The webhook's name.
        url: The receiver's address, as the server reaches it.
        secret: What deliveries are signed with.

    Returns:
        The webhook, and whether it is new.

    Raises:
        RegistryError: The server refused; the message says why and what to set.
    """
    there = next((webhook for webhook in webhooks(registry) if webhook.name == name), None)
    with _explained(f"Webhook {name!r} could not be registered"):
        if there is None:
            return _webhook(_client(registry).create_webhook(name, url, [EVENT], secret=secret)), True
        changed = _client(registry).update_webhook(there.id, url=url, events=[EVENT], secret=secret, status="ACTIVE")
        return _webhook(changed), False


def webhooks(registry: Registry) -> list[Webhook]:
    """All webhooks of the server, the newest first.

    Raises:
        RegistryError: The server cannot say.
    """
    found: list[Webhook] = []
    token = None
    while True:
        with _explained("The server's webhooks could not be listed"):
            page = _client(registry).list_webhooks(max_results=100, page_token=token)
        found += [_webhook(one) for one in page]
        token = page.token
        if not token:
            return found


def try_out(registry: Registry, webhook: Webhook) -> Trial:
    """Lets the server deliver an example.

    Raises:
        RegistryError: The server could not even try.
    """
    with _explained(f"Webhook {webhook.name!r} could not be tested"):
        result = _client(registry).test_webhook(webhook.id, EVENT)
    if result.response_status:
        body = " ".join((result.response_body or "").split())[:200]
        return Trial(bool(result.success), f"the receiver answered {result.response_status} {body}".strip())
    return Trial(bool(result.success), " ".join((result.error_message or "no answer").split())[:300])


def remove(registry: Registry, webhook: Webhook) -> None:
    """Deletes a webhook.

    Raises:
        RegistryError: The server refused.
    """
    with _explained(f"Webhook {webhook.name!r} could not be removed"):
        _client(registry).delete_webhook(webhook.id)


def _client(registry: Registry) -> Any:
    """The client of a registry that is behind a server; only a server delivers."""
    if not registry.uri.lower().startswith(("http://", "https://")):
        raise RegistryError(
            f"{registry.address} is not an MLflow server, and nothing else sends webhooks.",
            "Set MLFLOW_TRACKING_URI to the server's address, or use `mlflow-mother watch`.",
        )
    return registry.client


def _webhook(said: Any) -> Webhook:
    return Webhook(
        id=said.webhook_id,
        name=said.name,
        url=said.url,
        events=tuple(str(event) for event in said.events),
        active=bool(said.status.is_active()),
    )


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        with mlflow_errors(what):
            yield
    except ForbiddenError as error:
        raise ForbiddenError(error.what, "MLflow lets only administrators touch webhooks.") from error
    except NotFoundError:
        raise
    except RegistryError as error:
        for pattern, remedy in _REFUSALS:
            if re.search(pattern, error.what, re.IGNORECASE):
                raise RegistryError(error.what, remedy) from error
        raise
