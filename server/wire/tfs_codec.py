"""TensorFlow Serving's requests -> rows, and scores -> its answers: `Predict` and what describes a model.

The rules are those of `oip_codec`; the texts begin as TensorFlow Serving's do, which is how its clients know
them.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from numpy.typing import NDArray

from ensemble.errors import InvalidRequestError
from ensemble.member import Rows
from ensemble.signature import ANY_SIZE, TensorSpec

from . import tensors, tfs_tensors
from .messages import message_class
from .oip_outputs import OPTIONAL, Wanted, scores
from .serving import Answer, ModelInfo, UnknownSignatureError

SIGNATURE = "serving_default"
PREDICT_METHOD = "tensorflow/serving/predict"
SCORES_DTYPE = "float32"


def check_signature(name: str) -> None:
    """Refuse a signature that isn't the one there is; UnknownSignatureError."""
    if name not in ("", SIGNATURE):
        raise UnknownSignatureError(
            f'Serving signature key "{name}" not found. The one there is is "{SIGNATURE}"'
        )


def decode_inputs(inputs: Mapping[str, Any], info: ModelInfo, *, allow_nan: bool = False) -> Rows:
    """Read the rows of a PredictRequest's inputs, in the signature's order. Raises InvalidRequestError."""
    _check_names(inputs, info)
    specs = info.signature.inputs
    for spec in specs:
        _check_dtype(inputs[spec.name], spec, info)
        _check_shape(inputs[spec.name], spec, info)
    check_row_counts([tfs_tensors.shape_of(inputs[spec.name])[0] for spec in specs], info)
    rows = {spec.name: _values(inputs[spec.name], spec) for spec in specs}
    if not allow_nan:
        check_nan(rows, info)
    return rows


def check_row_counts(counts: Sequence[int], info: ModelInfo) -> None:
    """Refuse inputs of no rows, of too many, and of not the same number."""
    if min(counts) == 0:
        raise InvalidRequestError(f"a request to model '{info.name}' has no rows; send at least one")
    if len(set(counts)) > 1:
        raise InvalidRequestError(
            f"Batching session Run() input tensors must have equal 0th-dimension size, but got {counts} for "
            f"model '{info.name}'"
        )
    if info.max_batch_size and counts[0] > info.max_batch_size:
        raise InvalidRequestError(
            f"Task size {counts[0]} is larger than maximum input batch size {info.max_batch_size}"
        )


def check_nan(rows: Rows, info: ModelInfo) -> None:
    """Refuse rows with NaN in them."""
    for name, array in rows.items():
        row = tensors.row_with_nan(array)
        if row is not None:
            raise InvalidRequestError(
                f"input '{name}' for model '{info.name}' has NaN in row {row}; "
                "leave the row out, or fill the value in"
            )


def requested_outputs(output_filter: Sequence[str], info: ModelInfo) -> tuple[Wanted, ...]:
    """List the outputs to answer with: those asked for, or the model's own. Raises InvalidRequestError."""
    own = [spec.name for spec in info.signature.outputs]
    for at, name in enumerate(output_filter):
        if name not in own and name not in OPTIONAL:
            raise InvalidRequestError(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{','.join((*own, *OPTIONAL))}}}."
            )
        if name in output_filter[:at]:
            raise InvalidRequestError(f"duplicate output tensor alias: {name}")
    return tuple(
        Wanted(name, info, scores if name in own else OPTIONAL[name]) for name in output_filter or own
    )


def encode_outputs(answer: Answer, outputs: Sequence[Wanted], *, as_content: bool) -> dict[str, Any]:
    """Give each output as a TensorProto, typed or as `tensor_content`."""
    write = partial(tfs_tensors.to_proto, as_content=as_content)
    return {output.name: write(output.values(answer, output.info)) for output in outputs}


def model_spec(info: ModelInfo, version: int) -> Any:
    """Say which model, version and signature answered."""
    return message_class("tensorflow.serving.ModelSpec")(
        name=info.name, version={"value": version}, signature_name=SIGNATURE
    )


def signature_map(info: ModelInfo) -> Any:
    """Describe what a model takes and gives, as a SignatureDefMap."""
    described = message_class("tensorflow.serving.SignatureDefMap")()
    signature = described.signature_def[SIGNATURE]
    signature.method_name = PREDICT_METHOD
    for specs, there in (
        (info.signature.inputs, signature.inputs),
        (info.signature.outputs, signature.outputs),
    ):
        for spec in specs:
            there[spec.name].CopyFrom(_tensor_info(spec))
    return described


def _tensor_info(spec: TensorSpec) -> Any:
    return message_class("tensorflow.TensorInfo")(
        name=f"{spec.name}:0",
        dtype=tfs_tensors.BY_DTYPE[spec.dtype].number,
        tensor_shape={"dim": [{"size": size} for size in (ANY_SIZE, *spec.shape)]},
    )


def _check_names(inputs: Mapping[str, Any], info: ModelInfo) -> None:
    got, wanted = sorted(inputs), sorted(spec.name for spec in info.signature.inputs)
    if len(got) != len(wanted):
        extra = [name for name in got if name not in wanted]
        missing = [name for name in wanted if name not in got]
        raise InvalidRequestError(
            f"input size does not match signature: {len(got)}!={len(wanted)} len({{{','.join(got)}}}) != "
            f"len({{{','.join(wanted)}}}). Sent extra: {{{','.join(extra)}}}. Missing but required: "
            f"{{{','.join(missing)}}}."
        )
    for name in got:
        if name not in wanted:
            raise InvalidRequestError(
                f"input tensor alias not found in signature: {name}. Inputs expected to be in the set "
                f"{{{','.join(wanted)}}}."
            )


def _check_dtype(proto: Any, spec: TensorSpec, info: ModelInfo) -> None:
    if not tfs_tensors.takes(proto, spec.dtype):
        raise InvalidRequestError(
            f"input '{spec.name}' is {tfs_tensors.type_name(proto.dtype)}, but model '{info.name}' expects "
            f"{tfs_tensors.BY_DTYPE[spec.dtype].name}"
        )


def _check_shape(proto: Any, spec: TensorSpec, info: ModelInfo) -> None:
    shape = tfs_tensors.shape_of(proto)
    known = not proto.tensor_shape.unknown_rank and tensors.countable(shape, tensors.BY_DTYPE[spec.dtype])
    if not (known and spec.fits(shape)):
        expected = ",".join(map(str, (ANY_SIZE, *spec.shape)))
        raise InvalidRequestError(
            f"input '{spec.name}' for model '{info.name}' must have the shape [{expected}], but got "
            f"[{','.join(map(str, shape))}]; the first size counts rows"
        )


def _values(proto: Any, spec: TensorSpec) -> NDArray[Any]:
    try:
        return tfs_tensors.from_proto(proto, spec.dtype)
    except ValueError as error:
        raise InvalidRequestError(f"tensor parsing error: {spec.name}: {error}") from error
