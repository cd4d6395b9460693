"""Which tensors of two models correspond, and what they are in the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from heritage_samples import base, compared

from mlflow_mother.errors import SpecMismatchError
from mlflow_mother.heritage import compare
from mlflow_mother.heritage.geometry import align, geometry
from mlflow_mother.heritage.naming import common_names
from mlflow_mother.heritage.roles import Role, roles
from mlflow_mother.testing.trees import Weights, extended, finetuned, fingerprint, renamed, root, wrapped


def pairs(first: Weights, second: Weights) -> set[tuple[str, str]]:
    one, other = fingerprint(first), fingerprint(second)
    a, b, _ = align(one, other)
    return {(one.names[i], other.names[j]) for i, j in zip(a, b, strict=True)}


def backbone(weights: Weights) -> Weights:
    return {name: value for name, value in weights.items() if name.startswith("blocks.")}


def test_equal_names_and_shapes_are_paired():
    assert pairs(base(), finetuned(base(), 2)) == {(name, name) for name in base()}


def test_a_backbone_saved_alone_is_paired_with_its_own_layers():
    """All names of the backbone begin with ``blocks.``, which its normal names lack."""
    found = pairs(backbone(base()), finetuned(base(), 2))
    assert ("0.mix.weight", "blocks.0.mix.weight") in found
    assert found == {(name.removeprefix("blocks."), name) for name in backbone(base())}


def test_the_order_of_layers_misleads_where_names_do_not():
    """With eleven blocks, pairing by shape and sorted names alone would mix up blocks 1, 10 and 2."""
    deep = base(3, 16, 11)
    headed = {f"net.{name}": value for name, value in finetuned(deep, 2).items()} | {
        "classifier.weight": torch.ones(3, 16)
    }
    bare = {name: value for name, value in deep.items() if not name.startswith("blocks.1.")}
    assert all(other == f"net.{name}" for name, other in pairs(bare, headed))
    assert len(pairs(bare, headed)) == len(bare)


def test_a_backbone_is_recognised_as_the_parent_of_a_network_with_a_head():
    child = {f"net.{name}": value for name, value in backbone(finetuned(base(), 2)).items()}
    child["classifier.weight"] = root(7)["head.weight"]
    comparison = compared(backbone(base()), child)
    assert comparison.related > 0.99
    assert comparison.hypotheses.posterior()[0] > 0.9


def test_the_prefix_may_be_missing_on_either_side():
    one, other = fingerprint(backbone(base())), fingerprint(base())
    assert common_names(one, other) == tuple(reversed(common_names(other, one)))
    assert set(common_names(one, other)[0]) < set(other.names)


def test_two_equally_good_prefixes_leave_the_names_as_they_are():
    towers = {f"{tower}.{name}": value for tower in ("text", "image") for name, value in base().items()}
    one, other = fingerprint(base()), fingerprint(towers)
    assert common_names(one, other) == (one.names, other.names)


def test_a_prefix_needs_the_same_shapes():
    one = fingerprint({"0.weight": torch.ones(3, 4), "1.weight": torch.ones(4, 3)})
    other = fingerprint({"a.0.weight": torch.ones(5, 4), "b.1.weight": torch.ones(4, 5)})
    assert common_names(one, other) == (one.names, other.names)


def test_wrappers_change_no_pairing():
    assert pairs(base(), wrapped(base(), "module._orig_mod.")) == {(name, name) for name in base()}


def test_renamed_tensors_are_paired_by_shape_and_order():
    new = renamed(base(), lambda name: name.replace("blocks", "layers").replace("mix", "mixer"))
    found = dict(pairs(base(), new))
    assert found["blocks.2.mix.weight"] == "layers.2.mixer.weight"
    assert len(found) == len(base())


def test_more_rows_are_no_pair_of_equal_shape_but_a_resized_one():
    one, other = fingerprint(base()), fingerprint(extended(base(), 2))
    a, _, resized = align(one, other)
    assert [(one.names[i], other.names[j]) for i, j in resized] == [("embedding.weight", "embedding.weight")]
    assert len(a) == len(base()) - 1


def test_geometry_read_from_the_other_side_is_mirrored():
    one, other = fingerprint(extended(base(), 3)), fingerprint(finetuned(backbone(base()), 2))
    there, back = geometry(one, other).mirrored(), geometry(other, one)
    order = np.argsort(there.a)
    for field in ("a", "b", "role", "energy_a", "energy_b", "distance", "identical"):
        np.testing.assert_array_equal(getattr(there, field)[order], getattr(back, field))
    assert (there.only_a, there.only_b, there.resized) == (back.only_a, back.only_b, back.resized)


def test_distances_and_products_are_those_of_the_weights():
    child = finetuned(base(), 2)
    pair = geometry(fingerprint(base()), fingerprint(child))
    names = fingerprint(base()).names
    exact = [float(((base()[name].double() - child[name].double()) ** 2).sum()) for name in names]
    matrices = pair.role == Role.MATRIX
    np.testing.assert_allclose(pair.distance[~matrices], np.array(exact)[~matrices], rtol=1e-3)
    np.testing.assert_allclose(pair.distance[matrices], np.array(exact)[matrices], rtol=0.2)


def test_fingerprints_of_another_spec_are_refused():
    from dataclasses import replace

    one = fingerprint(base())
    with pytest.raises(SpecMismatchError, match="mother-fp/0"):
        compare(one, replace(one, spec="mother-fp/0"))


def test_roles_follow_from_values_and_not_from_names():
    made = fingerprint(
        {
            "a": torch.from_numpy(np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)),
            "b": 1 + 0.1 * torch.randn(64, generator=torch.Generator().manual_seed(0)),
            "c": 0.1 * torch.randn(64, generator=torch.Generator().manual_seed(1)),
            "d": torch.full((8, 8), 3.0),
            "e": torch.arange(9),
            "f.running_mean": torch.rand(9),
            "g.num_batches_tracked": torch.tensor(7),
            "h": torch.tensor(2.5),
            "i": torch.zeros(12),
            "j": torch.ones(12),
        }
    )
    found = {name: Role(role) for name, role in zip(made.names, roles(made), strict=True)}
    assert found["a"] is Role.MATRIX and found["b"] is Role.GAIN and found["c"] is Role.BIAS
    assert found["i"] is Role.BIAS and found["j"] is Role.GAIN
    assert {found[name] for name in ("d", "e", "f.running_mean", "g.num_batches_tracked", "h")} == {Role.STATE}
