"""What people build does load: nothing that the checks refuse is in it."""

import pytest

from ensemble.loading.convert import Conversion, convert, parity
from ensemble.runtimes.onnx_runtime import OnnxMember
from tests.support import architectures


@pytest.fixture(scope="module")
def conversions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Conversion]:
    files = architectures.make(tmp_path_factory.mktemp("networks"))
    return convert(files, tmp_path_factory.mktemp("work"))


@pytest.mark.slow
@pytest.mark.parametrize("name", architectures.NAMES)
def test_every_architecture_loads_and_keeps_its_answers(
    conversions: dict[str, Conversion], name: str
) -> None:
    made = conversions[name]
    member = OnnxMember.open(made.onnx, name=name, digest="0" * 64, signature=made.signature)

    assert parity(made, member)["max_abs_error"] < 1e-5
