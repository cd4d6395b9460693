"""What the browser tests' registry holds beside really registered models."""

from __future__ import annotations

import random
from collections.abc import Iterator

from forest_samples import Sample

from mlflow_mother.types import Relation, Status

HOSTILE = "<img src=x onerror=window.hacked=1>"

WORST = '"><svg onload=window.hacked=1><script>window.hacked=1</script>&lt;b&gt;{{7*7}} javascript:window.hacked=1'

CHILDREN = (
    Relation.FINETUNE,
    Relation.FINETUNE,
    Relation.FINETUNE,
    Relation.PARTIAL_FINETUNE,
    Relation.LORA_MERGED,
    Relation.QUANTIZED,
    Relation.PRUNED,
    Relation.CAST,
)


def everything() -> Iterator[Sample]:
    """A family of 30 with each sign that a drawing knows."""

    def of(number: int, name: str = "speech") -> str:
        return f"models:/{name}/{number}"

    v = Sample
    yield v(of(1))
    yield v(of(2), (of(1),), declared=(of(1),))
    yield v(of(3), (of(1),), Relation.PARTIAL_FINETUNE, 0.88, declared=(of(1),))
    yield v(of(4), (of(2),), Relation.LORA_MERGED, 0.99, declared=(of(2),))
    yield v(of(5), (of(3), of(4)), Relation.MERGE, 0.91, declared=(of(3), of(4)))
    yield v(of(6), (of(5),), Relation.FINETUNE, 0.97, declared=(of(5),))
    yield v(of(7), (of(6),), Relation.FINETUNE, 0.62)
    yield v(of(8), (of(2),), Relation.FINETUNE, 0.95, declared=("models:/foundation/1",))
    for number in range(9, 15):
        yield v(of(number), (of(8),), CHILDREN[number % len(CHILDREN)], 0.9 + number / 200, declared=(of(8),))
    yield v(of(1, "speech-int8"), (of(6),), Relation.QUANTIZED, 1.0)
    yield v(of(2, "speech-int8"), (of(7),), Relation.QUANTIZED, 1.0)
    yield v(of(1, "captions"), (of(3),), Relation.ADAPTER, 0.93, declared=("openai/whisper-small",))
    for number in range(2, 5):
        yield v(of(number, "captions"), (of(number - 1, "captions"),), Relation.FINETUNE, 0.94)
    yield v(of(5, "captions"), (of(4, "captions"),), Relation.FINETUNE, 0.55, decided=False)
    for number in range(1, 6):
        yield v(of(number, "keywords"), (of(9 + number),), Relation.PRUNED, 0.75 + number / 25)
    ancestor = "unregistered:of-two"
    yield v(of(1, "accents"), (ancestor,), Relation.FINETUNE, 0.86)
    yield v(of(2, "accents"), (ancestor,), Relation.FINETUNE, 0.9)
    yield v(of(6, "keywords"), (of(5, "keywords"), of(1, "accents")), Relation.MERGE, 0.83)


def giant(size: int = 300) -> Iterator[Sample]:
    """A family of hundreds, one base with many children."""
    chance = random.Random(1)
    ids = ["models:/foundation/1"]
    yield Sample(ids[0])
    for number in range(2, size + 1):
        parent = ids[0] if chance.random() < 0.35 else chance.choice(ids)
        name = "foundation" if number <= 40 else f"team-{number % 17:02d}-{chance.choice(('ocr', 'chat', 'search'))}"
        identity = f"models:/{name}/{number}"
        declared = (parent,) if chance.random() < 0.9 else ("models:/alone/1",)
        relation = chance.choice(CHILDREN)
        yield Sample(identity, (parent,), relation, round(chance.uniform(0.7, 1.0), 2), declared=declared)
        ids.append(identity)


def states() -> Iterator[Sample]:
    """Versions whose analysis ended in each way, and a hostile pair."""
    yield Sample(
        "models:/broken/1", status=Status.FAILED, reason="model.safetensors ends after 17 of 64 MB. Register it again."
    )
    yield Sample("models:/plain-text/1", status=Status.UNSUPPORTED, reason="No file that a reader knows was found.")
    yield Sample("models:/waiting/1", status=Status.PENDING)
    yield Sample("models:/waiting/2", status=Status.PENDING)
    yield Sample("models:/alone/1")
    hostile = Sample(f"models:/{HOSTILE}/1", declared=(WORST,), status=Status.FAILED, reason=WORST)
    yield hostile
    yield Sample(f"models:/{HOSTILE}/2", (hostile.id,), declared=(WORST, HOSTILE))
