"""What MLflow's sign-in is asked, in the words of each of its releases: their functions stand in for them here."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, g

from mlflow_mother.server import access
from mlflow_mother.server.access import BasicAuthAccess

GRANTED = {"open": "READ", "closed": "NO_PERMISSIONS"}


@pytest.fixture(autouse=True)
def request_of_bob() -> Iterator[None]:
    with Flask("mlflow").test_request_context():
        g.mlflow_authenticated_user = "bob"
        yield


def release(monkeypatch: pytest.MonkeyPatch, default: str = "READ", **functions: Any) -> BasicAuthAccess:
    """Sign-in of a release that has these functions; all of them have users, and old ones permissions by name."""
    granted = [SimpleNamespace(name=name, permission=permission) for name, permission in GRANTED.items()]
    store = SimpleNamespace(
        get_user=lambda name: SimpleNamespace(is_admin=name == "ada"),
        list_registered_model_permissions=lambda name: granted if name == "bob" else [],
    )
    kinds = {
        name: SimpleNamespace(can_read=name != "NO_PERMISSIONS", can_update=name == "EDIT")
        for name in ("READ", "EDIT", "NO_PERMISSIONS")
    }
    made = SimpleNamespace(
        **{
            "store": store,
            "get_permission": kinds.__getitem__,
            "auth_config": SimpleNamespace(default_permission=default),
            **functions,
        }
    )
    monkeypatch.setattr(access, "_auth", lambda: made)
    return BasicAuthAccess()


def read(asked: BasicAuthAccess) -> set[str]:
    return set(filter(asked.readable(), ("open", "closed", "other")))


@pytest.mark.parametrize(("default", "names"), [("READ", {"open", "other"}), ("NO_PERMISSIONS", {"open"})])
def test_the_oldest_have_grants_and_a_default(monkeypatch: pytest.MonkeyPatch, default: str, names: set[str]) -> None:
    assert read(release(monkeypatch, default)) == names


@pytest.mark.parametrize(("workspaces", "names"), [(False, {"open", "other"}), (True, {"open"})])
def test_with_workspaces_there_is_no_default(
    monkeypatch: pytest.MonkeyPatch, workspaces: bool, names: set[str]
) -> None:
    def may_read(username: str, name: str, granted: dict[str, bool], default: bool) -> bool:
        assert username == "bob"
        return granted.get(name, default and not workspaces)

    assert read(release(monkeypatch, _has_registered_model_read_access=may_read)) == names


def test_then_roles_decide_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_name(username: str, kind: str) -> Any:
        assert (username, kind) == ("bob", "registered_model")
        return {"open"}.__contains__

    assert read(release(monkeypatch, _role_based_read_predicate=by_name)) == {"open"}


def test_the_newest_are_asked_what_they_leave_in_a_search_for_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_versions(username: str) -> Any:
        return lambda version: version.name == "open" and not list(version.tags)

    other = {"_role_based_read_predicate": lambda *_: lambda _name: True}
    assert read(release(monkeypatch, _rm_or_prompt_version_read_predicate=of_versions, **other)) == {"open"}


def test_a_release_that_nobody_knows_is_taken_to_hide_everything(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = SimpleNamespace(get_user=lambda _name: SimpleNamespace(is_admin=False))
    assert read(release(monkeypatch, store=store)) == set()
    assert "shows none" in caplog.text


def test_who_may_update_is_asked_of_each_release(monkeypatch: pytest.MonkeyPatch) -> None:
    by_name = {"_get_registered_model_permission": lambda name: SimpleNamespace(can_update=name == "open")}
    asked = release(monkeypatch, **by_name)
    assert (asked.may_update("open"), asked.may_update("closed")) == (True, False)

    from_request = {"_get_request_param": lambda _: "open", "validate_can_update_registered_model": lambda: True}
    asked = release(monkeypatch, **from_request)
    assert (asked.may_update("open"), asked.may_update("closed")) == (True, False)

    def authorize(username: str, anchor: tuple[str, str], needed: list[Any]) -> bool:
        model, version = needed
        assert username == "bob" and model.args == (*anchor, "read")
        assert version.args == ("registered_model_version", "*", "update") and version.fallback == (anchor,)
        return anchor[1] == "open"

    def requirement(*args: str, fallback_if_no_grant: Any = ()) -> Any:
        return SimpleNamespace(args=args, fallback=fallback_if_no_grant)

    asked = release(monkeypatch, authorize=authorize, Requirement=requirement, **by_name)
    assert (asked.may_update("open"), asked.may_update("closed")) == (True, False)


def test_administrators_are_asked_for_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    g.mlflow_authenticated_user = "ada"
    asked = release(monkeypatch)
    assert asked.user() == "ada" and asked.sees_all() and asked.may_update("closed")
