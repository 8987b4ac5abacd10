"""The Open Inference Protocol's methods beside inference: figures, the repository, settings.

The repository is the model store: models come into it by `unisono publish` only. Clients may say which
of the published ensembles are served, where that is allowed; they never send a model or a path.
"""

import logging
from collections.abc import Mapping
from typing import Any

from ensemble.errors import InvalidRequestError, ModelNotFoundError, NotOfferedError, UnavailableError
from server.telemetry.statistics import Statistics

from .call import Call
from .messages import message_class
from .method import Method
from .oip import SERVICE
from .oip_statistics import model_statistics
from .serving import Models, Repository

LOGGER = "unisono"
LOG_LEVELS = {"log_info": logging.INFO, "log_warning": logging.WARNING, "log_error": logging.ERROR}
NO_CONTROL = (
    "explicit model load / unload is not allowed on this server; "
    "start it with --enable-model-control to allow it"
)


class OipManagement:
    """The methods over `models` and the `repository` that they come from."""

    def __init__(
        self, models: Models, statistics: Statistics, repository: Repository, *, model_control: bool = False
    ) -> None:
        self._models = models
        self._statistics = statistics
        self._repository = repository
        self._model_control = model_control

    def methods(self) -> list[Method]:
        """List the methods, for a transport to bind."""
        functions = {
            "ModelStatistics": self.model_statistics,
            "RepositoryIndex": self.repository_index,
            "RepositoryModelLoad": self.load,
            "RepositoryModelUnload": self.unload,
            "TraceSetting": self.trace_setting,
            "LogSettings": self.log_settings,
        }
        return [
            Method(SERVICE, name, _class(f"{name}Request"), _class(f"{name}Response"), function)
            for name, function in functions.items()
        ]

    async def model_statistics(self, request: Any, _call: Call) -> Any:
        """Give the figures of one model, or of all that are served."""
        names = [request.name] if request.name else self._models.names()
        try:
            infos = [self._models.find(name, request.version if request.name else "") for name in names]
        except (ModelNotFoundError, UnavailableError) as error:
            version = f" version {request.version}" if request.version else ""
            raise InvalidRequestError(
                f"requested model '{request.name}'{version} is not available"
            ) from error
        return _class("ModelStatisticsResponse")(
            model_stats=[
                model_statistics(info.name, info.version, self._statistics.of(info.name, info.version))
                for info in infos
            ]
        )

    async def repository_index(self, request: Any, _call: Call) -> Any:
        """List what is published, and what of it is served."""
        _refuse_name(request.repository_name)
        entries = await self._repository.index()
        return _class("RepositoryIndexResponse")(
            models=[
                {
                    "name": entry.name,
                    "version": str(entry.version),
                    "state": entry.state,
                    "reason": entry.reason,
                }
                for entry in entries
                if entry.state == "READY" or not request.ready
            ]
        )

    async def load(self, request: Any, _call: Call) -> Any:
        """Serve the current version of a published ensemble."""
        self._check_control(request)
        if request.parameters:
            raise InvalidRequestError(
                f"failed to load '{request.model_name}', models and configs are not taken from the wire, but "
                f"got parameters {sorted(request.parameters)}; publish with `unisono publish`"
            )
        await self._repository.load(request.model_name)
        return _class("RepositoryModelLoadResponse")()

    async def unload(self, request: Any, _call: Call) -> Any:
        """Serve an ensemble no more; what runs goes on to its end. It stays published.

        The one parameter that clients send, `unload_dependents`, changes nothing: members go with their
        ensemble always.
        """
        self._check_control(request)
        await self._repository.unload(request.model_name)
        return _class("RepositoryModelUnloadResponse")()

    async def trace_setting(self, request: Any, _call: Call) -> Any:
        """Say that nothing is traced."""
        if request.model_name:
            self._models.find(request.model_name, "")
        _refuse_change("trace", request.settings)
        return _class("TraceSettingResponse")(settings={"trace_level": {"value": ["OFF"]}})

    async def log_settings(self, request: Any, _call: Call) -> Any:
        """Say what is logged."""
        _refuse_change("log", request.settings)
        logger = logging.getLogger(LOGGER)
        response = _class("LogSettingsResponse")()
        for name, level in LOG_LEVELS.items():
            response.settings[name].bool_param = logger.isEnabledFor(level)
        response.settings["log_verbose_level"].uint32_param = int(logger.isEnabledFor(logging.DEBUG))
        return response

    def _check_control(self, request: Any) -> None:
        if not self._model_control:
            raise UnavailableError(NO_CONTROL)
        _refuse_name(request.repository_name)
        if "." in request.model_name:
            raise InvalidRequestError(
                f"'{request.model_name}' is a member: it comes and goes with its ensemble; name the ensemble"
            )


def _refuse_name(repository: str) -> None:
    if repository:
        raise NotOfferedError("'repository_name' specification is not supported")


def _refuse_change(kind: str, settings: Mapping[str, Any]) -> None:
    if settings:
        raise NotOfferedError(
            f"{kind} settings can't be changed over the wire, but got {sorted(settings)}; "
            "see the flags of `unisono serve`"
        )


def _class(name: str) -> Any:
    return message_class(f"inference.{name}")
