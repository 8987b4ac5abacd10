"""Members of every kind and their rows, trained for a moment only, made once and kept in `.cache/`.

Run as a module it makes them, in a process of its own: TensorFlow must not get into the tests'.
"""

import fcntl
import hashlib
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from training.config import TrainConfig
from training.receipts import sources_digest
from training.train import TrainOptions, train

REPOSITORY = Path(__file__).parents[2]
EPOCHS = 3
CONFIG = Path(__file__).with_suffix(".toml")
FILES = (
    "bnconv.keras",
    "bndense.keras",
    "forest.onnx",
    "sepconv.keras",
    "test.npz",
    "test.parquet",
    "validation.npz",
)
LIBRARIES = ("keras", "numpy", "onnx", "scikit-learn", "skl2onnx", "tensorflow")


def small_members(cache: Path = REPOSITORY / ".cache" / "small_members") -> Path:
    """Return a folder with `FILES`; make it first if this source and these libraries never did."""
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / _key()
    # A second test run waits for the first one's members and does not train its own.
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache) as made:
                _make(Path(made) / "members")
                (Path(made) / "members").rename(folder)
    return folder


def _key() -> str:
    libraries = [f"{name}=={version(name)}" for name in LIBRARIES]
    made_by = [
        sources_digest(),
        CONFIG.read_text(),
        str(EPOCHS),
        *libraries,
        f"python {sys.version_info.major}.{sys.version_info.minor}",
    ]
    return hashlib.sha256("\n".join(made_by).encode()).hexdigest()[:16]


def _make(folder: Path) -> None:
    child = [sys.executable, "-m", "tests.support.small_members", str(folder)]
    done = subprocess.run(child, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"the small members could not be made:\n{done.stderr}")


if __name__ == "__main__":
    train(Path(sys.argv[1]), TrainConfig.read(CONFIG), options=TrainOptions(most_epochs=EPOCHS))
