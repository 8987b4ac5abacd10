"""What executes a member; each runtime's library is imported in one file only.

Two of those libraries tell their makers what runs, unless told not to: official builds of ONNX Runtime
since 1.29 keep and send events (model names and hashes among them), OpenVINO's package counts its use and
forks a process for it. Served models are their owners' affair, so both are switched off here, before any
module of this package can import either. Who wants ONNX Runtime's sets ORT_DISABLE_TELEMETRY=0.
"""

import os
import sys

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# OpenVINO takes a package that can't be imported for one that isn't installed.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # None is how Python spells it
