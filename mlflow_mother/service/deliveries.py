"""Which webhook deliveries to believe: those that somebody with the secret has signed, just now, and only once.

MLflow follows the Standard Webhooks convention: it signs ``id.timestamp.body`` with HMAC-SHA256 and sends
``v1,<base64>``. An id holds no dot and a timestamp only digits, so no two deliveries have the same signed text.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mlflow_mother.errors import MotherError, SettingsError
from mlflow_mother.settings import Settings

ID_HEADER = "X-MLflow-Delivery-Id"
TIMESTAMP_HEADER = "X-MLflow-Timestamp"
SIGNATURE_HEADER = "X-MLflow-Signature"

TOLERANCE_SECONDS = 300.0
"""How far a delivery's timestamp may be from this machine's clock, either way."""

REMEMBERED = 50_000
"""Most delivery ids that are remembered at once."""

_VERSION = "v1"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


LEAST_SECRET = 16
"""Characters that a secret has at least: whoever sees a signed delivery can try out short ones."""

_HOW_TO_MAKE_ONE = (
    "Make one, e.g. with `openssl rand -hex 32`, and set MLFLOW_MOTHER_WEBHOOK_SECRET_FILE to a file that holds it."
)


class DeliveryRefusedError(MotherError):
    """A delivery is not believed; the message says why, and nothing about the secret."""


class MemoryFullError(MotherError):
    """More deliveries than can be remembered."""


@dataclass(frozen=True)
class Delivery:
    """A delivery that was verified.

    Attributes:
        id: The server's identifier of it; the same when the server tries again.
        timestamp: When it was signed, in unix seconds.
    """

    id: str
    timestamp: int


def shared_secret(settings: Settings) -> str:
    """The secret of the webhooks.

    Raises:
        SettingsError: There is none, or it is too short, or its file cannot be read.
    """
    secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else ""
    file = settings.webhook_secret_file
    if file is not None:
        try:
            secret = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"MLFLOW_MOTHER_WEBHOOK_SECRET_FILE: {file} cannot be read: {type(error).__name__}.",
                "Let it be a text file that this user may read.",
            ) from error
    if not secret:
        raise SettingsError("There is no secret for webhooks.", _HOW_TO_MAKE_ONE)
    if len(secret) < LEAST_SECRET:
        raise SettingsError(f"The secret for webhooks has less than {LEAST_SECRET} characters.", _HOW_TO_MAKE_ONE)
    return secret


def sign(secret: str, delivery_id: str, timestamp: str, body: bytes) -> str:
    """The signature that MLflow sends with a delivery."""
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    digest = hmac.digest(secret.encode(errors="surrogateescape"), signed, "sha256")
    return f"{_VERSION},{base64.b64encode(digest).decode()}"


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> Delivery:
    """Checks a delivery's signature, in constant time, and its age.

    Args:
        secret: The secret that was agreed with the server.
        headers: The request's headers; a mapping that ignores case.
        body: The body as received.
        now: Unix time.

    Raises:
        DeliveryRefusedError: It is not to be believed.
    """
    name, timestamp = headers.get(ID_HEADER, ""), headers.get(TIMESTAMP_HEADER, "")
    said = headers.get(SIGNATURE_HEADER, "")
    if not said:
        raise DeliveryRefusedError("The delivery is not signed.", "Register the webhook with a secret.")
    if not (_ID.fullmatch(name) and _TIMESTAMP.fullmatch(timestamp)):
        raise DeliveryRefusedError("The delivery's id or timestamp is missing or malformed.", "Let MLflow send it.")
    if not hmac.compare_digest(sign(secret, name, timestamp, body).encode(), said.encode()):
        raise DeliveryRefusedError(
            "The delivery's signature is wrong.",
            "Give the server and the receiver one secret: run `mlflow-mother webhook register` again.",
        )
    age = now - int(timestamp)
    if abs(age) > TOLERANCE_SECONDS:
        raise DeliveryRefusedError(
            f"The delivery was sent {age:.0f} s ago by this machine's clock; {TOLERANCE_SECONDS:.0f} s are tolerated.",
            "Set the clocks right.",
        )
    return Delivery(name, int(timestamp))


class SeenDeliveries:
    """Remembers deliveries for as long as :func:`verify` would accept them, so that none counts twice.

    Only holders of the secret can add to the memory. When it is full, new deliveries are refused; no id is forgotten
    early.

    Args:
        most: Most ids to remember.
    """

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._until: dict[str, float] = {}

    def add(self, delivery: Delivery, now: float) -> bool:
        """Remembers a verified delivery; False when it came before.

        Args:
            delivery: The delivery.
            now: Unix time.

        Raises:
            MemoryFullError: Too many came lately.
        """
        if delivery.id in self._until:
            return False
        if len(self._until) >= self._most:
            self._until = {name: until for name, until in self._until.items() if until >= now}
        if len(self._until) >= self._most:
            raise MemoryFullError(
                f"More than {self._most} deliveries came within {TOLERANCE_SECONDS:.0f} s.",
                "Nothing is lost: the registry is looked at regularly.",
            )
        self._until[delivery.id] = delivery.timestamp + TOLERANCE_SECONDS
        return True
