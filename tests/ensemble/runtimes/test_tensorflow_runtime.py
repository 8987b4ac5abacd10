"""Members run by TensorFlow, from the Keras originals."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WHOLE = os.environ.get("UNISONO_PROOF") == "whole"
MEMBERS = ("bndense", "bnconv", "sepconv") if WHOLE else ("bnconv",)


def test_keras_originals_keep_what_every_member_must(published: Path) -> None:
    extent = "whole" if WHOLE else "sample"
    words = ["-m", "tests.ensemble.runtimes.tensorflow_members", str(published), extent, *MEMBERS]
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3]
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])

    assert set(said) == set(MEMBERS)
    for member in said.values():
        assert member["runtime"] == "tensorflow"
        # A row's scores are the same bits whatever shares its batch; here, and opened again as known.
        assert member["moved"] == []
        assert member["same_again"]
        assert member["error"] < 1e-5
        assert member["kind"] == ["float32", True]
        assert member["none"] == [0, 10]
        assert member["sizes"] in ([1, 4, 16, 64], [16])
        assert member["refused"].endswith("needs input 'image'; got []")
    # Each member, opened twice, is put on both of the two logical devices.
    assert {device[-5:] for member in said.values() for device in member["devices"]} == {"CPU:0", "CPU:1"}
