"""A version's files are found wherever MLflow keeps them, and nothing is written beside them."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from registry_samples import Bench, network, write_model

from mlflow_mother.errors import RegistryError, WeightsError
from mlflow_mother.registry.artifacts import is_local, version_files
from mlflow_mother.registry.connection import NotFoundError, Registry
from mlflow_mother.registry.versions import get_version, list_versions


@pytest.fixture(autouse=True)
def unobserved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "false")


def files_of(uri: str) -> dict[str, int]:
    registry = Registry.current()
    return dict(version_files(registry, get_version(registry, registry.parse(uri))).sizes())


def test_the_same_files_by_every_kind_of_source(registry: Bench) -> None:
    folder = write_model(registry.folder / "m", network(0))
    client = registry.client
    model = mlflow.initialize_logged_model("m")
    client.log_model_artifacts(model.model_id, str(folder))
    mlflow.finalize_logged_model(model.model_id, "READY")
    mlflow.register_model(f"models:/{model.model_id}", "logged")
    expected = {"MLmodel", "model/model.safetensors"}
    assert set(files_of("models:/logged/1")) == expected
    client.copy_model_version("models:/logged/1", "copied")
    client.copy_model_version("models:/copied/1", "again")
    assert files_of("models:/again/1") == files_of("models:/logged/1")
    assert set(files_of(registry.register_folder("run", folder))) == expected


def test_one_file_at_a_time_and_mother_s_own_are_left_out(registry: Bench) -> None:
    uri = registry.register("m", network(0))
    run = registry.client.get_model_version("m", "1" if registry.kind != "http" else uri.rpartition("/")[2]).run_id
    extra = registry.folder / "extra"
    extra.mkdir(parents=True, exist_ok=True)
    (extra / "lineage.json").write_text("{}")
    registry.client.log_artifacts(run, str(extra), "model/mother/m/1")
    handle = Registry.current()
    files = version_files(handle, get_version(handle, handle.parse(uri)))
    assert set(files.sizes()) == {"MLmodel", "model/model.safetensors"}
    assert is_local(files) is (registry.kind != "http")
    with files.local("model/model.safetensors") as path:
        assert path.stat().st_size == files.sizes()["model/model.safetensors"]
        assert path.is_relative_to(registry.folder.parent) is (registry.kind != "http"), "in place when local"
    assert path.exists() is (registry.kind != "http"), "fetched copies do not stay"
    with pytest.raises(WeightsError, match="has no file"), files.local("../secret"):
        pass


def test_a_run_s_path_leads_to_its_logged_model(sqlite: Bench) -> None:
    folder = write_model(sqlite.folder / "m", network(0))
    with mlflow.start_run() as run:
        model = mlflow.initialize_logged_model("net", source_run_id=run.info.run_id)
        sqlite.client.log_model_artifacts(model.model_id, str(folder))
        mlflow.finalize_logged_model(model.model_id, "READY")
        from mlflow.entities import LoggedModelOutput

        sqlite.client.log_outputs(run.info.run_id, models=[LoggedModelOutput(model.model_id, 0)])
    sqlite.client.create_registered_model("m")
    sqlite.client.create_model_version("m", f"runs:/{run.info.run_id}/net", run.info.run_id)
    assert set(files_of("models:/m/1")) == {"MLmodel", "model/model.safetensors"}


def test_nothing_is_written_into_a_local_model(sqlite: Bench) -> None:
    folder = write_model(sqlite.folder / "m", network(0))
    before = sorted(folder.rglob("*"))
    sqlite.client.create_registered_model("m")
    sqlite.client.create_model_version("m", str(folder))
    files_of("models:/m/1")
    assert sorted(folder.rglob("*")) == before


def test_what_is_gone_is_said_to_be_gone(sqlite: Bench, tmp_path: Path) -> None:
    sqlite.client.create_registered_model("m")
    sqlite.client.create_model_version("m", str(tmp_path / "nowhere"))
    with pytest.raises(NotFoundError, match="nowhere"):
        files_of("models:/m/1")
    with pytest.raises(NotFoundError, match="models:/m/2"):
        files_of("models:/m/2")
    for nonsense in ("models:/m", "models:/m/latest", "m/1/2"):
        with pytest.raises(RegistryError):
            Registry.current().parse(nonsense)


def test_versions_are_listed_newest_first_over_pages(sqlite: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow_mother.registry import versions

    monkeypatch.setattr(versions, "PAGE", 2)
    sqlite.client.create_registered_model("it's")
    for _ in range(5):
        sqlite.client.create_model_version("it's", "somewhere")
    mlflow.genai.register_prompt(name="greeting", template="Hello")
    sqlite.client.set_registered_model_alias("it's", "best", "2")
    registry = Registry.current()
    found = [version.ref.version for version in list_versions(registry)]
    assert sorted(found) == ["1", "2", "3", "4", "5"], "every version once, no prompts"
    created = [version.created for version in list_versions(registry, "it's")]
    assert created == sorted(created, reverse=True)
    assert registry.parse("models:/it's@best").version == "2"
    assert versions.get_model(registry, "it's").aliases == {"2": ("best",)}
