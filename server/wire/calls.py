"""What becomes of a call, whichever transport brings it: let in or refused, answered, counted; the drain.

Messages are parsed and written here, not by a transport's own hooks, so that a call that fails there is
answered and counted like any other.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import grpc

from ensemble.errors import EnsembleError, InvalidRequestError, UnavailableError

from .call import Call, Deadlines
from .gate import Gate
from .incoming import Incoming, Sender, WholeHead
from .method import Codec, Method
from .outcome import MessageTooLargeError, Outcome
from .refusals import Door
from .short_call import ShortCall, Teller
from .status import retry_hint, status_of
from .stream import Stream
from .transport_options import TransportOptions

SHUTTING_DOWN = "GRPC server is shutting down and has stopped accepting new requests."
# A drain is over when no call has come for so long; callers that ask again without pause, and so never
# are quiet, are waited for no longer than this.
QUIET_SECS = 0.1
LINGER_SECS = 2.0
# gRPC counts what remains of a deadline on the wall clock, which may be set while it counts.
CLOCK_SLACK_SECS = 0.05
# A stream with this metadata, "true", ends at the first request that fails.
END_ON_ERROR = "triton_grpc_error"
STREAM_AGED = "the stream has reached the age that this server lets one reach; open another"

log = logging.getLogger("unisono.wire")


class Observer(Protocol):
    """Who hears of every finished call."""

    def handled(
        self, *, method: str, model: str, version: str, code: str, seconds: float, calls: int = 1
    ) -> None:
        """Take note of one finished call, or of so many alike, exactly once.

        `model` and `version` are empty if none was found, as where there are several. `code` is the gRPC
        code's name, as in "NOT_FOUND".
        """
        ...


class Calls:
    """All calls of one server. Made and used on the event loop."""

    def __init__(self, observer: Observer, options: TransportOptions, gate: Gate | None = None) -> None:
        self._observer = observer
        self._options = options
        self._most_bytes = options.max_message_bytes
        self.gate = gate or Gate()
        # Held: to ask for it again costs a call to the kernel each time.
        self._loop = asyncio.get_running_loop()
        self.deadlines = Deadlines()
        self._door = Door(self.gate, observer)
        self._arrived = 0
        self._streams: set[Stream] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._refusing = asyncio.Event()
        self._refusing.set()
        self.draining = False
        self.running = 0  # calls that were accepted: those refused in a drain don't count

    def drain(self) -> None:
        """Refuse new calls; those that run go on, and streams end once those taken have their answers."""
        self.draining = True
        for stream in self._streams:
            stream.close()

    async def quiet(self, grace_secs: float) -> None:
        """Wait until running calls have ended and no new ones come, `grace_secs` at most.

        New ones are held back meanwhile, until `refuse`.
        """
        try:
            async with asyncio.timeout(grace_secs):
                await self._idle.wait()
                await self._hold_back()
        except TimeoutError:
            log.warning("%d calls still run after %s s of grace; cutting off", self.running, grace_secs)

    def refuse(self) -> None:
        """Tell those held back to go elsewhere."""
        self._refusing.set()

    async def _hold_back(self) -> None:
        """Hold refusals back until no call has come for a moment, or callers have had time to go elsewhere.

        gRPC's own shutdown answers calls that it has taken in but not yet handed over with CANCELLED,
        which clients don't retry; here they get their refusal. Who waits for it can't ask again.
        """
        self._refusing.clear()
        for _ in range(round(LINGER_SECS / QUIET_SECS)):
            arrived = self._arrived
            await asyncio.sleep(QUIET_SECS)
            if self._arrived == arrived:
                return

    def turned_away(self, method: Method, authorization: str) -> Outcome | None:
        """Refuse a call for want of room by what it begins with, and count it like any other.

        None where there is room, or more to say of it: then it is to be answered.
        """
        if self.draining:
            return None
        outcome = self._door.ask(method, authorization)
        self._arrived += outcome is not None
        return outcome

    async def stream(self, method: Method, incoming: Incoming) -> Outcome:
        """Answer every request of one stream, and say how the stream ends.

        What its token doesn't open ends before anything of it is read.
        """
        try:
            self.gate.check(method, incoming.authorization)
        except EnsembleError as error:
            code, text = status_of(error)
            self._observer.handled(method=method.name, model="", version="", code=code.name, seconds=0)
            return Outcome(code, text)
        stream = Stream(
            incoming,
            lambda data: self.answer(method, incoming, _given(data)),
            end_on_error=incoming.metadata.get(END_ON_ERROR) == "true",
            max_bytes=self._options.max_message_bytes,
        )
        failed = await self._run(stream)
        if failed is not None:
            return failed
        if stream.closed:
            return Outcome(grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN if self.draining else STREAM_AGED)
        return Outcome(grpc.StatusCode.OK)

    async def _run(self, stream: Stream) -> Outcome | None:
        self._streams.add(stream)
        if self.draining:
            stream.close()
        aged = asyncio.get_running_loop().call_later(self._options.max_connection_age_secs, stream.close)
        try:
            return await stream.run()
        finally:
            aged.cancel()
            self._streams.discard(stream)

    async def answer(
        self,
        method: Method,
        incoming: Incoming,
        receive: Callable[[], Awaitable[bytes | None]],
        *,
        codec: Codec | None = None,
    ) -> Outcome:
        """Answer one request, in protobuf or `codec`, and have it counted, once, however it ends."""
        started = self._loop.time()
        remaining = incoming.time_remaining()
        call = self._call(method, incoming, started, remaining)
        code, messages = grpc.StatusCode.UNKNOWN, list[Any]()
        accepted = not self.draining
        self._arrived += 1
        if accepted:
            self.accept()
        try:
            await self._refuse_unless(accepted)
            answer = await self._admitted(method, call, receive, codec=codec or method, note=messages.append)
            code = grpc.StatusCode.OK
            return Outcome(code, "", answer)
        except asyncio.CancelledError:
            code = self.code_of_gone(None if remaining is None else started + remaining)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a code, and no more
            code, text = status_of(error)
            message = messages[0] if messages else None
            refusal = method.refuse(message, text).SerializeToString() if method.refuse else b""
            return Outcome(code, text, refusal, retry_hint(error))
        finally:
            if accepted:
                self.leave()
            self.count(method, call, code, started)

    def shorten(
        self, method: Method, incoming: WholeHead, data: bytes, *, teller: Teller, to: Any
    ) -> ShortCall | None:
        """Answer one request without a task, if it is one that can be: `teller` tells `to` how it ends.

        None if it is to be answered by `answer`: then nothing was done.
        """
        if self.draining or method.shortcut is None or len(data) > self._most_bytes:
            return None
        started = self._loop.time()
        try:
            self.gate.check(method, incoming.authorization)
            remaining = incoming.timeout_secs()
        except EnsembleError:
            return None
        shortened = method.shortcut.read(data, started)
        if shortened is None:
            return None
        call = ShortCall(
            self, method, self._call(method, incoming, started, remaining), shortened, teller=teller, to=to
        )
        until = None if remaining is None else started + remaining
        self._arrived += 1
        return call if call.begin(len(data), started, until) else None

    def accept(self) -> None:
        """Take note that a call runs."""
        self.running += 1
        self._idle.clear()

    def leave(self) -> None:
        """Take note that it has ended."""
        self.running -= 1
        if not self.running:
            self._idle.set()

    def count(self, method: Method, call: Call, code: grpc.StatusCode, started: float) -> None:
        """Have one call counted, which has ended."""
        self._observer.handled(
            method=method.name,
            model=call.model,
            version=call.version,
            code=code.name,
            seconds=self._loop.time() - started,
        )

    def code_of_gone(self, until: float | None) -> grpc.StatusCode:
        """Say how a call ended whose client has gone, who would have waited `until` then: perhaps it did."""
        late = until is not None and until - self._loop.time() <= CLOCK_SLACK_SECS
        return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED

    async def _admitted(
        self,
        method: Method,
        call: Call,
        receive: Callable[[], Awaitable[bytes | None]],
        *,
        codec: Codec,
        note: Callable[[Any], None],
    ) -> bytes:
        """Answer a call that may be made and finds a place. What is refused before is never parsed.

        `note` is told the message once there is one.
        """
        self.gate.check(method, call.authorization)
        with self.gate.enter(method) as place:
            async with self.deadlines.until(call.deadline):
                data = await receive()
                if data is None:
                    raise InvalidRequestError("the call brings no message")
                place.hold(len(data))
                message = codec.read(data)
                if isinstance(message, asyncio.Task):
                    message = await message
                note(message)
                response = await method.function(message, call)
            return self.checked(codec.write(response))

    def checked(self, answer: bytes) -> bytes:
        """Return an answer; MessageTooLargeError if that is what it is."""
        if len(answer) > self._most_bytes:
            raise MessageTooLargeError("answer", len(answer), self._most_bytes)
        return answer

    async def _refuse_unless(self, accepted: bool) -> None:
        if not accepted:
            await self._refusing.wait()
            raise UnavailableError(SHUTTING_DOWN)

    def _call(self, method: Method, incoming: Sender, now: float, remaining: float | None) -> Call:
        longest = method.longest_secs or self._options.max_call_secs
        seconds = longest if remaining is None else min(remaining, longest)
        return Call(now + seconds, incoming.metadata, incoming.authorization)


def _given(data: bytes) -> Callable[[], Awaitable[bytes]]:
    """Make a `receive` of what was received."""

    async def receive() -> bytes:
        return data

    return receive
