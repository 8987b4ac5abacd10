import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from server.engine.priority import NICENESS, behind_the_loop


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for each thread")
def test_threads_that_compute_and_those_they_start_yield_and_this_one_does_not() -> None:
    before = niceness()
    with ThreadPoolExecutor(1, initializer=behind_the_loop) as threads:
        assert threads.submit(niceness).result() == NICENESS

        def of_a_child() -> list[int]:
            found: list[int] = []
            child = threading.Thread(target=lambda: found.append(niceness()))
            child.start()
            child.join()
            return found

        assert threads.submit(of_a_child).result() == [NICENESS]
    assert niceness() == before


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(os, "setpriority", lambda *_: pytest.fail("not there"))
    behind_the_loop()
