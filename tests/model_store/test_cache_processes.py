import subprocess
import sys
from pathlib import Path

READ = """
import fcntl, hashlib, io, random, sys
from contextlib import contextmanager, suppress
from pathlib import Path
from model_store.cache import Cache
from model_store.manifest import BlobRef

chance, cache = random.Random(int(sys.argv[2])), Cache(Path(sys.argv[1]), 4000)

@contextmanager
def fetch(data):
    yield io.BytesIO(data)

def held():
    # Room is made, and taken, under this lock; a part that just gets its name is seen twice.
    sizes = {}
    with (cache.folder / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in cache.folder.glob("sha256/*/*"):
            with suppress(FileNotFoundError):
                facts = path.stat()
                sizes[facts.st_ino] = facts.st_size
    return sum(sizes.values())

for _ in range(150):
    data = bytes([chance.randrange(12)]) * 1000
    with cache.opened(BlobRef(hashlib.sha256(data).hexdigest(), 1000), lambda: fetch(data)) as file:
        assert file.read() == data
        assert held() <= 4000, held()
"""


def test_several_processes_share_it_within_its_bound(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-E", "-B", "-c", READ, str(tmp_path / "cache")]
    root = Path(__file__).parents[2]
    processes = [
        subprocess.Popen([*command, str(seed)], stderr=subprocess.PIPE, text=True, cwd=root)
        for seed in range(3)
    ]
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in processes]

    assert [code for _, code in ended] == [0, 0, 0], ended
