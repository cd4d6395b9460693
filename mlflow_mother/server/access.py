"""Who asks, and what MLflow would let them see and do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, Protocol

from flask import g

log = logging.getLogger(__name__)

Route = tuple[str, str]
"""A path as served, and a method."""


class Access(Protocol):
    """What the user behind the current request may do; asked inside a request only."""

    def user(self) -> str | None:
        """Their name; None where nobody signs in."""

    def sees_all(self) -> bool:
        """Whether no registered model is hidden from them, whatever its permissions say."""

    def readable(self) -> Callable[[str], bool]:
        """Whether they may see a registered model of the request's workspace, by its name; asked for many names."""

    def may_update(self, name: str) -> bool:
        """Whether they may change a registered model's versions and tags."""

    def admit(self, routes: Iterable[Route]) -> None:
        """Lets everyone who is signed in call routes that authorise by themselves; asked once, before any request."""


class OpenAccess:
    """A server without sign-in: everyone sees and does everything."""

    def user(self) -> str | None:
        """Nobody in particular."""
        return None

    def sees_all(self) -> bool:
        """Always."""
        return True

    def readable(self) -> Callable[[str], bool]:
        """Every model."""
        return lambda _name: True

    def may_update(self, name: str) -> bool:
        """Always."""
        return True

    def admit(self, routes: Iterable[Route]) -> None:
        """Nothing to do."""


class BasicAuthAccess:
    """A server with MLflow's ``basic-auth``: everything is answered by MLflow's own rules.

    MLflow has authenticated the request before any of this is asked. What its release does not know how to answer is
    a no.
    """

    def user(self) -> str | None:
        """The name that they signed in with."""
        return _username()

    def sees_all(self) -> bool:
        """Whether they are an administrator, whom MLflow asks for no permission."""
        return bool(_auth().store.get_user(_username()).is_admin)

    def readable(self) -> Callable[[str], bool]:
        """What MLflow would leave in a search for model versions."""
        return _read_predicate(_username())

    def may_update(self, name: str) -> bool:
        """What MLflow asks of those who set a model version's tags."""
        return self.sees_all() or _may_update(name)

    def admit(self, routes: Iterable[Route]) -> None:
        """MLflow can be told to refuse routes that it has no validator for; these authorise by themselves."""
        _auth().BEFORE_REQUEST_VALIDATORS.update(dict.fromkeys(routes, lambda: True))


def _auth() -> Any:
    # Untyped: what is in it differs from release to release, which is what the functions below are about.
    from mlflow.server import auth

    return auth


def _username() -> str:
    """Who signed in. Asking MLflow hashes their password once more, which takes longer than all the rest."""
    if "mother_user" not in g:
        g.mother_user = g.get("mlflow_authenticated_user") or str(_auth().authenticate_request().username)
    return str(g.mother_user)


def _read_predicate(username: str) -> Callable[[str], bool]:
    auth = _auth()
    if hasattr(auth, "_rm_or_prompt_version_read_predicate"):  # 3.17
        may_read = auth._rm_or_prompt_version_read_predicate(username)
        return lambda name: bool(may_read(SimpleNamespace(name=name, tags=())))
    if hasattr(auth, "_role_based_read_predicate"):
        by_name = auth._role_based_read_predicate(username, "registered_model")
        return lambda name: bool(by_name(name))
    if not hasattr(auth.store, "list_registered_model_permissions"):
        log.error("Mother does not know how this release of MLflow decides who may read a model, and shows none.")
        return lambda _name: False
    granted = {
        permission.name: auth.get_permission(permission.permission).can_read
        for permission in auth.store.list_registered_model_permissions(username)
    }
    default = auth.get_permission(auth.auth_config.default_permission).can_read
    if hasattr(auth, "_has_registered_model_read_access"):  # 3.10: with workspaces there is no default
        return lambda name: bool(auth._has_registered_model_read_access(username, name, granted, default))
    return lambda name: bool(granted.get(name, default))


def _may_update(name: str) -> bool:
    auth = _auth()
    if hasattr(auth, "authorize"):  # 3.17: versions have a tier of their own, which may deny what the model grants
        model = ("registered_model", name)
        needed = [
            auth.Requirement(*model, "read"),
            auth.Requirement("registered_model_version", "*", "update", fallback_if_no_grant=(model,)),
        ]
        return bool(auth.authorize(_username(), model, needed))
    if hasattr(auth, "_get_registered_model_permission"):
        return bool(auth._get_registered_model_permission(name).can_update)
    # Older ones look for the name in the request.
    return auth._get_request_param("name") == name and bool(auth.validate_can_update_registered_model())
