import subprocess
import sys
from pathlib import Path

import pytest

from server.wire.messages import message_class

ROOT = Path(__file__).parents[3]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_message_survives_its_bytes() -> None:
    request = message_class("inference.ModelInferRequest")(model_name="digits", id="7")
    request.inputs.add(name="x", datatype="FP32", shape=[1, 4])

    again = message_class("inference.ModelInferRequest").FromString(request.SerializeToString())

    assert again == request
    assert list(again.inputs[0].shape) == [1, 4]


def test_a_class_is_made_once() -> None:
    assert message_class("inference.ModelInferRequest") is message_class("inference.ModelInferRequest")


def test_an_unknown_message_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        message_class("inference.Nothing")


def test_the_default_pool_hears_nothing_of_our_messages() -> None:
    program = (
        "from server.wire.messages import message_class; message_class('inference.ModelInferRequest')\n"
        "from google.protobuf import descriptor_pool\n"
        "try: descriptor_pool.Default().FindMessageTypeByName('inference.ModelInferRequest')\n"
        "except KeyError: print('private')\n"
    )

    assert run("-c", program).stdout == "private\n"


def test_the_checked_in_descriptors_are_what_the_protos_compile_to() -> None:
    done = run("protos/compile.py", "--check")

    assert (done.returncode, done.stderr) == (0, "")
