"""Every way to register a version is noticed, on every kind of registry, and none is ever broken."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import mlflow
import pytest
from registry_samples import Bench, finetuned, network, write_model

import mlflow_mother
from mlflow_mother.registry import capture


def test_register_model_leaves_parents_in_tags_and_artifacts(registry: Bench) -> None:
    base = network(0)
    parent = registry.register("parent", base)
    child = registry.register("child", finetuned(base, 1))

    tags = registry.mother(child)
    assert tags["status"] == "done"
    assert tags["parent"] == parent
    assert tags["relation"] == "finetune"
    assert tags["root"] == parent
    assert 0.8 <= float(tags["confidence"]) <= 1
    assert tags["subject"].startswith(f"{child}#")
    assert registry.mother(parent)["status"] == "done"
    run = registry.client.get_model_version("child", "1").run_id
    files = {item.path.rpartition("/")[2] for item in registry.client.list_artifacts(run, "mother/child/1")}
    assert files == {"lineage.json", "lineage.html", "fingerprint.safetensors", "fingerprint.json"}


def test_log_model_with_a_registered_name_is_captured(registry: Bench) -> None:
    import torch

    torch.manual_seed(0)
    info = mlflow.pytorch.log_model(
        torch.nn.Linear(32, 32),
        name="net",
        registered_model_name="flavored",
        pip_requirements=["torch"],
        input_example=torch.zeros(1, 32).numpy(),
    )
    tags = registry.mother("models:/flavored/1")
    assert tags["status"] == "done", tags
    listed = registry.client.list_logged_model_artifacts(info.model_id, "mother/flavored/1")
    assert any(item.path.endswith("lineage.json") for item in listed)


def test_a_version_created_by_the_client_is_captured(registry: Bench) -> None:
    folder = write_model(registry.folder / "plain", network(3))
    client = registry.client
    with mlflow.start_run() as run:
        client.log_artifacts(run.info.run_id, str(folder), "model")
    client.create_registered_model("plain")
    source = f"{run.info.artifact_uri}/model" if registry.kind == "http" else f"runs:/{run.info.run_id}/model"
    client.create_model_version("plain", source, run.info.run_id)
    assert registry.mother("models:/plain/1")["status"] == "done"


def test_a_copied_version_is_a_copy_and_its_inherited_tags_are_written_anew(registry: Bench) -> None:
    base = network(7)
    registry.register("original", base)
    child = registry.register("grown", finetuned(base, 8))
    copied = registry.client.copy_model_version("models:/grown/1", "published")
    uri = f"models:/published/{copied.version}"

    tags = registry.mother(uri)
    assert tags["subject"].startswith(f"{uri}#")
    assert (tags["status"], tags["relation"], tags["parent"]) == ("done", "copy", child)


def test_prompts_are_left_alone(sqlite: Bench) -> None:
    mlflow.genai.register_prompt(name="greeting", template="Hello {{name}}")
    tags = mlflow.genai.load_prompt("prompts:/greeting/1").tags
    assert not any(key.startswith("mother") for key in tags)


def test_disabled_by_the_environment_nothing_is_looked_at(sqlite: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "false")
    assert sqlite.mother(sqlite.register("quiet", network(0))) == {}


def test_disable_and_enable_outrank_the_environment(sqlite: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow_mother.disable()
    assert sqlite.mother(sqlite.register("off", network(0))) == {}
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "false")
    mlflow_mother.enable()
    assert sqlite.mother(sqlite.register("on", network(1)))["status"] == "done"


def test_a_registration_is_not_held_up_beyond_the_bound(sqlite: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite.register("first", network(0))
    monkeypatch.setenv("MLFLOW_MOTHER_INLINE_SECONDS", "0.2")
    folder = write_model(sqlite.folder / "large", network(1, width=1024, layers=24))
    with mlflow.start_run() as run:
        sqlite.client.log_artifacts(run.info.run_id, str(folder), "model")
    began = time.monotonic()
    mlflow.register_model(f"runs:/{run.info.run_id}/model", "large")
    took = time.monotonic() - began
    assert took < 3  # reading these weights takes far longer
    assert sqlite.mother("models:/large/1").get("status", "pending") == "pending"


def test_weights_above_the_byte_bound_stay_pending_with_a_reason(
    sqlite: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_INLINE_BYTES", "1000")
    tags = sqlite.mother(sqlite.register("big", network(0)))
    assert tags["status"] == "pending"
    assert "mlflow-mother reconcile" in tags["reason"]


def test_a_broken_mother_never_breaks_a_registration(sqlite: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_STORE_URI", "sqlite:////proc/nowhere/mother.db")
    assert sqlite.register("sturdy", network(0)) == "models:/sturdy/1"


def test_nonsense_in_the_settings_never_breaks_a_registration(sqlite: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_INLINE_SECONDS", "soon")
    assert sqlite.register("sturdy", network(0)) == "models:/sturdy/1"


def test_the_store_methods_keep_their_signatures() -> None:
    from mlflow.store.model_registry.file_store import FileStore
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    capture.install()
    for store in (FileStore, SqlAlchemyStore):
        names = list(inspect.signature(store.create_model_version).parameters)
        assert names[:3] == ["self", "name", "source"] and "local_model_path" in names
        wrapped = store.create_model_version
        capture.install()
        assert store.create_model_version is wrapped


@pytest.mark.parametrize(
    "sabotage",
    [
        "raise SyntaxError('broken plugin')",
        pytest.param("raise RuntimeError('broken plugin')", marks=pytest.mark.full),
        pytest.param("import no_such_module", marks=pytest.mark.full),
    ],
)
def test_a_mother_that_cannot_start_leaves_mlflow_as_it_was(tmp_path: Path, sabotage: str) -> None:
    program = f"""
    import sys, importlib.abc, importlib.machinery, types

    class Broken(importlib.abc.Loader, importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name == "mlflow_mother.registry.capture":
                return importlib.machinery.ModuleSpec(name, self)
        def create_module(self, spec):
            return None
        def exec_module(self, module):
            {sabotage}

    sys.meta_path.insert(0, Broken())
    import mlflow
    mlflow.set_tracking_uri("sqlite:///{tmp_path}/mlflow.db")
    client = mlflow.MlflowClient()
    client.create_registered_model("m")
    client.create_model_version("m", "{tmp_path}/nothing")
    print(len(client.search_model_versions("name = 'm'")), "mlflow_mother.registry.entry_point" in sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "1 True"
    assert "Mother could not start" in done.stderr
