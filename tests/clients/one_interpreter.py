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
            field.message_type.full_name if field.message_type else "",
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


def ours() -> Any:
    """Load our file, in its own pool."""
    from server.wire.messages import message_class, pool  # noqa: PLC0415 - the order is what is tested

    message_class("inference.ModelInferRequest")(id="7").SerializeToString()
    return pool().FindFileByName("inference.proto")


def theirs() -> Any:
    """Load the stock client's file, in the default pool."""
    import tritonclient.grpc as triton  # noqa: PLC0415 - the order is what is tested

    return triton.service_pb2.DESCRIPTOR


def main() -> None:
    """Print the differences and how much was compared."""
    if sys.argv[1] == "ours":
        our_file, their_file = ours(), theirs()
    else:
        their_file, our_file = theirs(), ours()
    compared, differences = 0, {}
    stock = {each.full_name: each for top in their_file.message_types_by_name.values() for each in every(top)}
    for top in our_file.message_types_by_name.values():
        for message in every(top):
            compared += 1
            other = stock.get(message.full_name)
            if other is None or fields(message) != fields(other):
                differences[message.full_name] = [fields(message), other and fields(other)]
    our_methods = methods(our_file.services_by_name[SERVICE])
    their_methods = methods(their_file.services_by_name[SERVICE])
    for name, method in our_methods.items():
        if their_methods.get(name) != method:
            differences[name] = [method, their_methods.get(name)]
    answer = {"messages": compared, "methods": len(our_methods), "differences": differences}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
