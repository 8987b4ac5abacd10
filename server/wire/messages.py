"""The message classes, by name, from descriptors that only this module knows.

They live in a descriptor pool of their own. In the default pool `inference.*` would collide with
tritonclient, MLServer and KServe, and `tensorflow.*` with TensorFlow, which register the same names. Needs
protobuf alone.
"""

from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

DESCRIPTORS = Path(__file__).with_name("descriptors.binpb")


def descriptor_files() -> list[bytes]:
    """Read our files' descriptors, each after those that it needs."""
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    return [file.SerializeToString() for file in files.file]


@cache
def pool() -> Any:
    """Return the private `DescriptorPool`: a constant, read at its first use."""
    private = descriptor_pool.DescriptorPool()
    for file in descriptor_files():
        private.AddSerializedFile(file)
    return private


@cache
def message_class(name: str) -> Any:
    """Return the class of the message with this full name, as in `inference.ModelInferRequest`.

    Raises KeyError for a name that no .proto file of ours has.
    """
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))
