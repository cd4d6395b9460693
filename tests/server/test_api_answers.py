"""What the API says of small models that were really analysed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import mlflow
import pytest
from api_client import Asking, Person, asking
from registry_samples import Bench, bench, finetuned, network, write_model

from mlflow_mother.server.api.openapi import openapi
from mlflow_mother.server.api.routes import ROUTES
from mlflow_mother.service import Service

ROOT, CHILD, GRAND = "models:/origin/1", "models:/child/1", "models:/grand/1"


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[Bench]:
    """Three generations, two children of a parent that nobody registered, a loner, a broken and an ignored one."""
    folder = tmp_path_factory.mktemp("analysed")
    with pytest.MonkeyPatch.context() as patch, bench("sqlite", folder, template=template) as made:
        patch.setenv("MLFLOW_MOTHER_HOME", str(folder / "home"))
        patch.setenv("MLFLOW_MOTHER_ENABLED", "false")
        root, unknown = network(0), network(5)
        child = finetuned(root, 1)
        made.register("origin", root)
        made.register("child", child)
        mlmodel = "flavors:\n  transformers:\n    source_model_name: models:/loner/1\n"
        made.register_folder("grand", write_model(folder / "grand", finetuned(child, 2), mlmodel))
        for seed in (6, 7, 8):
            made.register(f"orphan-{seed}", finetuned(unknown, seed))
        made.register("loner", network(9))
        made.register("ignored", network(10), tags={"mother.ignore": "true"})
        broken = write_model(folder / "broken", network(11))
        (broken / "model" / "model.safetensors").write_bytes(b"\x10")
        made.register_folder("broken", broken)
        made.client.set_registered_model_alias("origin", "champion", 1)
        Service().reconcile()
        made.register("origin", network(12))
        yield made


@pytest.fixture
def api(analysed: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asking:
    """The API over a copy of the registry."""
    shutil.copyfile(f"{analysed.folder.parent}/mlflow.db", tmp_path / "mlflow.db")
    return asking(f"sqlite:///{tmp_path}/mlflow.db", monkeypatch)


def test_a_lineage_holds_the_family_its_layout_and_what_is_known_of_each_version(api: Asking) -> None:
    found = api.get("lineage", name="child", version="1")
    assert (found["subject"], found["state"], found["truncated"]) == (CHILD, "done", False)
    assert {(e["parent"], e["child"]) for e in found["tree"]["edges"]} == {(ROOT, CHILD), (CHILD, GRAND)}
    assert all(edge["evidence"] for edge in found["tree"]["edges"])
    assert {node["id"] for node in found["layout"]["nodes"]} == {ROOT, CHILD, GRAND} == set(found["versions"])
    root, grand = found["versions"][ROOT], found["versions"][GRAND]
    assert (root["aliases"], root["verdict"], grand["verdict"]) == (["champion"], "unrelated", "conflict")
    assert grand["declared"] == [{"parent": "models:/loner/1", "source": "transformers"}]
    assert root["fingerprint"]["tensors"] == 6 and root["fingerprint"]["parameters"] == 6 * 96 * 96
    assert root["fingerprint"]["format"] == "safetensors"
    assert found["engine"] and found["inferred_at"] and found["progress"] is None
    assert found["can"] == {"reanalyse": True, "decide": True}
    nodes = {node["id"]: node for node in found["tree"]["nodes"]}
    assert nodes[ROOT]["aliases"] == ["champion"] and nodes[GRAND]["verdict"] == "conflict"


def test_unregistered_ancestors_are_numbered_and_have_no_version(api: Asking) -> None:
    found = api.get("lineage", name="orphan-6", version="1")
    assert "unregistered:1" in {node["id"] for node in found["tree"]["nodes"]}
    assert set(found["versions"]) == {f"models:/orphan-{seed}/1" for seed in (6, 7, 8)}
    rows = {row["id"]: row for row in api.get("audit", q="orphan")["rows"]}
    assert rows["models:/orphan-7/1"]["inferred"] == ["unregistered:1"]


def test_a_tree_holds_all_versions_of_a_model_and_their_families(api: Asking) -> None:
    found = api.get("tree", name="origin")
    assert found["subject"] is None and found["state"] == "done"
    assert {node["id"] for node in found["tree"]["nodes"]} == {ROOT, CHILD, GRAND, "models:/origin/2"}
    assert [version["id"] for version in found["model"]["versions"]] == ["models:/origin/2", ROOT]
    assert found["model"]["versions"][0]["status"] is None


@pytest.mark.parametrize(
    ("name", "version", "state", "words"),
    [
        ("loner", "1", "done", ""),
        ("broken", "1", "failed", "models:/broken/1"),
        ("ignored", "1", "ignored", "mother.ignore"),
        ("origin", "2", "unknown", "not come to"),
    ],
)
def test_every_state_says_why_and_what_to_do(api: Asking, name: str, version: str, state: str, words: str) -> None:
    found = api.get("lineage", name=name, version=version)
    assert found["state"] == state and words in found["reason"]
    # One remedy and no more: a reason that is an error's text ends with its own.
    assert bool(found["remedy"]) == (state in ("ignored", "unknown"))
    assert state != "failed" or "again" in found["reason"]
    assert [node["id"] for node in found["tree"]["nodes"]] == [f"models:/{name}/{version}"]


def test_what_is_not_there_is_not_found(api: Asking) -> None:
    for path in ("lineage", "decisions", "export"):
        assert api.get(path, 404, name="nobody", version="1")["error_code"] == "RESOURCE_DOES_NOT_EXIST"
        assert api.get(path, 404, name="origin", version="99")["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    api.get("tree", 404, name="nobody")
    api.get("compare", 404, a=ROOT, b="models:/nobody/1")
    api.post("reanalyse", 404, name="nobody", version="1")
    api.post("decisions", 404, name="origin", version="99", kind="corrected")


def test_deleted_models_leave_the_tree_before_anything_is_reconciled(api: Asking) -> None:
    mlflow.set_tracking_uri(api.service.registry.uri)
    mlflow.MlflowClient().delete_registered_model("origin")
    found = api.get("lineage", name="child", version="1")
    assert set(found["versions"]) == {CHILD, GRAND}
    assert "models:/origin" not in str(found)
    api.get("lineage", 404, name="origin", version="1")


def test_prompts_are_no_models(api: Asking) -> None:
    mlflow.set_tracking_uri(api.service.registry.uri)
    mlflow.genai.register_prompt("hello", "Say {{what}}")
    api.get("tree", 404, name="hello")


def test_analysing_again_queues_a_version_and_says_its_place(api: Asking) -> None:
    for name in ("child", "grand"):
        assert api.post("reanalyse", 202, name=name, version="1") == {"queued": True}
    assert api.get("lineage", name="grand", version="1")["progress"] == {"ahead": 1, "working": False}
    assert api.get("status")["queue"] == {"waiting": 2, "working": 0}
    assert api.post("reanalyse", 202, name="origin", version="2") == {"queued": True}
    assert api.get("lineage", name="origin", version="2")["state"] == "pending"
    assert "mother.ignore" in api.post("reanalyse", 409, name="ignored", version="1")["message"]


def test_a_person_confirms_rejects_and_corrects_beside_the_inference(api: Asking) -> None:
    before = api.get("lineage", name="child", version="1")["tree"]["edges"]
    said = api.post("decisions", 201, name="child", version="1", kind="confirmed", parent=ROOT, note="  I did it ")
    assert (said["kind"], said["parent"], said["by"], said["note"]) == ("confirmed", ROOT, None, "I did it")
    audit = {row["id"]: row for row in api.get("audit")["rows"]}
    assert (audit[CHILD]["verdict"], audit[CHILD]["decision"]) == ("confirmed", said)
    api.post("decisions", 201, name="child", version="1", kind="rejected", parent=ROOT)
    audit = {row["id"]: row for row in api.get("audit")["rows"]}
    assert audit[CHILD]["verdict"] == "unrelated" and f"rejected: {ROOT}" in audit[CHILD]["note"]
    api.post("decisions", 201, name="child", version="1", kind="corrected", parent="models:/loner/1")
    audit = {row["id"]: row for row in api.get("audit")["rows"]}
    assert audit[CHILD]["verdict"] == "confirmed" and f"the weights show {ROOT}" in audit[CHILD]["note"]
    api.post("decisions", 201, name="child", version="1", kind="corrected", parent=None)
    assert {row["id"]: row for row in api.get("audit")["rows"]}[CHILD]["verdict"] == "unrelated"
    kinds = [one["kind"] for one in api.get("decisions", name="child", version="1")["decisions"]]
    assert kinds == ["confirmed", "rejected", "corrected", "corrected"]
    after = api.get("lineage", name="child", version="1")
    assert after["tree"]["edges"] == before and len(after["versions"][CHILD]["decisions"]) == 4
    Service(api.service.registry, store=api.service.store).infer(api.service.registry.ref("child", 1))
    assert len(api.get("decisions", name="child", version="1")["decisions"]) == 4
    verdicts = {row.uri: row.verdict.value for row in api.service.audit()}
    assert verdicts[CHILD] == "unrelated"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"kind": "confirmed", "parent": CHILD}, "its own parent"),
        ({"kind": "confirmed", "parent": "models:/nobody/1"}, "not a version that you may read"),
        ({"kind": "confirmed", "parent": "unregistered:1"}, "models:/name/version"),
        ({"kind": "confirmed", "parent": "models:/origin/01"}, "models:/name/version"),
        ({"kind": "confirmed"}, "without being named"),
        ({"kind": "rejected", "parent": None}, "without being named"),
        ({"kind": "guessed", "parent": ROOT}, "kind"),
        ({"kind": "confirmed", "parent": ROOT, "note": "x" * 2001}, "note"),
        ({"kind": "confirmed", "parent": ROOT, "by": "somebody else"}, "by"),
        ({"kind": "confirmed", "parent": GRAND}, "was said to descend from it"),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(api: Asking, body: dict[str, object], words: str) -> None:
    api.post("decisions", 201, name="grand", version="1", kind="confirmed", parent=CHILD)
    assert words in api.post("decisions", 400, name="child", version="1", **body)["message"]


def test_two_versions_are_compared_from_their_fingerprints(api: Asking) -> None:
    found = api.get("compare", a=ROOT, b=CHILD)
    assert found["relation"] == "finetune" and found["tensors"] == 6 and found["identical"] == 0
    assert found["evidence"] and found["first_to_second"] and found["second_to_first"]
    assert [(e["parent"], e["child"]) for e in found["tree"]["edges"]] == [(ROOT, CHILD)]
    assert api.get("compare", a=ROOT, b="models:/loner/1")["relation"] is None
    assert "fingerprint" in api.get("compare", 409, a=ROOT, b="models:/broken/1")["message"]
    api.get("compare", 400, a=ROOT, b=ROOT)
    api.get("compare", 400, a="origin/1", b=ROOT)


@pytest.mark.parametrize("form", ["json", "node-link", "graphml", "dot", "mermaid", "svg", "html", "text"])
def test_exports_are_files_that_nothing_runs(api: Asking, form: str) -> None:
    response = api.raw("export", name="child", version="1", format=form)
    assert response.status_code == 200 and response.headers["Content-Disposition"].startswith("attachment; ")
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    text = response.get_data(as_text=True)
    assert "child" in text and "origin" in text
    if form in ("svg", "graphml"):
        ElementTree.fromstring(text)
    if form in ("json", "node-link"):
        assert response.get_json()["nodes"]


def test_people_see_what_they_may_read_and_nothing_of_the_rest(
    analysed: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(f"{analysed.folder.parent}/mlflow.db", tmp_path / "mlflow.db")
    database = f"sqlite:///{tmp_path}/mlflow.db"
    asking(database, monkeypatch).post("decisions", 201, name="child", version="1", kind="confirmed", parent=ROOT)
    person = Person("ada", frozenset({"child", "orphan-6", "grand"}), frozenset({"grand"}))
    api = asking(database, monkeypatch, person)
    answers = [
        api.get("lineage", name="child", version="1"),
        api.get("tree", name="grand"),
        api.get("lineage", name="orphan-6", version="1"),
        api.get("forest", include_alone=True),
        api.get("audit"),
        api.get("decisions", name="child", version="1"),
        api.get("status"),
        *(api.raw("export", name="child", format=form).get_data(as_text=True) for form in ("json", "html", "svg")),
        api.raw("audit.csv").get_data(as_text=True),
        api.get("lineage", 403, name="origin", version="1"),
    ]
    for hidden in ("models:/origin", "loner", "orphan-7", "orphan-8", "broken", "unregistered:"):
        assert not [answer for answer in map(str, answers) if hidden in answer], hidden
    assert api.get("forest", include_alone=True)["totals"]["versions"] == 3
    assert api.get("status")["queue"] is None and api.get("status")["user"] == "ada"
    assert api.get("decisions", name="child", version="1")["decisions"] == []
    assert api.get("lineage", name="child", version="1")["can"] == {"reanalyse": False, "decide": False}
    assert api.get("tree", name="grand")["can"] == {"reanalyse": True, "decide": True}
    # What exists and is hidden looks exactly like what does not exist.
    for path, query in [("lineage", {"version": "1"}), ("tree", {}), ("export", {}), ("decisions", {"version": "1"})]:
        assert api.get(path, 403, name="origin", **query) == api.get(path, 403, name="nobody", **query)
    assert api.get("compare", 403, a=CHILD, b=ROOT) == api.get("compare", 403, a=CHILD, b="models:/nobody/1")
    for name in ("origin", "nobody"):
        api.post("reanalyse", 403, name=name, version="1")
        api.post("decisions", 403, name=name, version="1", kind="corrected")
    said = [
        api.post("decisions", 400, name="grand", version="1", kind="confirmed", parent=parent)
        for parent in (ROOT, "models:/nobody/1")
    ]
    assert said[0] == said[1]
    api.post("decisions", 403, name="child", version="1", kind="corrected")
    api.post("reanalyse", 403, name="child", version="1")
    assert api.post("decisions", 201, name="grand", version="1", kind="confirmed", parent=CHILD)["by"] == "ada"


def test_answers_are_as_described(api: Asking) -> None:
    described = openapi()
    asked = {
        ("GET", "status"): {},
        ("GET", "lineage"): {"name": "grand", "version": "1"},
        ("GET", "tree"): {"name": "origin"},
        ("GET", "forest"): {"include_alone": True},
        ("GET", "audit"): {},
        ("GET", "compare"): {"a": ROOT, "b": CHILD},
        ("POST", "reanalyse"): {"name": "origin", "version": "1"},
        ("POST", "decisions"): {"name": "child", "version": "1", "kind": "confirmed", "parent": ROOT},
        ("GET", "decisions"): {"name": "child", "version": "1"},
    }
    assert set(asked) == {(route.method, route.path) for route in ROUTES if isinstance(route.answers, type)}
    for route in ROUTES:
        operation = described["paths"][f"/{route.path}"][route.method.lower()]
        content = operation["responses"][str(route.status.value)]["content"]
        if not isinstance(route.answers, type):
            continue
        query = asked[route.method, route.path]
        send = api.get if route.method == "GET" else api.post
        answer = send(route.path, route.status.value, **query)
        schema = {**content["application/json"]["schema"], "components": described["components"]}
        jsonschema.validate(answer, schema, jsonschema.Draft202012Validator)
        if route.method == "POST":
            body = operation["requestBody"]["content"]["application/json"]["schema"]
            jsonschema.validate(query, {**body, "components": described["components"]})
    error = {"$ref": "#/components/schemas/Error", "components": described["components"]}
    jsonschema.validate(api.get("tree", 404, name="nobody"), error)
    assert api.raw("openapi.json").get_json() == described
