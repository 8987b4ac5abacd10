"""How long a command takes, and what memory it holds."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

# A child counts the memory of who started it, until it is another program: so somebody small starts it.
TIMED = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "mib": used.ru_maxrss / 1024}))
"""
# Also the most of its own memory: what it holds beside the files that it maps, as Linux counts it.
HELD = """
import json, subprocess, sys, threading
whole, own, ended = [0], [0], threading.Event()
def watch(process):
    while not ended.wait(0.02):
        try:
            lines = dict(line.split(":", 1) for line in open(f"/proc/{process}/status"))
            whole[0] = max(whole[0], int(lines["VmHWM"].split()[0]))
            own[0] = max(own[0], int(lines["RssAnon"].split()[0]))
        except (OSError, KeyError):
            continue
with subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL) as job:
    watcher = threading.Thread(target=watch, args=(job.pid,))
    watcher.start()
    job.wait()
    ended.set()
    watcher.join()
if job.returncode:
    sys.exit(job.returncode)
print(json.dumps({"mib": whole[0] / 1024, "own_mib": own[0] / 1024}))
"""


def timed(words: Sequence[str], environment: Mapping[str, str], how: str = TIMED) -> dict[str, float]:
    """Run a command; return its seconds, those of the processor, and the MiB that it held at most.

    With `HELD`, only what it held, and how much of that was its own.
    """
    done = subprocess.run(
        [sys.executable, "-c", how, *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=dict(environment),
    )
    return dict(json.loads(done.stdout))
