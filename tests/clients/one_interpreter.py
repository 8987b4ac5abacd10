"""Import our messages and the stock client's in one interpreter; print how their fields differ, as JSON.

The first argument says which comes first: `ours` or `theirs`.
"""

import json
import sys
from typing import Any

SERVICE = "GRPCInferenceService"


def fields(message: Any) -> dict[str, Any]:
    """Say what a message is on the wire."""
    return {
        field.name: [
            field.number,
            field.type,
            bool(field.is_repeated),
            (field.message_type or field.enum_type).full_name
            if field.message_type or field.enum_type
            else "",
            field.containing_oneof.name if field.containing_oneof else "",
        ]
        for field in message.fields
    }


def methods(service: Any) -> dict[str, Any]:
    """Say what a service's methods are on the wire."""
    return {
        method.name: [
            method.input_type.full_name,
            method.output_type.full_name,
            method.client_streaming,
            method.server_streaming,
        ]
        for method in service.methods
    }


def every(message: Any) -> list[Any]:
    """List a message and all those inside it."""
    return [message, *(inner for nested in message.nested_types for inner in every(nested))]


def ours() -> list[Any]:
    """Load our files, in their own pool: the messages, then those of which we carry a part."""
    from server.wire.messages import message_class, pool  # noqa: PLC0415 - the order is what is tested

    message_class("inference.ModelInferRequest")(id="7").SerializeToString()
    return [pool().FindFileByName(name) for name in ("inference.proto", "model_config.proto")]


def theirs() -> list[Any]:
    """Load the stock client's files, in the default pool."""
    import tritonclient.grpc as triton  # noqa: PLC0415 - the order is what is tested
    from tritonclient.grpc import model_config_pb2  # noqa: PLC0415

    return [triton.service_pb2.DESCRIPTOR, model_config_pb2.DESCRIPTOR]


def messages(file: Any) -> dict[str, Any]:
    """List every message of a file by its full name."""
    tops = file.message_types_by_name.values()
    return {each.full_name: each for top in tops for each in every(top)}


def enums(file: Any) -> dict[str, Any]:
    """List the values of every enum of a file, those inside messages too."""
    tops = file.message_types_by_name.values()
    inner = [enum for top in tops for message in every(top) for enum in message.enum_types]
    return {
        enum.full_name: {value.name: value.number for value in enum.values}
        for enum in [*file.enum_types_by_name.values(), *inner]
    }


def unlike(our_file: Any, their_file: Any, *, whole: bool) -> dict[str, Any]:
    """Say which messages and enums of ours differ; if not `whole`, only the fields that ours have count."""
    stock, differences = messages(their_file), dict[str, Any]()
    for name, message in messages(our_file).items():
        mine, other = fields(message), fields(stock[name]) if name in stock else {}
        compared = other if whole else {field: other.get(field) for field in mine}
        if mine != compared:
            differences[name] = [mine, compared]
    stock_enums = enums(their_file)
    for name, values in enums(our_file).items():
        if values != stock_enums.get(name):
            differences[name] = [values, stock_enums.get(name)]
    return differences


def main() -> None:
    """Print the differences and how much was compared."""
    first, second = (ours, theirs) if sys.argv[1] == "ours" else (theirs, ours)
    loaded = {first: first(), second: second()}
    (our_file, our_config), (their_file, their_config) = loaded[ours], loaded[theirs]
    compared = len(messages(our_file)) + len(messages(our_config))
    differences = unlike(our_file, their_file, whole=True) | unlike(our_config, their_config, whole=False)
    our_methods = methods(our_file.services_by_name[SERVICE])
    their_methods = methods(their_file.services_by_name[SERVICE])
    for name, method in our_methods.items():
        if their_methods.get(name) != method:
            differences[name] = [method, their_methods.get(name)]
    compared_enums = len(enums(our_file)) + len(enums(our_config))
    answer = {
        "messages": compared,
        "enums": compared_enums,
        "methods": len(our_methods),
        "differences": differences,
    }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
