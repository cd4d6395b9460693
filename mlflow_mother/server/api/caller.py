"""One request: the use cases, who asks, and what they may see."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from http import HTTPStatus

from mlflow_mother.errors import RegistryError
from mlflow_mother.registry.connection import NotFoundError
from mlflow_mother.registry.held import Held, held_versions
from mlflow_mother.registry.versions import RegisteredModel, RegisteredVersion, get_model, get_version, is_prompt
from mlflow_mother.server.access import Access
from mlflow_mother.server.api.errors import ApiError, bad_request, forbidden, missing
from mlflow_mother.service import Service
from mlflow_mother.service.view import View
from mlflow_mother.types import ModelVersionRef


class Caller:
    """Whoever makes the current request.

    Args:
        service: The use cases for the request's workspace.
        access: What users may see and do.
    """

    def __init__(self, service: Service, access: Access) -> None:
        self.service = service
        self.access = access
        self._models: dict[str, RegisteredModel | None] = {}
        self._gone: set[str] = set()

    @cached_property
    def view(self) -> View:
        """The registry as this user may see it.

        MLflow forgets what was said about a model as soon as it is deleted or renamed, and Mother holds its versions
        for some time yet. So who does not see everything sees only what the registry holds now.
        """
        if self._sees_all:
            return self.service.forests.view(self.may_read if self._gone else None)
        # In this order: MLflow deletes a model first, and its permissions then.
        readable, held = self._readable, self._held
        return self.service.forests.view(lambda name: name not in self._gone and readable(name), held)

    def leave_out_deleted(self, names: Iterable[str]) -> bool:
        """Hides those registered models from the view that the registry has deleted; whether there were any."""
        gone = {name for name in names if self.find_model(name) is None}
        if gone:
            self._gone |= gone
            self.__dict__.pop("view", None)
        return bool(gone)

    def ref(self, name: str, version: str) -> ModelVersionRef:
        """A version of the request's registry."""
        return self.service.registry.ref(name, version)

    def parse(self, node_id: str) -> ModelVersionRef:
        """The version behind a node id.

        Raises:
            ApiError: It is of another form.
        """
        name, slash, version = node_id.removeprefix("models:/").rpartition("/")
        if not node_id.startswith("models:/") or not slash or not name or not _is_number(version):
            raise bad_request("Name a model version as models:/name/version.")
        return self.ref(name, version)

    def may_read(self, name: str) -> bool:
        """Whether the user may see a registered model."""
        return name not in self._gone and (self._sees_all or self._readable(name))

    @cached_property
    def _sees_all(self) -> bool:
        return self.access.sees_all()

    @cached_property
    def _readable(self) -> Callable[[str], bool]:
        return self.access.readable()

    @cached_property
    def _held(self) -> Held:
        return held_versions(self.service.registry)

    def may_update(self, name: str) -> bool:
        """Whether the user may change a registered model."""
        return self.may_read(name) and self.access.may_update(name)

    def model(self, name: str) -> RegisteredModel:
        """A registered model that the user may see.

        Raises:
            ApiError: There is none.
        """
        found = self.find_model(name) if self.may_read(name) else None
        if found is None:
            raise missing(self.access)
        return found

    def find_model(self, name: str) -> RegisteredModel | None:
        """A registered model as the registry has it; None when it has none of that name, or a prompt."""
        if name not in self._models:
            found = self._looked_up(name)
            self._models[name] = None if found is None or is_prompt(found.tags) else found
        return self._models[name]

    def _looked_up(self, name: str) -> RegisteredModel | None:
        if "\x00" in name:  # PostgreSQL does not take it
            return None
        try:
            return get_model(self.service.registry, name)
        except NotFoundError:
            return None
        except RegistryError as error:
            # MLflow does not look for names that it would not take.
            if getattr(error.__cause__, "error_code", None) == "INVALID_PARAMETER_VALUE":
                return None
            raise

    def version(self, name: str, version: str) -> RegisteredVersion:
        """A version that the user may see.

        Raises:
            ApiError: There is none.
        """
        self.model(name)
        try:
            return get_version(self.service.registry, self.ref(name, version), with_model=True)
        except NotFoundError:
            raise ApiError(HTTPStatus.NOT_FOUND, "This registered model has no such version.") from None

    def updatable_version(self, name: str, version: str) -> RegisteredVersion:
        """A version that the user may change.

        Raises:
            ApiError: There is none, or they may not.
        """
        found = self.version(name, version)
        if not self.may_update(name):
            raise forbidden()
        return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and not text.startswith("0") and len(text) <= 18
