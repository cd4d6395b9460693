"""The deep comparison of two models: what was done to hide that one is the other, and what remains between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import numpy as np

from mlflow_mother.alignment.matching import SIDE, balanced
from mlflow_mother.alignment.pieces import ELEMENTS, SETTLED, Bench, cosine, relative_distance
from mlflow_mother.alignment.scales import Scales, confirmed, fit_scales
from mlflow_mother.alignment.source import FLOATING, Floats, Source, elements
from mlflow_mother.alignment.spaces import Space, find_spaces
from mlflow_mother.alignment.spectra import LEAST_SIDE, ROUNDING, pair_up, spectral_distance, spectrum
from mlflow_mother.types import Evidence, Record, TensorSpec

RESIDUAL = 2e-5
"""Largest relative distance that rounding in float32 explains, once rotations are undone; float16 leaves ten times as
much."""

SPECTRA = 24
"""Matrices whose spectra are taken when names agree, evenly chosen; all of them when names do not."""

SENTENCES = 12
"""Hidden spaces that are described one by one."""

FITTED = frozenset({"rotated", "transformed linearly"})
"""Kinds of maps that are fitted rather than chosen from finitely many."""

Verdict = Literal["copy", "related", "nothing-hidden"]


class HiddenSpace(Record):
    """A hidden space whose units were moved.

    Attributes:
        kind: ``permuted``, ``signs flipped``, both, ``rotated``, or ``transformed linearly``.
        units: How many it has.
        tensors: Tensors of the first model that share it.
        agreement: For orders, the largest share of units that two tensors, matched apart, put to the same place: 1 unit
            by chance. For rotations, the largest cosine of a tensor that had no part in finding it: 0 by chance.
    """

    kind: str
    units: int
    tensors: tuple[str, ...]
    agreement: float


class DeepComparison(Record):
    """What the weights of two models say once permutations, flips, scales and rotations are undone.

    Attributes:
        verdict: ``copy``: every tensor of the one is a tensor of the other up to rounding, differently arranged; of
            vectors that is not asked where factors are. ``related``: hidden units were rearranged, and the rest fits.
            ``nothing-hidden``: no rearrangement was found, so what an ordinary comparison says stands.
        matrices: Matrices with a counterpart.
        vectors: Vectors with a counterpart.
        equal_vectors: Of them, those that are equal to rounding once moved with their hidden space; factors of vectors
            are not fitted.
        unpaired: Tensors of both models without a counterpart of their shape in the other one.
        skipped: Tensors too large to be compared, or with sides too long to be matched, by their names in the first.
        spectra: Matrices whose singular values were compared.
        equal_spectra: Of them, those whose singular values agree to rounding.
        spectral_distance: Median distance of the spectra; 1e-2 to 2e-1 between networks trained apart.
        spaces: Hidden spaces whose units were moved.
        rescaled: Matrices whose rows or columns were rescaled.
        cosine_before: Median cosine over matrices as they stand.
        cosine: The same after the alignment.
        residual: Median relative distance over matrices after the alignment.
        renamed: Whether tensors were paired by their spectra because their names differ.
    """

    verdict: Verdict
    matrices: int
    vectors: int
    equal_vectors: int
    unpaired: int
    skipped: tuple[str, ...]
    spectra: int
    equal_spectra: int
    spectral_distance: float | None
    spaces: tuple[HiddenSpace, ...]
    rescaled: int
    cosine_before: float
    cosine: float
    residual: float | None
    renamed: bool

    @property
    def only_moved(self) -> bool:
        """Whether units changed places and signs only, which can be undone to the bit.

        Fitted rotations and factors absorb a part of what training has changed, and with it the direction.
        """
        return not self.rescaled and all(space.kind not in FITTED for space in self.spaces)

    @property
    def transformation(self) -> str:
        """What was done, in words; empty when nothing was found."""
        kinds = Counter(space.kind for space in self.spaces)
        words = [f"{count} hidden space{'s' * (count > 1)} {kind}" for kind, count in sorted(kinds.items())]
        if self.rescaled:
            words.append(f"{self.rescaled} of {self.matrices} matrices rescaled")
        return ", ".join(words)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What was found, in sentences that a person can check."""
        found = [
            Evidence(kind="space", text=_sentence(space), value=space.agreement) for space in self.spaces[:SENTENCES]
        ]
        if len(self.spaces) > SENTENCES:
            found.append(Evidence(kind="space", text=f"and {len(self.spaces) - SENTENCES} more hidden spaces"))
        if self.rescaled:
            text = f"factors of rows and columns explain most of what lies between {self.rescaled} matrices"
            found.append(Evidence(kind="scale", text=text, value=float(self.rescaled)))
        text = f"median cosine over {self.matrices} matrices {self.cosine_before:.4f} as they stand"
        if self.verdict != "nothing-hidden" and self.residual is not None:
            text += f", {self.cosine:.4f} aligned; relative distance left {self.residual:.2g}"
        found.append(Evidence(kind="cosine", text=text, value=self.cosine))
        if self.spectral_distance is not None:
            text = (
                f"singular values of {self.equal_spectra} of {self.spectra} matrices agree to rounding; "
                f"median distance {self.spectral_distance:.2g} (trained apart: 0.01 to 0.2)"
            )
            found.append(Evidence(kind="spectrum", text=text, value=self.spectral_distance))
        if self.unpaired or self.equal_vectors < self.vectors:
            text = f"{self.equal_vectors} of {self.vectors} vectors agree to rounding; "
            text += f"{self.unpaired} tensors have no counterpart of their shape"
            found.append(Evidence(kind="rest", text=text))
        if self.renamed:
            found.append(Evidence(kind="names", text="names differ: tensors were paired by their singular values"))
        if self.skipped:
            some = ", ".join(self.skipped[:3]) + (", ..." if len(self.skipped) > 3 else "")
            found.append(
                Evidence(kind="skipped", text=f"too large to be matched: {len(self.skipped)} tensors ({some})")
            )
        return tuple(found)


class Alignment:
    """Two models side by side, the second one's hidden units brought to where the first one has them.

    Args:
        first: One model.
        second: The other.
        progress: Called with the steps done and a bound of how many there are.
    """

    def __init__(self, first: Source, second: Source, progress: Callable[[int, int], None] | None = None) -> None:
        self.first, self.second = first, second
        self._report, self._done = progress, 0
        self._steps = 4 * (len(first.specs) + len(second.specs))
        agree = {(n, s.shape) for n, s in first.specs.items()} == {(n, s.shape) for n, s in second.specs.items()}
        spectra = self._spectra(first, every=not agree), self._spectra(second, every=not agree)
        self.pairs: dict[str, str] = pair_up(first, second, spectra)
        self.bench = Bench(first, second, self.pairs)
        self.spaces: list[Space] = find_spaces(self.bench, self._step)
        self.scales: dict[int, Scales] = {}
        self.result = self._result(spectra)

    def _result(self, spectra: tuple[Mapping[str, Floats], Mapping[str, Floats]]) -> DeepComparison:
        before, after, residuals = [], [], []
        for index in range(len(self.bench.pieces)):
            a, b = self.bench.pair(index)
            plain = cosine(a, self.bench.pair(index, mapped=False)[1])
            scales = fit_scales(a, b)
            fitted = max(cosine(a, b), cosine(balanced(a), balanced(b)))
            if scales is not None and fitted >= SETTLED:
                self.scales[index] = scales
                b = scales.apply(b)
            before.append(plain)
            after.append(fitted)
            residuals.append(relative_distance(a, b))
            self._step()
        both = [(one, spectra[1].get(self.pairs.get(name, ""))) for name, one in spectra[0].items() if len(one)]
        distances = [spectral_distance(a, b) for a, b in both if b is not None and len(b) == len(a)]
        equal = sum(distance <= ROUNDING for distance in distances)
        rescaled = len(confirmed(self.scales, self._quotients()))
        apart = [relative_distance(*self.bench.vector(name)) for name in self.bench.vectors]
        unpaired = sum(_floating(source) - len(self.pairs) for source in (self.first, self.second))
        whole = not unpaired and not self.bench.skipped
        moved = bool(self.spaces or rescaled)
        # The factors of vectors are not known.
        same = moved and max([*residuals, *(apart if not rescaled else ())]) <= RESIDUAL
        # What leaves no trace but the singular values, and was not found, moves all matrices.
        left = {piece.name for piece, far in zip(self.bench.pieces, residuals, strict=True) if far > RESIDUAL}
        alike = bool(left) and max(before) < SETTLED and equal == len(distances) and all(map(self._same_spectra, left))
        return DeepComparison(
            verdict="copy" if whole and (same or alike) else "related" if moved else "nothing-hidden",
            matrices=len(after),
            vectors=len(apart),
            equal_vectors=sum(distance <= RESIDUAL for distance in apart),
            unpaired=unpaired,
            skipped=(*self.bench.skipped, *self._long_sides()),
            spectra=len(distances),
            equal_spectra=equal,
            spectral_distance=float(np.median(distances)) if distances else None,
            spaces=tuple(map(_hidden, self.spaces)),
            rescaled=rescaled,
            cosine_before=float(np.median(before)) if before else 0.0,
            cosine=float(np.median(after)) if after else 0.0,
            residual=float(np.median(residuals)) if residuals else None,
            renamed=any(name != other for name, other in self.pairs.items()),
        )

    def _quotients(self) -> Iterator[Floats]:
        """Of both models' vectors, the second one's moved in every way that is known for its length."""
        maps = {id(known): known for known in self.bench.maps.values()}.values()
        for name, other in self.pairs.items() if self.scales else ():
            shape = self.first.specs[name].shape
            if len(shape) == 1:
                a, b = self.first.array(name), self.second.array(other)
                for moved in (b, *(known.apply(b, 0) for known in maps if known.units == len(b))):
                    yield np.divide(a, moved, out=np.zeros(shape), where=moved != 0)

    def _same_spectra(self, name: str) -> bool:
        """Whether a matrix may be rearranged in a way that was not found."""
        if not _has_spectrum(self.first.specs[name]):
            return False
        one, other = spectrum(self.first.array(name)), spectrum(self.second.array(self.pairs[name]))
        return len(one) == len(other) > 0 and spectral_distance(one, other) <= ROUNDING

    def _spectra(self, source: Source, *, every: bool) -> dict[str, Floats]:
        names = [name for name, spec in source.specs.items() if _has_spectrum(spec)]
        chosen = set(names if every else sorted(names)[:: max(1, -(-len(names) // SPECTRA))])
        found = {}
        for name in filter(chosen.__contains__, names):
            found[name] = spectrum(source.array(name))
            self._step()
        return found

    def _long_sides(self) -> list[str]:
        """Matrices that are not in place and have a side that could not be matched."""
        return [
            self.bench.pieces[index].name
            for index in self.bench.open()
            if max(self.bench.pieces[index].shape[:2]) > SIDE
        ]

    def _step(self) -> None:
        self._done += 1
        if self._report is not None:
            self._report(min(self._done, self._steps - 1), self._steps)


def _has_spectrum(spec: TensorSpec) -> bool:
    """Whether a tensor has sides that are long enough for a spectrum to tell, and short enough to take it."""
    if spec.dtype not in FLOATING or len(spec.shape) < 2 or elements(spec) > ELEMENTS:
        return False
    return LEAST_SIDE <= min(spec.shape[0], elements(spec) // max(1, spec.shape[0])) <= SIDE


def _floating(source: Source) -> int:
    """How many tensors are compared if they have a counterpart."""
    return sum(spec.dtype in FLOATING for spec in source.specs.values())


def _sentence(space: HiddenSpace) -> str:
    some = ", ".join(space.tensors[:3]) + (f" and {len(space.tensors) - 3} more" if len(space.tensors) > 3 else "")
    if space.kind in FITTED:
        why = f"found in one tensor, it gives another one a cosine of {space.agreement:.3f} (by chance 0)"
    else:
        why = f"two tensors matched apart agree on {space.agreement:.0%} of the units (by chance on one unit)"
    return f"{space.units} units {space.kind} in {some}: {why}"


def _hidden(space: Space) -> HiddenSpace:
    return HiddenSpace(
        kind=space.map.kind,
        units=space.map.units,
        tensors=tuple(dict.fromkeys(name for name, _ in space.sides)),
        agreement=space.agreement,
    )
