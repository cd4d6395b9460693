"""Whatever was missed is found: registered without Mother, too large, too late, interrupted, opted out, deleted."""

from __future__ import annotations

import time

import pytest
from registry_samples import Bench, finetuned, network

from mlflow_mother.errors import RegistryError
from mlflow_mother.service import Plan, Report, Service
from mlflow_mother.service.service import Purged

ROOT = network(0)


def test_a_dry_run_says_how_much_there_is_and_changes_nothing(quiet: Bench, service: Service) -> None:
    quiet.register("a", ROOT)
    quiet.register("b", finetuned(ROOT, 1))
    plan = service.reconcile(dry_run=True)
    assert isinstance(plan, Plan)
    assert (plan.versions, plan.unreachable, plan.gone) == (2, 0, 0)
    assert plan.bytes > 2 * sum(weights.nbytes for weights in ROOT.values())
    assert plan.minutes > 0
    assert service.store.versions(service.registry.id) == ()
    assert quiet.mother("models:/a/1") == {}


def test_reconcile_does_everything_that_is_missing_and_then_nothing(quiet: Bench, service: Service) -> None:
    quiet.register("a", ROOT)
    child = quiet.register("b", finetuned(ROOT, 1))
    report = service.reconcile()
    assert isinstance(report, Report)
    assert (report.analysed, report.by_status["done"], report.waiting) == (2, 2, 0)
    assert quiet.mother(child)["parent"] == "models:/a/1"
    assert len(service.store.history(service.registry.parse(child))) == 1, "read first, compared afterwards"
    again = service.reconcile()
    assert (again.analysed, again.written) == (0, 0)
    assert service.reconcile(dry_run=True).versions == 0


def test_limit_model_and_since_restrict_the_work(quiet: Bench, service: Service) -> None:
    quiet.register("a", network(1))
    quiet.register("a", network(2))
    time.sleep(0.01)
    between = time.time()
    quiet.register("b", network(3))
    assert service.reconcile(dry_run=True, model="a").versions == 2
    assert service.reconcile(dry_run=True, since=between).versions == 1
    assert service.reconcile(limit=1, model="a").analysed == 1
    assert service.reconcile(since=between).by_status["done"] == 2
    assert service.reconcile().analysed == 1


def test_progress_counts_up_to_all(quiet: Bench, service: Service) -> None:
    quiet.register("a", network(1))
    quiet.register("b", network(2))
    seen: list[tuple[int, int]] = []
    service.reconcile(progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (2, 2)


@pytest.mark.parametrize("level", ["model", "version"])
def test_a_model_or_version_opts_out_and_in_again(quiet: Bench, service: Service, level: str) -> None:
    uri = quiet.register("a", network(1))
    if level == "model":
        quiet.client.set_registered_model_tag("a", "mother.ignore", "true")
    else:
        quiet.client.set_model_version_tag("a", "1", "mother.ignore", "true")
    report = service.reconcile()
    assert (report.analysed, report.ignored) == (0, 1)
    assert "status" not in quiet.mother(uri)
    assert service.tree().nodes == ()
    if level == "model":
        quiet.client.set_registered_model_tag("a", "mother.ignore", "false")
    else:
        quiet.client.delete_model_version_tag("a", "1", "mother.ignore")
    assert service.reconcile().analysed == 1
    assert quiet.mother(uri)["status"] == "done"


def test_an_ignored_version_is_not_analysed_when_it_is_registered(sqlite: Bench) -> None:
    assert "status" not in sqlite.mother(sqlite.register("a", network(1), tags={"mother.ignore": "true"}))


def test_tags_that_somebody_deleted_come_back(sqlite: Bench, service: Service) -> None:
    sqlite.register("a", ROOT)
    child = sqlite.register("b", finetuned(ROOT, 1))
    before = sqlite.mother(child)
    for key in before:
        sqlite.client.delete_model_version_tag("b", "1", f"mother.{key}")
    service.reconcile()
    assert sqlite.mother(child) == before


def test_a_name_that_was_deleted_and_registered_anew_is_read_anew(sqlite: Bench, service: Service) -> None:
    sqlite.register("a", ROOT)
    sqlite.client.delete_registered_model("a")
    time.sleep(1.1)
    sqlite.register("a", network(5))
    found = service.store.version(service.registry.ref("a", 1))
    fresh = sqlite.mother("models:/a/1")["subject"].partition("#")[2]
    assert found is not None and found.digest == fresh
    assert service.reconcile().by_status["done"] == 1


def test_purge_removes_all_that_mother_wrote_and_keeps_what_people_set(sqlite: Bench, service: Service) -> None:
    uri = sqlite.register("a", ROOT)
    sqlite.client.set_model_version_tag("a", "1", "mother.ignore", "false")
    sqlite.client.set_model_version_tag("a", "1", "team", "vision")
    assert service.purge() == Purged(versions=1)
    assert sqlite.tags(uri) == {"mother.ignore": "false", "team": "vision"}
    run = sqlite.client.get_model_version("a", "1").run_id
    assert not sqlite.client.list_artifacts(run, "mother/a/1")
    assert Service().store.versions("own") == ()


def test_infer_says_why_there_is_no_lineage(sqlite: Bench, service: Service) -> None:
    folder = sqlite.folder / "empty"
    folder.mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    uri = sqlite.register_folder("hollow", folder)
    with pytest.raises(RegistryError, match="has no lineage"):
        service.infer(service.registry.parse(uri))


def test_without_leave_to_write_nothing_is_written(
    sqlite: Bench, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_WRITE_TAGS", "false")
    monkeypatch.setenv("MLFLOW_MOTHER_WRITE_ARTIFACTS", "false")
    uri = sqlite.register("a", ROOT)
    assert sqlite.tags(uri) == {}
    assert service.store.versions(service.registry.id)[0].status == "done"
