"""TensorFlow Serving's ModelService: which versions are served, and which ensembles should be.

As with Triton's load and unload, clients choose among what is published; they never send a model or a path.
"""

from collections.abc import Sequence
from typing import Any

from ensemble.errors import InvalidRequestError, ModelNotFoundError, UnavailableError
from server.lifecycle.repository import LOADING, READY, IndexEntry

from .call import Call
from .messages import message_class
from .method import Method
from .oip_management import NO_CONTROL
from .serving import Repository
from .tfs_lookup import LabelsOf, check_spec, wanted_version

SERVICE = "tensorflow.serving.ModelService"
STATES = {READY: "AVAILABLE", LOADING: "LOADING"}  # All else is over: END.
UNLOADED = "unloaded"  # on purpose, so no error


class TfsModels:
    """The methods of `tensorflow.serving.ModelService` over the `repository`."""

    def __init__(self, repository: Repository, labels: LabelsOf, *, model_control: bool = False) -> None:
        self._repository = repository
        self._labels = labels
        self._model_control = model_control

    def methods(self) -> list[Method]:
        """List the methods, for a transport to bind."""
        return [
            Method(
                *(SERVICE, "GetModelStatus"),
                *(_class("GetModelStatusRequest"), _class("GetModelStatusResponse")),
                self.get_model_status,
            ),
            Method(
                *(SERVICE, "HandleReloadConfigRequest"),
                *(_class("ReloadConfigRequest"), _class("ReloadConfigResponse")),
                self.reload_config,
            ),
        ]

    async def get_model_status(self, request: Any, _call: Call) -> Any:
        """List the versions of one model that are served, being loaded, or could not be."""
        spec = check_spec(request)
        version = wanted_version(spec, self._labels)
        entries = [
            entry
            for entry in await self._repository.index()
            if entry.name == spec.name and version in (None, entry.version)
        ]
        if not entries:
            which = "any versions" if version is None else f"version {version}"
            raise ModelNotFoundError(f"Could not find {which} of model {spec.name}")
        return _class("GetModelStatusResponse")(model_version_status=[_status(entry) for entry in entries])

    async def reload_config(self, request: Any, _call: Call) -> Any:
        """Serve exactly the ensembles listed: load those that aren't served, then unload the others.

        An error leaves what was served served; ensembles that were loaded before it stay too.
        """
        if not self._model_control:
            raise UnavailableError(NO_CONTROL)
        names = _listed(request.config)
        entries = [entry for entry in await self._repository.index() if "." not in entry.name]
        _check_published(names, {entry.name for entry in entries})
        for name in names:
            await self._repository.load(name)
        for name in sorted({entry.name for entry in entries if entry.reason != UNLOADED} - set(names)):
            await self._repository.unload(name)
        return _class("ReloadConfigResponse")(status={"error_code": "OK"})


def _listed(config: Any) -> list[str]:
    """Read the names of the ensembles to serve; InvalidRequestError if the config says anything else."""
    if config.WhichOneof("config") != "model_config_list":
        raise InvalidRequestError(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is "
            "currently supported"
        )
    names: list[str] = []
    for model in config.model_config_list.config:
        if model.name in names:
            raise InvalidRequestError(f"Illegal to list model {model.name} multiple times in config list")
        _check_only_named(model)
        names.append(model.name)
    return names


def _check_only_named(model: Any) -> None:
    """Refuse what we would have to leave undone: where models come from, and which versions, labels say."""
    # Nobody would see that it meant nothing.
    said = [field.name for field, _ in model.ListFields() if field.name not in ("name", "model_platform")]
    policy = model.model_version_policy
    if policy.WhichOneof("policy_choice") == "latest" and policy.latest.num_versions <= 1:
        said.remove("model_version_policy")
    if said:
        raise InvalidRequestError(
            f"model '{model.name}' has {', '.join(said)} in its config, but only its name is taken from the "
            "wire: models come by `unisono publish`, labels by `unisono label`; leave the rest out"
        )


def _check_published(names: Sequence[str], published: set[str]) -> None:
    for name in names:
        if name not in published:
            raise ModelNotFoundError(f"model '{name}' isn't published; published are {sorted(published)}")


def _status(entry: IndexEntry) -> dict[str, Any]:
    failed = entry.state not in STATES and entry.reason != UNLOADED
    return {
        "version": entry.version,
        "state": STATES.get(entry.state, "END"),
        "status": {"error_code": "UNKNOWN", "error_message": entry.reason}
        if failed
        else {"error_code": "OK"},
    }


def _class(name: str) -> Any:
    return message_class(f"tensorflow.serving.{name}")
