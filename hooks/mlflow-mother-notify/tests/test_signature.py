"""Signatures are those of MLflow's webhooks."""

from __future__ import annotations

import time

from mlflow.webhooks.delivery import _generate_hmac_signature

from mlflow_mother_notify.signature import sign, verify

BODY = '{"name": "m\u00f6del"}'


def test_signature_is_the_one_mlflow_makes() -> None:
    assert sign("key", "id-1", "1700000000", BODY.encode()) == _generate_hmac_signature(
        "key", "id-1", "1700000000", BODY
    )


def test_genuine_delivery_is_accepted() -> None:
    now = str(int(time.time()))
    assert verify("key", "id", now, b"body", sign("key", "id", now, b"body"))


def test_forged_changed_and_old_deliveries_are_refused() -> None:
    now = str(int(time.time()))
    signature = sign("key", "id", now, b"body")
    assert not verify("other", "id", now, b"body", signature)
    assert not verify("key", "other", now, b"body", signature)
    assert not verify("key", "id", now, b"changed", signature)
    assert not verify("key", "id", now, b"body", "v1,\u00fcbel")
    old = str(int(time.time()) - 3600)
    assert not verify("key", "id", old, b"body", sign("key", "id", old, b"body"))
    assert not verify("key", "id", "soon", b"body", sign("key", "id", "soon", b"body"))
