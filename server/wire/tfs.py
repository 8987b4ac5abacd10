"""TensorFlow Serving's PredictionService: async functions of (message, call) that return a message.

Its clients meet the same models, rules and queue as those of the Open Inference Protocol; only the words
differ.
"""

from collections.abc import Callable
from typing import Any

from ensemble.errors import InvalidRequestError, NotOfferedError, OverloadedError
from ensemble.member import Rows

from . import tfs_codec as codec
from .call import Call
from .messages import message_class
from .method import Method
from .oip_outputs import OF_MEMBERS
from .serving import Answer, ModelInfo, Models
from .status import TFS_QUEUE_FULL
from .tfs_examples import decode_examples
from .tfs_lookup import LabelsOf, find

SERVICE = "tensorflow.serving.PredictionService"
SIGNATURE_DEF = "signature_def"
CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"


class Tfs:
    """The methods of `tensorflow.serving.PredictionService` over `models`, found by version or label."""

    def __init__(
        self, models: Models, labels: LabelsOf, *, tensor_content: bool = False, allow_nan: bool = False
    ) -> None:
        self._models = models
        self._labels = labels
        self._tensor_content = tensor_content
        self._allow_nan = allow_nan

    def methods(self) -> list[Method]:
        """List the methods, for a transport to bind."""
        functions = {
            "Classify": ("Classification", self.classify),
            "Regress": ("Regression", self.regress),
            "Predict": ("Predict", self.predict),
            "MultiInference": ("MultiInference", self.multi_inference),
            "GetModelMetadata": ("GetModelMetadata", self.get_model_metadata),
        }
        return [
            Method(
                *(SERVICE, name, _class(f"{message}Request"), _class(f"{message}Response"), function),
                scores=name != "GetModelMetadata",
            )
            for name, (message, function) in functions.items()
        ]

    async def predict(self, request: Any, call: Call) -> Any:
        """Score rows that come as tensors."""
        info = self._find(request, call)
        outputs = codec.requested_outputs(request.output_filter, info)

        def decode(found: ModelInfo) -> Rows:
            return codec.decode_inputs(request.inputs, found, allow_nan=self._allow_nan)

        members = not OF_MEMBERS.isdisjoint(request.output_filter)
        answer = await self._score(info, decode, call, members=members)
        return _class("PredictResponse")(
            model_spec=codec.model_spec(info, answer.version),
            outputs=codec.encode_outputs(answer, outputs, as_content=self._tensor_content),
        )

    async def classify(self, request: Any, call: Call) -> Any:
        """Give every class of each tf.Example its score, in the classes' order."""
        info = self._find(request, call)
        answer = await self._score_examples(info, request.input, call)
        return _class("ClassificationResponse")(
            model_spec=codec.model_spec(info, answer.version), result=_classifications(info, answer)
        )

    async def regress(self, request: Any, call: Call) -> Any:
        """Give the one score of each tf.Example; NotOfferedError for a model that has several."""
        info = self._find(request, call)
        _check_regresses(info)
        answer = await self._score_examples(info, request.input, call)
        return _class("RegressionResponse")(
            model_spec=codec.model_spec(info, answer.version), result=_regressions(answer)
        )

    async def multi_inference(self, request: Any, call: Call) -> Any:
        """Score the rows once, and answer each task from the scores."""
        _check_tasks(request.tasks)
        info = self._find(request.tasks[0], call)
        for task in request.tasks:
            if task.method_name == REGRESS_METHOD:
                _check_regresses(info)
        answer = await self._score_examples(info, request.input, call)
        response = _class("MultiInferenceResponse")()
        for task in request.tasks:
            result = response.results.add(model_spec=codec.model_spec(info, answer.version))
            if task.method_name == REGRESS_METHOD:
                result.regression_result.CopyFrom(_regressions(answer))
            else:
                result.classification_result.CopyFrom(_classifications(info, answer))
        return response

    async def get_model_metadata(self, request: Any, call: Call) -> Any:
        """Say what a model takes and gives."""
        if not request.metadata_field:
            raise InvalidRequestError("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise InvalidRequestError(f"Metadata field {field} is not supported")
        info = find(self._models, request, self._labels)
        call.answered_by(info.name, info.version)
        response = _class("GetModelMetadataResponse")(
            model_spec={"name": info.name, "version": {"value": info.version}}
        )
        response.metadata[SIGNATURE_DEF].Pack(codec.signature_map(info))
        return response

    def _find(self, request: Any, call: Call) -> ModelInfo:
        info = find(self._models, request, self._labels)
        call.answered_by(info.name, info.version)
        codec.check_signature(request.model_spec.signature_name)
        return info

    async def _score_examples(self, info: ModelInfo, examples: Any, call: Call) -> Answer:
        def decode(found: ModelInfo) -> Rows:
            return decode_examples(examples, found, allow_nan=self._allow_nan)

        return await self._score(info, decode, call)

    async def _score(
        self, info: ModelInfo, decode: Callable[[ModelInfo], Rows], call: Call, *, members: bool = False
    ) -> Answer:
        try:
            # Nothing was awaited since `info` was found, so its version is there still.
            return await self._models.infer(
                info.name, str(info.version), decode, call.deadline, members=members
            )
        except OverloadedError as error:
            raise OverloadedError(f"{TFS_QUEUE_FULL}; {error}") from error


def _check_tasks(tasks: Any) -> None:
    if not tasks:
        raise InvalidRequestError("Missing ModelSpec")
    seen: set[tuple[str, str]] = set()
    for task in tasks:
        if task.model_spec.name != tasks[0].model_spec.name:
            raise InvalidRequestError(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        codec.check_signature(task.model_spec.signature_name)
        if task.method_name not in (CLASSIFY_METHOD, REGRESS_METHOD):
            raise NotOfferedError(f"Unsupported signature method_name: {task.method_name}")
        key = (task.model_spec.signature_name or codec.SIGNATURE, task.method_name)
        if key in seen:
            raise InvalidRequestError(f"Duplicate evaluation of signature: {key[0]}")
        seen.add(key)


def _check_regresses(info: ModelInfo) -> None:
    if len(info.classes) > 1:
        raise NotOfferedError(
            f"model '{info.name}' scores {len(info.classes)} classes, so Regress has no one value to answer "
            "with; use Classify or Predict"
        )


def _classifications(info: ModelInfo, answer: Answer) -> Any:
    return _class("ClassificationResult")(
        classifications=[
            {
                "classes": [
                    {"label": label, "score": score} for label, score in zip(info.classes, row, strict=True)
                ]
            }
            for row in answer.scores.tolist()
        ]
    )


def _regressions(answer: Answer) -> Any:
    return _class("RegressionResult")(regressions=[{"value": row[0]} for row in answer.scores.tolist()])


def _class(name: str) -> Any:
    return message_class(f"tensorflow.serving.{name}")
