"""Where readers of one model need not be allowed to see another, nothing that they read names it."""

from __future__ import annotations

from pathlib import Path

from registry_samples import Bench, finetuned, network

from mlflow_mother.service import Service
from mlflow_mother.settings import Settings
from mlflow_mother.store.notices import NAMES_WITHHELD


def files(bench: Bench, uri: str) -> set[str]:
    name, version = uri.removeprefix("models:/").split("/")
    run = bench.client.get_model_version(name, version).run_id
    return {Path(file.path).name for file in bench.client.list_artifacts(run, f"mother/{name}/{version}")}


def test_names_are_withdrawn_and_brought_back_with_the_setting(sqlite: Bench) -> None:
    root = sqlite.register("root", network(0))
    child = sqlite.register("child", finetuned(network(0), 1))
    everything = sqlite.mother(child)
    assert everything["parent"] == root
    assert files(sqlite, root) == {"lineage.json", "lineage.html", "fingerprint.safetensors", "fingerprint.json"}

    Service(settings=Settings(name_relatives=False)).reconcile()
    assert set(sqlite.mother(child)) == {"subject", "status"}
    assert sqlite.mother(root)["root"] == root
    for uri in (root, child):
        assert files(sqlite, uri) == {"fingerprint.safetensors", "fingerprint.json"}

    Service(settings=Settings(name_relatives=True)).reconcile()
    assert sqlite.mother(child) == everything
    assert "lineage.json" in files(sqlite, root)


def test_versions_of_one_model_may_name_each_other(sqlite: Bench) -> None:
    first = sqlite.register("m", network(0))
    second = sqlite.register("m", finetuned(network(0), 1))
    Service(settings=Settings(name_relatives=False)).reconcile()
    assert sqlite.mother(second)["parent"] == first


def test_word_left_by_a_server_with_sign_in_counts_wherever_nobody_set_it(sqlite: Bench) -> None:
    """Beside such a server: a worker or a command of its own, with the server's tables and not its environment."""
    root = sqlite.register("root", network(0))
    child = sqlite.register("child", finetuned(network(0), 1))
    store = Service().store
    store.leave_notice("own", NAMES_WITHHELD)
    Service(settings=Settings()).reconcile()
    assert set(sqlite.mother(child)) == {"subject", "status"}
    assert files(sqlite, child) == {"fingerprint.safetensors", "fingerprint.json"}
    Service(settings=Settings(name_relatives=True)).reconcile()
    assert sqlite.mother(child)["parent"] == root
    Service(settings=Settings()).reconcile()
    late = sqlite.register("late", finetuned(network(0), 2))
    assert set(sqlite.mother(late)) == set(sqlite.mother(child)) == {"subject", "status"}
    store.withdraw_notice("own", NAMES_WITHHELD)
    Service(settings=Settings()).reconcile()
    assert sqlite.mother(child)["parent"] == root
