"""The benchmark ensembles, published in a store of their own under .cache/, made once.

images: sepconv, bndense, bnconv on 64x64x3. tabular: three small dense nets on 30 features, where compute is
almost nothing. heavy: images plus a DenseNet.
"""

import hashlib
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from ensemble.publishing.publish import PublishOptions, publish
from model_store.store import Store

ROOT = Path(__file__).parents[1]
SOURCES = (Path(__file__).with_name("networks.py"), ROOT / "training" / "architectures" / "sepconv.py")
LIBRARIES = ("keras", "tensorflow", "tf2onnx", "onnx")
IMAGES = ("sepconv", "bndense", "bnconv")
ENSEMBLES = {
    "images": IMAGES,
    "tabular": ("narrow", "deep", "wide"),
    "heavy": (*IMAGES, "densenet"),
}


def benchmark_store() -> Path:
    """Return the store that holds `ENSEMBLES`; make it if this source and these libraries never did."""
    made_by = [*(path.read_text() for path in SOURCES), *(f"{name} {version(name)}" for name in LIBRARIES)]
    key = hashlib.sha256("\n".join(made_by).encode()).hexdigest()[:16]
    place = ROOT / ".cache" / "benchmarks" / key
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as work:
            _make(Path(work))
            (Path(work) / "store").rename(place)
    return place


def _make(work: Path) -> None:
    """Write the networks in a child, and publish them."""
    names = list(dict.fromkeys(name for members in ENSEMBLES.values() for name in members))
    child = [sys.executable, str(Path(__file__).with_name("networks.py")), str(work), *names]
    print("making the benchmark ensembles: a minute or two, once", file=sys.stderr)
    subprocess.run(child, check=True, stdout=sys.stderr, cwd=ROOT)
    store = Store.open(str(work / "store"))
    for ensemble, members in ENSEMBLES.items():
        publish(
            store,
            ensemble,
            {name: work / f"{name}.keras" for name in members},
            PublishOptions(by="benchmarks", why="to be measured"),
        )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    print(benchmark_store())
