"""The Open Inference Protocol over HTTP, with Triton's additions: which path asks which method."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ensemble.errors import InvalidRequestError, NotOfferedError
from server.wire.call import Call
from server.wire.messages import message_class
from server.wire.method import Method

from .inference import checked, read_inference
from .plain import INT64, UNREADABLE, is_whole, plain, take
from .resource import Asked, Door, Reply, Resource, Write, error_reply, json_reply

SERVICE = "inference.GRPCInferenceService"
MODEL = "/v2/models/{model}"
VERSION = MODEL + "/versions/{version}"
REPOSITORY = ("/v2/repository", "/v2/repository/{repository}")
SHARED_MEMORY = ("/v2/systemsharedmemory/{rest:path}", "/v2/cudasharedmemory/{rest:path}")
# What a probe is told when the answer is no: a client knows it by not being 200.
NO = 400


def resources(methods: Sequence[Method]) -> list[Resource]:
    """Find a path for each of the protocol's methods."""
    known = {method.name: method for method in methods if method.service == SERVICE}
    return [
        *_about_server(known),
        *_about_models(known),
        *_repository(known),
        *_settings(known),
        *(
            Resource(verb, path, NO_SHARED_MEMORY, lambda _: (None, written))
            for path in SHARED_MEMORY
            for verb in ("GET", "POST")
        ),
    ]


def _about_server(known: Mapping[str, Method]) -> list[Resource]:
    live, ready, metadata = known["ServerLive"], known["ServerReady"], known["ServerMetadata"]
    return [
        Resource("GET", "/v2/health/live", live, _asking(live, write=_yes("live")), Door.PROBE),
        Resource("GET", "/v2/health/ready", ready, _asking(ready, write=_yes("ready")), Door.PROBE),
        *(Resource("GET", path, metadata, _asking(metadata)) for path in ("/v2", "/v2/")),
    ]


def _about_models(known: Mapping[str, Method]) -> list[Resource]:
    metadata, ready, config = known["ModelMetadata"], known["ModelReady"], known["ModelConfig"]
    statistics, infer = known["ModelStatistics"], known["ModelInfer"]
    of_all = Resource("GET", "/v2/models/stats", statistics, _asking(statistics))
    return [
        # Before the others, for which "stats" is a model's name like any.
        of_all,
        *(
            resource
            for path in (MODEL, VERSION)
            for resource in (
                Resource("GET", path, metadata, _asking(metadata)),
                Resource("GET", path + "/ready", ready, _asking(ready, write=_yes("ready"))),
                Resource("GET", path + "/config", config, _asking(config, write=_config)),
                Resource("GET", path + "/stats", statistics, _asking(statistics)),
                Resource("POST", path + "/infer", infer, read_inference),
            )
        ),
    ]


def _repository(known: Mapping[str, Method]) -> list[Resource]:
    index, load, unload = (
        known[name] for name in ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload")
    )
    return [
        resource
        for path in REPOSITORY
        for resource in (
            Resource("POST", path + "/index", index, _read_index),
            Resource("POST", path + "/models/{model}/load", load, _read_control(load)),
            Resource("POST", path + "/models/{model}/unload", unload, _read_control(unload)),
        )
    ]


def _settings(known: Mapping[str, Method]) -> list[Resource]:
    trace, log = known["TraceSetting"], known["LogSettings"]
    return [
        Resource(verb, path, method, read)
        for paths, method, read in (
            (("/v2/trace/setting", MODEL + "/trace/setting"), trace, _read_trace),
            (("/v2/logging",), log, _read_log),
        )
        for path in paths
        for verb in ("GET", "POST")
    ]


def written(response: Any) -> Reply:
    """Write a response as it is."""
    return json_reply(plain(response))


def _asking(method: Method, *, write: Write = written) -> Callable[[Asked], tuple[Any, Write]]:
    """Make a `read` for a method that is told a model and a version at most."""

    def read(asked: Asked) -> tuple[Any, Write]:
        fields = {"name": asked.path.get("model"), "version": asked.path.get("version")}
        return method.request(**{name: value for name, value in fields.items() if value is not None}), write

    return read


def _yes(field: str) -> Write:
    """Answer with nothing but the status."""

    def write(response: Any) -> Reply:
        return Reply(b"") if getattr(response, field) else error_reply("not ready", NO)

    return write


def _config(response: Any) -> Reply:
    return json_reply(plain(response.config))


def _document(asked: Asked) -> Mapping[str, Any]:
    return checked(asked.body, asked) if asked.body else {}


def _read_index(asked: Asked) -> tuple[Any, Write]:
    request = message_class("inference.RepositoryIndexRequest")(
        repository_name=asked.path.get("repository", ""), ready=take(_document(asked), "ready", False)
    )
    return request, lambda response: json_reply(plain(response)["models"])


def _read_control(method: Method) -> Callable[[Asked], tuple[Any, Write]]:
    def read(asked: Asked) -> tuple[Any, Write]:
        request = method.request(
            repository_name=asked.path.get("repository", ""), model_name=asked.path["model"]
        )
        parameters = take(_document(asked), "parameters", dict[str, Any]())
        for key, value in parameters.items():
            kinds = {bool: "bool_param", str: "string_param", int: "int64_param"}
            field = kinds.get(type(value))
            if field is None or (field == "int64_param" and not is_whole(value, most=INT64)):
                raise InvalidRequestError(f"{UNREADABLE}: parameter '{key}' can't be {value!r:.40}")
            setattr(request.parameters[key], field, value)
        return request, lambda _: Reply(b"")

    return read


def _read_trace(asked: Asked) -> tuple[Any, Write]:
    request = message_class("inference.TraceSettingRequest")(model_name=asked.path.get("model", ""))
    for key, value in _document(asked).items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        request.settings[key].value.extend(map(str, values))
    return request, lambda response: json_reply(
        {key: list(setting.value) for key, setting in sorted(response.settings.items())}
    )


def _read_log(asked: Asked) -> tuple[Any, Write]:
    request = message_class("inference.LogSettingsRequest")()
    for key, value in _document(asked).items():
        request.settings[key].string_param = str(value)
    return request, lambda response: json_reply(
        {
            key: getattr(setting, setting.WhichOneof("parameter_choice"))
            for key, setting in sorted(response.settings.items())
        }
    )


async def _refuse_shared_memory(_request: Any, _call: Call) -> Any:
    raise NotOfferedError("shared memory is not offered: send tensors after the JSON, or in it")


NO_SHARED_MEMORY = Method(SERVICE, "SharedMemory", type(None), type(None), _refuse_shared_memory)
