"""A version's fingerprint, by the cheapest way that there is.

1. A version copied inside the registry shares its source's fingerprint; nothing is read.
2. When its files are remote and another client left ``fingerprint.safetensors`` beside them, that 1 MB is fetched.
3. Else the weights are read, once.

A fetched fingerprint is untrusted input. Its format is validated in full, and its companion ``fingerprint.json`` must
name this version, this release's spec and the sizes that the model's files have now. Whether it tells the truth about
the weights cannot be known without reading them: whoever may write to a model's artifacts may lie about its lineage.
``docs/registry.md`` says more.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlflow_mother.errors import FingerprintError, MotherError, SettingsError
from mlflow_mother.fingerprint.coarse import coarse_vector
from mlflow_mother.fingerprint.format import from_bytes, to_bytes
from mlflow_mother.fingerprint.record import SPEC, Fingerprint
from mlflow_mother.plugins import Plugins
from mlflow_mother.registry.artifacts import is_local, version_files, version_location
from mlflow_mother.registry.connection import NotFoundError, Registry
from mlflow_mother.registry.versions import RegisteredVersion, get_version
from mlflow_mother.registry.write_back import FINGERPRINT, MAX_FINGERPRINT, MAX_SOURCE_JSON, SOURCE_JSON, place_of
from mlflow_mother.settings import Settings
from mlflow_mother.store import Store, StoredFingerprint
from mlflow_mother.types import ModelVersionRef
from mlflow_mother.weights.model import ModelFiles

log = logging.getLogger(__name__)

Checkpoint = Callable[[], None]
"""Called often during long work; raises to stop it."""


class PostponedError(MotherError):
    """A version is left ``pending`` on purpose: too large for now, or not to be read by this process."""


@dataclass(frozen=True)
class Reader:
    """Reads versions' fingerprints into the store.

    Attributes:
        registry: The registry.
        store: Where fingerprints go.
        settings: Device and threads.
        plugins: Whose readers are asked first.
        checkpoint: Called while weights are read.
    """

    registry: Registry
    store: Store
    settings: Settings
    plugins: Plugins
    checkpoint: Checkpoint

    def read(self, version: RegisteredVersion, files: ModelFiles, *, max_bytes: int | None, weights: bool) -> str:
        """Makes sure that the store holds the version's current fingerprint.

        Args:
            version: The version; the store knows it.
            files: Its files.
            max_bytes: Postpone models whose files are larger than this together.
            weights: Whether weights may be read at all; otherwise only what others made is used.

        Returns:
            Digest of the weights.

        Raises:
            PostponedError: The bounds above forbid it.
            WeightsError: The weights cannot be read.
            FingerprintError: They make no fingerprint.
            RegistryError: The artifacts cannot be reached.
        """
        known = self.store.version(version.ref)
        if known and known.digest and known.spec == self.store.spec:
            return known.digest
        shared = self._of_original(version)
        if shared:
            return shared
        fetched = None if is_local(files) else self._fetched(version, files)
        if fetched is None:
            self._check_bounds(version, files, max_bytes, weights)
            fetched = self._computed(files)
        self._keep(version.ref, fetched)
        return fetched.digest

    def _of_original(self, version: RegisteredVersion) -> str | None:
        """The digest of the version that this one is a copy of, when both still mean the same files."""
        if version.copy_of is None:
            return None
        known = self.store.version(version.copy_of)
        if known is None or known.digest is None or known.spec != self.store.spec:
            return None
        try:
            original = get_version(self.registry, version.copy_of)
            same = version_location(self.registry, original) == version_location(self.registry, version)
        except NotFoundError:
            return None
        return known.digest if same and self.store.share_fingerprint(version.ref, known.digest) else None

    def _fetched(self, version: RegisteredVersion, files: ModelFiles) -> Fingerprint | None:
        """Another client's fingerprint of the version; None when there is none that holds up."""
        place = place_of(self.registry, version)
        if place is None:
            return None
        sizes = place.sizes()
        if not 0 < sizes.get(FINGERPRINT, 0) <= MAX_FINGERPRINT or not 0 < sizes.get(SOURCE_JSON, 0) <= MAX_SOURCE_JSON:
            return None
        try:
            said = source_facts_from(place.read(SOURCE_JSON))
            fingerprint = from_bytes(place.read(FINGERPRINT))
        except FingerprintError as error:
            log.warning("Mother reads %s itself: %s", version.ref.uri, error)
            return None
        true = source_facts(version.ref, fingerprint.digest, files)
        return fingerprint if said == true else None

    def _check_bounds(
        self, version: RegisteredVersion, files: ModelFiles, max_bytes: int | None, weights: bool
    ) -> None:
        remedy = "Run `mlflow-mother reconcile`."
        if not weights:
            raise PostponedError(f"{version.ref.uri} is not read by this process.", remedy)
        total = sum(files.sizes().values())
        if max_bytes is not None and total > max_bytes:
            what = f"{version.ref.uri} has {total} bytes, more than the {max_bytes} that a registration may read."
            raise PostponedError(what, remedy)

    def _computed(self, files: ModelFiles) -> Fingerprint:
        from mlflow_mother.fingerprint.compute import fingerprint_model

        self.checkpoint()
        check_device(self.settings.device)
        return fingerprint_model(
            files,
            readers=self.plugins.weight_readers(),
            device=self.settings.device,
            threads=self.settings.threads,
            progress=lambda _done, _total: self.checkpoint(),
        )

    def _keep(self, ref: ModelVersionRef, fingerprint: Fingerprint) -> None:
        self.store.put_fingerprint(
            ref,
            StoredFingerprint(
                digest=fingerprint.digest,
                data=to_bytes(fingerprint),
                coarse=coarse_vector(fingerprint),
                parameters=fingerprint.parameters,
            ),
        )


def check_device(device: str) -> None:
    """Makes sure that PyTorch can compute on a device: that it cannot is the machine's fault and no model's.

    Raises:
        SettingsError: It cannot.
    """
    import torch

    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (AssertionError, NotImplementedError, RuntimeError, TypeError) as error:
        raise SettingsError(
            f"MLFLOW_MOTHER_DEVICE: PyTorch {torch.__version__} cannot use {device!r}: {str(error).splitlines()[0]}.",
            "Set it to a device with float64 arithmetic, e.g. cpu.",
        ) from error


def open_files(registry: Registry, version: RegisteredVersion) -> ModelFiles:
    """A version's files.

    Raises:
        RegistryError: They cannot be located.
    """
    return version_files(registry, version)


def source_facts(ref: ModelVersionRef, digest: str, files: ModelFiles) -> dict[str, Any]:
    """What ``fingerprint.json`` says of the fingerprint beside it."""
    return {"subject": ref.uri, "digest": digest, "spec": SPEC, "files": dict(files.sizes())}


def source_facts_from(data: bytes) -> Any:
    """Reads somebody's ``fingerprint.json``.

    Raises:
        FingerprintError: It is no JSON.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FingerprintError(f"{SOURCE_JSON} is no JSON.", "Delete it beside the model.") from error
