"""Each built-in reader passes the conformance tests that third parties inherit."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from weight_samples import Net, all_dtypes, expect

from mlflow_mother.testing.readers import ReaderConformance
from mlflow_mother.weights import LocalFiles
from mlflow_mother.weights.readers import MIXED, BuiltinReader


class TestSafetensors(ReaderConformance):
    @pytest.fixture
    def reader(self):
        return BuiltinReader("safetensors")

    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "one" / "model.safetensors"
        path.parent.mkdir()
        save_file({**all_dtypes(), "empty": torch.zeros(0, 3), "scalar": torch.tensor(2.5)}, path)
        return path

    @pytest.fixture
    def model(self, path):
        return LocalFiles(path)

    @pytest.fixture
    def expected(self, path):
        return expect(load_file(path))


class TestShardedSafetensors(ReaderConformance):
    @pytest.fixture
    def reader(self):
        return BuiltinReader("safetensors")

    @pytest.fixture
    def model(self, tmp_path):
        from huggingface_hub import save_torch_state_dict

        folder = tmp_path / "sharded"
        folder.mkdir()
        save_torch_state_dict(Net().state_dict(), folder, max_shard_size=150)
        assert len(list(folder.glob("*.safetensors"))) > 1
        return LocalFiles(folder)

    @pytest.fixture
    def expected(self):
        return expect(Net().state_dict())


class TestTorchZip(ReaderConformance):
    @pytest.fixture
    def reader(self):
        return BuiltinReader("torch")

    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "one" / "weights.pt"
        path.parent.mkdir()
        base = torch.arange(60.0).reshape(3, 4, 5)
        torch.save(
            {
                **all_dtypes(),
                "transposed": base.permute(2, 0, 1),
                "slice": base[1:, ::2, 1:4],
                "row": base[2, 1],
                "expanded": torch.tensor([1.0, 2.0])[:, None].expand(2, 3),
                "parameter": torch.nn.Parameter(torch.randn(2, 2)),
                "scalar": torch.tensor(2.5),
                "empty": torch.zeros(0, 3),
            },
            path,
        )
        return path

    @pytest.fixture
    def model(self, path):
        return LocalFiles(path)

    @pytest.fixture
    def expected(self, path):
        return expect(torch.load(path, weights_only=True))


class TestTorchLegacy(TestTorchZip):
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "one" / "weights.bin"
        path.parent.mkdir()
        new = ("float8", "uint16", "uint32", "uint64")  # PyTorch cannot load these from its own legacy files
        old = {name: tensor for name, tensor in all_dtypes().items() if not name.startswith(new)}
        base = torch.arange(60.0).reshape(3, 4, 5)
        torch.save(
            {**old, "transposed": base.permute(2, 0, 1), "slice": base[1:, ::2, 1:4], "empty": torch.zeros(0)},
            path,
            _use_new_zipfile_serialization=False,
        )
        return path


class TestWholeModule(ReaderConformance):
    @pytest.fixture
    def reader(self):
        return BuiltinReader("torch")

    @pytest.fixture
    def model(self, tmp_path):
        path = tmp_path / "one" / "model.pth"
        path.parent.mkdir()
        torch.save(Net(), path)
        return LocalFiles(path)

    @pytest.fixture
    def expected(self):
        return expect(Net().state_dict())


class TestExportedProgram(ReaderConformance):
    @pytest.fixture
    def reader(self):
        return BuiltinReader("pt2")

    @pytest.fixture
    def model(self, tmp_path):
        path = tmp_path / "one" / "model.pt2"
        path.parent.mkdir()
        torch.export.save(torch.export.export(Net().eval(), (torch.randn(2, 6),)), path)
        return LocalFiles(path)

    @pytest.fixture
    def expected(self):
        return expect(Net().state_dict())


class TestMixedComponents(ReaderConformance):
    @pytest.fixture
    def reader(self):
        return BuiltinReader(MIXED)

    @pytest.fixture
    def model(self, tmp_path):
        folder = tmp_path / "pipeline"
        for name in ("unet", "checker"):
            (folder / name).mkdir(parents=True)
        (folder / "model_index.json").write_text('{"_class_name": "P", "unet": ["d", "U"], "checker": ["t", "C"]}')
        save_file(Net(1).state_dict(), folder / "unet" / "diffusion_pytorch_model.safetensors")
        torch.save(Net(2).state_dict(), folder / "checker" / "pytorch_model.bin")
        return LocalFiles(folder)

    @pytest.fixture
    def expected(self):
        unet = {f"unet.{name}": tensor for name, tensor in Net(1).state_dict().items()}
        return expect({**unet, **{f"checker.{name}": tensor for name, tensor in Net(2).state_dict().items()}})
