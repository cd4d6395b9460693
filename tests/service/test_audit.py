"""The five verdicts, as docs/audit.md defines them."""

from __future__ import annotations

import mlflow
import pytest
from registry_samples import Bench, finetuned, network, write_model

from mlflow_mother.service import Service
from mlflow_mother.service.auditing import audit_rows
from mlflow_mother.service.families import tree_of
from mlflow_mother.types import Edge, Node, Relation, Status, Verdict

A, B, C, UP = "models:/a/1", "models:/b/1", "models:/c/1", "unregistered:1"


def edge(parent: str, child: str, *, decided: bool = True) -> Edge:
    return Edge(
        parent=parent,
        child=child,
        relation=Relation.FINETUNE,
        probability=0.9,
        direction="decided" if decided else "undecided",
    )


def verdict(*edges: Edge, declared: tuple[str, ...] = (), status: Status = Status.DONE) -> Verdict:
    nodes = {name: Node(id=name, status=Status.DONE) for name in (A, B, C)}
    nodes[C] = Node(id=C, status=status, declared_parents=declared)
    return {row.uri: row.verdict for row in audit_rows(tree_of(edges, nodes), {})}[C]


@pytest.mark.parametrize("status", [Status.PENDING, Status.FAILED, Status.UNSUPPORTED])
def test_a_version_that_was_not_read_is_undecided(status: Status) -> None:
    assert verdict(declared=(A,), status=status) is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("edges", "declared", "expected"),
    [
        ([edge(A, C)], (A,), Verdict.CONFIRMED),
        ([edge(A, B), edge(B, C)], (A,), Verdict.CONFIRMED),
        ([edge(A, C), edge(B, C)], (A, B), Verdict.CONFIRMED),
        ([edge(A, C)], (A, "some/hub-model"), Verdict.CONFIRMED),
        ([edge(A, C)], (A, B), Verdict.CONFLICT),
        ([edge(A, C)], (B,), Verdict.CONFLICT),
        ([edge(C, A)], (A,), Verdict.CONFLICT),
        ([], (A,), Verdict.CONFLICT),
        ([edge(A, C, decided=False)], (A,), Verdict.UNDECIDED),
        ([edge(A, C)], (), Verdict.UNDOCUMENTED),
        ([edge(A, C)], ("some/hub-model",), Verdict.UNDOCUMENTED),
        ([edge(UP, C), edge(UP, A)], (), Verdict.UNDOCUMENTED),
        ([edge(UP, C), edge(UP, A)], ("some/hub-model",), Verdict.UNDECIDED),
        ([edge(A, C, decided=False)], (), Verdict.UNDECIDED),
        ([edge(C, A)], (), Verdict.UNRELATED),
        ([], (), Verdict.UNRELATED),
        ([], ("some/hub-model",), Verdict.UNRELATED),
    ],
)
def test_verdicts(edges: list[Edge], declared: tuple[str, ...], expected: Verdict) -> None:
    assert verdict(*edges, declared=declared) is expected


def test_declared_parents_come_from_run_inputs_flavors_and_copies(sqlite: Bench, service: Service) -> None:
    root = network(0)
    sqlite.register("stranger", network(9))
    sqlite.register("origin", root)
    mlmodel = "flavors:\n  transformers:\n    source_model_name: models:/stranger/1\n"
    sqlite.register_folder("liar", write_model(sqlite.folder / "liar", finetuned(root, 1), mlmodel))
    sqlite.client.copy_model_version("models:/origin/1", "copied")
    rows = {row.uri: row for row in service.audit()}
    assert rows["models:/liar/1"].verdict is Verdict.CONFLICT
    assert rows["models:/liar/1"].declared == ("models:/stranger/1",)
    assert rows["models:/liar/1"].inferred == ("models:/origin/1",)
    assert rows["models:/copied/1"].verdict is Verdict.CONFIRMED
    assert rows["models:/origin/1"].verdict is Verdict.UNRELATED


def test_a_run_that_took_a_logged_model_as_input_declares_its_version(sqlite: Bench, service: Service) -> None:
    from mlflow.entities import LoggedModelInput

    root = network(0)
    model = mlflow.initialize_logged_model("origin")
    mlflow.finalize_logged_model(model.model_id, "READY")
    sqlite.client.log_model_artifacts(model.model_id, str(write_model(sqlite.folder / "origin", root)))
    mlflow.register_model(f"models:/{model.model_id}", "origin")
    with mlflow.start_run() as run:
        sqlite.client.log_inputs(run.info.run_id, models=[LoggedModelInput(model.model_id)])
        folder = write_model(sqlite.folder / "child", finetuned(root, 1))
        sqlite.client.log_artifacts(run.info.run_id, str(folder), "model")
    mlflow.register_model(f"runs:/{run.info.run_id}/model", "child")
    row = next(row for row in service.audit() if row.uri == "models:/child/1")
    assert (row.verdict, row.declared) == (Verdict.CONFIRMED, ("models:/origin/1",))
    listed = sqlite.client.list_logged_model_artifacts(model.model_id, "mother/origin/1")
    assert "mother/origin/1/lineage.json" in {item.path for item in listed}
