# ruff: noqa: S101 - these are tests
"""Conformance tests for weight readers: inherit :class:`ReaderConformance` and give it a reader and a model.

Example::

    class TestMyReader(ReaderConformance):
        @pytest.fixture
        def reader(self):
            return MyReader()

        @pytest.fixture
        def model(self, tmp_path):
            ...  # write a real model of the format
            return LocalFiles(tmp_path)

        @pytest.fixture
        def expected(self):
            return {"layer.weight": ("F32", (2, 3), b"...")}  # what another library reads from it
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mlflow_mother.errors import CorruptFileError, MotherError
from mlflow_mother.weights.model import BITS, LocalFiles, ModelFiles, WeightReader, WeightsInfo

Expected = Mapping[str, tuple[str, tuple[int, ...], bytes]]
"""Element type, shape and contiguous little-endian bytes by tensor name."""


class WatchedFiles:
    """A model's files that remember which of them are open.

    Args:
        files: The files to watch.
    """

    def __init__(self, files: ModelFiles) -> None:
        self._files = files
        self.open: list[str] = []
        self.most = 0

    @property
    def id(self) -> str:
        """What to call the model in messages."""
        return self._files.id

    def sizes(self) -> Mapping[str, int]:
        """Length in bytes of every file, by path."""
        return self._files.sizes()

    @contextmanager
    def local(self, path: str, /) -> Iterator[Path]:
        """A local copy of one file, counted while it is open."""
        with self._files.local(path) as local:
            self.open.append(path)
            self.most = max(self.most, len(self.open))
            try:
                yield local
            finally:
                self.open.remove(path)


class ReaderConformance:
    """What every reader must do; subclasses provide ``reader``, ``model`` and ``expected``."""

    @pytest.fixture
    def reader(self) -> WeightReader:
        """The reader under test."""
        raise NotImplementedError

    @pytest.fixture
    def model(self) -> LocalFiles:
        """A small real model of its format, in a folder of its own or a single file."""
        raise NotImplementedError

    @pytest.fixture
    def expected(self) -> Expected:
        """What the format's own library reads from the model."""
        raise NotImplementedError

    @pytest.fixture
    def info(self, reader: WeightReader, model: LocalFiles) -> WeightsInfo:
        """What the reader detects."""
        info = reader.detect(model)
        assert info is not None, "the reader does not recognise its own model"
        return info

    def test_is_a_reader(self, reader: WeightReader) -> None:
        """It has the contract's members."""
        assert isinstance(reader, WeightReader)
        assert reader.name

    def test_describes_the_files_it_reads(self, info: WeightsInfo, model: LocalFiles) -> None:
        """Files exist, are counted once, and add up."""
        sizes = model.sizes()
        assert info.format
        assert info.files
        assert len(set(info.files)) == len(info.files)
        assert info.nbytes == sum(sizes[path] for path in info.files)

    def test_declines_a_model_of_no_weights(self, reader: WeightReader, tmp_path: Path) -> None:
        """A folder without weights is somebody else's."""
        folder = tmp_path / "not-a-model"
        folder.mkdir()
        (folder / "notes.txt").write_text("no weights here")
        assert reader.detect(LocalFiles(folder)) is None

    def test_yields_each_tensor_once_and_exactly(
        self, reader: WeightReader, model: LocalFiles, info: WeightsInfo, expected: Expected
    ) -> None:
        """Names, element types, shapes and every byte agree with the format's own library."""
        found = {}
        for tensor in reader.tensors(model, info):
            assert tensor.name not in found, f"{tensor.name} is yielded twice"
            assert tensor.dtype in BITS
            found[tensor.name] = (tensor.dtype, tensor.shape, bytes(tensor.tobytes()))
        assert found == dict(expected)

    def test_reads_the_same_again(
        self, reader: WeightReader, model: LocalFiles, info: WeightsInfo, expected: Expected
    ) -> None:
        """Order and names do not change from pass to pass."""
        first = [tensor.spec for tensor in reader.tensors(model, info)]
        assert first == [tensor.spec for tensor in reader.tensors(model, info)]
        assert len(first) == len(expected)

    def test_reads_any_range_from_several_threads(
        self, reader: WeightReader, model: LocalFiles, info: WeightsInfo
    ) -> None:
        """A source is random access, and two threads do not disturb each other."""
        with ThreadPoolExecutor(4) as threads:
            for tensor in reader.tensors(model, info):
                whole = bytes(tensor.tobytes())
                cuts = sorted({0, len(whole), len(whole) // 3, len(whole) // 2, len(whole) - len(whole) // 5})
                ranges = [(a, b) for a, b in itertools.product(cuts, cuts) if a < b]

                def read(cut: tuple[int, int], source=tensor.source) -> bytes:  # type: ignore[no-untyped-def]
                    buffer = bytearray(cut[1] - cut[0])
                    source.readinto(cut[0], memoryview(buffer))
                    return bytes(buffer)

                assert list(threads.map(read, ranges)) == [whole[a:b] for a, b in ranges]

    def test_refuses_to_read_past_a_tensor(self, reader: WeightReader, model: LocalFiles, info: WeightsInfo) -> None:
        """A source ends where its tensor ends."""
        for tensor in reader.tensors(model, info):
            with pytest.raises(CorruptFileError):
                tensor.source.readinto(tensor.nbytes, memoryview(bytearray(1)))

    def test_opens_one_file_at_a_time_and_closes_it(
        self, reader: WeightReader, model: LocalFiles, info: WeightsInfo
    ) -> None:
        """A remote shard is needed only while its tensors are yielded, and a consumer may stop early."""
        watched = WatchedFiles(model)
        for _ in reader.tensors(watched, info):
            assert len(watched.open) == 1
        assert watched.open == []
        assert watched.most == 1
        tensors = reader.tensors(watched, info)
        next(iter(tensors))
        tensors.close()  # type: ignore[attr-defined]
        assert watched.open == []

    def test_leaves_the_model_alone(self, reader: WeightReader, model: LocalFiles, info: WeightsInfo) -> None:
        """Reading writes nothing."""
        before = model.sizes()
        for tensor in reader.tensors(model, info):
            tensor.tobytes()
        assert replace(model).sizes() == before

    def test_refuses_truncated_files_with_a_reason(
        self, reader: WeightReader, model: LocalFiles, info: WeightsInfo, expected: Expected, tmp_path: Path
    ) -> None:
        """A file that was cut anywhere ends in an error of Mother's, never in wrong values."""
        for path, share in itertools.product(info.files, (0.0, 0.1, 0.5, 0.9, 0.999)):
            folder = tmp_path / "cut"
            root = _copy(model, folder)
            target = root if root.is_file() else root / path
            target.write_bytes(target.read_bytes()[: int(target.stat().st_size * share)])
            with pytest.raises(MotherError):
                cut = LocalFiles(root)
                again = reader.detect(cut)
                if again is None:
                    raise CorruptFileError("Not recognised any more.", "Copy it again.")
                for tensor in reader.tensors(cut, again):
                    assert bytes(tensor.tobytes()) == expected[tensor.name][2]
            shutil.rmtree(folder)


def _copy(model: LocalFiles, folder: Path) -> Path:
    folder.mkdir()
    if model.root.is_file():
        return Path(shutil.copy(model.root, folder))
    return Path(shutil.copytree(model.root, folder / "model"))
