"""``compare --deep`` and its Python verb."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from family_samples import finetuned
from safetensors.numpy import save_file

import mlflow_mother
from mlflow_mother.cli import main
from mlflow_mother.errors import WeightsError

pytestmark = pytest.mark.filterwarnings(
    "ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_home: None) -> Path:
    """A chain of layers, the same with its units in another order, a fine-tune of that, and a stranger."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    names = [f"layers.{i}" for i in range(6)]

    def chain() -> dict[str, np.ndarray]:
        weights = {f"{name}.weight": rng.standard_normal((64, 64)) / 8 for name in names}
        biases = {f"{name}.bias": rng.standard_normal(64) / 10 for name in names}
        return {name: value.astype(np.float32) for name, value in {**weights, **biases}.items()}

    def moved(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        weights = dict(weights)
        for one, next_ in pairwise(names):
            order = rng.permutation(64)
            weights[f"{one}.weight"] = weights[f"{one}.weight"][order]
            weights[f"{one}.bias"] = weights[f"{one}.bias"][order]
            weights[f"{next_}.weight"] = np.ascontiguousarray(weights[f"{next_}.weight"][:, order])
        return weights

    base = chain()
    tuned = finetuned(base, 1, 0.2)
    files = {"base": base, "copy": moved(base), "tuned": tuned, "moved": moved(tuned), "stranger": chain()}
    for name, weights in files.items():
        save_file(weights, f"{name}.safetensors")
    return tmp_path


def run(*args: str) -> str:
    result = CliRunner().invoke(main, ["compare", *args], prog_name="mlflow-mother")
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_a_permuted_copy_is_found_on_demand_only(folder: Path) -> None:
    plain = run("base.safetensors", "copy.safetensors")
    assert plain.startswith("Not related.")
    assert "Deep" not in plain
    deep = run("base.safetensors", "copy.safetensors", "--deep")
    assert deep.startswith(plain)
    assert "one is a copy of the other, rearranged (5 hidden spaces permuted)" in deep
    assert "Once aligned: Related (copy, probability 0.500 each way), direction undecided." in deep


def test_of_a_permuted_fine_tune_the_same_is_said_as_before_it_was_permuted(folder: Path) -> None:
    pair = mlflow_mother.compare("moved.safetensors", "base.safetensors", deep=True)
    assert not pair.related
    assert pair.deep is not None
    assert pair.deep.verdict == "related"
    plain = mlflow_mother.compare("tuned.safetensors", "base.safetensors")
    assert pair.deep.comparison is not None
    assert pair.deep.comparison.cosine == pytest.approx(plain.comparison.cosine, abs=0.01)
    back = mlflow_mother.compare("base.safetensors", "moved.safetensors", deep=True)
    straight = mlflow_mother.compare("base.safetensors", "tuned.safetensors")
    assert back.deep is not None
    assert back.deep.comparison == straight.comparison
    assert back.deep.first_to_second == straight.first_to_second
    assert "Once aligned: " in run("base.safetensors", "moved.safetensors", "--deep")


def test_a_notebook_shows_what_was_found_and_the_tree_after_it(folder: Path) -> None:
    plain = mlflow_mother.compare("base.safetensors", "copy.safetensors")._repr_html_()
    pair = mlflow_mother.compare("base.safetensors", "copy.safetensors", deep=True)
    assert pair.deep is not None
    assert pair.deep.tree is not None
    added = pair._repr_html_().removeprefix(plain)
    assert added.startswith(f"<p>{pair.deep.sentence}</p>")
    assert all(reason.text in added for reason in pair.deep.evidence)
    assert added.endswith(f"<p>Once aligned:</p>{pair.deep.tree._repr_html_()}")
    strangers = mlflow_mother.compare("base.safetensors", "stranger.safetensors", deep=True)._repr_html_()
    assert "no rearranged hidden units" in strangers
    assert "Once aligned" not in strangers


def test_strangers_stay_strangers_and_json_holds_everything(folder: Path) -> None:
    said = run("base.safetensors", "stranger.safetensors", "--deep")
    assert "Deep comparison: no rearranged hidden units; what is said above stands." in said
    content = json.loads(run("base.safetensors", "stranger.safetensors", "--deep", "--format", "json"))
    assert content["deep"]["verdict"] == "nothing-hidden"
    assert content["deep"]["spaces"] == []
    assert json.loads(run("base.safetensors", "stranger.safetensors", "--format", "json"))["deep"] is None


def test_progress_tells_of_the_alignment(folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    mlflow_mother.compare("base.safetensors", "copy.safetensors", deep=True, progress=lambda *news: told.append(news))
    assert "aligning" in {what for what, _, _ in told}
    assert all(0 <= done <= total for _, done, total in told)


def test_the_exported_tree_is_that_of_the_aligned_models(folder: Path) -> None:
    names = ["base.safetensors", "moved.safetensors"]
    assert "finetune" not in run(*names, "--export", "mermaid")
    assert "finetune" in run(*names, "--deep", "--export", "mermaid")
    assert run("base.safetensors", "stranger.safetensors", "--deep", "--export", "json") == run(
        "base.safetensors", "stranger.safetensors", "--export", "json"
    )


def test_a_file_that_goes_away_meanwhile_is_an_error_of_weights(folder: Path) -> None:
    def removing(what: str, done: int, total: int) -> None:
        if what == "aligning":
            (folder / "moved.safetensors").unlink(missing_ok=True)

    with pytest.raises(WeightsError, match=r"moved\.safetensors cannot be read"):
        mlflow_mother.compare("base.safetensors", "moved.safetensors", deep=True, progress=removing)
