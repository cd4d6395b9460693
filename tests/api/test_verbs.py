"""The Python verbs, on files and on a registry."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import networkx as nx
import pytest
from family_samples import PARENTS, VERSIONS

import mlflow_mother
from mlflow_mother.errors import CorruptFileError, RegistryError, WeightsError
from mlflow_mother.types import Status

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


@pytest.fixture
def registry(registered_family, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in registered_family.environment.items():
        monkeypatch.setenv(name, value)


def _names(edges) -> dict[str, str]:
    return {Path(edge.child).stem: Path(edge.parent).stem for edge in edges}


def test_tree_of_a_folder_draws_and_converts_itself(checkpoints: Path) -> None:
    tree = mlflow_mother.tree(checkpoints)
    assert _names(tree.edges) == PARENTS
    assert "<svg" in tree._repr_html_()
    assert tree.to_mermaid().startswith("flowchart")
    assert nx.is_branching(tree.to_networkx())


def test_progress_tells_what_is_done(checkpoints: Path) -> None:
    told: list[tuple[str, int, int]] = []
    mlflow_mother.tree(checkpoints, progress=lambda *news: told.append(news))
    assert {"reading base.safetensors", "comparing"} <= {what for what, _, _ in told}
    assert all(0 <= done <= total for _, done, total in told)


def test_a_vetoing_plugin_is_heard(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow_mother.api import local
    from mlflow_mother.plugins import Plugins

    class Plugin:
        @mlflow_mother.hookimpl
        def mother_veto_edge(self, edge) -> str | None:
            return "no further" if Path(edge.child).stem == "further" else None

    loaded = Plugins(discover=False)
    loaded.register(Plugin(), "veto")
    monkeypatch.setattr(local, "plugins", lambda: loaded)
    edges = mlflow_mother.tree(checkpoints).edges
    assert "further" not in _names(edge for edge in edges if edge.direction == "decided")


def test_nothing_given_is_an_error() -> None:
    with pytest.raises(WeightsError, match="No path"):
        mlflow_mother.tree()


def test_one_unreadable_model_keeps_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"junk")
    with pytest.raises(CorruptFileError):
        mlflow_mother.tree(tmp_path / "a.pt")


def test_unreadable_models_stand_alone_with_the_reason(checkpoints: Path, tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"junk")
    (tmp_path / "b.pt").write_bytes(b"\x89HDF" + bytes(100))
    tree = mlflow_mother.tree(tmp_path, checkpoints / "base.safetensors")
    broken, foreign = tree.node(f"{tmp_path}/a.pt"), tree.node(f"{tmp_path}/b.pt")
    assert (broken.status, foreign.status) == (Status.FAILED, Status.UNSUPPORTED)
    assert {broken.id, foreign.id} < set(tree.roots)


def test_compare_is_the_same_from_both_sides(checkpoints: Path) -> None:
    base, tuned = checkpoints / "base.safetensors", checkpoints / "tuned.safetensors"
    one, other = mlflow_mother.compare(base, tuned), mlflow_mother.compare(tuned, base)
    assert one.tree == other.tree
    assert one.related
    assert one.first_to_second == other.second_to_first
    assert "projection" in one._repr_html_()


def test_fingerprint_does_not_depend_on_the_address(checkpoints: Path, registry: None) -> None:
    local = mlflow_mother.fingerprint_model(checkpoints / "base.safetensors")
    assert mlflow_mother.fingerprint_model(VERSIONS["base"]).digest == local.digest


def test_relatives_hold_the_tree_between_them(registry: None) -> None:
    found = mlflow_mother.ancestors(VERSIONS["further"])
    assert [relative.uri for relative in found.relatives] == [VERSIONS["tuned"], VERSIONS["base"]]
    assert len(found) == 2
    assert {node.id for node in found.tree.nodes} == {VERSIONS[name] for name in ("base", "tuned", "further")}
    assert set(found.to_networkx().edges) == {
        (VERSIONS["base"], VERSIONS["tuned"]),
        (VERSIONS["tuned"], VERSIONS["further"]),
    }


def test_audit_shows_itself_and_marks_the_tree(registry: None) -> None:
    found = mlflow_mother.audit()
    assert len(found) == len(VERSIONS)
    assert [row.uri for row in found.with_verdict(["conflict"])] == [VERSIONS["other"]]
    assert found.tree.node(VERSIONS["tuned"]).verdict == "confirmed"
    assert VERSIONS["other"] in found._repr_html_()
    assert "<html" in found.to_html()


def test_reconcile_takes_dates(registry: None) -> None:
    tomorrow = datetime.now() + timedelta(days=1)
    assert mlflow_mother.reconcile(since=tomorrow, dry_run=True).versions == 0
    assert mlflow_mother.reconcile(since=tomorrow).analysed == 0


@pytest.mark.parametrize("address", ["models:/", "models:/family", "models:/family/3/x", "models:/family/latest"])
def test_an_address_that_is_no_version_is_refused(registry: None, address: str) -> None:
    with pytest.raises(RegistryError):
        mlflow_mother.show(address)
