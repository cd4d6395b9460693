"""Writes the published JSON Schemas from the records: ``python docs/schema/write.py``."""

from __future__ import annotations

import json
from pathlib import Path

from mlflow_mother.export.layout import Layout
from mlflow_mother.types import lineage_json_schema, tree_json_schema

SCHEMAS = {
    "tree.schema.json": tree_json_schema,
    "lineage.schema.json": lineage_json_schema,
    "layout.schema.json": Layout.model_json_schema,
}


def text(name: str) -> str:
    """The content of one schema file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMAS[name]()}
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    for name in SCHEMAS:
        Path(__file__).with_name(name).write_text(text(name), encoding="utf-8")
