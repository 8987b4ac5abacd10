"""The Open Inference Protocol's methods: async functions of (message, call) that return a message.

They raise the errors of `ensemble.errors`; what those look like is `status`'s affair.
"""

import asyncio
from importlib import metadata
from typing import Any

from ensemble.errors import DeadlineError, UnavailableError
from ensemble.member import Rows
from ensemble.signature import ANY_SIZE, TensorSpec

from .call import Call
from .known_requests import KnownRequests
from .messages import message_class
from .method import Method
from .oip_codec import Subject, decode_request
from .oip_config import model_config
from .oip_outputs import Wanted, encode_response, requested_outputs, wants_members
from .serving import ModelInfo, Models
from .tensors import BY_DTYPE

SERVICE = "inference.GRPCInferenceService"
# Only what works.
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "statistics",
)
SCORES_DATATYPE = "FP32"
# How long a request may wait to be run: a parameter of the request, in microseconds.
TIMEOUT = "timeout"
MICROSECONDS = 1e-6
# Says of an answer on a stream that it is the last one to its request.
FINAL = "triton_final_response"


class Oip:
    """The methods of `inference.GRPCInferenceService` over `models`."""

    def __init__(self, models: Models, *, allow_nan: bool = False) -> None:
        self._models = models
        self._allow_nan = allow_nan

    def methods(self) -> list[Method]:
        """List the methods, for a transport to bind."""
        functions = {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ModelReady": self.model_ready,
            "ServerMetadata": self.server_metadata,
            "ModelMetadata": self.model_metadata,
            "ModelInfer": self.model_infer,
            "ModelConfig": self.model_config,
        }
        stream = Method(
            *(SERVICE, "ModelStreamInfer", _class("ModelInferRequest"), _class("ModelStreamInferResponse")),
            self.model_stream_infer,
            refuse=stream_refusal,
            scores=True,
        )
        unary = [
            Method(
                *(SERVICE, name, _class(f"{name}Request"), _class(f"{name}Response"), function),
                scores=name == "ModelInfer",
                shortcut=KnownRequests(self._models)
                if name == "ModelInfer" and not self._allow_nan
                else None,
            )
            for name, function in functions.items()
        ]
        return [*unary, stream]

    async def server_live(self, _request: Any, _call: Call) -> Any:
        """Say that the process answers."""
        return _class("ServerLiveResponse")(live=True)

    async def server_ready(self, _request: Any, _call: Call) -> Any:
        """Say whether every model that should be served is."""
        return _class("ServerReadyResponse")(ready=self._models.ready())

    async def model_ready(self, request: Any, call: Call) -> Any:
        """Say whether one version is served; raise ModelNotFoundError if there is none such."""
        try:
            info = self._models.find(request.name, request.version)
        except UnavailableError:
            return _class("ModelReadyResponse")(ready=False)
        call.answered_by(info.name, info.version)
        return _class("ModelReadyResponse")(ready=True)

    async def server_metadata(self, _request: Any, _call: Call) -> Any:
        """Say what server this is."""
        return _class("ServerMetadataResponse")(
            name="unisono", version=installed_version(), extensions=EXTENSIONS
        )

    async def model_metadata(self, request: Any, call: Call) -> Any:
        """Say what one model takes and gives."""
        info = self._models.find(request.name, request.version)
        call.answered_by(info.name, info.version)
        return _class("ModelMetadataResponse")(
            name=info.name,
            versions=[str(version) for version in sorted(info.versions)],
            platform=info.platform,
            inputs=[_tensor(spec, BY_DTYPE[spec.dtype].datatype) for spec in info.signature.inputs],
            outputs=[_tensor(spec, SCORES_DATATYPE) for spec in info.signature.outputs],
        )

    async def model_config(self, request: Any, call: Call) -> Any:
        """Say how one model is put together."""
        info = self._models.find(request.name, request.version)
        call.answered_by(info.name, info.version)
        return _class("ModelConfigResponse")(config=model_config(info))

    async def model_infer(self, request: Any, call: Call) -> Any:
        """Score the request's rows and answer with the version that did."""
        outputs: tuple[Wanted, ...] = ()

        def decode(info: ModelInfo) -> Rows:
            nonlocal outputs
            call.answered_by(info.name, info.version)
            outputs = requested_outputs(request, info)
            return decode_request(request, info, allow_nan=self._allow_nan)

        deadline, patience = call.deadline, _patience(request)
        if patience is not None:
            deadline = min(deadline, asyncio.get_running_loop().time() + patience)
        try:
            answer = await self._models.infer(
                request.model_name, request.model_version, decode, deadline, members=wants_members(request)
            )
        except DeadlineError as error:
            if deadline < call.deadline:
                raise UnavailableError("Request timeout expired") from error
            raise
        return encode_response(request, answer, outputs)

    async def model_stream_infer(self, request: Any, call: Call) -> Any:
        """Score the rows of one request of a stream. Every request has one answer, which is its last."""
        response = await self.model_infer(request, call)
        response.parameters[FINAL].bool_param = True
        return _class("ModelStreamInferResponse")(infer_response=response)


def stream_refusal(request: Any, text: str) -> Any:
    """Answer a request of a stream that failed with `text`; None is one that could not be read."""
    response = _class("ModelStreamInferResponse")(error_message=text)
    if request is not None:
        response.infer_response.model_name = request.model_name
        response.infer_response.model_version = request.model_version
        response.infer_response.id = request.id
    response.infer_response.parameters[FINAL].bool_param = True
    return response


def installed_version() -> str:
    """Return unisono's version; "unknown" when it runs from a folder that isn't installed."""
    try:
        return metadata.version("unisono")
    except metadata.PackageNotFoundError:
        return "unknown"


def _patience(request: Any) -> float | None:
    """Read how many seconds the request may wait to be run; None if it doesn't say."""
    if TIMEOUT not in request.parameters:
        return None
    parameter = request.parameters[TIMEOUT]
    choice = parameter.WhichOneof("parameter_choice")
    if choice not in {"int64_param", "uint64_param"} or getattr(parameter, choice) < 0:
        raise Subject(request.id, request.model_name).refuse(
            f"parameter '{TIMEOUT}' must be a whole number of microseconds, 0 or more"
        )
    # Zero is how clients say that they set none.
    return getattr(parameter, choice) * MICROSECONDS or None


def _tensor(spec: TensorSpec, datatype: str) -> Any:
    return _class("ModelMetadataResponse.TensorMetadata")(
        name=spec.name, datatype=datatype, shape=(ANY_SIZE, *spec.shape)
    )


def _class(name: str) -> Any:
    return message_class(f"inference.{name}")
