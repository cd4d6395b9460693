"""The zoo: enough of everything, edits that do what they are named after, trees that grow again to the same bytes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.zoo import edits, growing, learning
from benchmarks.zoo.data import batches
from benchmarks.zoo.networks import ARCHITECTURES
from benchmarks.zoo.plans import CELLS, Change, Node, Plan, zoo

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def state(name: str, seed: int = 0) -> edits.State:
    torch.manual_seed(seed)
    return {key: value.clone() for key, value in ARCHITECTURES[name].make().state_dict().items()}


def test_there_are_enough_trees_and_every_change_occurs_in_several() -> None:
    plans = zoo()
    assert len(plans) >= 40
    assert sum(len(plan.nodes) for plan in plans) >= 500
    assert len({plan.name for plan in plans}) == len({plan.seed for plan in plans}) == len(plans)
    trees = Counter(kind for plan in plans for kind in {str(node.change) for node in plan.nodes})
    assert all(trees[str(cell)] >= 3 for cell in CELLS)
    for plan in plans:
        known: set[str] = set()
        for node in plan.nodes:
            assert known >= {*node.parents, *([node.of] if node.of else [])}
            known.add(node.name)


@pytest.mark.parametrize("name", ["vit", "cnn", "gpt", "bert", "mlp"])
def test_hidden_units_change_places_and_the_function_stays(name: str) -> None:
    architecture = ARCHITECTURES[name]
    network = architecture.make().eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    (inputs, _) = next(batches(architecture.domain, 0, 1, 0))
    with torch.no_grad():
        expected = learning._logits(network, inputs)
        moved = edits.permuted(before, edits.hidden_pairs(before, architecture), 1)
        assert any(not torch.equal(moved[key], before[key]) for key in before)
        network.load_state_dict(moved)
        torch.testing.assert_close(learning._logits(network, inputs), expected, atol=1e-5, rtol=1e-4)


def test_merges_are_what_their_papers_say() -> None:
    base, one, two = state("mlp"), state("mlp", 1), state("mlp", 2)
    key = "features.3.weight"
    torch.testing.assert_close(edits.soup([one, two], (0.6, 0.4))[key], 0.6 * one[key] + 0.4 * two[key])
    torch.testing.assert_close(
        edits.task_arithmetic(base, [one, two], 0.4)[key], 0.2 * base[key] + 0.4 * one[key] + 0.4 * two[key]
    )
    arc = edits.slerp([one, {**one, key: 2 * one[key]}], 0.5)[key]
    torch.testing.assert_close(arc, 1.5 * one[key])
    changed = (edits.ties(base, [one, two], kept=0.3, factor=1.0)[key] - base[key]).abs() > 1e-7
    assert 0.3 < changed.float().mean() < 0.6  # a place that either keeps
    halves = edits.frankenmerge([one, two], ARCHITECTURES["mlp"])
    assert torch.equal(halves["features.1.weight"], one["features.1.weight"])
    assert torch.equal(halves["classifier.weight"], two["classifier.weight"])
    gpt = edits.frankenmerge([state("gpt", 1), state("gpt", 2)], ARCHITECTURES["gpt"])
    assert torch.equal(gpt["transformer.h.0.ln_1.weight"], state("gpt", 1)["transformer.h.0.ln_1.weight"])
    assert torch.equal(gpt["transformer.h.2.mlp.c_fc.weight"], state("gpt", 2)["transformer.h.2.mlp.c_fc.weight"])


def test_grids_zeros_rows_and_layers() -> None:
    key = "bert.encoder.layer.1.intermediate.dense.weight"
    bert, architecture = state("bert"), ARCHITECTURES["bert"]
    rows = edits.quantised(bert, 8)[key]
    assert max(len(row.unique()) for row in rows) <= 255
    assert max(len(group.unique()) for group in edits.quantised(bert, 4)[key].reshape(-1, edits.GROUP)) <= 15
    stored = edits.packed(bert, 8)
    torch.testing.assert_close(stored[key].float() * stored[f"{key}_scale"], edits.quantised(bert, 8)[key])
    assert edits.packed(bert, 4)[key].shape[1] * 2 == bert[key].shape[1]
    assert 0.49 < (edits.pruned(bert, 0.5)[key] == 0).float().mean() < 0.51
    longer, shorter = edits.extended(bert, architecture, 8, 0), edits.trimmed(bert, architecture, 5)
    letters = len(bert[architecture.embedding])
    for name in (architecture.embedding, "cls.predictions.bias", "cls.predictions.decoder.weight"):
        assert (len(longer[name]), len(shorter[name])) == (letters + 8, letters - 5)
        assert torch.equal(longer[name][:letters], bert[name])
    less = edits.shallower(bert, architecture, 1)
    assert torch.equal(less[key], bert["bert.encoder.layer.2.intermediate.dense.weight"])
    assert not any(name.startswith("bert.encoder.layer.2.") for name in less)


def test_a_tree_grows_again_to_the_same_bytes_and_knows_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {name: type(kind)(**{**vars(kind), "steps": 10}) for name, kind in ARCHITECTURES.items()}
    monkeypatch.setattr(growing, "ARCHITECTURES", quick)
    nodes = (
        Node("root", Change("root")),
        Node("tuned", Change("finetune", {"task": 3, "trained": "head"}), ("root",)),
        Node("low", Change("lora", {"task": 4, "rank": 4}), ("root",)),
        Node("adapter", Change("adapter", {"task": 4, "rank": 4}), ("root",)),
        Node("mixed", Change("soup", {"shares": (0.6, 0.4)}), ("tuned", "low")),
        Node("stranger", Change("same-table"), of="root"),
    )
    plan = Plan("tiny", "gpt", "uneven", 7, nodes, late_root=True)
    for folder in ("one", "two"):
        growing.grow(plan, tmp_path / folder)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in files:
        if name.endswith(".safetensors"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    truth = json.loads((tmp_path / "one" / growing.TRUTH).read_text())
    assert truth["registered"][-1] == "root"
    facts = truth["networks"]
    assert facts["mixed"]["parents"] == {"tuned": 0.6, "low": 0.4}
    assert (facts["low"]["relation"], facts["low"]["rank"]) == ("lora-merged", 4)
    assert (facts["tuned"]["relation"], facts["stranger"]["resembles"]) == ("partial-finetune", "root")

    root, low = (load_file(tmp_path / "one" / f"{name}.safetensors") for name in ("root", "low"))
    adapter = load_file(tmp_path / "one" / "adapter" / "adapter_model.safetensors")
    changed = [name for name in root if not torch.equal(root[name], low[name])]
    assert len(adapter) == 2 * len(changed) > 0
    update = (low[changed[0]] - root[changed[0]]).double()
    assert torch.linalg.matrix_rank(update, rtol=1e-4) == 4
    tuned = load_file(tmp_path / "one" / "tuned.safetensors")
    assert {name for name in root if not torch.equal(root[name], tuned[name])} <= {
        "transformer.ln_f.weight",
        "transformer.ln_f.bias",
    }
