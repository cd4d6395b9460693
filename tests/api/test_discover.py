"""Which models a path holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlflow_mother.api.discover import find_models
from mlflow_mother.errors import UnsupportedFormatError, WeightsError
from mlflow_mother.weights.model import ModelFiles, NamedTensor, WeightsInfo


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def _ids(*paths: str) -> list[str]:
    return [model.id for model in find_models(paths)]


@pytest.mark.parametrize("given", ["a.pt", "./a.pt", "sub/../a.pt"])
def test_the_id_of_a_file_is_its_path_as_given(folder: Path, given: str) -> None:
    _touch(folder, "a.pt", "sub/x")
    assert _ids(given) == [given]


def test_a_folder_of_checkpoints_is_one_model_a_file(folder: Path) -> None:
    _touch(folder, "c/b.safetensors", "c/a.pt", "c/deep/er/x.bin", "c/notes.txt")
    assert _ids("c") == ["c/a.pt", "c/b.safetensors", "c/deep/er/x.bin"]
    assert _ids("./c/") == ["./c/a.pt", "./c/b.safetensors", "./c/deep/er/x.bin"]


def test_the_current_folder_and_absolute_paths_keep_their_spelling(folder: Path) -> None:
    _touch(folder, "a.pt")
    assert _ids(".") == ["./a.pt"]
    assert _ids(str(folder)) == [f"{folder}/a.pt"]


def test_a_model_given_twice_counts_once(folder: Path) -> None:
    _touch(folder, "c/a.pt")
    assert _ids("c", "c/a.pt", "c") == ["c/a.pt"]


@pytest.mark.parametrize(
    "names",
    [
        ["MLmodel", "data/model.pth"],
        ["config.json", "model.safetensors", "optimizer.pt", "extra/more.pt"],
        ["config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"],
        ["adapter_config.json", "adapter_model.safetensors"],
        ["model.safetensors.index.json", "model-00001-of-00001.safetensors"],
        ["part-00001-of-00002.safetensors", "part-00002-of-00002.safetensors"],
        ["modules.json", "0_Transformer/config.json", "0_Transformer/model.safetensors"],
        ["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"],
    ],
    ids=["mlflow", "transformers", "sharded", "adapter", "index", "shards", "sentence-transformers", "diffusers"],
)
def test_a_model_directory_is_one_model(folder: Path, names: list[str]) -> None:
    _touch(folder, *(f"m/{name}" for name in names))
    assert _ids("m") == ["m"]
    _touch(folder, "other.pt")
    assert _ids(".") == ["./m", "./other.pt"]


def test_a_trainers_output_is_the_final_model_and_its_checkpoints(folder: Path) -> None:
    for name in ("", "checkpoint-5/", "checkpoint-10/"):
        _touch(folder, f"out/{name}config.json", f"out/{name}model.safetensors", f"out/{name}optimizer.pt")
    assert _ids("out") == ["out", "out/checkpoint-10", "out/checkpoint-5"]


@pytest.mark.parametrize("index", [[], ["model.safetensors.index.json"]], ids=["bare", "index"])
def test_a_set_of_shards_among_other_files_is_one_model(folder: Path, index: list[str]) -> None:
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    _touch(folder, *(f"c/{name}" for name in (*shards, *index, "a.pth", "b.pth", "x-00001-of-00001.pt")))
    pattern = "c/model-*-of-00002.safetensors"
    assert _ids("c") == ["c/a.pth", "c/b.pth", pattern, "c/x-*-of-00001.pt"]
    assert _ids(*(f"c/{name}" for name in shards)) == [pattern], "what a shell makes of c/*.safetensors"
    assert _ids(pattern) == [pattern]
    assert sorted(find_models([pattern])[0].files.sizes()) == [*shards, *index]
    for missing in ("c/x-*-of-00002.pt", "nowhere/x-*-of-00001.pt"):
        with pytest.raises(WeightsError, match="no file or folder"):
            find_models([missing])


def test_an_index_of_files_with_names_of_their_own_makes_a_model(folder: Path) -> None:
    _touch(folder, "m/model.safetensors.index.json", "m/first.safetensors", "m/second.safetensors")
    assert _ids("m") == ["m"]


@pytest.mark.parametrize("mark", ["modules.json", "model_index.json"])
def test_checkpoints_below_a_model_of_components_are_models(folder: Path, mark: str) -> None:
    for name in ("", "checkpoint-5/"):
        _touch(folder, f"out/{name}{mark}", f"out/{name}part/config.json", f"out/{name}part/model.safetensors")
    assert _ids("out") == ["out", "out/checkpoint-5"]


def test_what_mother_and_trainers_leave_beside_models_are_no_models(folder: Path) -> None:
    run = "mlruns/1/run/artifacts"
    _touch(folder, f"{run}/mother/n/1/fingerprint.safetensors", f"{run}/mother/n/1/fingerprint.json")
    _touch(folder, f"{run}/model/MLmodel", f"{run}/model/data/model.pth", f"{run}/model/mother/n/1/lineage.json")
    _touch(folder, "mlruns/step/mp_rank_00_model_states.pt", "mlruns/step/zero_pp_rank_0_mp_rank_00_optim_states.pt")
    assert _ids("mlruns") == [f"{run}/model", "mlruns/step/mp_rank_00_model_states.pt"]


def test_a_training_configuration_beside_checkpoints_makes_no_model(folder: Path) -> None:
    _touch(folder, "c/config.json", "c/step1.pt", "c/step2.pt")
    assert _ids("c") == ["c/step1.pt", "c/step2.pt"]


def test_trainers_states_and_hidden_folders_are_no_models(folder: Path) -> None:
    _touch(folder, "c/a.pt", "c/optimizer.pt", "c/rng_state_0.pth", "c/training_args.bin", "c/.cache/x.pt")
    assert _ids("c") == ["c/a.pt"]


def test_folders_are_not_followed_without_end(folder: Path) -> None:
    _touch(folder, "c/a.pt", "c/" + "d/" * 500 + "b.pt")
    for name, target in (("loop", "c"), ("above", "."), ("everything", "/"), ("self", "c/self")):
        (folder / "c" / name).symlink_to(folder / target)
    assert _ids("c") == ["c/a.pt"]


def test_two_folders_that_lead_to_each_other_end(folder: Path) -> None:
    _touch(folder, "c/a/x.pt", "c/b/y.pt")
    (folder / "c/a/other").symlink_to("../b")
    (folder / "c/b/other").symlink_to("../a")
    assert _ids("c") == ["c/a/x.pt", "c/b/y.pt"]


def test_links_lead_to_models_outside_of_the_folder(folder: Path) -> None:
    _touch(folder, "else/where/a.pt", "else/m/config.json", "else/m/model.safetensors", "other/x.pt", "c/b.pt")
    (folder / "c/far").symlink_to(folder / "else")
    (folder / "c/near.pt").symlink_to(folder / "other/x.pt")
    assert _ids("c") == ["c/b.pt", "c/far/m", "c/far/where/a.pt", "c/near.pt"]


def test_what_a_folder_holds_counts_under_its_own_path_whatever_links_name_it(folder: Path) -> None:
    _touch(folder, "c/checkpoint-5/config.json", "c/checkpoint-5/model.safetensors", "c/z/epoch=3.ckpt")
    (folder / "c/best").symlink_to("checkpoint-5")
    (folder / "c/z/best.ckpt").symlink_to("epoch=3.ckpt")
    assert _ids("c") == ["c/checkpoint-5", "c/z/epoch=3.ckpt"]
    assert _ids("c/best") == ["c/best"], "unless it is given"


def test_each_snapshot_of_hugging_faces_cache_is_a_model(folder: Path) -> None:
    hub = folder / "hub/models--org--net"
    _touch(hub, "blobs/1a", "blobs/2b", "refs/main")
    for revision in ("aaa", "bbb"):
        snapshot = hub / "snapshots" / revision
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").symlink_to("../../blobs/1a")
        (snapshot / "model.safetensors").symlink_to("../../blobs/2b")
    at = "hub/models--org--net/snapshots"
    assert _ids("hub") == _ids("hub", f"{at}/aaa") == [f"{at}/aaa", f"{at}/bbb"]
    assert find_models([f"{at}/aaa"])[0].files.sizes() == {"config.json": 1, "model.safetensors": 1}


def test_a_plugin_reader_adds_formats(folder: Path) -> None:
    class Reader:
        name = "gguf"

        def detect(self, files: ModelFiles, /) -> WeightsInfo | None:
            if "broken.gguf" in files.sizes():
                raise UnsupportedFormatError("broken", "Mend it.")
            return WeightsInfo("gguf", ("a",), 1) if any(p.endswith(".gguf") for p in files.sizes()) else None

        def tensors(self, files: ModelFiles, info: WeightsInfo, /) -> Iterator[NamedTensor]:
            raise NotImplementedError

    _touch(folder, "c/a.gguf", "c/broken.gguf", "c/b.pt")
    assert [m.id for m in find_models(["c"], [Reader()])] == ["c/a.gguf", "c/b.pt"]


@pytest.mark.parametrize("given", ["nowhere", "empty"])
def test_a_path_without_models_says_what_to_do(folder: Path, given: str) -> None:
    _touch(folder, "empty/readme.txt")
    with pytest.raises(WeightsError, match=f"{given}.*(Check|Name)"):
        find_models([given])
