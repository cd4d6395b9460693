from __future__ import annotations

import json
import runpy
from pathlib import Path

import jsonschema
import pytest
from tree_samples import everything, uri

from mlflow_mother.export import exporters, layout
from mlflow_mother.types import Lineage

FOLDER = Path(__file__).parents[2] / "docs" / "schema"
WRITER = runpy.run_path(str(FOLDER / "write.py"))


def published(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", WRITER["SCHEMAS"])
def test_the_published_schema_is_current(name: str):
    assert (FOLDER / name).read_text(encoding="utf-8") == WRITER["text"](name), "run: python docs/schema/write.py"


def test_an_exported_tree_keeps_to_its_schema():
    published("tree.schema.json").validate(json.loads(exporters()["json"].export(everything())))


def test_a_lineage_keeps_to_its_schema():
    lineage = Lineage(
        **everything().model_dump(), subject=uri(6), subject_digest="00", spec="mother-fp/1", mother_version="0.1"
    )
    published("lineage.schema.json").validate(lineage.model_dump(mode="json"))


def test_a_layout_keeps_to_its_schema():
    published("layout.schema.json").validate(layout(everything()).model_dump(mode="json"))


def test_an_unknown_relation_breaks_the_schema():
    tree = json.loads(exporters()["json"].export(everything()))
    tree["edges"][0]["relation"] = "distilled"
    with pytest.raises(jsonschema.ValidationError):
        published("tree.schema.json").validate(tree)
