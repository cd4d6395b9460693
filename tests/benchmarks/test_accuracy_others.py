"""Packages of others: pairs are what they are said to be, counts are right, answers are read as they were given."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from family_samples import finetuned, root
from safetensors.numpy import save_file
from safetensors.torch import load_file
from safetensors.torch import save_file as save_tensors
from transformers import AutoConfig, AutoTokenizer

from benchmarks.accuracy.others.environments import PACKAGES, Answer, Package, ask, python_of
from benchmarks.accuracy.others.families import agreement, by_mother, by_ward
from benchmarks.accuracy.others.folders import publish
from benchmarks.accuracy.others.pairs import ELSEWHERE, RELATED, SAME_START, Pair, kind_of, mother, networks, sample
from benchmarks.accuracy.packages import accuracy, area, reason, refusals, table
from benchmarks.zoo.data import LETTERS, VOCABULARY
from benchmarks.zoo.networks import ARCHITECTURES

TREES = {
    "vit-one": {"base": "root", "tuned": "finetune", "apart": SAME_START, "pupil": "student"},
    "vit-two": {"base": "root", "tuned": "finetune", "adapter": "adapter"},
    "cnn-one": {"base": "root", "tuned": "finetune"},
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("zoo")
    for seed, (tree, kinds) in enumerate(TREES.items()):
        (cache / tree).mkdir()
        weights = {"base": root(seed), "tuned": finetuned(root(seed), 7, 0.2)}
        for name, kind in kinds.items():
            if kind != "adapter":
                save_file(weights.get(name, root(ord(name[0]))), cache / tree / f"{name}.safetensors")
        facts = {
            n: {"kind": k, "parents": {"base": 1.0} if n in ("tuned", "adapter") else {}} for n, k in kinds.items()
        }
        truth = {"architecture": tree[:3], "shape": "", "registered": list(kinds), "networks": facts}
        (cache / tree / "truth.json").write_text(json.dumps(truth))
    return cache


def test_pairs_are_of_one_architecture_and_the_truths_kind(zoo: Path) -> None:
    among = networks(zoo)
    assert len(among) == 8, "the adapter is no network"
    pairs = sample(among, 100)
    assert {pair.one.architecture for pair in pairs} == {"vit"}, "the other architecture has nobody unrelated"
    kinds = [pair.kind for pair in pairs]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {RELATED: 2, ELSEWHERE: 8, SAME_START: 2, "student": 2}
    assert [pair.kind for pair in sample(among, 1)].count(ELSEWHERE) == 1
    strangers = [network for network in among if network.kind in (SAME_START, "student")]
    assert kind_of(*strangers) is None


def test_clusterings_are_compared_by_pairs(zoo: Path) -> None:
    assert agreement("aabb", "xxyy") == (1.0, 1.0, 1.0)
    assert agreement("aabb", "xxxy") == (0.0, 1 / 3, 1 / 2)
    among = [network for network in networks(zoo) if network.architecture == "vit"]
    true = [(network.tree, network.origin) for network in among]
    assert agreement(true, by_ward(among, 4)) == agreement(true, by_mother(among)) == (1.0, 1.0, 1.0)


def test_areas_and_accuracies() -> None:
    assert area(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == 3.5 / 4
    assert np.isnan(area(np.array([1.0]), np.array([])))
    verdicts = [(RELATED, 0.9, True), (RELATED, 0.4, False), *[("student", 0.1, False)] * 3, ("student", 0.8, True)]
    assert accuracy(verdicts) == (1 / 2 + 3 / 4) / 2
    assert np.isnan(accuracy(verdicts[:2]))
    header, line = table({"it": [*verdicts, (SAME_START, 1.0, True)]}).splitlines()
    assert header.split() == ["area", "accuracy", "wrong/1000", "related", "(2)", "student", "(4)", "same-start", "(1)"]
    assert line.split() == ["it", f"{(1 + 3 / 4) / 2:.3f}", "0.625", "250.0", "1", "1", "1"]


def test_answers_are_read_as_the_script_gave_them(tmp_path: Path, zoo: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import json, sys, os\n"
        "assert os.environ['HF_HUB_OFFLINE'] == '1'\n"
        "pairs = json.load(open(sys.argv[1]))\n"
        "said = [{'it': [0.5, a < b]} if a != b else {'refused': f'Error: {a}\\nis {b}'} for a, b in pairs]\n"
        "json.dump(said, open(sys.argv[2], 'w'))\n"
    )
    package = Package("it", (), str(script), ("it",))
    one, other = tmp_path / "tree" / "a", tmp_path / "tree" / "b"
    answers = ask(package, Path(sys.executable), [(one, other), (other, one), (one, one)])
    assert answers[:2] == [Answer({"it": (0.5, True)}), Answer({"it": (0.5, False)})]
    assert reason(answers[2].refused, tmp_path) == "Error: it"
    base, tuned, *_ = networks(zoo)
    report = refusals([Pair(base, tuned, RELATED)] * 3, answers, tmp_path)
    assert report == "  cnn: 2 of 3 pairs; refused: Error: it"


def test_a_published_network_says_what_is_true_of_it(tmp_path: Path) -> None:
    gpt = ARCHITECTURES["gpt"]
    state = {name: value for name, value in gpt.make().state_dict().items() if not name.startswith("transformer.h.2.")}
    del state["lm_head.weight"]  # tied
    state[gpt.embedding] = torch.cat([state[gpt.embedding], torch.zeros(3, 96)])
    save_tensors(state, tmp_path / "gpt.safetensors")
    folder = publish(tmp_path / "gpt.safetensors", gpt, tmp_path / "published")
    config = AutoConfig.from_pretrained(folder)
    assert (config.num_hidden_layers, config.vocab_size) == (2, VOCABULARY + 3)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer("a\nB ")["input_ids"] == [LETTERS.index(letter) for letter in "a\nB "]
    assert load_file(folder / "model.safetensors").keys() == state.keys()
    save_tensors(ARCHITECTURES["cnn"].make().state_dict(), tmp_path / "cnn.safetensors")
    plain = publish(tmp_path / "cnn.safetensors", ARCHITECTURES["cnn"], tmp_path / "plain")
    assert [file.name for file in plain.iterdir()] == ["model.safetensors"]


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_the_packages_can_be_had_and_asked(package: Package, tmp_path: Path) -> None:
    folders = []
    for name, architecture in (("a", "gpt"), ("b", "gpt"), ("c", "mlp")):
        state = ARCHITECTURES[architecture].make().state_dict()
        state.pop("lm_head.weight", None)
        save_tensors(state, tmp_path / f"{name}.safetensors")
        folders.append(publish(tmp_path / f"{name}.safetensors", ARCHITECTURES[architecture], tmp_path / "tree" / name))
    python = python_of(package, Path(".cache/baselines"))
    known, unknown = ask(package, python, [(folders[0], folders[1]), (folders[2], folders[2])])
    assert set(known.said) == set(package.answers) and not known.refused
    assert unknown.refused and not unknown.said


def test_mothers_word_is_her_comparisons(zoo: Path) -> None:
    pairs = {pair.kind: pair for pair in sample(networks(zoo), 1)}
    related, yes = mother(pairs[RELATED].one, pairs[RELATED].other)
    assert yes and related > 0.99
    assert mother(pairs[ELSEWHERE].one, pairs[ELSEWHERE].other) == (0.0, False)
