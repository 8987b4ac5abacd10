from dataclasses import replace

from ensemble.signature import Signature, TensorSpec
from server.wire.messages import message_class
from server.wire.oip_config import model_config
from server.wire.serving import Step
from server.wire.tensors import WIRE_TYPES
from tests.support.models import SCORES, info_of

X = TensorSpec("x", "float32", (4,))
TEXT = TensorSpec("text", "bytes", (-1, 2))


def test_an_ensemble_is_made_of_the_members_it_asks() -> None:
    info = replace(info_of("sums", X, TEXT), steps=(Step("sums.first", Signature((X,), (SCORES,))),))

    config = model_config(info)

    assert (config.name, config.platform, config.max_batch_size) == ("sums", "ensemble", 8)
    assert [(put.name, put.data_type, list(put.dims)) for put in config.input] == [
        ("x", 11, [4]),
        ("text", 13, [-1, 2]),
    ]
    assert [(put.name, put.data_type, list(put.dims)) for put in config.output] == [("scores", 11, [2])]
    [step] = config.ensemble_scheduling.step
    assert (step.model_name, step.model_version) == ("sums.first", -1)
    assert (dict(step.input_map), dict(step.output_map)) == ({"x": "x"}, {"scores": "sums.first:scores"})
    assert not config.HasField("dynamic_batching")


def test_a_member_has_batching_and_a_backend() -> None:
    config = model_config(
        replace(info_of("sums.first", X), platform="onnxruntime_onnx", backend="onnxruntime")
    )

    assert (config.platform, config.backend) == ("onnxruntime_onnx", "onnxruntime")
    assert config.HasField("dynamic_batching")
    assert not config.HasField("ensemble_scheduling")
    assert not config.model_transaction_policy.decoupled


def test_every_dtype_has_a_data_type() -> None:
    names = message_class("inference.ModelInput").DESCRIPTOR.fields_by_name["data_type"].enum_type

    for wire in WIRE_TYPES:
        [put] = model_config(info_of("m", TensorSpec("x", wire.dtype, ()))).input
        expected = "TYPE_STRING" if wire.dtype == "bytes" else f"TYPE_{wire.datatype}"
        assert names.values_by_number[put.data_type].name == expected
