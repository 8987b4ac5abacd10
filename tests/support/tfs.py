"""What a TensorFlow Serving client sends, made of our own messages."""

import asyncio
from collections.abc import Mapping
from typing import Any

from server.wire.call import Call
from server.wire.messages import message_class
from server.wire.tfs import Tfs
from tests.support.models import FakeModels

LABELS: Mapping[str, int] = {"stable": 2, "old": 1, "next": 4}


def message(kind: str, **fields: Any) -> Any:
    return message_class(f"tensorflow.serving.{kind}")(**fields)


def tfs(models: FakeModels | None = None, **options: Any) -> Tfs:
    return Tfs(models or FakeModels(), lambda name: LABELS if name == "sums" else {}, **options)


def spec(name: str = "sums", **fields: Any) -> dict[str, Any]:
    return {"name": name, **fields}


def call() -> Call:
    return Call(asyncio.get_running_loop().time() + 1)


def example(**features: Any) -> Any:
    made = message_class("tensorflow.Example")()
    for name, values in features.items():
        feature = made.features.feature[name]
        if isinstance(values[0], float):
            feature.float_list.value.extend(values)
        elif isinstance(values[0], int):
            feature.int64_list.value.extend(values)
        else:
            feature.bytes_list.value.extend(values)
    return made


def examples(*made: Any) -> Any:
    return message("Input", example_list={"examples": made})
