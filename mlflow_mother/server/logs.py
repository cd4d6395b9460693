"""What Mother says in a server: beside MLflow's own lines, in their form."""

from __future__ import annotations

import logging

from mlflow_mother.settings import Settings

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
TIME = "%Y/%m/%d %H:%M:%S"


def set_up(settings: Settings) -> None:
    """Sends Mother's log to stderr, once.

    Args:
        settings: How much is said; the worker's progress always is, unless somebody set the level.
    """
    mother = logging.getLogger("mlflow_mother")
    mother.setLevel(settings.log_level.upper())
    if "log_level" not in settings.model_fields_set:
        logging.getLogger("mlflow_mother.worker").setLevel(logging.INFO)
    if not mother.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(FORMAT, TIME))
        mother.addHandler(handler)
        mother.propagate = False
