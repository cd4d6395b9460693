"""The plugin: turns a committed lineage into a message and hands it to the delivery."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from functools import cache

from mlflow_mother import hookimpl
from mlflow_mother.types import Lineage, ModelVersionRef

from mlflow_mother_notify.delivery import Delivery
from mlflow_mother_notify.settings import NotifySettings


def message(ref: ModelVersionRef, lineage: Lineage, at: datetime) -> bytes:
    """The request's body, UTF-8 JSON in the shape of MLflow's webhooks.

    Args:
        ref: The model version.
        lineage: Its committed lineage.
        at: When it was committed.
    """
    content = {
        "entity": "lineage",
        "action": "created",
        "timestamp": at.isoformat(),
        "data": {**ref.model_dump(mode="json"), "uri": ref.uri, "lineage": lineage.model_dump(mode="json")},
    }
    return json.dumps(content, allow_nan=False).encode()


@cache
def delivery() -> Delivery | None:
    """The process's delivery; None while no endpoint is configured.

    Raises:
        pydantic.ValidationError: A setting makes no sense; Mother logs it and goes on.
    """
    settings = NotifySettings()
    return Delivery(settings) if settings.url is not None else None


@hookimpl
def mother_after_lineage(ref: ModelVersionRef, lineage: Lineage) -> None:
    """Posts the lineage, if there is an endpoint to post it to."""
    post = delivery()
    if post is not None:
        post.post(message(ref, lineage, datetime.now(timezone.utc)))
