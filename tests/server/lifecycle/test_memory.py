import ctypes
from pathlib import Path

import pytest

from server.lifecycle import memory


def resident() -> int:
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:")
    )
    return int(line.split()[1]) * 1024


def test_memory_that_is_free_goes_back_to_the_system() -> None:
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim"):
        pytest.skip("not glibc")
    library.malloc.restype = ctypes.c_void_p
    # Small enough to come from the heap, and the last one keeps the heap from shrinking by itself.
    blocks = [library.malloc(2**16) for _ in range(1024)]
    for block in blocks:
        ctypes.memset(ctypes.c_void_p(block), 1, 2**16)
    for block in blocks[:-1]:
        library.free(ctypes.c_void_p(block))
    before = resident()
    memory.trimmer()()
    after = resident()
    library.free(ctypes.c_void_p(blocks[-1]))

    assert before - after > 32 * 2**20


def test_where_the_c_library_has_no_such_call_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    memory.trimmer()()
