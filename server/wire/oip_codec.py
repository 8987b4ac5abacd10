"""OIP requests -> rows; `oip_outputs` has the way back.

Rule 1: every check of a request against a model's signature is made in this file, and says what stock
clients know it by: the texts begin as Triton's do, after `[request id: ...] `.
Rule 2: nothing is cast, and nothing is allocated before the bytes are known to be as many as the
shape calls for. Arrays read the message's own bytes, and are read-only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, prod
from typing import Any

from numpy.typing import NDArray

from ensemble.errors import InvalidRequestError
from ensemble.member import Rows
from ensemble.signature import ANY_SIZE, TensorSpec

from . import tensors
from .messages import message_class
from .serving import ModelInfo

PACKED = frozenset({"fp32_contents", "fp64_contents"})
OWN_PARAMETERS = "triton_"
# Asks for an empty last answer in a stream; has no meaning elsewhere.
ALLOWED_PARAMETERS = frozenset({"triton_enable_empty_final_response"})


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose request to which model an error is about."""

    request_id: str
    model: str

    def refuse(self, text: str) -> InvalidRequestError:
        """Make the error that says `text` about this request."""
        return InvalidRequestError(f"[request id: {self.request_id or '<id_unknown>'}] {text}")


def decode_request(request: Any, info: ModelInfo, *, allow_nan: bool = False) -> Rows:
    """Read the rows of a ModelInferRequest, inputs in the signature's order.

    Raises InvalidRequestError if anything about it but its outputs doesn't fit `info`.
    """
    plain = plain_rows(request, info, allow_nan=allow_nan)
    if plain is not None:
        return plain
    subject = Subject(request.id, info.name)
    _check_parameters(request, subject)
    _check_names(request, info, subject)
    _check_batch_sizes(request, info, subject)
    raw = _raw_entries(request, subject)
    arrays = {
        tensor.name: _decode_input(tensor, entry, info, subject)
        for tensor, entry in zip(request.inputs, raw, strict=True)
    }
    if not allow_nan:
        _check_nan(arrays, subject)
    return {spec.name: arrays[spec.name] for spec in info.signature.inputs}


def plain_rows(request: Any, info: ModelInfo, *, allow_nan: bool) -> Rows | None:
    """Read what most requests are: raw numbers for each input, in order; None for any other request.

    Takes nothing that the checks below would refuse, and says nothing about what it doesn't take: they do.
    """
    specs, raw = info.signature.inputs, request.raw_input_contents
    if request.parameters or not len(request.inputs) == len(raw) == len(specs):
        return None
    rows: dict[str, NDArray[Any]] = {}
    count = None
    for tensor, spec, data in zip(request.inputs, specs, raw, strict=True):
        wire, shape = tensors.BY_DTYPE[spec.dtype], tuple(tensor.shape)
        if tensor.name != spec.name or tensor.datatype != wire.datatype or shape[1:] != spec.shape:
            return None
        # No shape at all has the right tail too, where a row is one number.
        if not shape:
            return None
        count = shape[0] if count is None else count
        if not 0 < shape[0] == count <= (info.max_batch_size or shape[0]):
            return None
        array = _numbers(tensor, data, wire, shape)
        # The least of numbers is NaN if any is.
        if array is None or (not allow_nan and array.dtype.kind == "f" and isnan(array.min())):
            return None
        rows[spec.name] = array
    return rows


def _numbers(tensor: Any, data: bytes, wire: tensors.WireType, shape: tuple[int, ...]) -> NDArray[Any] | None:
    plain = wire.item_bytes and wire.dtype != "bool"
    if not plain or tensor.parameters or tensor.HasField("contents"):
        return None
    size = prod(shape)
    return tensors.from_raw(data, wire, shape) if size and len(data) == size * wire.item_bytes else None


def _check_parameters(request: Any, subject: Subject) -> None:
    for key in request.parameters:
        if key.startswith(OWN_PARAMETERS) and key not in ALLOWED_PARAMETERS:
            raise subject.refuse(
                f"parameter keys starting with '{OWN_PARAMETERS}' are reserved, but got '{key}'; rename it"
            )


def _check_names(request: Any, info: ModelInfo, subject: Subject) -> None:
    got = [tensor.name for tensor in request.inputs]
    wanted = [spec.name for spec in info.signature.inputs]
    for at, name in enumerate(got):
        if name in got[:at]:
            raise subject.refuse(f"input '{name}' already exists in request")
    if len(got) < len(wanted):
        missing = [name for name in wanted if name not in got]
        raise subject.refuse(
            f"expected {len(wanted)} inputs but got {len(got)} inputs for model '{info.name}'. Got input(s) "
            f"[{_quoted(got)}], but missing required input(s) [{_quoted(missing)}]. "
            "Please provide all required input(s)."
        )
    for name in got:
        if name not in wanted:
            raise subject.refuse(f"unexpected inference input '{name}' for model '{info.name}'")


def _check_batch_sizes(request: Any, info: ModelInfo, subject: Subject) -> None:
    rows = None
    for tensor in request.inputs:
        spec = _spec(info, tensor.name)
        _check_dtype(tensor, spec, info, subject)
        _check_shape(tensor, spec, info, subject)
        if rows is None:
            rows = tensor.shape[0]
        elif tensor.shape[0] != rows:
            raise subject.refuse(
                f"input '{tensor.name}' batch size does not match other inputs for '{info.name}'"
            )
        if info.max_batch_size and rows > info.max_batch_size:
            raise subject.refuse(
                f"inference request batch-size must be <= {info.max_batch_size} for '{info.name}', got {rows}"
            )


def _check_dtype(tensor: Any, spec: TensorSpec, info: ModelInfo, subject: Subject) -> None:
    expected = tensors.BY_DTYPE[spec.dtype].datatype
    if tensor.datatype == expected or _widens(tensor, spec):
        return
    raise subject.refuse(
        f"inference input '{tensor.name}' data-type is '{tensor.datatype}', but model '{info.name}' "
        f"expects '{expected}'"
    )


def _check_shape(tensor: Any, spec: TensorSpec, info: ModelInfo, subject: Subject) -> None:
    shape = tuple(tensor.shape)
    if not (tensors.countable(shape, tensors.BY_DTYPE[spec.dtype]) and spec.fits(shape)):
        expected = ",".join(map(str, (ANY_SIZE, *spec.shape)))
        raise subject.refuse(
            f"unexpected shape for input '{tensor.name}' for model '{info.name}'. Expected [{expected}], got "
            f"[{','.join(map(str, shape))}]. NOTE: the first size counts rows; one row is a batch of 1"
        )
    if shape[0] == 0:
        raise subject.refuse(
            f"input '{tensor.name}' for model '{info.name}' has no rows; send at least one, or don't ask"
        )


def _raw_entries(request: Any, subject: Subject) -> list[bytes | None]:
    """Pair each input with its raw entry; None for typed ones, when the request has no raw ones."""
    for tensor in request.inputs:
        if "shared_memory_region" in tensor.parameters:
            raise subject.refuse(
                f"shared memory is not offered: send input '{tensor.name}' for model '{subject.model}' "
                "in raw_input_contents"
            )
    raw: list[bytes | None] = list(request.raw_input_contents)
    if not raw:
        return [None] * len(request.inputs)
    if len(raw) < len(request.inputs):
        raise no_data(request.inputs[len(raw)], subject)
    if len(raw) > len(request.inputs):
        raise subject.refuse(
            f"expected {len(request.inputs)} raw_input_contents, one for each input, but got {len(raw)} "
            f"for model '{subject.model}'"
        )
    return raw


def _decode_input(tensor: Any, raw: bytes | None, info: ModelInfo, subject: Subject) -> NDArray[Any]:
    spec = _spec(info, tensor.name)
    wire = tensors.BY_DTYPE[spec.dtype]
    filled = [field.name for field, _ in tensor.contents.ListFields()]
    where = f"for input '{tensor.name}' for model '{info.name}'"
    if raw is not None and filled:
        raise subject.refuse(
            "contents field must not be specified when using raw_input_contents for "
            f"'{tensor.name}' for model '{info.name}'"
        )
    try:
        if raw is None:
            return _decode_typed(tensor, filled, wire, subject)
        if _widens(tensor, spec):
            return tensors.from_raw_bfloat16(raw, tensor.shape)
        return tensors.from_raw(raw, wire, tensor.shape)
    except tensors.ByteCountError as error:
        raise subject.refuse(f"input byte size mismatch {where}. {error}") from error
    except ValueError as error:
        raise subject.refuse(f"unable to read the values {where}: {error}") from error


def _decode_typed(
    tensor: Any, filled: Sequence[str], wire: tensors.WireType, subject: Subject
) -> NDArray[Any]:
    if not filled:
        raise no_data(tensor, subject)
    if wire.field is None or tensor.datatype == tensors.BFLOAT16:
        raise ValueError(f"{tensor.datatype} has no typed contents; use raw_input_contents")
    others = [field for field in filled if field != wire.field]
    if others:
        raise subject.refuse(
            f"unexpected explicit tensor data for input tensor '{tensor.name}' for model '{subject.model}' "
            f"of type '{tensors.FIELD_DATATYPES[others[0]]}', expected datatype '{wire.datatype}'"
        )
    values = getattr(tensor.contents, wire.field)
    if wire.field in PACKED and len(values) == prod(tensor.shape):
        carrier = message_class("inference.InferTensorContents")()
        return tensors.from_packed(values, wire, tensor.shape, carrier=carrier, field=wire.field)
    return tensors.from_values(values, wire, tensor.shape)


def _check_nan(arrays: Rows, subject: Subject) -> None:
    for name, array in arrays.items():
        row = tensors.row_with_nan(array)
        if row is not None:
            raise subject.refuse(
                f"input '{name}' for model '{subject.model}' has NaN in row {row}; "
                "leave the row out, or fill the value in"
            )


def _widens(tensor: Any, spec: TensorSpec) -> bool:
    """Whether the tensor is a bfloat16 one for a float32 input: the one conversion, which is exact."""
    return bool(tensor.datatype == tensors.BFLOAT16) and spec.dtype == "float32"


def _spec(info: ModelInfo, name: str) -> TensorSpec:
    return next(spec for spec in info.signature.inputs if spec.name == name)


def no_data(tensor: Any, subject: Subject) -> InvalidRequestError:
    """Make the error of an input that brings no values."""
    return subject.refuse(
        f"unable to find data for input tensor '{tensor.name}' for model '{subject.model}' in request."
    )


def _quoted(names: Sequence[str]) -> str:
    return ",".join(f"'{name}'" for name in names)
