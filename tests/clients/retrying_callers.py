"""Callers of the stock asyncio client that go to the next server when one turns them away.

Reads one JSON object from standard input: addresses, model, callers, certificates (or null), token (or null).
Writes "going" once there are as many answers as callers, asks until standard input ends, then writes one JSON
object: how many answers each server gave, how many were unlike the first, how often which text turned a
caller away and when first (seconds on the monotonic clock), and what was met beside.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

# What a server says that takes no more calls, and a connection that it has closed. Nothing of it has run.
TURNED_AWAY = "StatusCode.UNAVAILABLE"
PAUSE_SECS = 0.02
DEADLINE_SECS = 20


class Callers:
    """All callers, and what they met."""

    def __init__(self, told: dict[str, Any]) -> None:
        files = told["certificates"] or ()
        names = dict(zip(("root_certificates", "private_key", "certificate_chain"), files, strict=False))
        self.clients = [
            triton.InferenceServerClient(address, ssl=bool(names), **names) for address in told["addresses"]
        ]
        self.model = told["model"]
        self.headers = {"authorization": f"Bearer {told['token']}"} if told["token"] else {}
        self.reference: Any = None
        self.answers, self.unlike = Counter[int](), 0
        self.turned_away, self.others = Counter[str](), Counter[str]()
        self.first_refusal: float | None = None
        self.enough = asyncio.Event()

    async def ask(self, place: int) -> bool:
        """Ask one server once; say whether it answered."""
        tensor = triton.InferInput("x", [2, 4], "FP32")
        tensor.set_data_from_numpy(np.arange(8, dtype=np.float32).reshape(2, 4))
        try:
            result = await self.clients[place].infer(
                self.model, [tensor], headers=self.headers, client_timeout=DEADLINE_SECS
            )
        except InferenceServerException as error:
            if error.status() != TURNED_AWAY:
                self.others[f"{error.status()}: {error.message()}"] += 1
                return False
            self.turned_away[str(error.message()).split(";")[0][:60]] += 1
            self.first_refusal = self.first_refusal or time.monotonic()
            return False
        scores = result.as_numpy("scores")
        if self.reference is None:
            self.reference = scores
        self.unlike += not np.allclose(scores, self.reference, rtol=1e-5)
        self.answers[place] += 1
        return True

    async def keep_asking(self) -> None:
        """Ask the first server, and from then on whichever answers."""
        place = 0
        while not self.enough.is_set():
            if not await self.ask(place):
                place = (place + 1) % len(self.clients)
                await asyncio.sleep(PAUSE_SECS)

    async def run(self, callers: int) -> dict[str, Any]:
        """Keep all asking until standard input ends."""
        tasks = [asyncio.create_task(self.keep_asking()) for _ in range(callers)]
        while self.answers.total() < callers:
            await asyncio.sleep(0.01)
        sys.stdout.write("going\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        self.enough.set()
        await asyncio.gather(*tasks)
        for client in self.clients:
            await client.close()
        return {
            "answers": [self.answers[place] for place in range(len(self.clients))],
            "unlike": self.unlike,
            "turned_away": dict(self.turned_away),
            "first_refusal": self.first_refusal,
            "others": dict(self.others),
        }


async def main() -> None:
    """Read what to do, do it, tell."""
    told = json.loads(sys.stdin.readline())
    sys.stdout.write(json.dumps(await Callers(told).run(told["callers"])))


if __name__ == "__main__":
    asyncio.run(main())
