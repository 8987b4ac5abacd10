import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.onnx_models import write_linear

OPEN = """
import os, sys
from pathlib import Path
from ensemble.runtimes.{module} import {member}
from ensemble.runtimes.source import Source
from ensemble.signature import Signature, TensorSpec
signature = Signature((TensorSpec("x", "float32", (4,)),), (TensorSpec("scores", "float32", (3,)),))
source = Source.at(Path(sys.argv[1]), name="a", digest="d", signature=signature)
member = {member}.opened(source, threads=0)
numbers = [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{{fd}}")]
files = [os.readlink(f"/proc/self/fd/{{fd}}") for fd in numbers]
print([path for path in files if sys.argv[2] in path])
print(Path(f"/proc/{{os.getpid()}}/task/{{os.getpid()}}/children").read_text().split())
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at open files through /proc")
@pytest.mark.parametrize(
    ("module", "member"), [("onnx_runtime", "OnnxMember"), ("openvino_runtime", "OpenvinoMember")]
)
def test_no_runtime_writes_home_or_starts_a_process_to_tell_of_what_runs(
    module: str, member: str, tmp_path: Path
) -> None:
    if module == "openvino_runtime":
        pytest.importorskip("openvino")
    write_linear(tmp_path / "a.onnx")
    home = tmp_path / "home"
    home.mkdir()
    # ONNX Runtime keeps quiet by itself where CI is set: that would prove nothing.
    told = {"HOME": str(home), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", OPEN.format(module=module, member=member), tmp_path / "a.onnx", home],
        env=told, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
    assert list(home.rglob("*")) == []
