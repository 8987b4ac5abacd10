"""Import our messages and TensorFlow Serving's in one interpreter; print how ours differ from the stock ones.

The first argument says which comes first: `ours` or `theirs`. Of most messages we carry a part, so only the
fields and values that ours have count.
"""

import json
import sys
from typing import Any

from tests.clients.one_interpreter import enums, fields, messages, methods

FILES = ("tensorflow.proto", "tensorflow_error.proto", "tensorflow_serving.proto")


def ours() -> Any:
    """Load our files, in their own pool."""
    from server.wire.messages import message_class, pool  # noqa: PLC0415 - the order is what is tested

    message_class("tensorflow.serving.PredictRequest")(output_filter=["scores"]).SerializeToString()
    return pool()


def theirs() -> Any:
    """Load the stock client's files, in the default pool."""
    from google.protobuf import descriptor_pool  # noqa: PLC0415
    from tensorflow_serving.apis import (  # noqa: PLC0415 - the order is what is tested
        model_service_pb2,
        prediction_service_pb2,
    )

    _ = model_service_pb2.DESCRIPTOR, prediction_service_pb2.DESCRIPTOR
    return descriptor_pool.Default()


def unlike(file: Any, stock: Any) -> dict[str, Any]:
    """Say which messages, enums and services of our file differ from those in the pool `stock`."""
    differences: dict[str, Any] = {}
    for name, message in messages(file).items():
        mine, all_theirs = fields(message), fields(stock.FindMessageTypeByName(name))
        differences[name] = [mine, {field: all_theirs.get(field) for field in mine}]
    for name, values in enums(file).items():
        numbers = {value.name: value.number for value in stock.FindEnumTypeByName(name).values}
        differences[name] = [values, {value: numbers.get(value) for value in values}]
    for service in file.services_by_name.values():
        their_service = stock.FindServiceByName(service.full_name)
        differences[service.full_name] = [methods(service), methods(their_service)]
    return {name: pair for name, pair in differences.items() if pair[0] != pair[1]}


def main() -> None:
    """Print the differences and how much was compared."""
    first, second = (ours, theirs) if sys.argv[1] == "ours" else (theirs, ours)
    loaded = {first: first(), second: second()}
    files = [loaded[ours].FindFileByName(name) for name in FILES]
    answer = {
        "messages": sum(len(messages(file)) for file in files),
        "enums": sum(len(enums(file)) for file in files),
        "differences": {name: pair for file in files for name, pair in unlike(file, loaded[theirs]).items()},
        "tensorflow": hasattr(sys.modules["tensorflow"], "__version__"),
    }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
