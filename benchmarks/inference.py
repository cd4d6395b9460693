"""How long it takes to place one new version among many: ``python -m benchmarks.inference``.

Makes a registry (MLflow and Mother on SQLite) with 1,000 and with 10,000 versions of one family, all of them relatives
of each other, and times :meth:`Service.infer` for new versions whose fingerprints are stored: from the request to the
recorded lineage, MLflow's own calls, the candidate search and every revision of a relative included; tags and
artifacts are not written. Also times :func:`compare` of two stored fingerprints.

The root's fingerprint is that of a real transformer-shaped file of random weights. The relatives' are drawn from it:
a Gaussian update of the weights has a Gaussian sketch, sample and sums of known variance, so each child's columns are
its parent's plus such draws, which is what fingerprinting a file of such weights would give but 1,000 times slower.
Fingerprint sizes, spectra of coarse cosines, and the shape of the tree (each model's parent is the root with
probability 0.3, else any earlier model) are those of a large family of full fine-tunes.

Three states of the cache of comparisons:

* ``steady``: the new version's candidates have been compared with each other before; it has 64 comparisons to make;
* ``grown``: those of the candidates' pairs are cached that would be if the versions had come one after the other;
* ``empty``: nothing is cached, as after a new release of the engine; 2,080 comparisons.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint.coarse import coarse_vector
from mlflow_mother.fingerprint.compute import fingerprint_model
from mlflow_mother.fingerprint.format import from_bytes, to_bytes
from mlflow_mother.fingerprint.record import SPEC, Fingerprint
from mlflow_mother.heritage import ENGINE, compare, explain
from mlflow_mother.registry.connection import Registry as SeenRegistry
from mlflow_mother.service import Service
from mlflow_mother.store import Registration, Store, StoredFingerprint
from mlflow_mother.types import Edge, Lineage, ModelVersionRef, Node
from mlflow_mother.weights.model import LocalFiles

TARGETS = {1_000: 1.0, 10_000: 2.0}
"""Longest time of one inference in seconds, by number of stored relatives."""

COMPARE_TARGET = 0.020
STATES = ("steady", "grown", "empty")
EMPTY_REPEATS = 2
"""Fewer, because each takes 2,080 comparisons."""

NEW = "newcomers"
STAGES = {
    "candidates": "mlflow_mother.service.inference.Inference._relatives",
    "load fingerprints": "mlflow_mother.service.inference.Inference._fingerprints",
    "load comparisons": "mlflow_mother.service.inference._Comparisons.__init__",
    "compare": "mlflow_mother.heritage.recovery._compare_all",
    "tree": "mlflow_mother.heritage.recovery.family_edges",
    "known edges": "mlflow_mother.service.inference.Inference._known_edges",
    "merge with known": "mlflow_mother.service.inference._merged",
    "lineages": "mlflow_mother.service.inference.lineage_of",
    "record": "mlflow_mother.store.Store.record_inference",
}
"""Steps of an inference whose times are printed; ``compare`` and ``tree`` are most of the engine."""


def root_fingerprint(layers: int, width: int = 192) -> Fingerprint:
    """The fingerprint of a vision transformer of random weights; 12 layers of 192 are ViT-Ti."""
    from safetensors.numpy import save_file

    chance = np.random.default_rng(0)
    weights: dict[str, npt.NDArray[np.float32]] = {}

    def add(name: str, *shape: int) -> None:
        weights[f"{name}.weight"] = chance.normal(0, 0.05, shape).astype(np.float32)
        weights[f"{name}.bias"] = chance.normal(0, 0.02, shape[:1]).astype(np.float32)

    add("patch_embed", width, 3, 16, 16)
    for layer in range(layers):
        for norm in ("norm1", "norm2"):
            weights[f"blocks.{layer}.{norm}.weight"] = chance.normal(1, 0.1, width).astype(np.float32)
            weights[f"blocks.{layer}.{norm}.bias"] = chance.normal(0, 0.1, width).astype(np.float32)
        add(f"blocks.{layer}.attn.qkv", 3 * width, width)
        add(f"blocks.{layer}.attn.proj", width, width)
        add(f"blocks.{layer}.mlp.fc1", 4 * width, width)
        add(f"blocks.{layer}.mlp.fc2", width, 4 * width)
    add("head", 1000, width)
    with tempfile.TemporaryDirectory() as folder:
        save_file(weights, Path(folder) / "root.safetensors")
        return fingerprint_model(LocalFiles(Path(folder) / "root.safetensors"))


def child_of(parent: Fingerprint, size: float, chance: np.random.Generator) -> Fingerprint:
    """A fingerprint drawn from those of ``parent`` plus a Gaussian update of about ``size`` times its weights."""
    stats = parent.stats.copy()
    count = stats["count"]
    spread = size * chance.uniform(0.5, 1.5, len(count)) * np.sqrt(stats["sumsq"] / count)
    update = spread**2 * count
    stats["sumsq"] += 2 * spread * np.sqrt(stats["sumsq"]) * chance.standard_normal(len(count)) + update
    stats["sum"] += spread * np.sqrt(count) * chance.standard_normal(len(count))
    stats["sum4"] = 3 * stats["sumsq"] ** 2 / count
    stats["abs"] = np.sqrt(2 / np.pi * stats["sumsq"] * count)
    length, sampled = np.diff(parent.sketch_offsets), np.diff(parent.sample_offsets)
    noise = np.repeat(np.sqrt(update / length), length) * chance.standard_normal(len(parent.sketch), np.float32)
    sample = np.repeat(spread, sampled) * chance.standard_normal(len(parent.sample), np.float32)
    return replace(
        parent,
        digests=tuple(chance.bytes(16) for _ in count),
        stats=stats,
        sketch=(parent.sketch + noise).astype(np.float32),
        sample=(parent.sample + sample).astype(np.float32),
    )


class Registry:
    """A registry of one large family, in a folder: MLflow's database, Mother's, and models to be added.

    Args:
        folder: Where it is or will be.
        relatives: How many versions the family has.
        layers: Of the transformer.
    """

    def __init__(self, folder: Path, relatives: int, layers: int) -> None:
        self.folder = folder
        self.relatives = relatives
        self.layers = layers
        self.compared: dict[tuple[str, str], bytes] = {}

    def service(self) -> Service:
        """A service on it, as a new process makes one."""
        registry = SeenRegistry(f"sqlite:///{self.folder.absolute()}/mlflow.db")
        return Service(registry, store=Store.open(f"sqlite:///{self.folder.absolute()}/mother.db", local=True))

    def build(self) -> None:
        """Fills it, unless it is full already."""
        done = self.folder / "done"
        if done.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        service = self.service()
        service.registry.client.create_registered_model(NEW)
        chance = np.random.default_rng(1)
        root = root_fingerprint(self.layers)
        reasons = explain(root, child_of(root, 0.1, chance))[1]
        kept: list[Fingerprint] = [root]
        registrations = [Registration(_version(service, number), "", float(number)) for number in range(self.relatives)]
        service.store.enqueue_many(registrations)
        for number, registration in enumerate(registrations):
            parent = 0 if chance.random() < 0.3 else int(chance.integers(0, min(max(number, 1), 500)))
            model = child_of(kept[parent], 0.1, chance) if number else root
            if 0 < number < 500:
                kept.append(model)
            service.store.put_fingerprint(registration.ref, stored(model))
            if number:
                edge = Edge(
                    parent=registrations[parent].ref.uri,
                    child=registration.ref.uri,
                    relation=reasons.relation,
                    probability=0.97,
                    evidence=reasons.evidence,
                )
                service.store.record_inference(registration.ref, _lineage(edge, model.digest), engine=ENGINE)
            if number % 500 == 0:
                print(f"\r{number} of {self.relatives} relatives made", end="", file=sys.stderr, flush=True)
        for claim in service.store.claim("benchmark", 1e6, self.relatives):
            from mlflow_mother.types import Status

            service.store.finish(claim, Status.DONE)
        print(f"\r{self.relatives} relatives made     ", file=sys.stderr)
        done.touch()

    def newcomers(self, service: Service, count: int, seed: int) -> list[ModelVersionRef]:
        """Registers new versions in MLflow whose fingerprints Mother's store holds already."""
        chance = np.random.default_rng(seed)
        store = service.store
        made = []
        for _ in range(count):
            parent = store.version(_version(service, int(chance.integers(0, self.relatives))))
            assert parent is not None and parent.digest is not None
            data = store.get_fingerprint(parent.digest)
            assert data is not None
            source = self.folder / "sources" / f"{time.time_ns()}"
            source.mkdir(parents=True)
            (source / "weights.safetensors").write_bytes(b"never read: the fingerprint is stored")
            version = service.registry.client.create_model_version(NEW, str(source.absolute()))
            ref = ModelVersionRef(registry=service.registry.id, name=NEW, version=str(version.version))
            store.enqueue_many([Registration(ref, str(source), version.creation_timestamp / 1000)])
            store.put_fingerprint(ref, stored(child_of(from_bytes(data), 0.1, chance)))
            made.append(ref)
        return made

    def forget(self, service: Service) -> None:
        """Takes earlier newcomers and all comparisons out again, so that every measurement finds the same store."""
        from sqlalchemy import text

        service.store.sync(service.registry.id, (), listed_at=service.store.now() + 1, names=[NEW])
        with service.store._database.write() as connection:
            connection.execute(text("DELETE FROM mother_comparisons"))
            connection.execute(text("DELETE FROM mother_work"))


def _version(service: Service, number: int) -> ModelVersionRef:
    """Versions are spread over registered models of 50 versions each."""
    name, version = f"family-{number // 50}", str(number % 50 + 1)
    return ModelVersionRef(registry=service.registry.id, name=name, version=version)


def stored(model: Fingerprint) -> StoredFingerprint:
    """As the store keeps it."""
    return StoredFingerprint(model.digest, to_bytes(model), coarse_vector(model), parameters=model.parameters)


def _lineage(edge: Edge, digest: str) -> Lineage:
    nodes = tuple(Node(id=name) for name in sorted((edge.parent, edge.child)))
    return Lineage(
        nodes=nodes,
        roots=(edge.parent,),
        edges=(edge,),
        subject=edge.child,
        subject_digest=digest,
        spec=SPEC,
        mother_version="benchmark",
    )


def fill_cache(registry: Registry, service: Service, refs: Sequence[ModelVersionRef], state: str) -> None:
    """Brings the cache of comparisons into the state for these new versions."""
    store = service.store
    if state == "empty":
        return
    earlier = _compared_while_growing(service) if state == "grown" else None
    for ref in refs:
        near = _candidates(service, ref, exclude=refs)
        models = {digest: from_bytes(data) for digest, data in store.get_fingerprints(near).items()}
        pairs = [(a, b) for a, b in combinations(sorted(near), 2) if earlier is None or (a, b) in earlier]
        for a, b in pairs:
            if (a, b) not in registry.compared:
                registry.compared[a, b] = compare(models[a], models[b]).model_dump_json().encode()
        store.put_comparisons({pair: registry.compared[pair] for pair in pairs}, engine=ENGINE)


def _candidates(service: Service, ref: ModelVersionRef, exclude: Collection[ModelVersionRef]) -> list[str]:
    store = service.store
    digests = {known.ref: known.digest for known in store.versions(ref.registry, names=[NEW])}
    data = store.get_fingerprint(str(digests[ref]))
    assert data is not None
    others = [str(digests[other]) for other in exclude]
    found = store.candidates(ref.registry, coarse_vector(from_bytes(data)), service.settings.candidates, exclude=others)
    return [candidate.digest for candidate in found]


def _compared_while_growing(service: Service) -> set[tuple[str, str]]:
    """The pairs that would have been compared if every version had been inferred as it came."""
    from sqlalchemy import text

    with service.store._database.read() as connection:
        rows = connection.execute(
            text(
                "SELECT v.digest, f.coarse FROM mother_versions v JOIN mother_fingerprints f ON f.digest = v.digest"
                " WHERE v.name != :new ORDER BY v.registered_at"
            ),
            {"new": NEW},
        ).all()
    digests = [row.digest for row in rows]
    coarse = np.stack([np.frombuffer(row.coarse, "<f4") for row in rows])
    pairs: set[tuple[int, int]] = set()
    limit = service.settings.candidates
    for number in range(1, len(rows)):
        cosine = np.abs(coarse[:number] @ coarse[number])
        near = range(number) if number <= limit else np.argpartition(-cosine, limit)[:limit].tolist()
        pairs.update(combinations(sorted((*near, number)), 2))
    return {(min(a, b), max(a, b)) for a, b in ((digests[i], digests[j]) for i, j in pairs)}


@contextmanager
def stage_times() -> Iterator[dict[str, float]]:
    """Collects the time spent in each of :data:`STAGES`."""
    spent = dict.fromkeys(STAGES, 0.0)

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[stage] += time.perf_counter() - started

        return call

    with ExitStack() as stack:
        for stage, target in STAGES.items():
            owner, _, name = target.rpartition(".")
            stack.enter_context(patch(target, timed(stage, getattr(_resolve(owner), name))))
        yield spent


def _resolve(path: str) -> Any:
    from pkgutil import resolve_name

    module, _, name = path.rpartition(".")
    return resolve_name(f"{module}:{name}") if name[0].isupper() or name.startswith("_C") else resolve_name(path)


def measure(folder: Path, refs: Sequence[str]) -> None:
    """Infers new versions in a process of its own, the first one cold; prints a JSON line each."""
    service = Registry(folder, 0, 0).service()
    for number in refs:
        ref = ModelVersionRef(registry=service.registry.id, name=NEW, version=number)
        with stage_times() as stages:
            wall, cpu = time.perf_counter(), time.process_time()
            lineage = service.infer(ref)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        parents = [edge.parent for edge in lineage.edges if ref.uri in (edge.parent, edge.child)]
        print(json.dumps({"wall": wall, "cpu": cpu, "stages": stages, "linked": len(parents)}), flush=True)


def in_new_process(*arguments: str) -> list[dict[str, Any]]:
    """Runs this module with arguments and reads its JSON lines."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MLFLOW_MOTHER_WRITE_TAGS": "false",
        "MLFLOW_MOTHER_WRITE_ARTIFACTS": "false",
        "MLFLOW_MOTHER_ENABLED": "false",
    }
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.inference", *arguments]
    done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def measure_compare(layers: int, repeats: int = 30) -> None:
    """Times :func:`compare` of two fingerprints as they come from the store; prints a JSON line."""
    chance = np.random.default_rng(3)
    root = root_fingerprint(layers)
    data = to_bytes(root)
    walls, cpus = [], []
    for _ in range(repeats):
        pair = from_bytes(data), from_bytes(to_bytes(child_of(root, 0.1, chance)))
        wall, cpu = time.perf_counter(), time.process_time()
        compare(*pair)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    row = {"tensors": len(root.names), "k": root.k, "bytes": len(data)}
    print(json.dumps({**row, "wall": statistics.median(walls), "cpu": statistics.median(cpus)}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds, measures, prints; returns 1 when a target is missed in the steady state."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inference", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--relatives", type=int, nargs="+", default=list(TARGETS), help="default: 1000 10000")
    parser.add_argument("--states", nargs="+", choices=STATES, default=STATES, help="default: all")
    parser.add_argument("--layers", type=int, default=12, help="of the transformer (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="new versions, warm (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=Path(".cache/inference"), help="default: %(default)s")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--measure-compare", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    os.environ["MLFLOW_MOTHER_ENABLED"] = "false"
    if options.measure:
        measure(Path(options.measure[0]), options.measure[1:])
        return 0
    if options.measure_compare:
        measure_compare(options.measure_compare)
        return 0
    missed = report_compare(options.layers)
    for relatives in options.relatives:
        registry = Registry(options.cache / f"{relatives}x{options.layers}", relatives, options.layers)
        registry.build()
        missed += sum(report(registry, state, options.repeats) for state in options.states)
    print("\nevery target is met" if not missed else f"\n{missed} targets are missed")
    return 1 if missed else 0


def report_compare(layers: int) -> int:
    """Prints the times of comparisons; returns how many miss their target."""
    missed = 0
    print("compare of two stored fingerprints (median of 30)")
    print("tensors   k    bytes   wall ms    cpu ms   target ms")
    for depth in (layers, 22):
        (row,) = in_new_process("--measure-compare", str(depth))
        print(
            f"{row['tensors']:>7}  {row['k']:>2}  {row['bytes']:>7}  {1000 * row['wall']:>8.2f}  "
            f"{1000 * row['cpu']:>8.2f}  {1000 * COMPARE_TARGET:>10.0f}"
        )
        missed += row["wall"] > COMPARE_TARGET
    return missed


def report(registry: Registry, state: str, repeats: int) -> bool:
    """Measures one state of one registry and prints it; whether it misses its target."""
    service = registry.service()
    registry.forget(service)
    repeats = min(repeats, EMPTY_REPEATS) if state == "empty" else repeats
    refs = registry.newcomers(service, repeats + 1, seed=10)
    fill_cache(registry, service, refs, state)
    service.store.close()
    cold, *warm = in_new_process("--measure", str(registry.folder), *(ref.version for ref in refs))
    target = TARGETS.get(registry.relatives, float("inf")) if state == "steady" else float("inf")
    wall, cpu = (statistics.median(row[kind] for row in warm) for kind in ("wall", "cpu"))
    limit = f", target {target:.0f} s" if target < float("inf") else ""
    linked = sum(row["linked"] > 0 for row in (cold, *warm))
    print(f"\n{registry.relatives} stored relatives, {state} cache{limit}; {linked} of {repeats + 1} linked")
    print(f"                    new process: {cold['wall']:6.3f} s, cpu {cold['cpu']:6.3f} s")
    print(f"  warm, median of {repeats:2} versions: {wall:6.3f} s, cpu {cpu:6.3f} s")
    for stage in STAGES:
        print(f"    {stage:<18} {statistics.median(row['stages'][stage] for row in warm):6.3f} s", end="")
        print(f"   (new process {cold['stages'][stage]:6.3f} s)")
    return wall > target


if __name__ == "__main__":
    sys.exit(main())
