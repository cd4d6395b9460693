"""The registry's pages: order, filters, cursors, files, and whatever people put into a request."""

from __future__ import annotations

import base64
import csv
import io
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from api_client import Asking, asking
from forest_samples import Sample, many_families, register, three_families

from mlflow_mother.server.api.audit import inert
from mlflow_mother.server.api.documents import disposition, filename
from mlflow_mother.server.api.routes import ROOT, ROUTES
from mlflow_mother.store import Registration
from mlflow_mother.types import Status

NASTY = (
    "a'b\"c",
    "<img src=x onerror=alert(1)>",
    "=cmd|' !A1",
    "naïve 模型 🐣",
    "100%_done",
    "a@b",
    " leading",
    "-1+1",
)
"""Names that MLflow takes."""


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory, template: Path) -> dict[str, Path]:
    """Registries to copy."""
    made = {}
    for name, samples in {
        "small": three_families(),
        "large": many_families(80),
        "nasty": [
            *(Sample(f"models:/{name}/1") for name in NASTY),
            *(Sample(f"models:/{name}/2", (f"models:/{name}/1",), declared=(f"=models:/{name}/1",)) for name in NASTY),
        ],
    }.items():
        made[name] = tmp_path_factory.mktemp(name) / "mlflow.db"
        shutil.copyfile(template, made[name])
        register(samples, f"sqlite:///{made[name]}")
    return made


@pytest.fixture
def api(
    request: pytest.FixtureRequest, databases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Asking:
    shutil.copyfile(databases[getattr(request, "param", "small")], tmp_path / "mlflow.db")
    return asking(f"sqlite:///{tmp_path}/mlflow.db", monkeypatch)


large = pytest.mark.parametrize("api", ["large"], indirect=True)
nasty = pytest.mark.parametrize("api", ["nasty"], indirect=True)


def pages(api: Asking, path: str, key: str, **query: object) -> list[dict[str, Any]]:
    """All items of a list, page by page."""
    found, cursor = [], None
    while True:
        answer = api.get(path, cursor=cursor, **query)
        found += answer[key]
        cursor = answer["next"]
        if cursor is None:
            assert len(found) == answer["total"]
            return found


def test_families_are_listed_by_size_with_what_is_in_them(api: Asking) -> None:
    found = api.get("forest")
    first, second, third = found["families"]
    assert (first["id"], first["root"], first["title"]) == ("models:/tiny-vit/1", "models:/tiny-vit/1", "tiny-vit v1")
    assert (first["size"], second["size"], third["size"]) == (7, 4, 2)
    assert first["models"] == ["road-signs", "road-signs-int8", "tiny-vit", "tiny-vit-merged"]
    assert first["model_count"] == 4 and first["lowest_confidence"] == 0.88
    assert first["relations"] == {"finetune": 3, "lora-merged": 1, "quantized": 1, "merge": 2}
    assert first["verdicts"]["conflict"] == 1 and first["statuses"] == {"done": 7}
    totals = found["totals"]
    assert (totals["versions"], totals["families"], totals["alone"]) == (16, 3, 3)
    assert totals["by_status"] == {"done": 14, "failed": 1, "pending": 1}
    assert sum(totals["by_verdict"].values()) == 16


@pytest.mark.parametrize(
    ("query", "roots"),
    [
        ({"q": "ROAD"}, ["tiny-vit"]),
        ({"q": "models:/ocr/1"}, ["ocr"]),
        ({"q": "sentiment/3"}, ["sentiment"]),
        ({"q": "%"}, []),
        ({"q": "_"}, []),
        ({"relation": "adapter"}, ["sentiment"]),
        ({"relation": "sibling"}, []),
        ({"verdict": "conflict"}, ["tiny-vit", "sentiment"]),
        ({"status": "failed"}, ["ocr"]),
        ({"max_confidence": 0.6}, ["churn"]),
        ({"min_confidence": 0.8}, ["tiny-vit"]),
        ({"min_confidence": 0.7, "max_confidence": 0.8}, ["sentiment"]),
        ({"sort": "name"}, ["churn", "sentiment", "tiny-vit"]),
        ({"sort": "newest"}, ["churn", "sentiment", "tiny-vit"]),
        ({"include_alone": "1"}, ["tiny-vit", "sentiment", "churn", "anomaly-autoencoder", "forecast", "ocr"]),
    ],
)
def test_families_are_searched_filtered_and_sorted(api: Asking, query: dict[str, Any], roots: list[str]) -> None:
    found = api.get("forest", **query)["families"]
    assert [family["root"] for family in found] == [f"models:/{root}/1" for root in roots]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({"verdict": "conflict"}, ["road-signs/1", "toxicity/1"]),
        ({"relation": "merge"}, ["tiny-vit-merged/1"]),
        ({"status": "failed"}, ["ocr/1"]),
        ({"q": "toxic"}, ["toxicity/1"]),
        ({"max_confidence": 0.8}, ["toxicity/1"]),
        ({"q": "sentiment/2"}, ["sentiment/3", "sentiment/2"]),
        ({"q": "churn", "sort": "registered", "order": "desc"}, ["churn/2", "churn/1"]),
        ({"q": "sentiment", "sort": "probability"}, ["toxicity/1", "sentiment/2", "road-signs/1", "sentiment/3"]),
        ({"q": "sentiment", "sort": "probability", "order": "desc"}, ["sentiment/3", "road-signs/1", "sentiment/2"]),
    ],
)
def test_the_audit_is_searched_filtered_and_sorted(api: Asking, query: dict[str, Any], ids: list[str]) -> None:
    rows = api.get("audit", **query)["rows"]
    assert [row["id"] for row in rows][: len(ids)] == [f"models:/{one}" for one in ids]


def test_what_has_no_value_comes_last_in_either_order(api: Asking) -> None:
    for order in ("asc", "desc"):
        values = [row["probability"] for row in api.get("audit", sort="probability", order=order)["rows"]]
        known = [value for value in values if value is not None]
        assert values == known + [None] * (len(values) - len(known))
        assert known == sorted(known, reverse=order == "desc")


@large
@pytest.mark.parametrize(
    "query",
    [
        *({"path": "forest", "sort": sort, "include_alone": "true"} for sort in ("size", "name", "newest")),
        *(
            {"path": "audit", "sort": sort, "order": order}
            for sort in ("verdict", "name", "probability", "registered")
            for order in ("asc", "desc")
        ),
    ],
    ids=lambda query: "-".join(query.values()),
)
def test_pages_hold_everything_once_and_in_one_order(api: Asking, query: dict[str, Any]) -> None:
    path = query.pop("path")
    key = "families" if path == "forest" else "rows"
    whole = pages(api, path, key, limit=200, **query)
    few = pages(api, path, key, limit=37, **query)
    assert few == whole and len({item["id"] for item in whole}) == len(whole) > 100
    if path == "forest":
        assert sum(family["size"] for family in whole) == api.get("forest")["totals"]["versions"]


@large
def test_a_cursor_stays_where_it_was_while_the_registry_changes(api: Asking) -> None:
    first = api.get("audit", sort="name", limit=20)
    store, registry = api.service.store, api.service.registry
    store.enqueue_many([Registration(registry.ref("aaa", 1)), Registration(registry.ref("zzz", 1))])
    listed = {known.ref for known in store.versions(registry.id)} - {registry.ref(first["rows"][-1]["name"], 1)}
    store.sync(registry.id, listed, listed_at=store.now() - 1)
    rest = pages_after(api, first["next"])
    seen = [row["id"] for row in [*first["rows"], *rest]]
    assert len(set(seen)) == len(seen) and "models:/zzz/1" in seen and "models:/aaa/1" not in seen


def pages_after(api: Asking, cursor: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while cursor is not None:
        answer = api.get("audit", sort="name", limit=20, cursor=cursor)
        found, cursor = [*found, *answer["rows"]], answer["next"]
    return found


def forged(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "ÿ", "!!!!", "e30", "W10", "A" * 3001, "W" * 2001),
        *(
            forged("name", "asc"),
            forged("size", "desc", 1, "a"),
            forged("size", "asc", "a", "b"),
            forged("size", "asc"),
        ),
        forged("newest", "desc", 10**400, "a"),
        *(forged("size", "asc", None, None), forged("size", "asc", 1, "a", 2), forged("size", "asc", [1], {"a": 1})),
        base64.urlsafe_b64encode(b"[" * 2000).decode(),
    ],
)
def test_a_cursor_of_something_else_is_refused(api: Asking, cursor: str) -> None:
    for sort in ("size", "newest"):
        assert api.get("forest", 400, cursor=cursor, sort=sort)["error_code"] == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        *(("forest", {"limit": limit}) for limit in ("0", "-1", "201", "1e3", "ten", "99999999999999999999", "")),
        *(("forest", {"min_confidence": value}) for value in ("-0.1", "1.1", "nan", "inf", "much")),
        ("forest", {"relation": "married"}),
        ("forest", {"verdict": "guilty"}),
        ("forest", {"sort": "luck"}),
        ("forest", {"include_alone": "perhaps"}),
        ("forest", {"q": "x" * 100_000}),
        ("forest", {"Q": "x"}),
        ("audit", {"order": "sideways"}),
        ("audit.csv", {"limit": "1"}),
        ("lineage", {"name": "tiny-vit"}),
        ("lineage", {"version": "1"}),
        ("lineage", {"name": "x" * 100_000, "version": "1"}),
        *(
            ("lineage", {"name": "tiny-vit", "version": v})
            for v in ("", "0", "-1", "01", "1.0", "latest", "٣", "9" * 99)
        ),
        *(("lineage", {"name": "tiny-vit", "version": "1", "limit": limit}) for limit in ("0", "-5", "1001")),
        ("tree", {"name": ""}),
        ("tree", {}),
        ("export", {"name": "tiny-vit", "format": "exe"}),
        ("export", {"name": "tiny-vit", "format": "../../etc/passwd"}),
        ("compare", {"a": "models:/tiny-vit/1"}),
        ("compare", {"a": "models:/tiny-vit/1", "b": "unregistered:1"}),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(api: Asking, path: str, query: dict[str, str]) -> None:
    answer = api.get(path, 400, **query)
    assert answer["error_code"] == "INVALID_PARAMETER_VALUE" and len(answer["message"]) < 400


def test_a_parameter_that_is_given_twice_is_refused(api: Asking) -> None:
    assert api.client.get(f"{ROOT}/tree?name=tiny-vit&name=churn").status_code == 400


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "POST"], ids=lambda route: route.path)
def test_only_json_objects_are_taken(api: Asking, route: Any) -> None:
    url, good = f"{ROOT}/{route.path}", json.dumps({"name": "tiny-vit", "version": "1"})
    for body, kind in [
        (good, "text/plain"),
        (good, "application/x-www-form-urlencoded"),
        (good, "multipart/form-data"),
        (good, ""),
        ("", "application/json"),
        ("[]", "application/json"),
        ("null", "application/json"),
        ("{", "application/json"),
        ("[" * 100_000, "application/json"),
        ('{"name":"\\ud800","version":"1"}', "application/json"),
        (json.dumps({"name": "x" * 200_000, "version": "1"}), "application/json"),
        (json.dumps({"name": ["tiny-vit"], "version": 1}), "application/json"),
    ]:
        assert api.client.post(url, data=body, content_type=kind).status_code == 400, (body[:50], kind)
    assert api.client.get(f"{ROOT}/reanalyse").status_code == 405
    assert api.client.post(f"{ROOT}/forest", json={}).status_code == 405


@nasty
@pytest.mark.parametrize("name", NASTY)
def test_names_with_any_characters_have_their_lineage_and_files(api: Asking, name: str) -> None:
    found = api.get("lineage", name=name, version="2")
    assert set(found["versions"]) == {f"models:/{name}/1", f"models:/{name}/2"}
    assert api.get("tree", name=name)["model"]["name"] == name
    assert api.get("compare", 409, a=f"models:/{name}/1", b=f"models:/{name}/2")
    api.post("decisions", 201, name=name, version="2", kind="confirmed", parent=f"models:/{name}/1", note=name)
    assert api.get("forest", q=name)["families"][0]["root"] == f"models:/{name}/1"
    for form in ("svg", "html", "mermaid", "json"):
        response = api.raw("export", name=name, version="2", format=form)
        assert response.status_code == 200
        if form in ("svg", "html"):
            assert "<img src" not in response.get_data(as_text=True)
        header = response.headers["Content-Disposition"]
        assert header.isascii() and header.startswith('attachment; filename="') and "\n" not in header


def test_names_that_no_registry_has_are_not_found(api: Asking) -> None:
    for name in ("../churn", "..", "churn/1", "churn\x00", "models:/churn", "' OR 1=1 --", "%", "\n", "churn "):
        api.get("lineage", 404, name=name, version="1")
        api.get("tree", 404, name=name)


@nasty
def test_the_file_of_the_audit_holds_no_formula(api: Asking) -> None:
    api.post("decisions", 201, name="-1+1", version="2", kind="confirmed", parent="models:/-1+1/1", note="=1+1")
    response = api.raw("audit.csv")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(response.get_data(as_text=True))))
    assert {row["name"].removeprefix("'") for row in rows} == set(NASTY) and len(rows) == 2 * len(NASTY)
    assert not [cell for row in rows for cell in row.values() if cell.lstrip().startswith(("=", "+", "-", "@"))]
    row = next(row for row in rows if row["name"] == "'-1+1" and row["version"] == "2")
    assert row["decision"] == "confirmed models:/-1+1/1" and row["registered_at"].startswith("2026-11-")


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        *(
            (cell, f"'{cell}")
            for cell in ("=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "\uff1d1", "  =1", "\u00a0=1")
        ),
        *((cell, cell) for cell in ("", "a=1", "1-1", "'=1", "models:/a/1")),
    ],
)
def test_cells_are_inert(cell: str, safe: str) -> None:
    assert inert(cell) == safe


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("lineage-a.svg", 'attachment; filename="lineage-a.svg"'),
        ('a"b\r\nX: y.svg', "attachment; filename=\"a_b_X_y.svg\"; filename*=UTF-8''a%22b%0D%0AX%3A%20y.svg"),
        ("模.svg", "attachment; filename=\"svg\"; filename*=UTF-8''%E6%A8%A1.svg"),
    ],
)
def test_downloads_are_named_in_a_safe_header(name: str, header: str) -> None:
    assert disposition(name) == header


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("../../etc/passwd", "_.._etc_passwd.svg"),
        ("a\x00b\u202ec", "a_b_c.svg"),
        ("x" * 300, "x" * 100 + ".svg"),
        (" . ", "lineage.svg"),
    ],
)
def test_downloads_are_named_without_folders_and_not_too_long(stem: str, name: str) -> None:
    assert filename(stem, ".svg") == name


def test_opted_out_versions_are_in_no_list(api: Asking) -> None:
    api.service.store.set_ignored(api.service.registry.ref("tiny-vit", 1), True)
    assert api.get("forest")["totals"]["versions"] == 15
    assert "models:/tiny-vit/1" not in [row["id"] for row in api.get("audit", limit=200)["rows"]]
    assert "models:/tiny-vit/1" not in api.get("tree", name="road-signs")["versions"]


@large
def test_answers_are_whole_while_the_registry_changes(api: Asking) -> None:
    store, registry, wrong = api.service.store, api.service.registry, []

    def look() -> None:
        for _ in range(15):
            found = api.get("forest", include_alone="true", limit=200)
            sizes, totals = sum(family["size"] for family in found["families"]), found["totals"]
            if sizes != totals["versions"] or sum(totals["by_verdict"].values()) != sizes:
                wrong.append(totals)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    for number in range(25):
        ref = registry.ref("growing", number + 1)
        store.enqueue(ref)
        for claim in store.claim("tests", 60, refs=[ref]):
            store.finish(claim, Status.DONE)
    for looker in lookers:
        looker.join()
    assert not wrong
    assert api.get("forest", q="growing")["total"] == 25


def test_a_server_whose_tables_are_gone_says_so_without_details(api: Asking) -> None:
    api.get("forest")
    api.service.store.purge()
    answer = api.get("forest", 503)
    assert answer["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert "sqlite" not in answer["message"] and "mother_" not in answer["message"]
