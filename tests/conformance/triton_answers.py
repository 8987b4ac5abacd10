"""What stock Triton clients are to get: scores, codes, words."""

from ensemble.errors import DeadlineError, MemberError, OverloadedError

X_SCORES = [[10.0, 20.0], [26.0, 52.0]]
X = {"dtype": "float32", "rows": X_SCORES}
INVALID, NOT_FOUND = "StatusCode.INVALID_ARGUMENT", "StatusCode.NOT_FOUND"
UNAVAILABLE, INTERNAL = "StatusCode.UNAVAILABLE", "StatusCode.INTERNAL"
NO_ID = "[request id: <id_unknown>] "
UNKNOWN = "Request for unknown model: "
INPUTS_MISSING = (
    "expected 2 inputs but got 1 inputs for model 'pair'. Got input(s) ['b'], but missing required input(s) "
    "['a']. Please provide all required input(s)."
)
TYPED_MISMATCH = (
    "unexpected explicit tensor data for input tensor 'x' for model 'sums' of type 'INT32', expected "
    "datatype 'FP32'"
)

FAILURES: dict[str, Exception] = {
    "takes_INT8": OverloadedError("queue is full: 8 rows wait"),
    "takes_INT16": DeadlineError("deadline passed while the request was queued"),
    "takes_INT32": MemberError("in ensemble 'takes_INT32', member 'first' failed"),
    "takes_INT64": KeyError("/etc/secret"),
    "takes_UINT8": DeadlineError("deadline passed before the scores were there"),
}
ERRORS = {
    "unknown model": (NOT_FOUND, f"{UNKNOWN}'x' is not found"),
    "unknown model's metadata": (NOT_FOUND, f"{UNKNOWN}'x' is not found"),
    "unknown model's readiness": (NOT_FOUND, f"{UNKNOWN}'x' is not found"),
    "unknown version": (NOT_FOUND, f"{UNKNOWN}'sums' version 9 is not found"),
    "version loading": (UNAVAILABLE, f"{UNKNOWN}'sums' version 4 is not at ready state"),
    "version not a number": (
        INVALID,
        "failed to get model version from specified version string 'abc' (details: stol), version should be",
    ),
    "wrong dtype": (
        INVALID,
        f"{NO_ID}inference input 'x' data-type is 'FP64', but model 'sums' expects 'FP32'",
    ),
    "wrong shape": (
        INVALID,
        f"{NO_ID}unexpected shape for input 'x' for model 'sums'. Expected [-1,4], got [1,5]. NOTE: ",
    ),
    "batch too large": (INVALID, f"{NO_ID}inference request batch-size must be <= 8 for 'sums'"),
    "empty batch": (INVALID, f"{NO_ID}input 'x' for model 'sums' has no rows"),
    "batch sizes differ": (INVALID, f"{NO_ID}input 'b' batch size does not match other inputs for 'pair'"),
    "inputs missing": (INVALID, NO_ID + INPUTS_MISSING),
    "unknown input": (INVALID, "[request id: 7] unexpected inference input 'z' for model 'sums'"),
    "byte count": (
        INVALID,
        f"{NO_ID}input byte size mismatch for input 'x' for model 'sums'. Expected 16, got 15",
    ),
    "raw and typed": (
        INVALID,
        f"{NO_ID}contents field must not be specified when using raw_input_contents for 'x' for model 'sums'",
    ),
    "no data": (
        INVALID,
        f"{NO_ID}unable to find data for input tensor 'x' for model 'sums' in request.",
    ),
    "typed mismatch": (INVALID, NO_ID + TYPED_MISMATCH),
    "NaN": (INVALID, f"{NO_ID}input 'x' for model 'sums' has NaN in row 1"),
    "unknown output": (INVALID, f"{NO_ID}unexpected inference output 'y' for model 'sums'"),
    "output twice": (INVALID, f"{NO_ID}output 'scores' already exists in request"),
    "reserved parameter": (INVALID, f"{NO_ID}parameter keys starting with 'triton_' are reserved"),
    "queue full": (UNAVAILABLE, "Exceeds maximum queue size"),
    "queue timeout": (UNAVAILABLE, "Request timeout expired"),
    "member failed": (INTERNAL, "in ensemble 'takes_INT32', member 'first' failed"),
    "unexpected": (INTERNAL, "internal error; see the server's log"),
    "not implemented": ("StatusCode.UNIMPLEMENTED", ""),
    "no version loaded": (NOT_FOUND, f"{UNKNOWN}'empty' has no available versions"),
    "classification of none": (
        INVALID,
        f"{NO_ID}parameter 'classification' of output 'scores' for model 'sums' must be",
    ),
    "shared memory": (INVALID, f"{NO_ID}shared memory is not offered: send input 'x' for model 'sums'"),
    "unknown statistics": (INVALID, "requested model 'x' is not available"),
    "load of a member": (INVALID, "'digits.cnn' is a member"),
    "load from the wire": (
        INVALID,
        "failed to load 'digits', models and configs are not taken from the wire",
    ),
    "other repository": ("StatusCode.UNIMPLEMENTED", "'repository_name' specification is not supported"),
    "trace change": ("StatusCode.UNIMPLEMENTED", "trace settings can't be changed over the wire"),
    "log change": ("StatusCode.UNIMPLEMENTED", "log settings can't be changed over the wire"),
    "deadline passed": ("StatusCode.DEADLINE_EXCEEDED", "deadline passed"),
}


UNIMPLEMENTED = "StatusCode.UNIMPLEMENTED"
REFUSED = {
    "unknown config": (NOT_FOUND, f"{UNKNOWN}'x' is not found"),
    "unknown statistics": (INVALID, "requested model 'x' is not available"),
    "load from the wire": (
        INVALID,
        "failed to load 'digits', models and configs are not taken from the wire",
    ),
    "trace change": (UNIMPLEMENTED, "trace settings can't be changed over the wire"),
    "log change": (UNIMPLEMENTED, "log settings can't be changed over the wire"),
    "shared memory": (UNIMPLEMENTED, ""),
    "shared memory status": (UNIMPLEMENTED, ""),
    "cuda memory": (UNIMPLEMENTED, ""),
}
ENSEMBLE_CONFIG = {
    "name": "sums",
    "platform": "ensemble",
    "version_policy": {"latest": {"num_versions": 1}},
    "max_batch_size": 8,
    "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": ["4"]}],
    "output": [{"name": "scores", "data_type": "TYPE_FP32", "dims": ["2"]}],
    "ensemble_scheduling": {
        "step": [
            {
                "model_name": "sums.first",
                "model_version": "-1",
                "input_map": {"x": "x"},
                "output_map": {"scores": "sums.first:scores"},
            }
        ]
    },
    "model_transaction_policy": {},
    "response_cache": {},
}
