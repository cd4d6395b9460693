"""Which tensors of a PyTorch file are weights: checkpoints, whole modules, ties, and what cannot be read."""

from __future__ import annotations

import collections
import io
import pickle
import warnings
import zipfile

import numpy as np
import pytest
import torch
from weight_samples import Net, expect, read

from mlflow_mother.errors import UnsupportedFormatError
from mlflow_mother.weights import LocalFiles, open_weights

STATE = expect(Net().state_dict())


def trained():
    """A network and an optimizer whose moments are as large as the weights."""
    net = Net()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(4, 6)).sum().backward()
    optimizer.step()
    return net, optimizer


def saved(tmp_path, value, *, legacy=False, name="file.pt"):
    path = tmp_path / name
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net"])
def test_a_checkpoint_is_its_weights_without_the_optimizer(tmp_path, key, legacy):
    net, optimizer = trained()
    checkpoint = {
        "epoch": 3,
        key: net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": {"last_lr": torch.ones(1)},
        "rng_state": torch.get_rng_state(),
        "best_loss": torch.tensor(0.1),
    }
    assert read(saved(tmp_path, checkpoint, legacy=legacy)) == expect(net.state_dict())


def test_a_lightning_checkpoint_is_its_state_dict(tmp_path):
    net, optimizer = trained()
    checkpoint = {
        "pytorch-lightning_version": "2.0",
        "global_step": 10,
        "state_dict": collections.OrderedDict((f"model.{k}", v) for k, v in net.state_dict().items()),
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(1.0)}},
        "loops": {"fit_loop": {"state_dict": {"x": torch.zeros(1)}}},
        "optimizer_states": [optimizer.state_dict()],
        "hyper_parameters": {"width": 5},
    }
    path = saved(tmp_path, checkpoint, name="last.ckpt")
    assert read(path) == {f"model.{name}": value for name, value in expect(net.state_dict()).items()}


def test_the_model_of_a_checkpoint_is_not_counted_again_as_its_average(tmp_path):
    average = torch.optim.swa_utils.AveragedModel(Net(1)).state_dict()
    assert read(saved(tmp_path, {"model": Net().state_dict(), "model_ema": average})) == STATE


def test_nested_checkpoints_are_opened(tmp_path):
    checkpoint = {"model": {"state_dict": Net().state_dict(), "model_args": {"width": 5}}, "trainer_args": {}}
    assert read(saved(tmp_path, checkpoint)) == STATE


def test_networks_of_equal_standing_are_components(tmp_path):
    found = read(saved(tmp_path, {"generator": Net(1).state_dict(), "discriminator": Net(2).state_dict()}))
    assert set(found) == {f"{part}.{name}" for part in ("generator", "discriminator") for name in STATE}


def test_a_list_of_state_dicts_is_an_ensemble(tmp_path):
    assert set(read(saved(tmp_path, [Net(1).state_dict(), Net(2).state_dict()]))) == {
        f"{index}.{name}" for index in (0, 1) for name in STATE
    }


def test_an_optimizer_alone_is_no_model(tmp_path):
    with pytest.raises(UnsupportedFormatError, match="no PyTorch tensors that could be weights"):
        read(saved(tmp_path, trained()[1].state_dict()))


def test_a_single_tensor_is_a_model_of_one_tensor(tmp_path):
    assert set(read(saved(tmp_path, torch.randn(3)))) == {"tensor"}


@pytest.mark.parametrize("legacy", [False, True])
def test_a_whole_module_reads_like_its_state_dict(tmp_path, legacy):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns when it cannot find a test module's source
        path = saved(tmp_path, Net(), legacy=legacy)
    assert read(path) == STATE


def test_a_module_inside_a_checkpoint_is_found(tmp_path):
    assert read(saved(tmp_path, {"epoch": 1, "model": Net(), "optimizer": None})) == STATE


def test_an_object_that_holds_modules_is_read(tmp_path):
    class Agent:
        def __init__(self):
            self.policy = Net(1)
            self.me = self  # a cycle

    globals()["Agent"] = Agent
    Agent.__qualname__ = "Agent"
    assert set(read(saved(tmp_path, Agent()))) == set(STATE)


def test_a_module_pickled_by_value_is_read(tmp_path):
    cloudpickle = pytest.importorskip("cloudpickle")

    class Local(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)

    net = Local()
    path = tmp_path / "model.pth"
    torch.save(net, path, pickle_module=cloudpickle)
    assert read(path) == expect(net.state_dict())


def test_containers_and_parametrizations_read_like_their_state_dict(tmp_path):
    net = torch.nn.Module()
    net.layers = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.LSTM(3, 2)])
    net.table = torch.nn.ModuleDict({"a.b".replace(".", "_"): torch.nn.Embedding(4, 2)})
    net.loose = torch.nn.ParameterList([torch.nn.Parameter(torch.randn(3)) for _ in range(2)])
    net.named = torch.nn.ParameterDict({"x": torch.nn.Parameter(torch.randn(2))})
    torch.manual_seed(0)
    for parameter in net.parameters():
        parameter.data.normal_()
    assert read(saved(tmp_path, net)) == expect(net.state_dict())


def test_torchscript_reads_like_its_state_dict(tmp_path):
    path = tmp_path / "model.pth"
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Sequential(torch.nn.Linear(2, 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(net, torch.randn(1, 3)).save(path)
    assert read(path) == expect(net.state_dict())


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lm_head = torch.nn.Linear(4, 9, bias=False)
        self.embed_tokens = torch.nn.Embedding(9, 4)
        self.lm_head.weight = self.embed_tokens.weight


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_tied_weights_count_once_under_the_embedding_name(tmp_path, whole, legacy):
    net = Tied()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = saved(tmp_path, net if whole else net.state_dict(), legacy=legacy)
    assert read(path) == expect({"embed_tokens.weight": net.embed_tokens.weight})


def test_tied_weights_of_an_exported_program_count_once(tmp_path):
    class Head(Tied):
        def forward(self, x):
            return self.lm_head(self.embed_tokens(x))

    net, path = Head(), tmp_path / "model.pt2"
    torch.export.save(torch.export.export(net, (torch.tensor([[1, 2]]),)), path)
    assert read(path) == expect({"embed_tokens.weight": net.embed_tokens.weight})


def test_views_of_one_storage_are_distinct_tensors(tmp_path):
    flat = torch.arange(10.0)
    assert read(saved(tmp_path, {"a": flat[:4], "b": flat[4:]})) == expect({"a": flat[:4], "b": flat[4:]})


def test_an_exported_program_of_older_pytorch_is_read(tmp_path):
    state = io.BytesIO()
    torch.save(Net().state_dict(), state)
    path = tmp_path / "model.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", state.getvalue())
    assert read(path) == STATE


def test_an_archive_that_was_compressed_again_is_read(tmp_path):
    original, packed = saved(tmp_path, Net().state_dict()), tmp_path / "packed.pt"
    with zipfile.ZipFile(original) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert read(packed) == STATE


def quantised():
    return torch.quantize_per_tensor(torch.randn(3, 3), 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (quantised, "qint"),
        (lambda: torch.eye(3).to_sparse(), "sparse"),
        (lambda: torch.empty(3, device="meta"), "meta device"),
        (lambda: torch.randn(3, dtype=torch.complex64), "ComplexFloatStorage"),
        (lambda: torch.nn.LazyLinear(3).weight, "never initialised"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*deprecated:UserWarning", "ignore:.*Lazy modules:UserWarning")
def test_tensors_that_cannot_be_read_are_named_with_the_reason(tmp_path, make, reason):
    path = saved(tmp_path, {"layer.weight": make()})
    with pytest.raises(UnsupportedFormatError, match=r"'layer\.weight'") as caught:
        read(path)
    assert reason in str(caught.value)


def test_numpy_arrays_in_a_pickle_are_no_weights(tmp_path):
    with pytest.raises(UnsupportedFormatError, match="no PyTorch tensors"):
        read(saved(tmp_path, {"w": np.ones(3)}))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_plain_pickle_is_named_as_such(tmp_path, protocol):
    path = tmp_path / "model.bin"
    path.write_bytes(pickle.dumps({"a": [1, 2.5, "x", None, (1, 2), {3}]}, protocol))
    with pytest.raises(Exception, match=r"pickle of Python objects|no known weight format"):
        read(path)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol_of_torch_save_is_read(tmp_path, protocol):
    path = tmp_path / "file.pt"
    torch.save(Net(), path, pickle_protocol=protocol)
    assert read(path) == STATE


def test_a_parameter_with_attributes_and_a_subclass_are_read(tmp_path):
    marked = torch.nn.Parameter(torch.randn(3))
    marked.tag = "mine"
    assert read(saved(tmp_path, {"w": marked})) == expect({"w": marked})


def test_a_file_with_unknown_content_is_refused(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(UnsupportedFormatError, match="GGUF"):
        list(open_weights(LocalFiles(path)).tensors())
