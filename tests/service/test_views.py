"""What people see of a registry: up to date, and without a trace of what they may not see."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from mlflow_mother.service.addresses import may_tell, names_in, versions_in
from mlflow_mother.service.forest import Forests
from mlflow_mother.service.view import View
from mlflow_mother.store import DeclaredParent, Registration, Store
from mlflow_mother.types import Edge, Evidence, Lineage, ModelVersionRef, Node, Relation, Status, Verdict

REGISTRY = "own"


def ref(name: str, version: int = 1) -> ModelVersionRef:
    return ModelVersionRef(registry=REGISTRY, name=name, version=str(version))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/mother.db", local=True) as opened:
        yield opened


def infer(store: Store, child: ModelVersionRef, *parents: str, evidence: str = "", decided: bool = True) -> None:
    """Records what an inference says of a version: its parents, or over an unregistered ancestor its siblings."""
    edges = []
    for parent in parents:
        ends = (parent, child.uri) if decided else tuple(sorted((parent, child.uri)))
        reasons = (Evidence(kind="siblings", text="related to 2 models"),) if parent.startswith("unreg") else ()
        reasons += (Evidence(kind="merge", text=evidence),) if evidence else ()
        edges.append(
            Edge(
                parent=ends[0],
                child=ends[1],
                relation=Relation.FINETUNE,
                probability=0.9,
                direction="decided" if decided else "undecided",
                evidence=reasons,
            )
        )
    record(store, child, edges)


def record(store: Store, child: ModelVersionRef, edges: Collection[Edge]) -> None:
    """Records that an inference says this of a version."""
    names = sorted({child.uri, *(end for edge in edges for end in (edge.parent, edge.child))})
    declared = tuple(said.parent for said in store.declared(REGISTRY, [child]).get(child, ()))
    store.record_inference(
        child,
        Lineage(
            nodes=tuple(
                Node(
                    id=name,
                    kind="unregistered" if name.startswith("unreg") else "model",
                    declared_parents=declared if name == child.uri else (),
                )
                for name in names
            ),
            edges=tuple(edges),
            subject=child.uri,
            subject_digest="",
            spec="",
            mother_version="",
        ),
        engine="test",
    )


def done(store: Store, *refs: ModelVersionRef) -> None:
    store.enqueue_many(Registration(one, "", 1000.0 + number) for number, one in enumerate(refs))
    for claim in store.claim("tests", 60, len(refs), refs=refs):
        store.finish(claim, Status.DONE)


def shown(view: View) -> object:
    """All that a view tells, in one comparable value."""
    families = sorted(view.groups, key=lambda family: family.root)
    return [
        (family.root, family.tree, dict(family.rows), family.statuses, family.newest, family.numbers)
        for family in families
    ]


def test_a_view_that_followed_every_change_is_the_one_that_is_read_anew(store: Store) -> None:
    dice = random.Random(1)
    refs = [ref(f"m{n % 12}", n // 12 + 1) for n in range(36)]
    followers = [
        (Forests(store, REGISTRY), None if hidden is None else lambda name, hidden=hidden: name not in hidden, deletes)
        for hidden, deletes in ((None, False), (frozenset(), False), ({"m1", "m7"}, False), ({"m1", "m7"}, True))
    ]
    known = refs[:20]
    deleted: set[ModelVersionRef] = set()
    done(store, *known)
    for step in range(120):
        kind = dice.randrange(8)
        one, other = dice.sample(known, 2)
        if kind <= 2:
            infer(store, one, other.uri, decided=dice.random() < 0.8)
        elif kind == 3:
            infer(store, one, f"unregistered:{dice.randrange(3)}")
        elif kind == 4:
            store.set_ignored(one, dice.random() < 0.5)
        elif kind == 5:
            store.set_declared(one, [DeclaredParent(dice.choice(refs).uri, "card")])
            infer(store, one)
        elif kind == 6:
            store.decide(one, dice.choice(("confirmed", "rejected", "corrected")), other.uri, by="ada")
        elif len(known) < len(refs):
            done(store, refs[len(known)])
            known = refs[: len(known) + 1]
        elif step % 2:
            store.sync(REGISTRY, [r for r in known if r != one], listed_at=store.now() + 1)
            done(store, one)
        if step % 5 == 0:
            deleted ^= {dice.choice(refs)}
        for forests, readable, deletes in followers:
            held = held_but(store, deleted) if deletes else None
            fresh = Forests(store, REGISTRY).view(readable, held)
            assert shown(forests.view(readable, held)) == shown(fresh), f"step {step}, kind {kind}"


def held_but(store: Store, deleted: Collection[ModelVersionRef] = ()) -> dict[str, dict[str, int]]:
    """What the registry holds when these versions have been deleted, and everything else is as the store has it."""
    found: dict[str, dict[str, int]] = {}
    for known in store.versions(REGISTRY):
        if known.ref not in deleted:
            found.setdefault(known.ref.name, {})[known.ref.version] = round(1000 * (known.registered_at or 0.0))
    return found


def test_a_view_is_kept_until_something_changes(store: Store) -> None:
    done(store, ref("a"), ref("b"), ref("c"))
    infer(store, ref("b"), "models:/a/1")
    forests = Forests(store, REGISTRY)
    before = forests.view()
    assert forests.view() is before
    done(store, ref("d"))
    after = forests.view()
    assert after.families["models:/b/1"] is before.families["models:/b/1"]
    assert "models:/d/1" in after.families


def test_a_renamed_model_goes_by_its_new_name(store: Store) -> None:
    done(store, ref("a"), ref("b"))
    infer(store, ref("b"), "models:/a/1")
    forests = Forests(store, REGISTRY)
    forests.view()
    store.rename(REGISTRY, "a", "z")
    assert set(forests.view().families) == {"models:/z/1", "models:/b/1"}
    assert forests.view().families["models:/b/1"].root == "models:/z/1"


def test_hidden_models_take_everything_that_names_or_counts_them_along(store: Store) -> None:
    done(store, ref("base"), ref("secret"), ref("merged"), ref("x"), ref("y"), ref("z"))
    infer(
        store, ref("merged"), "models:/base/1", "models:/secret/1", evidence="0.6 models:/base/1 + 0.4 models:/secret/1"
    )
    for name in "xyz":
        infer(store, ref(name), "unregistered:abc")
    store.set_declared(ref("merged"), [DeclaredParent("models:/secret/1", "card"), DeclaredParent("hub/x", "card")])
    store.decide(ref("merged"), "confirmed", "models:/secret/1", by="ada", note="it is models:/secret/1")
    claim = store.claim("w", 60, 1, refs=[ref("base")])
    assert claim == ()
    view = Forests(store, REGISTRY).view(lambda name: name not in {"secret", "z"})
    tree = view.part(set(view.families), store)
    texts = f"{tree} {[family.rows for family in view.groups]} {view.declared('models:/merged/1')}"
    assert "secret" not in texts and "models:/z" not in texts and "related to 2" not in texts
    assert view.decisions("models:/merged/1") == () and view.words() == {}
    row = view.row("models:/merged/1")
    assert row is not None and (row.declared, row.verdict) == (("hub/x",), Verdict.UNDOCUMENTED)
    whole = Forests(store, REGISTRY).view()
    assert "related to 2" in str(whole.part(set(whole.families), store))


def test_what_the_registry_holds_no_more_is_hidden_from_who_does_not_see_everything(store: Store) -> None:
    done(store, ref("a"), ref("a", 2), ref("b"), ref("secret"))
    infer(store, ref("b"), "models:/a/2", evidence="models:/a/2 but not models:/secret/1")
    store.decide(ref("b"), "confirmed", "models:/secret/1", by="ada")
    forests = Forests(store, REGISTRY)
    assert len(forests.view(lambda _name: True, held_but(store)).families) == 4
    held = held_but(store, {ref("secret"), ref("a", 2)})
    view = forests.view(lambda _name: True, held)
    assert set(view.families) == {"models:/a/1", "models:/b/1"}
    told = f"{view.part(set(view.families), store)} {view.decisions('models:/b/1')} {view.row('models:/b/1')}"
    assert "secret" not in told and "models:/a/2" not in told
    assert "models:/secret/1" in forests.view().families, "but not from administrators"
    assert len(forests.view(lambda _name: True, held_but(store)).families) == 4, "and not for longer than it is gone"


def test_a_version_that_took_a_deleted_one_s_number_has_none_of_its_past(store: Store) -> None:
    done(store, ref("a"), ref("secret"))
    infer(store, ref("secret"), "models:/a/1")
    store.set_declared(ref("secret"), [DeclaredParent("hub/x", "card")])
    store.decide(ref("secret"), "confirmed", "models:/a/1", by="ada", note="mine")
    held = held_but(store)
    held["secret"]["1"] += 1
    view = Forests(store, REGISTRY).view(lambda _name: True, held)
    assert set(view.families) == {"models:/a/1"} and view.version("models:/secret/1") is None
    assert view.decisions("models:/secret/1") == () and view.declared("models:/secret/1") == ()


def test_the_shares_of_a_merge_do_not_tell_of_its_hidden_parents(store: Store) -> None:
    done(store, ref("a"), ref("b"), ref("secret"), ref("x"), ref("m"), ref("n"))
    for child, parents in (("m", ("a", "b", "secret")), ("n", ("a", "unregistered:abc"))):
        shares = (0.5, 0.3, 0.2) if len(parents) == 3 else (0.7, 0.3)
        edges = [
            Edge(
                parent=parent if ":" in parent else f"models:/{parent}/1",
                child=f"models:/{child}/1",
                relation=Relation.MERGE,
                probability=0.99,
                weight=share,
                evidence=(Evidence(kind="merge", text=" + ".join(f"{share} models:/{name}/1" for name in parents)),),
            )
            for parent, share in zip(parents, shares, strict=True)
        ]
        record(store, ref(child), edges)
    infer(store, ref("x"), "unregistered:abc")

    def seen(view: View) -> dict[str, float]:
        trees = [family.tree for family in view.groups]
        listed, drawn = (
            {f"{e.parent[8]}{e.child[8]}": e.weight for tree in some for e in tree.edges if e.parent[0] == "m"}
            for some in (trees, [view.part(set(view.families), store)])
        )
        assert listed == drawn
        return listed

    forests = Forests(store, REGISTRY)
    assert seen(forests.view()) == {"am": 0.5, "bm": 0.3, "sm": 0.2, "an": 0.7}
    some = forests.view(lambda name: name != "secret")
    assert seen(some) == {"am": 1.0, "bm": 1.0, "an": 0.7}
    near = some.part({"models:/a/1", "models:/m/1"}, store)
    assert [(edge.weight, edge.evidence) for edge in near.edges] == [(1.0, ())]
    others = forests.view(lambda name: name != "x")
    assert seen(others) == {"am": 0.5, "bm": 0.3, "sm": 0.2, "an": 1.0}, "an ancestor with one heir is not shown"


def test_a_remark_that_names_a_hidden_model_is_not_told(store: Store) -> None:
    done(store, ref("a"), ref("b"), ref("secret"))
    store.decide(ref("b"), "confirmed", "models:/a/1", by="ada", note="trained from models:/secret/1, too")
    store.decide(ref("b"), "confirmed", "models:/a/1", by="ada", note="trained from models:/a/1")
    forests = Forests(store, REGISTRY)
    notes = [said.note for said in forests.view(lambda name: name != "secret").decisions("models:/b/1")]
    assert notes == ["", "trained from models:/a/1"]
    assert "secret" in forests.view().decisions("models:/b/1")[0].note


@pytest.mark.parametrize("where", ["reason", "declared", "remark"])
def test_what_names_a_model_before_it_comes_is_not_told_to_whom_it_is_hidden_from(store: Store, where: str) -> None:
    done(store, ref("a"), ref("b"))
    if where == "reason":
        store.enqueue(ref("a"), again=True)
        for claim in store.claim("w", 60, refs=[ref("a")]):
            store.finish(claim, Status.FAILED, "needs models:/later/1")
    elif where == "declared":
        store.set_declared(ref("a"), [DeclaredParent("models:/later@champion", "card")])
        infer(store, ref("a"))
    else:
        store.decide(ref("a"), "rejected", "models:/later/1", by="ada")
    forests = Forests(store, REGISTRY)

    def readable(name: str) -> bool:
        return name != "later"

    forests.view(readable)
    done(store, ref("later"))
    followed, anew = forests.view(readable), Forests(store, REGISTRY).view(readable)
    assert "later" not in str([family.rows for family in followed.groups])
    assert shown(followed) == shown(anew)


def test_an_ancestor_that_is_left_with_one_heir_is_no_longer_shown(store: Store) -> None:
    done(store, ref("x"), ref("y"))
    for name in "xy":
        infer(store, ref(name), "unregistered:abc")
    assert len(Forests(store, REGISTRY).view().groups) == 1
    alone = Forests(store, REGISTRY).view(lambda name: name == "x")
    assert list(alone.families) == ["models:/x/1"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("no address", set()),
        ("models:/a/1", {"a"}),
        ("0.5 models:/a b/1 + 0.5 models:/c/2 explain", {"a b", "c"}),
        ("models:/a@champion", {"a", "a@champion"}),
        ("models:/a@b/1", {"a", "a@b"}),
        ("models:/", {""}),
        ("models:/a", {"a"}),
    ],
)
def test_the_names_in_a_text(text: str, names: set[str]) -> None:
    assert names_in(text) == names


def test_a_text_is_told_unless_it_may_name_what_is_hidden() -> None:
    known = {"a", "a@b", "c"}
    assert may_tell("models:/a/1", None, set())
    assert not may_tell("models:/a/1", set(), set()), "it may have been hidden, and deleted since"
    assert versions_in("models:/a/12, models:/a b@c/3/x and models:/d") >= {"models:/a/12", "models:/a b@c/3"}
    assert may_tell("models:/a/1 and models:/c/2", {"a@b"}, known)
    assert not may_tell("models:/a@b/1", {"a@b"}, known)
    assert not may_tell("models:/a@b/1", {"a"}, known)
    assert not may_tell("models:/a/1 and models:/c/2", {"c"}, known)
    assert not may_tell("models:/gone/1", {"c"}, known)
    assert may_tell("nothing to see", {"c"}, known)


def test_large_families_are_cut_to_the_nearest_nodes_in_one_way_only(store: Store) -> None:
    refs = [ref(f"m{n:03d}") for n in range(60)]
    done(store, *refs)
    for n, one in enumerate(refs[1:], 1):
        infer(store, one, refs[(n - 1) // 3].uri)
    view = Forests(store, REGISTRY).view()
    whole, more = view.nearest([refs[0].uri], 60)
    assert len(whole) == 60 and not more
    near, more = view.nearest([refs[0].uri], 10)
    assert more and near == {one.uri for one in refs[:10]}
    assert view.nearest([refs[59].uri], 4)[0] == {refs[n].uri for n in (59, 19, 6, 58)}
    assert [view.nearest([refs[5].uri], limit)[0] for limit in (1, 7)] == [
        Forests(store, REGISTRY).view().nearest([refs[5].uri], limit)[0] for limit in (1, 7)
    ]
