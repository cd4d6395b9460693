"""Which files of a real model directory are read: one format, every component once, no optimizer states."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from weight_samples import Net, expect, read

from mlflow_mother.errors import CorruptFileError, UnsafeFileError, UnsupportedFormatError, WeightsError
from mlflow_mother.weights import AdapterConfig, LocalFiles, normalise, open_weights

pytestmark = pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing:FutureWarning",  # PEFT asks Transformers 5
    "ignore:Could not find a config file in org/base:UserWarning",  # PEFT would ask the hub
)
STATE = expect(Net().state_dict())


def info(path):
    return open_weights(LocalFiles(path)).info


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    return path


# Formats and names within one folder


def test_safetensors_wins_over_the_same_weights_in_other_formats(folder):
    save_file(Net().state_dict(), folder / "model.safetensors")
    torch.save(Net().state_dict(), folder / "pytorch_model.bin")
    (folder / "tf_model.h5").write_bytes(b"x")
    assert info(folder).files == ("model.safetensors",)
    assert info(folder).format == "safetensors"
    assert read(folder) == STATE


def test_training_files_beside_the_weights_are_ignored(folder):
    torch.save(Net().state_dict(), folder / "pytorch_model.bin")
    for name in ("optimizer.pt", "scheduler.pt", "training_args.bin", "rng_state.pth", "rng_state_0.pth", "scaler.pt"):
        torch.save({"x": torch.ones(3)}, folder / name)
    assert info(folder).files == ("pytorch_model.bin",)


def test_what_mother_wrote_is_ignored(folder):
    save_file(Net().state_dict(), folder / "model.safetensors")
    (folder / "mother" / "a" / "1").mkdir(parents=True)
    save_file({"sketch": torch.ones(3)}, folder / "mother" / "a" / "1" / "fingerprint.safetensors")
    assert info(folder).files == ("model.safetensors",)


def test_variants_and_copies_in_other_layouts_are_ignored(folder):
    save_file(Net().state_dict(), folder / "model.safetensors")
    save_file(Net().half().state_dict(), folder / "model.fp16.safetensors")
    save_file(Net().state_dict(), folder / "consolidated.safetensors")
    for name in ("original", "onnx", "checkpoint-10"):
        (folder / name).mkdir()
        torch.save(Net().state_dict(), folder / name / "consolidated.00.pth")
    assert info(folder).files == ("model.safetensors",)


def test_files_of_different_names_are_parts_of_one_model(folder):
    torch.save(Net(1).state_dict(), folder / "encoder.pt")
    torch.save(Net(2).state_dict(), folder / "decoder.pt")
    save_file(Net(2).state_dict(), folder / "other.safetensors")
    (folder / "other.safetensors").unlink()
    assert set(read(folder)) == {f"{part}.{name}" for part in ("encoder", "decoder") for name in STATE}


def test_several_checkpoints_in_one_folder_are_ambiguous(folder):
    for step in (10, 20):
        (folder / f"checkpoint-{step}").mkdir()
        save_file(Net().state_dict(), folder / f"checkpoint-{step}" / "model.safetensors")
    with pytest.raises(UnsupportedFormatError, match="several checkpoints"):
        read(folder)


# Shards


@pytest.fixture
def sharded(folder):
    from huggingface_hub import save_torch_state_dict

    save_torch_state_dict(Net().state_dict(), folder, max_shard_size=150)
    return folder


def test_shards_without_their_index_are_read(sharded):
    (sharded / "model.safetensors.index.json").unlink()
    assert read(sharded) == STATE


@pytest.mark.parametrize("indexed", [True, False])
def test_a_missing_shard_is_an_error_not_a_smaller_model(sharded, indexed):
    sorted(sharded.glob("*.safetensors"))[-1].unlink()
    if not indexed:
        (sharded / "model.safetensors.index.json").unlink()
    with pytest.raises(CorruptFileError, match="lacks 1 of"):
        info(sharded)


def rewrite_index(folder, change):
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))


def test_a_tensor_that_the_index_promises_must_be_there(sharded):
    first = sorted(path.name for path in sharded.glob("*.safetensors"))[0]
    rewrite_index(sharded, lambda index: index["weight_map"].update({"ghost": first}))
    with pytest.raises(CorruptFileError, match="'ghost'"):
        read(sharded)


@pytest.mark.parametrize("path", ["../outside.safetensors", "/etc/passwd", "a/../../b.safetensors", "..\\x"])
def test_an_index_that_leads_out_of_the_model_is_refused(sharded, path):
    rewrite_index(sharded, lambda index: index["weight_map"].update({"w": path}))
    with pytest.raises(UnsafeFileError, match="outside of itself"):
        info(sharded)


@pytest.mark.parametrize("index", ["[]", "{", "{}", '{"weight_map": {"a": 3}}', '{"weight_map": []}'])
def test_a_broken_index_is_an_error(sharded, index):
    (sharded / "model.safetensors.index.json").write_text(index)
    with pytest.raises(CorruptFileError):
        info(sharded)


def test_a_tensor_in_two_shards_is_an_error(folder):
    for number in (1, 2):
        save_file({"w": torch.ones(2)}, folder / f"model-0000{number}-of-00002.safetensors")
    with pytest.raises(CorruptFileError, match="two tensors 'w'"):
        read(folder)


def test_a_link_out_of_the_model_is_not_followed(folder, tmp_path):
    save_file(Net().state_dict(), tmp_path / "secret.safetensors")
    (folder / "model.safetensors").symlink_to(tmp_path / "secret.safetensors")
    with pytest.raises(UnsupportedFormatError):
        info(folder)


def test_a_link_out_counts_where_the_user_says_so(folder, tmp_path):
    save_file({"w": torch.ones(2)}, tmp_path / "blob")
    (folder / "model.safetensors").symlink_to(tmp_path / "blob")
    files = LocalFiles(folder, follow_links_out=True)
    assert [tensor.name for tensor in open_weights(files).tensors()] == ["w"]
    for there, back in (("a", "b"), ("b", "a")):
        (tmp_path / there).mkdir()
        (tmp_path / there / "back").symlink_to(tmp_path / back)
        (tmp_path / there / "root").symlink_to("/")
        (folder / there).symlink_to(tmp_path / there)
    assert set(replace(files).sizes()) == {"model.safetensors"}, "loops end"
    (tmp_path / "a" / "x.pt").write_bytes(b"x")
    assert set(replace(files).sizes()) == {"model.safetensors", "a/x.pt", "b/back/x.pt"}


def test_a_file_that_became_a_link_out_is_refused(folder, tmp_path):
    save_file({"w": torch.ones(2)}, folder / "model.safetensors")
    files = LocalFiles(folder)
    assert files.sizes()
    (folder / "model.safetensors").rename(tmp_path / "secret.safetensors")
    (folder / "model.safetensors").symlink_to(tmp_path / "secret.safetensors")
    with pytest.raises(WeightsError, match="has no file"), files.local("model.safetensors"):
        pass


def test_a_folder_is_listed_once_however_many_files_are_read(folder, monkeypatch):
    tensors = {f"w{index}": torch.ones(2) for index in range(20)}
    for index, (name, tensor) in enumerate(tensors.items()):
        save_file({name: tensor}, folder / f"model-{index + 1:05}-of-00020.safetensors")
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    assert read(folder).keys() == tensors.keys()
    assert listed == [folder]


# Transformers, PEFT, sentence-transformers


@pytest.fixture(scope="module")
def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, vocab_size=40,
        tie_word_embeddings=False,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def test_a_saved_transformer_is_read(llama, folder):
    llama.save_pretrained(folder)
    (folder / "README.md").write_text("---\nbase_model:\n- org/base\n- org/other\nlicense: mit\n---\n# Card\n")
    assert info(folder).declared == ("org/base", "org/other")
    assert read(folder) == expect(llama.state_dict())


def test_a_sharded_transformer_is_read(llama, folder):
    llama.save_pretrained(folder, max_shard_size="4KB")
    assert len(info(folder).files) > 1
    assert read(folder) == expect(llama.state_dict())


@pytest.mark.parametrize(
    "card", ["# no front matter", "---\n: [\n---\n", "---\nbase_model: null\n---\n", "---\n- a\n---\n"]
)
def test_a_model_card_that_names_no_base_declares_nothing(folder, card):
    save_file(Net().state_dict(), folder / "model.safetensors")
    (folder / "README.md").write_text(card)
    assert info(folder).declared == ()


@pytest.fixture
def adapted(llama):
    import copy

    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], modules_to_save=["lm_head"])
    base = copy.deepcopy(llama)
    base.name_or_path = base.config._name_or_path = "org/base"
    net = get_peft_model(base, config)
    net.peft_config["default"].base_model_name_or_path = "org/base"
    return net


def test_a_peft_adapter_names_its_base(adapted, folder):
    adapted.save_pretrained(folder)
    assert info(folder).adapter == AdapterConfig("LORA", "org/base", 4, 8.0)
    assert info(folder).declared == ("org/base",)
    assert read(folder) == expect(load_file(folder / "adapter_model.safetensors"))


def test_a_peft_adapter_in_the_older_format_is_read(adapted, folder):
    adapted.save_pretrained(folder, safe_serialization=False)
    saved = "adapter_model.bin" if (folder / "adapter_model.bin").exists() else "adapter_model.safetensors"
    assert info(folder).files == (saved,)
    assert info(folder).adapter.kind == "LORA"


def test_names_of_an_adapter_a_wrapped_base_and_the_base_agree(llama, adapted, folder):
    base = set(normalise(llama.state_dict()).values())
    wrapped = set(normalise(adapted.get_base_model().state_dict()).values())
    adapted.save_pretrained(folder)
    adapter = set(normalise(read(folder)).values())
    assert base <= wrapped
    assert "layers.0.self_attn.q_proj.lora_A.weight" in adapter
    assert adapter <= wrapped


def test_a_broken_adapter_configuration_is_an_error(adapted, folder):
    adapted.save_pretrained(folder)
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(CorruptFileError):
        info(folder)


@pytest.fixture(scope="module")
def sentence_model():
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Dense, Pooling, Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    return (Dense, Pooling, SentenceTransformer, Transformer, BertConfig, BertModel, PreTrainedTokenizerFast, Tokenizer,
            models, pre_tokenizers)  # fmt: skip


@pytest.fixture
def sentences(sentence_model, tmp_path):
    dense, pooling, model, transformer, config, bert, fast, tokenizer, models, pre = sentence_model
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello"])}
    inner = tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre.Whitespace()
    base = tmp_path / "bert"
    fast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(base)
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 6}
    bert(config(**size)).save_pretrained(base)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        words = transformer(str(base))
        return model(modules=[words, pooling(8, "mean"), dense(8, 4)], device="cpu")


@pytest.mark.filterwarnings("ignore")
def test_a_sentence_transformer_is_read_with_its_dense_layer(sentences, folder):
    sentences.save_pretrained(str(folder))
    found = read(folder)
    dense = {name for name in found if name.startswith("2_Dense.")}
    assert dense == {"2_Dense.linear.weight", "2_Dense.linear.bias"}
    assert len(found) - 2 == len(load_file(folder / "model.safetensors"))


# MLflow model directories


def mlflow_save(flavor, model, path, **options):
    import mlflow

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(mlflow, flavor).save_model(model, str(path), pip_requirements=["torch"], **options)
    shutil.rmtree(path.parent / "mlruns", ignore_errors=True)


def test_mlflow_pytorch_exported_by_default(tmp_path):
    import numpy as np

    example = np.zeros((2, 6), dtype=np.float32)
    mlflow_save("pytorch", Net().eval(), tmp_path / "m", input_example=example, serialization_format="pt2")
    assert info(tmp_path / "m").files == ("data/model.pt2",)
    assert read(tmp_path / "m") == STATE


def test_mlflow_pytorch_pickled(tmp_path):
    mlflow_save("pytorch", Net(), tmp_path / "m", serialization_format="pickle")
    assert info(tmp_path / "m").files == ("data/model.pth",)
    assert read(tmp_path / "m") == STATE


def test_mlflow_pytorch_state_dict(tmp_path):
    import mlflow.pytorch

    mlflow.pytorch.save_state_dict(Net().state_dict(), str(tmp_path / "m"))
    assert info(tmp_path / "m").files == ("state_dict.pth",)
    assert read(tmp_path / "m") == STATE


def text_pipeline(net):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    return {"model": net, "tokenizer": tokenizer}


def test_mlflow_transformers(llama, tmp_path):
    mlflow_save("transformers", text_pipeline(llama), tmp_path / "m", task="text-generation")
    found = info(tmp_path / "m")
    assert found.files == ("model/model.safetensors",)
    assert read(tmp_path / "m") == expect(llama.state_dict())


def test_mlflow_transformers_adapter(adapted, tmp_path, monkeypatch):
    monkeypatch.setattr("mlflow.transformers.flavor_config.get_latest_commit_for_repo", lambda repo: "0" * 40)
    mlflow_save("transformers", text_pipeline(adapted), tmp_path / "m", task="text-generation")
    found = info(tmp_path / "m")
    assert "peft/adapter_model.safetensors" in found.files
    assert found.adapter.kind == "LORA"
    assert "org/base" in found.declared


@pytest.mark.filterwarnings("ignore")
def test_mlflow_sentence_transformers(sentences, tmp_path):
    mlflow_save("sentence_transformers", sentences, tmp_path / "m")
    found = read(tmp_path / "m")
    assert "2_Dense.linear.weight" in found
    assert all(path.startswith("model.sentence_transformer/") for path in info(tmp_path / "m").files)


def test_mlflow_pyfunc_with_weights_among_its_artifacts(tmp_path):
    import mlflow

    save_file(Net().state_dict(), tmp_path / "net.safetensors")
    model = mlflow.pyfunc.PythonModel()
    model.predict = lambda context, model_input: model_input
    artifacts = {"net": str(tmp_path / "net.safetensors")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            str(tmp_path / "m"), python_model=model, artifacts=artifacts, pip_requirements=["torch"]
        )
    assert info(tmp_path / "m").files == ("artifacts/net.safetensors",)
    assert read(tmp_path / "m") == STATE


@pytest.mark.filterwarnings("ignore")
def test_mlflow_scikit_learn_is_unsupported_by_name(tmp_path):
    from sklearn.linear_model import LinearRegression

    mlflow_save("sklearn", LinearRegression().fit([[0], [1]], [0, 1]), tmp_path / "m", serialization_format="pickle")
    with pytest.raises(UnsupportedFormatError, match="scikit-learn"):
        info(tmp_path / "m")


@pytest.mark.parametrize("text", ["", "flavors: 3", "flavors: [", "[" * 300_000, "\x00"])
def test_a_broken_mlmodel_file_is_an_error(folder, text):
    (folder / "MLmodel").write_text(text)
    save_file(Net().state_dict(), folder / "model.safetensors")
    with pytest.raises(CorruptFileError, match="lists no flavors"):
        info(folder)


# Components and formats that are not read


def test_components_carry_the_name_of_their_folder(folder):
    for name in ("unet", "vae", "text_encoder"):
        (folder / name).mkdir()
        save_file(Net().state_dict(), folder / name / "model.safetensors")
    names = {f"{part}.{name}" for part in ("unet", "vae", "text_encoder") for name in STATE}
    assert set(read(folder)) == names
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "P", "unet": [1, 2], "vae": [1, 2]}))
    assert set(read(folder)) == {name for name in names if not name.startswith("text_encoder")}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.onnx", "ONNX"),
        ("model.keras", "Keras"),
        ("model.h5", "Keras"),
        ("model.gguf", "GGUF"),
        ("model.skops", "skops"),
        ("model.ubj", "XGBoost"),
        ("model.lgb", "LightGBM"),
        ("model.pkl", "pickled Python objects"),
        ("notes.txt", "no weight files"),
    ],
)
def test_other_formats_are_unsupported_by_name(folder, name, kind):
    (folder / name).write_bytes(b"x")
    with pytest.raises(UnsupportedFormatError, match=kind) as caught:
        info(folder)
    assert str(folder) in caught.value.what


@pytest.mark.parametrize("content", [b"\x89HDF\r\n", b"GGUF", b"\x93NUMPY", b"<html>"])
def test_a_file_of_another_format_under_a_torch_name_is_named(folder, content):
    (folder / "pytorch_model.bin").write_bytes(content + bytes(600))
    with pytest.raises(UnsupportedFormatError):
        read(folder)


def test_readers_of_plugins_are_asked_first(folder):
    class Reader:
        name = "mine"

        def detect(self, files):
            from mlflow_mother.weights import WeightsInfo

            return WeightsInfo("mine", tuple(files.sizes()), 1)

        def tensors(self, files, info):
            yield from ()

    (folder / "model.mine").write_bytes(b"x")
    opened = open_weights(LocalFiles(folder), [Reader()])
    assert opened.info.format == "mine"
    with pytest.raises(CorruptFileError, match="no tensors"):
        list(opened.tensors())
