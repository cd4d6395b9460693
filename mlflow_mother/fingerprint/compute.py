"""The pass over a model: one reader, a few workers, results combined in the order of the tensors' elements.

A tensor is cut into units of 32 MiB. The calling thread reads units into a few reused buffers, workers turn each into
a digest, statistics, a partial sketch and sampled values, and the partial results are added in order. What a unit is
depends on the tensor alone, so the fingerprint is the same for any number of threads.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from threading import local

import numpy as np
import numpy.typing as npt
import torch

from mlflow_mother import weights
from mlflow_mother.errors import FingerprintError
from mlflow_mother.fingerprint import kernels, seeds, widening
from mlflow_mother.fingerprint.assemble import Assembler
from mlflow_mother.fingerprint.entries import Entry, tensor_digest
from mlflow_mother.fingerprint.format import MAX_DIMENSIONS
from mlflow_mother.fingerprint.layout import DISTINCT_VALUES
from mlflow_mother.fingerprint.moments import Moments
from mlflow_mother.fingerprint.record import STATS, Fingerprint
from mlflow_mother.fingerprint.small import Batch, is_small
from mlflow_mother.weights.model import BITS, ModelFiles, NamedTensor, WeightReader

UNIT_BYTES = 1 << 25
"""Bytes of one unit of work, and of one leaf of the digest's tree."""

_SPARE_BUFFERS = 1

Progress = Callable[[int, int], None]
_Bytes = npt.NDArray[np.uint8]


def fingerprint_model(
    files: ModelFiles,
    *,
    readers: Sequence[WeightReader] = (),
    device: str = "cpu",
    threads: int = 2,
    progress: Progress | None = None,
) -> Fingerprint:
    """Fingerprints a model from its files in one pass.

    Args:
        files: The model's files.
        readers: Readers to try before the built-in ones.
        device: Torch device that does the arithmetic.
        threads: Worker threads. The result does not depend on it.
        progress: Called with the bytes done and the bytes of all weights, from the calling thread.

    Raises:
        WeightsError: The weights cannot be read.
        FingerprintError: They can, but make no fingerprint; or the device is not there.
    """
    opened = weights.open_weights(files, readers)
    info = opened.info
    assembler = Assembler(
        files.id,
        format=info.format,
        adapter=asdict(info.adapter) if info.adapter else None,
        declared=info.declared,
    )
    return _run(opened.tensors(), assembler, device, threads, progress, info.nbytes)


def fingerprint_tensors(
    tensors: Iterable[NamedTensor],
    *,
    format: str = "",  # noqa: A002
    model: str = "(tensors)",
    device: str = "cpu",
    threads: int = 2,
    progress: Progress | None = None,
    nbytes: int = 0,
) -> Fingerprint:
    """Fingerprints named tensors in one pass, in whatever order they come.

    Args:
        tensors: Each is read once, before the next one is asked for.
        format: Weight format to note in the fingerprint.
        model: What to call the model in messages.
        device: Torch device that does the arithmetic.
        threads: Worker threads. The result does not depend on it.
        progress: Called with the bytes done and ``nbytes``, from the calling thread.
        nbytes: Total length, if known, for the progress callback only.

    Raises:
        WeightsError: A tensor cannot be read.
        FingerprintError: Two tensors share a name, or one has an unknown element type or shape.
    """
    return _run(tensors, Assembler(model, format=format), device, threads, progress, nbytes)


@dataclass(frozen=True)
class _UnitResult:
    leaf: bytes
    partial: kernels.Partial
    sampled: npt.NDArray[np.float64]
    head: npt.NDArray[np.float64]


def _run(
    tensors: Iterable[NamedTensor],
    assembler: Assembler,
    device: str,
    threads: int,
    progress: Progress | None,
    total: int,
) -> Fingerprint:
    whole: deque[tuple[NamedTensor, list[Future[_UnitResult]]]] = deque()
    small: deque[Future[list[Entry]]] = deque()
    batches: dict[str, Batch] = {}
    done = 0

    def settle(limit: int) -> None:
        while whole and (len(whole) > limit or all(unit.done() for unit in whole[0][1])):
            tensor, units = whole.popleft()
            assembler.add(_combine(tensor, [unit.result() for unit in units]))
        while small and (len(small) > limit or small[0].done()):
            for entry in small.popleft().result():
                assembler.add(entry)

    def report(elements: int, dtype: str) -> None:
        nonlocal done
        done += elements * BITS[dtype] // 8
        if progress is not None:
            progress(done, total)

    with _single_threaded_torch(), _Workers(threads, _usable(device)) as workers:
        for tensor in tensors:
            _check(tensor)
            if is_small(tensor):
                batch = batches.pop(tensor.dtype, None) or Batch(tensor.dtype)
                batch.read(tensor)
                report(math.prod(tensor.shape), tensor.dtype)
                if not batch.full:
                    batches[tensor.dtype] = batch
                    continue
                small.append(workers.submit_batch(batch, assembler.k))
            else:
                units: list[Future[_UnitResult]] = []
                whole.append((tensor, units))
                for start, stop in _unit_ranges(tensor):
                    units.append(workers.submit(tensor, start, stop))
                    report(stop - start, tensor.dtype)
            settle(limit=4 * threads)
        small.extend(workers.submit_batch(batch, assembler.k) for batch in batches.values())
        settle(limit=0)
    return assembler.finish()


def _usable(device: str) -> torch.device:
    try:
        return torch.empty(1, dtype=torch.float64, device=device).device
    except (AssertionError, NotImplementedError, RuntimeError, TypeError) as error:
        raise FingerprintError(
            f"The torch device {device!r} cannot compute fingerprints: {error}.",
            "Set MLFLOW_MOTHER_DEVICE to `cpu`, or to a device with float64 arithmetic.",
        ) from error


@contextmanager
def _single_threaded_torch() -> Iterator[None]:
    """Restores torch's thread number, which each worker sets to 1: parallel reductions would round differently."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Workers:
    """Threads with a workspace each, and the buffers that carry units to them."""

    def __init__(self, threads: int, device: torch.device) -> None:
        self._device = device
        self._pool = ThreadPoolExecutor(threads, "mother-fingerprint", partial(torch.set_num_threads, 1))
        self._local = local()
        self._buffers: list[_Bytes] = []
        self._busy: deque[tuple[_Bytes, Future[_UnitResult]]] = deque()
        self._limit = threads + _SPARE_BUFFERS

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, tensor: NamedTensor, start: int, stop: int) -> Future[_UnitResult]:
        """Reads the elements ``start .. stop`` here and now, and hands them to a worker."""
        buffer = self._free_buffer()
        bits = BITS[tensor.dtype]
        data = buffer[: (stop - start) * bits // 8]
        tensor.source.readinto(start * bits // 8, data.data)
        future = self._pool.submit(self._unit, data, tensor, start, stop)
        self._busy.append((buffer, future))
        return future

    def submit_batch(self, batch: Batch, k: int) -> Future[list[Entry]]:
        """Hands small tensors, already read, to a worker, which folds their sketches to width ``k``."""
        return self._pool.submit(self._batch, batch, k)

    def _free_buffer(self) -> _Bytes:
        if len(self._busy) < self._limit:
            return np.empty(UNIT_BYTES, np.uint8)
        buffer, future = self._busy.popleft()
        future.exception()
        return buffer

    def _unit(self, data: _Bytes, tensor: NamedTensor, start: int, stop: int) -> _UnitResult:
        workspace = self._workspace()
        leaf = hashlib.sha256(data.data).digest()
        values = widening.elements(data, tensor.dtype, self._device)
        count = math.prod(tensor.shape)
        if len(tensor.shape) >= 2:
            part = workspace.matrix(values, tensor.dtype, start, count // tensor.shape[0])
        elif count > seeds.VECTOR_BUCKETS:
            part = workspace.vector(values, tensor.dtype, start)
        else:
            part = workspace.short_vector(values, tensor.dtype)
        positions = seeds.sample_positions(count)
        inside = positions[(positions >= start) & (positions < stop)] - start
        head = max(0, min(DISTINCT_VALUES, stop) - start)
        return _UnitResult(
            leaf,
            part,
            widening.finite_values(values[torch.from_numpy(inside).to(self._device)], tensor.dtype),
            widening.finite_values(values[:head], tensor.dtype),
        )

    def _batch(self, batch: Batch, k: int) -> list[Entry]:
        entries, odd = batch.entries(self._host_workspace(), k)
        return entries + [_combine(one, [self._unit(data, one, 0, math.prod(one.shape))]) for one, data in odd]

    def _workspace(self) -> kernels.Workspace:
        if self._device.type == "cpu":
            return self._host_workspace()
        if not hasattr(self._local, "workspace"):
            self._local.workspace = kernels.Workspace(self._device)
        workspace: kernels.Workspace = self._local.workspace
        return workspace

    def _host_workspace(self) -> kernels.HostWorkspace:
        """Small tensors are done on the processor, whatever the device: to send them elsewhere takes longer."""
        if not hasattr(self._local, "host"):
            self._local.host = kernels.HostWorkspace(torch.device("cpu"))
        host: kernels.HostWorkspace = self._local.host
        return host


def _check(tensor: NamedTensor) -> None:
    if tensor.dtype not in BITS:
        raise FingerprintError(
            f"Tensor {tensor.name!r} has the unknown element type {tensor.dtype!r}.",
            f"Save it as one of {', '.join(BITS)}.",
        )
    if len(tensor.shape) > MAX_DIMENSIONS or min(tensor.shape, default=0) < 0:
        raise FingerprintError(
            f"Tensor {tensor.name!r} has the shape {tensor.shape}.",
            f"Save it with at most {MAX_DIMENSIONS} dimensions.",
        )


def _unit_elements(dtype: str) -> int:
    return UNIT_BYTES * 8 // BITS[dtype]


def _unit_ranges(tensor: NamedTensor) -> Iterator[tuple[int, int]]:
    count = math.prod(tensor.shape)
    step = _unit_elements(tensor.dtype)
    for start in range(0, count, step):
        yield start, min(start + step, count)


def _combine(tensor: NamedTensor, units: Sequence[_UnitResult]) -> Entry:
    moments = Moments()
    count = math.prod(tensor.shape)
    matrix = len(tensor.shape) >= 2
    sketch = np.zeros((seeds.K_MAX, seeds.K_MAX) if matrix else min(count, seeds.VECTOR_BUCKETS))
    for unit in units:
        moments.add(unit.partial.moments)
        if matrix or count > seeds.VECTOR_BUCKETS:
            sketch += unit.partial.sketch
    head = np.concatenate([*(unit.head for unit in units), np.zeros(0)])
    if not matrix and count <= seeds.VECTOR_BUCKETS:
        sketch = head
    positions = seeds.sample_positions(count)
    sample = np.empty(len(positions), np.float32)
    owner = positions // _unit_elements(tensor.dtype)
    for index, unit in enumerate(units):
        sample[owner == index] = unit.sampled
    return Entry(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=tensor.shape,
        digest=tensor_digest(tensor, [unit.leaf for unit in units]),
        stats=_stats(moments, count, len(np.unique(head))),
        sketch=sketch,
        sample=sample,
    )


def _stats(moments: Moments, count: int, distinct: int) -> np.void:
    stats = np.zeros(1, STATS)
    for field, value in vars(moments).items():
        stats[field] = value
    if moments.min > moments.max:
        stats["min"] = stats["max"] = 0.0
    stats["mantissa"] = kernels.mantissa_bits(np.array(moments.mantissa))
    stats["count"], stats["distinct"] = count, distinct
    return stats[0]  # type: ignore[no-any-return]
