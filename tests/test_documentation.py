"""What exists is documented, and what is documented works."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType, SimpleNamespace

import pytest

import mlflow_mother
from mlflow_mother.hookspecs import MotherSpec, hookimpl
from mlflow_mother.plugins import Plugins
from mlflow_mother.registry import capture, tags
from mlflow_mother.types import Edge, Evidence, Lineage, ModelVersionRef, Relation

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def test_generated_parts_say_what_the_code_says() -> None:
    """Settings, hooks, commands, options and exit codes: all of docs/tables.py."""
    done = subprocess.run([sys.executable, str(DOCS / "tables.py"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_tag_is_documented() -> None:
    page = (DOCS / "tags.md").read_text(encoding="utf-8")
    known = set(re.findall(r'"(mother\.[a-z]+)"', inspect.getsource(tags)))
    assert known
    assert [tag for tag in sorted(known) if f"`{tag}`" not in page] == []


def test_every_page_is_in_the_contents() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([a-z-]+)$", index, re.MULTILINE))
    assert {page.stem for page in PAGES} - {"index"} == listed


def _public_objects() -> Iterator[tuple[str, object]]:
    for info in walk_packages(mlflow_mother.__path__, "mlflow_mother."):
        if "migrations" in info.name:
            continue
        module = import_module(info.name)
        yield info.name, module
        yield from _members(module)


def _members(owner: ModuleType | type, path: str = "") -> Iterator[tuple[str, object]]:
    module = owner.__name__ if isinstance(owner, ModuleType) else owner.__module__
    for name, value in vars(owner).items():
        if isinstance(value, (classmethod, staticmethod)):
            value = value.__func__
        if isinstance(value, property):
            value = value.fget
        if name.startswith("_") or not (inspect.isfunction(value) or inspect.isclass(value)):
            continue
        if value.__module__ != module:
            continue
        yield f"{module}.{path}{name}", value
        if inspect.isclass(value):
            yield from _members(value, f"{path}{name}.")


def test_everything_public_has_a_docstring() -> None:
    bare = [name for name, value in _public_objects() if not inspect.getdoc(value)]
    assert bare == []


def _python_blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
def test_python_in_the_documentation_is_python(page: Path) -> None:
    for block in _python_blocks(page):
        ast.parse(block)


def test_commands_in_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"^(?:\$ )?make ([a-z-]+)", readme, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets
    from mlflow_mother.cli.main import COMMANDS

    assert set(re.findall(r"mlflow-mother ([a-z]+)\b", readme)) <= set(COMMANDS)


def test_links_between_files_lead_somewhere() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"]
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_python_examples_run(
    checkpoints: Path, registered_family, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's blocks one after the other, beside a folder ``checkpoints`` and with a registry."""
    monkeypatch.chdir(checkpoints.parent)
    for name, value in registered_family.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(capture, "_switch", None)  # the page turns lineage off and on
    namespace: dict[str, object] = {}
    for block in _python_blocks(DOCS / "python.md"):
        exec(compile(block, "docs/python.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "./checkpoints/base.safetensors -> ./checkpoints/tuned.safetensors finetune" in printed
    assert "finetune of models:/family/2" in printed
    assert "models:/family/1 conflict" in printed


def test_hook_examples_are_plugins_that_load_and_run() -> None:
    hooks = {name: hook for name, hook in vars(MotherSpec).items() if name.startswith("mother_")}
    for name, hook in hooks.items():
        example = inspect.cleandoc(inspect.cleandoc(hook.__doc__).partition("Example::")[2])
        namespace = {"hookimpl": hookimpl, "Evidence": Evidence, "tenant": str, "MyReader": Stub, "MyExporter": Stub}
        exec(compile(example, name, "exec"), namespace)
        loaded = Plugins(discover=False)
        assert loaded.register(SimpleNamespace(**{name: namespace[name]}), name), loaded.failures
        CALLS[name](loaded)
        assert loaded.failures == {}


class Stub:
    """Stands in for the classes that the examples name."""

    name, suffix = "stub", ".txt"

    def detect(self) -> None: ...

    def tensors(self) -> None: ...

    def export(self) -> None: ...


_MODEL = SimpleNamespace(format="safetensors")
_EDGE = Edge(parent="a", child="b", relation=Relation.FINETUNE, probability=1.0)
_REF = ModelVersionRef(registry="r", name="m", version="1")
_LINEAGE = Lineage(subject=_REF.uri, subject_digest="0", spec="s", mother_version="0")

CALLS: dict[str, Callable[[Plugins], object]] = {
    "mother_weight_readers": lambda loaded: loaded.weight_readers(),
    "mother_extra_evidence": lambda loaded: loaded.extra_evidence(_MODEL, _MODEL),
    "mother_veto_edge": lambda loaded: loaded.vetoes(_EDGE),
    "mother_after_lineage": lambda loaded: loaded.after_lineage(_REF, _LINEAGE),
    "mother_exporters": lambda loaded: loaded.exporters(),
}
