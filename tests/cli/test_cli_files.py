"""Commands on files and folders."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import pytest
import torch
from safetensors.numpy import save_file

import mlflow_mother
from mlflow_mother.fingerprint.format import load
from mlflow_mother.types import ModelTree, tree_json_schema


@pytest.fixture
def folder(checkpoints: Path, tmp_path: Path) -> Path:
    """A copy in the current folder, so that relative paths can be given."""
    shutil.copytree(checkpoints, tmp_path / "c")
    return tmp_path / "c"


def _edges(tree: ModelTree) -> set[tuple[str, str]]:
    return {(Path(edge.parent).stem, Path(edge.child).stem) for edge in tree.edges}


def test_tree_as_json_follows_the_published_schema_and_keeps_ids_as_given(run, folder: Path) -> None:
    result = run("tree", "./c/", "--format", "json")
    assert result.exit_code == 0, result.stderr
    content = json.loads(result.stdout)
    jsonschema.validate(content, tree_json_schema())
    tree = ModelTree.model_validate(content)
    assert [node.id for node in tree.nodes] == [
        f"./c/{name}.safetensors" for name in ("base", "further", "other", "stranger", "tuned")
    ]
    assert _edges(tree) == {("base", "tuned"), ("tuned", "further"), ("base", "other")}
    assert tree.roots == ("./c/base.safetensors", "./c/stranger.safetensors")
    edge = content["edges"][0]
    assert set(edge) >= {
        "parent", "child", "relation", "probability", "direction", "direction_probability", "weight", "evidence",
    }  # fmt: skip


def test_tree_as_text_is_plain_when_piped(run, folder: Path) -> None:
    result = run("tree", "c")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == "c/base.safetensors"
    assert re.search(r"^.  .─ finetune 0\.\d+ → c/further\.safetensors$", result.stdout, re.MULTILINE)
    assert re.search(r"^CHILD +PARENT +RELATION +PROBABILITY +DIRECTION +EVIDENCE$", result.stdout, re.MULTILINE)


def test_tree_is_the_same_in_whatever_order_files_are_given(run, folder: Path) -> None:
    names = [f"c/{name}.safetensors" for name in ("stranger", "further", "base", "tuned", "other")]
    one, other = (run("tree", *order, "--format", "json").stdout for order in (names, names[::-1]))
    assert one == other


def test_tree_draws_with_ascii_where_the_terminal_knows_nothing_else(folder: Path, tmp_path: Path) -> None:
    (folder / "base.safetensors").rename(folder / "b\u00e4se.safetensors")
    done = subprocess.run(
        [sys.executable, "-m", "mlflow_mother.cli", "tree", "c"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"`- finetune" in done.stdout
    assert rb"c/b\xe4se.safetensors" in done.stdout


def test_a_file_name_that_is_no_text_is_refused_by_name(run, folder: Path) -> None:
    (folder / os.fsdecode(b"b\xffd.safetensors")).write_bytes(b"x")
    result = run("tree", "c")
    assert result.exit_code == 3
    assert "Rename it." in result.stderr


@pytest.mark.parametrize(
    ("name", "beginning"),
    [("mermaid", "flowchart"), ("dot", "digraph"), ("svg", "<svg"), ("graphml", "<graphml"), ("json", "{")],
)
def test_tree_in_another_format(run, folder: Path, name: str, beginning: str) -> None:
    result = run("tree", "c/base.safetensors", "c/tuned.safetensors", "--export", name)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.lstrip().startswith(beginning)


def test_every_layout_of_a_folder_is_read(run, family, checkpoints: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for place, name in {"flavored/model": "base", "trainer/checkpoint-500": "tuned", "trainer": "further"}.items():
        (out / place).mkdir(parents=True, exist_ok=True)
        shutil.copy(checkpoints / f"{name}.safetensors", out / place / "model.safetensors")
        (out / place / "config.json").write_text("{}")
    (out / "flavored/MLmodel").write_text("flavors:\n  transformers:\n    model_binary: model\n")
    torch.save({"epoch": torch.ones(1)}, out / "trainer/checkpoint-500/optimizer.pt")
    torch.save({name: torch.from_numpy(values) for name, values in family["other"].items()}, out / "other.pth")
    names = sorted(family["stranger"])
    shards = {f"big-0000{shard + 1}-of-00002.safetensors": names[shard::2] for shard in range(2)}
    for shard, held in shards.items():
        save_file({name: family["stranger"][name] for name in held}, out / shard)
    index = {name: shard for shard, held in shards.items() for name in held}
    (out / "big.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    result = run("tree", "out", "--format", "json")
    assert result.exit_code == 0, result.stderr
    tree = ModelTree.model_validate_json(result.stdout)
    assert {(edge.parent, edge.child) for edge in tree.edges} == {
        ("out/flavored", "out/trainer/checkpoint-500"),
        ("out/trainer/checkpoint-500", "out/trainer"),
        ("out/flavored", "out/other.pth"),
    }
    assert tree.roots == ("out/big-*-of-00002.safetensors", "out/flavored")
    assert {node.parameters for node in tree.nodes} == {12 * (96 * 96 + 96)}


def test_snapshots_in_hugging_faces_cache_are_models(run, checkpoints: Path, tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    for name in ("base", "tuned"):
        snapshot = hub / f"models--org--{name}" / "snapshots" / "0123abcd"
        snapshot.mkdir(parents=True)
        blobs = snapshot.parents[1] / "blobs"
        blobs.mkdir()
        shutil.copy(checkpoints / f"{name}.safetensors", blobs / "1a")
        (blobs / "2b").write_text("{}")
        (snapshot / "model.safetensors").symlink_to("../../blobs/1a")
        (snapshot / "config.json").symlink_to("../../blobs/2b")
    at = "hub/models--org--{}/snapshots/0123abcd".format
    result = run("tree", "hub", "--format", "json")
    assert result.exit_code == 0, result.stderr
    edges = ModelTree.model_validate_json(result.stdout).edges
    assert [(edge.parent, edge.child) for edge in edges] == [(at("base"), at("tuned"))]
    assert mlflow_mother.tree(hub / at("base")[4:], at("tuned")).edges[0].child == at("tuned")


def test_an_unknown_export_format_is_refused_before_anything_is_read(run) -> None:
    result = run("tree", "nowhere", "--export", "crayon")
    assert result.exit_code == 2
    assert "mermaid" in result.stderr


def test_a_model_that_cannot_be_read_does_not_hide_the_others(run, folder: Path) -> None:
    (folder / "broken.safetensors").write_bytes(b"\xff" * 100)
    result = run("tree", "c", "--format", "json")
    assert result.exit_code == 3
    assert "c/broken.safetensors" in result.stderr
    tree = ModelTree.model_validate_json(result.stdout)
    node = tree.node("c/broken.safetensors")
    assert node.status == "failed"
    assert node.note
    assert "c/broken.safetensors" in tree.roots
    assert ("base", "tuned") in _edges(tree)


def test_a_file_that_may_not_be_read_is_named(run, folder: Path) -> None:
    # Whatever is imported on first use, so that nobody needs to be able to.
    run("tree", "c")
    for file in folder.iterdir():
        file.chmod(0o644)
    (folder / "secret.safetensors").write_bytes(b"x" * 100)
    (folder / "secret.safetensors").chmod(0)
    with _nobody(folder):
        result = run("tree", "c", "--format", "json")
        assert run("tree", "/proc/1/cwd/x").exit_code == 3
    assert result.exit_code == 3, result.stderr
    assert "secret.safetensors" in result.stderr
    assert ("base", "tuned") in _edges(ModelTree.model_validate_json(result.stdout))


@contextmanager
def _nobody(folder: Path) -> Iterator[None]:
    """Root may read everything, so root becomes somebody else for a while, to whom the folder is open."""
    if os.geteuid() != 0:
        yield
        return
    ways = [way for way in folder.parents if way.stat().st_mode & 0o005 != 0o005]
    modes = {way: way.stat().st_mode for way in ways}
    for way in ways:
        way.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for way, mode in modes.items():
            way.chmod(mode)


def test_nothing_readable_is_one_clear_error(run, tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(b"junk")
    result = run("tree", "a.pt", "b.pt")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith("Error: None of 2 models could be read. First: a.pt")
    assert "Traceback" not in result.stderr


def test_fingerprint_prints_a_summary_and_writes_the_file(run, folder: Path, tmp_path: Path) -> None:
    result = run("fingerprint", "c/base.safetensors", "--format", "json", "--output", "fp.safetensors")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["tensors"] == 24
    assert summary["parameters"] == 12 * (96 * 96 + 96)
    assert summary["format"] == "safetensors"
    assert load(tmp_path / "fp.safetensors").digest == summary["digest"]
    text = run("fingerprint", "c/base.safetensors").stdout
    assert f"digest      {summary['digest']}" in text


def test_fingerprint_of_a_folder_with_several_models_asks_which(run, folder: Path) -> None:
    result = run("fingerprint", "c")
    assert result.exit_code == 3
    assert "holds 5 models" in result.stderr


def test_compare_says_which_came_first_and_why(run, folder: Path) -> None:
    result = run("compare", "c/tuned.safetensors", "c/base.safetensors")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("c/tuned.safetensors is a finetune of c/base.safetensors (probability 0.")
    assert result.stdout.count("As if ") == 2
    assert "projection" in result.stdout


def test_compare_as_json_holds_all_evidence(run, folder: Path) -> None:
    content = json.loads(run("compare", "c/base.safetensors", "c/tuned.safetensors", "--format", "json").stdout)
    assert content["comparison"]["matrices"] == 12
    assert content["first_to_second"]
    assert content["second_to_first"]
    assert content["tree"]["edges"][0]["child"] == "c/tuned.safetensors"


def test_compare_of_strangers_links_nothing(run, folder: Path) -> None:
    result = run("compare", "c/base.safetensors", "c/stranger.safetensors")
    assert result.stdout.startswith("Not related.")


def test_compare_of_equal_weights_is_undecided(run, folder: Path) -> None:
    shutil.copy(folder / "base.safetensors", folder / "again.safetensors")
    result = run("compare", "c/base.safetensors", "c/again.safetensors")
    assert "copy" in result.stdout
    assert "direction undecided" in result.stdout


def test_compare_with_itself_is_refused(run, folder: Path) -> None:
    result = run("compare", "c/base.safetensors", "c/base.safetensors")
    assert result.exit_code == 3
    assert "given twice" in result.stderr
