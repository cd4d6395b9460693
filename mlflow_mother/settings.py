"""Settings, all from the environment (``MLFLOW_MOTHER_*``); the documentation's table is generated from here."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableError

from mlflow_mother.errors import SettingsError

PREFIX = "MLFLOW_MOTHER_"


class Settings(BaseSettings):
    """Everything a user can set. Each field's description is its documentation."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    enabled: bool = Field(True, description="Analyse model versions as they are registered.")
    store_uri: str | None = Field(
        None,
        description="SQLAlchemy URI of Mother's tables. Unset: the registry's own database when this process reaches "
        "it directly, else a SQLite file per registry in `MLFLOW_MOTHER_HOME`.",
    )
    home: Path = Field(Path("~/.mlflow-mother"), description="Folder of the local SQLite files.")
    inline_seconds: float = Field(
        5.0, ge=0, description="Longest time that a registration may wait for its lineage; the rest stays `pending`."
    )
    inline_bytes: int = Field(
        200_000_000, ge=0, description="Largest weights, in bytes, that are analysed during a registration."
    )
    write_tags: bool = Field(True, description="Write `mother.*` tags to model versions.")
    write_artifacts: bool = Field(True, description="Write `lineage.json`, `lineage.html` and the fingerprint.")
    use_time: bool = Field(
        False,
        description="Let registration times weigh a little for every direction. They always order identical copies.",
    )
    use_declared: bool = Field(False, description="Let declared parents count as evidence for an edge.")
    decide_probability: float = Field(
        0.8, gt=0.5, lt=1, description="Least probability at which an edge's direction is called decided."
    )
    candidates: int = Field(
        64, ge=1, le=1024, description="Most known versions that a new one is compared with in full."
    )
    device: str = Field("cpu", description="Torch device that computes fingerprints, e.g. `cpu` or `cuda`.")
    threads: int = Field(2, ge=1, le=64, description="Threads that compute one fingerprint.")
    server_worker: bool = Field(
        True, description="Run a server's worker beside its processes. `false` where `mlflow-mother worker` does it."
    )
    worker_memory: int = Field(
        2_000_000_000,
        ge=500_000_000,
        description="Memory, in bytes, at which a server's worker ends after its current versions, for a fresh one.",
    )
    reconcile_seconds: float = Field(
        60.0,
        ge=1,
        description="How often a server's worker looks for versions that nobody queued. In a large registry it takes "
        "twenty times as long as the last look did.",
    )
    auto_ui: bool = Field(
        False,
        description="Mount Mother on a plain `mlflow server`, or on `--app-name basic-auth`, where nobody can choose "
        "`--app-name mother`.",
    )
    name_relatives: bool = Field(
        True,
        description="Name other registered models in a version's tags, `lineage.json`, `lineage.html`. A server with "
        "sign-in does not unless it is set: who may read one model need not be allowed to see another.",
    )
    disabled_plugins: tuple[str, ...] = Field(
        (), description="Plugins (entry-point names) that are not loaded, as a JSON list."
    )
    webhook_secret: SecretStr | None = Field(
        None, description="What the webhooks of a server you do not control are signed with; at least 16 characters."
    )
    webhook_secret_file: Path | None = Field(
        None, description="File that holds that secret, instead of the variable itself."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("warning", description="Level of Mother's logger.")


def load_settings() -> Settings:
    """Reads the settings from the environment, anew only when it has changed: every registration asks.

    Raises:
        SettingsError: A variable has a value that makes no sense; the message names it.
    """
    return _loaded(frozenset(item for item in os.environ.items() if item[0].upper().startswith(PREFIX)))


@lru_cache(maxsize=1)
def _loaded(_variables: frozenset[tuple[str, str]]) -> Settings:
    try:
        return Settings()
    except UnreadableError as error:  # a list that is no JSON
        raise SettingsError(
            f"The environment variables MLFLOW_MOTHER_*: {error}.", "Write lists as JSON, e.g. '[\"name\"]'."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        name = "MLFLOW_MOTHER_" + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(f"{name}: {first['msg']}.", "Correct or unset the environment variable.") from error
