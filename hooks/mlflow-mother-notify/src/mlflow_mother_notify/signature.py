"""Signatures in the manner of MLflow's webhooks: base64 of HMAC-SHA256 over ``id.timestamp.body``."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

ID_HEADER = "X-MLflow-Delivery-Id"
TIMESTAMP_HEADER = "X-MLflow-Timestamp"
SIGNATURE_HEADER = "X-MLflow-Signature"


def sign(secret: str, delivery_id: str, timestamp: str, body: bytes) -> str:
    """Signs one delivery.

    Args:
        secret: The key that sender and receiver share.
        delivery_id: Value of :data:`ID_HEADER`.
        timestamp: Unix seconds as decimal digits, value of :data:`TIMESTAMP_HEADER`.
        body: The request's body.

    Returns:
        Value of :data:`SIGNATURE_HEADER`, ``v1,<base64>``.
    """
    signed = b".".join((delivery_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def verify(
    secret: str, delivery_id: str, timestamp: str, body: bytes, signature: str, *, tolerance: float = 300.0
) -> bool:
    """Says whether a received delivery is genuine and recent.

    Args:
        secret: The key that sender and receiver share.
        delivery_id: Received value of :data:`ID_HEADER`.
        timestamp: Received value of :data:`TIMESTAMP_HEADER`.
        body: Received body, byte for byte.
        signature: Received value of :data:`SIGNATURE_HEADER`.
        tolerance: Largest age, and largest lead of the sender's clock, in seconds.
    """
    genuine = hmac.compare_digest(sign(secret, delivery_id, timestamp, body).encode(), signature.encode())
    return genuine and timestamp.isdecimal() and abs(time.time() - int(timestamp)) <= tolerance
