"""Which webhook deliveries are believed: the signature's law, the clock, and each only once."""

from __future__ import annotations

import dataclasses
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.webhooks.delivery import _generate_hmac_signature

from mlflow_mother.errors import SettingsError
from mlflow_mother.service.deliveries import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    TOLERANCE_SECONDS,
    Delivery,
    DeliveryRefusedError,
    MemoryFullError,
    SeenDeliveries,
    shared_secret,
    sign,
    verify,
)
from mlflow_mother.settings import Settings

secrets = st.text(st.characters(codec="utf-8"), min_size=16, max_size=40)
ids = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=40)
times = st.integers(0, 10**11).map(str)
bodies = st.binary(max_size=200)


def headers(delivery_id: str, timestamp: str, signature: str) -> dict[str, str]:
    return {ID_HEADER: delivery_id, TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: signature}


@given(secrets, ids, times, st.text(st.characters(codec="utf-8"), max_size=100))
def test_what_mlflow_signs_is_believed(secret: str, delivery_id: str, timestamp: str, body: str) -> None:
    signature = _generate_hmac_signature(secret, delivery_id, timestamp, body)
    assert sign(secret, delivery_id, timestamp, body.encode()) == signature
    found = verify(secret, headers(delivery_id, timestamp, signature), body.encode(), float(timestamp))
    assert found == Delivery(delivery_id, int(timestamp))


@given(secrets, ids, times, bodies, st.data())
def test_any_single_changed_byte_is_refused(
    secret: str, delivery_id: str, timestamp: str, body: bytes, data: st.DataObject
) -> None:
    sent = [delivery_id.encode(), timestamp.encode(), sign(secret, delivery_id, timestamp, body).encode(), body]
    where = data.draw(st.sampled_from([i for i, part in enumerate(sent) if part]))
    at = data.draw(st.integers(0, len(sent[where]) - 1))
    changed = bytearray(sent[where])
    changed[at] ^= data.draw(st.integers(1, 255))
    sent[where] = bytes(changed)
    said = headers(*(part.decode("latin-1") for part in sent[:3]))
    with pytest.raises(DeliveryRefusedError):
        verify(secret, said, sent[3], float(timestamp))


@given(secrets, secrets, ids, times, bodies)
def test_another_secret_is_refused(one: str, other: str, delivery_id: str, timestamp: str, body: bytes) -> None:
    if one == other:
        return
    said = headers(delivery_id, timestamp, sign(other, delivery_id, timestamp, body))
    with pytest.raises(DeliveryRefusedError, match="signature"):
        verify(one, said, body, float(timestamp))


def test_parts_cannot_be_shifted_under_one_signature() -> None:
    """``a.1`` sent at ``2`` and ``a`` sent at ``1.2`` have one signed text."""
    body = b"123.{}"
    signature = sign("s" * 16, "a", "5", body)
    assert sign("s" * 16, "a.5", "123", b"{}") == signature
    with pytest.raises(DeliveryRefusedError, match="malformed"):
        verify("s" * 16, headers("a.5", "123", signature), b"{}", 123.0)


@pytest.mark.parametrize("late", [TOLERANCE_SECONDS + 1, -TOLERANCE_SECONDS - 1])
def test_an_old_or_future_delivery_is_refused(late: float) -> None:
    said = headers("a", "1000", sign("s" * 16, "a", "1000", b""))
    verify("s" * 16, said, b"", 1000 + late * 0.9)
    with pytest.raises(DeliveryRefusedError, match="clock"):
        verify("s" * 16, said, b"", 1000 + late)


@given(st.integers(-300, 300), st.floats(0, 1))
def test_a_delivery_is_remembered_for_as_long_as_it_would_be_believed(age: int, part: float) -> None:
    now = 10_000.0
    delivery = Delivery("a", int(now) - age)
    seen = SeenDeliveries(most=1)
    assert seen.add(delivery, now)
    last = delivery.timestamp + TOLERANCE_SECONDS
    again = now + part * (last - now)
    assert not seen.add(delivery, again)
    with pytest.raises(MemoryFullError):
        seen.add(Delivery("b", int(again)), again)
    assert seen.add(dataclasses.replace(delivery, id="b"), last + 1), "memory is freed when nothing can come again"


def test_the_secret_is_never_shown_and_must_be_worth_its_name(tmp_path) -> None:
    file = tmp_path / "secret"
    file.write_text("0123456789abcdef\n")
    assert shared_secret(Settings(webhook_secret_file=file)) == "0123456789abcdef"
    assert "hush" not in repr(Settings(webhook_secret="hush, this is secret"))
    for settings in (Settings(), Settings(webhook_secret="short"), Settings(webhook_secret_file=tmp_path / "none")):
        with pytest.raises(SettingsError) as caught:
            shared_secret(settings)
        assert "short" not in str(caught.value)
