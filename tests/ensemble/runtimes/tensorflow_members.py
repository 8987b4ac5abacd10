"""Members on TensorFlow, in a process of its own: TensorFlow must not get into the tests'.

Run as a module with a store and the members to open, it prints what came of them as JSON.
"""

import json
import sys
from typing import Any

import numpy as np

from ensemble.loading.load import source_of
from ensemble.runtimes.devices import Devices
from ensemble.runtimes.onnx_runtime import OnnxMember
from ensemble.runtimes.sample import random_rows
from ensemble.runtimes.tensorflow_runtime import TensorflowRuntime
from model_store.store import Store

SIZES = (1, 3, 4, 16, 17, 63, 65, 200)


def main(address: str, names: list[str], sizes: tuple[int, ...]) -> dict[str, Any]:
    """Open each member twice, the second time as known, and compare it with ONNX Runtime's."""
    store, said = Store.open(address), {}
    runtime = TensorflowRuntime(Devices(logical=2))
    records = {record.name: record for record in store.manifest("digits").members}
    opened = []
    for name in names:
        source = source_of(store, "digits", records[name])
        member = runtime(source, threads=2)
        again = runtime(source, threads=2, known=member.found)
        opened += [member, again]
        rows = random_rows(source.signature, 257, seed=1)
        together = member.predict(rows)
        cuts = {size: {put: array[:size] for put, array in rows.items()} for size in sizes}
        said[name] = {
            "runtime": member.runtime,
            "devices": [member.device, again.device],
            "sizes": list(member.graphs),
            "moved": [
                size for size, rows in cuts.items() if not _same(member.predict(rows), together[:size])
            ],
            "same_again": _same(again.predict(rows), together),
            "error": float(np.abs(together - OnnxMember.opened(source, threads=2).predict(rows)).max()),
            "kind": [str(together.dtype), together.flags.c_contiguous],
            "none": list(member.predict(cuts[sizes[0]] | {put: a[:0] for put, a in rows.items()}).shape),
        }
        try:
            member.predict({})
        except Exception as error:  # noqa: BLE001 - the text is what is tested
            said[name]["refused"] = str(error)
    return said


def _same(some: Any, others: Any) -> bool:
    return bool(some.tobytes() == np.ascontiguousarray(others).tobytes())


if __name__ == "__main__":
    whole = sys.argv[2] == "whole"
    said = main(sys.argv[1], sys.argv[3:], tuple(range(1, 258)) if whole else SIZES)
    sys.stdout.write(json.dumps(said))
