"""A model's configuration in Triton's words, for clients that ask how it is put together."""

from typing import Any

from ensemble.signature import TensorSpec

from .messages import message_class
from .serving import ModelInfo
from .tensors import BY_DTYPE

# The version of a step that means the current one.
CURRENT = -1


def model_config(info: ModelInfo) -> Any:
    """Describe `info`: an ensemble with its voters as steps, or a member."""
    config = message_class("inference.ModelConfig")(
        name=info.name,
        platform=info.platform,
        max_batch_size=info.max_batch_size,
        input=[_tensor(spec) for spec in info.signature.inputs],
        output=[_tensor(spec) for spec in info.signature.outputs],
        version_policy={"latest": {"num_versions": 1}},
        model_transaction_policy={"decoupled": False},
        response_cache={"enable": False},
    )
    if not info.steps:
        config.backend = info.backend
        config.dynamic_batching.SetInParent()
    for step in info.steps:
        inputs = {spec.name: spec.name for spec in step.signature.inputs}
        # What a step gives goes into the average; tensors of an ensemble need names of their own.
        outputs = {spec.name: f"{step.model}:{spec.name}" for spec in step.signature.outputs}
        config.ensemble_scheduling.step.add(
            model_name=step.model, model_version=CURRENT, input_map=inputs, output_map=outputs
        )
    return config


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "data_type": _data_type(spec.dtype), "dims": spec.shape}


def _data_type(dtype: str) -> str:
    datatype = BY_DTYPE[dtype].datatype
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
