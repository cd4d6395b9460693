"""What a user can set: ``MLFLOW_MOTHER_NOTIFY_*``."""

from __future__ import annotations

from pydantic import AnyHttpUrl, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class NotifySettings(BaseSettings):
    """Where and how lineages are posted."""

    model_config = SettingsConfigDict(env_prefix="MLFLOW_MOTHER_NOTIFY_", frozen=True, extra="ignore")

    url: AnyHttpUrl | None = Field(None, description="Where to post. Unset: the plugin does nothing.")
    secret: SecretStr | None = Field(None, description="Key of the signature. Unset: messages are not signed.")
    timeout: float = Field(
        5.0, gt=0, le=60, description="Seconds of one attempt, and of the wait at a process's end for those under way."
    )
