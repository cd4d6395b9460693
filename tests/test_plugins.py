"""Plugins: found by entry point, called one by one, and survived when they break."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mlflow_mother.hookspecs import MotherSpec, hookimpl
from mlflow_mother.plugins import Plugins
from mlflow_mother.types import Edge, Evidence, Lineage, ModelVersionRef, Relation

EDGE = Edge(parent="a", child="b", relation=Relation.FINETUNE, probability=0.9)
REF = ModelVersionRef(registry="r", name="m", version="1")
LINEAGE = Lineage(subject="models:/m/1", subject_digest="0" * 32, spec="mother-fp/1", mother_version="0")


class Good:
    """Implements every hook."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @hookimpl
    def mother_veto_edge(self, edge: Edge) -> str | None:
        return f"no {edge.child}"

    @hookimpl
    def mother_extra_evidence(self) -> list[Evidence]:
        return [Evidence(kind="x", text="because", log_odds=1.0)]

    @hookimpl
    def mother_after_lineage(self, ref: ModelVersionRef) -> None:
        self.seen.append(ref.uri)

    @hookimpl
    def mother_exporters(self) -> list[object]:
        class Exporter:
            name = "noop"
            suffix = ".txt"

            def export(self, tree: object) -> str:
                return ""

        return [Exporter()]


class Raising:
    """Raises in every hook."""

    @hookimpl
    def mother_veto_edge(self) -> str:
        raise RuntimeError("veto broke")

    @hookimpl
    def mother_extra_evidence(self) -> list[Evidence]:
        yield Evidence(kind="x", text="first")
        raise RuntimeError("evidence broke")

    @hookimpl
    def mother_after_lineage(self) -> None:
        raise RuntimeError("notification broke")

    @hookimpl
    def mother_exporters(self) -> list[object]:
        return [object()]


@pytest.fixture
def manager() -> Plugins:
    return Plugins(discover=False)


def test_a_raising_plugin_does_not_silence_the_others(manager: Plugins, caplog: pytest.LogCaptureFixture) -> None:
    good = Good()
    assert manager.register(good, "good")
    assert manager.register(Raising(), "raising")
    assert manager.vetoes(EDGE) == ["no b"]
    assert [e.text for e in manager.extra_evidence(None, None)] == ["because"]  # type: ignore[arg-type]
    manager.after_lineage(REF, LINEAGE)
    assert good.seen == ["models:/m/1"]
    assert [e.name for e in manager.exporters()] == ["noop"]
    assert "raising" in manager.failures
    assert "veto broke" in caplog.text
    assert "notification broke" in caplog.text


def test_a_plugin_that_keeps_failing_is_warned_of_once(manager: Plugins, caplog: pytest.LogCaptureFixture) -> None:
    manager.register(Raising(), "raising")
    for _ in range(20):
        manager.vetoes(EDGE)
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "text"])
def test_evidence_that_is_no_sound_evidence_is_left_out(manager: Plugins, value: object) -> None:
    class Bad:
        @hookimpl
        def mother_extra_evidence(self) -> list[object]:
            return [value if isinstance(value, str) else Evidence(kind="x", text="x", log_odds=value)]

    manager.register(Bad(), "bad")
    assert manager.extra_evidence(None, None) == []  # type: ignore[arg-type]
    assert "bad" in manager.failures


def test_a_hook_with_a_wrong_signature_is_refused(manager: Plugins) -> None:
    class Wrong:
        @hookimpl
        def mother_veto_edge(self, edge: Edge, nonsense: int) -> None: ...

    assert not manager.register(Wrong(), "wrong")
    assert "nonsense" in manager.failures["wrong"]
    assert manager.names == ()
    assert manager.vetoes(EDGE) == []


def test_a_hook_that_is_not_in_the_specification_is_refused(manager: Plugins) -> None:
    class Unknown:
        @hookimpl
        def mother_make_coffee(self) -> None: ...

    assert not manager.register(Unknown(), "unknown")
    assert "mother_make_coffee" in manager.failures["unknown"]


def test_a_wrapper_is_refused(manager: Plugins) -> None:
    class Wrapper:
        @hookimpl(wrapper=True)
        def mother_veto_edge(self, edge: Edge):  # type: ignore[no-untyped-def]
            return (yield)

    assert not manager.register(Wrapper(), "wrapper")
    assert "plain function" in manager.failures["wrapper"]


def test_a_second_plugin_of_one_name_leaves_the_first_in_place(manager: Plugins) -> None:
    manager.register(Good(), "twin")
    assert not manager.register(Good(), "twin")
    assert manager.names == ("twin",)
    assert manager.vetoes(EDGE) == ["no b"]


def _install(site: Path, name: str, module: str | None, target: str) -> None:
    """Lays a distribution out as pip does: a module and its metadata with an entry point."""
    if module is not None:
        (site / f"{target.partition(':')[0]}.py").write_text(textwrap.dedent(module))
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mlflow_mother]\n{name} = {target}\n")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    _install(
        tmp_path,
        "plug-good",
        """
        from mlflow_mother import hookimpl

        @hookimpl
        def mother_veto_edge(edge):
            return "vetoed"
        """,
        "plug_good",
    )
    _install(tmp_path, "plug-raises-on-import", "raise RuntimeError('broken at import')", "plug_raises")
    _install(tmp_path, "plug-exits-on-import", "import sys; sys.exit(3)", "plug_exits")
    _install(tmp_path, "plug-syntax", "def (", "plug_syntax")
    _install(tmp_path, "plug-missing", None, "plug_that_is_nowhere")
    _install(tmp_path, "plug-no-attribute", "x = 1", "plug_attribute:Missing")
    _install(tmp_path, "plug-constructor", "class P:\n    def __init__(self): raise ValueError('no')", "plug_ctor:P")
    _install(
        tmp_path,
        "plug-wrong-signature",
        """
        from mlflow_mother import hookimpl

        @hookimpl
        def mother_veto_edge(edge, planet):
            return None
        """,
        "plug_wrong",
    )
    return tmp_path


def _in_process_with(site: Path, **environment: str) -> tuple[dict[str, object], str]:
    program = """
import json, logging
logging.basicConfig()
from mlflow_mother.plugins import plugins
from mlflow_mother.types import Edge, Relation
edge = Edge(parent="a", child="b", relation=Relation.FINETUNE, probability=0.9)
print(json.dumps({"names": plugins().names, "failures": plugins().failures, "vetoes": plugins().vetoes(edge)}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(site), **environment},
    )
    return json.loads(done.stdout), done.stderr


def test_installed_plugins_are_found_and_broken_ones_logged_and_skipped(site: Path) -> None:
    found, stderr = _in_process_with(site)
    assert "plug-good" in found["names"]
    assert found["vetoes"] == ["vetoed"]
    failures = found["failures"]
    assert set(failures) >= {
        "plug-raises-on-import",
        "plug-exits-on-import",
        "plug-syntax",
        "plug-missing",
        "plug-no-attribute",
        "plug-constructor",
        "plug-wrong-signature",
    }
    assert "plug-good" not in failures
    assert "broken at import" in stderr


def test_a_plugin_can_be_disabled_by_name(site: Path) -> None:
    found, _ = _in_process_with(site, MLFLOW_MOTHER_DISABLED_PLUGINS='["plug-good", "plug-syntax"]')
    assert "plug-good" not in found["names"]
    assert "plug-syntax" not in found["failures"]
    assert found["vetoes"] == []


def test_every_hook_has_a_copy_and_paste_example() -> None:
    hooks = [value for name, value in vars(MotherSpec).items() if name.startswith("mother_")]
    assert hooks
    assert all("@hookimpl" in (hook.__doc__ or "") for hook in hooks)
