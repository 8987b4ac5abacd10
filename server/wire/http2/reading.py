"""Cuts what a client sends into frames, and puts header blocks together that come in parts. Knows no streams.

Rule: a frame is refused by its length before its bytes are waited for.
"""

from collections.abc import Callable, Mapping

from . import frames
from .frames import Code, Http2Error
from .header_blocks import Parts

Handler = Callable[[int, int, bytes], None]  # of flags, stream and payload


class Reader:
    """Gives each frame to the handler of its kind; that of HEADERS gets the whole block, without padding.

    `strike` is told of what costs a client next to nothing, and may refuse more of it. After an Http2Error
    nothing may be read any more.
    """

    def __init__(
        self, handlers: Mapping[int, Handler], strike: Callable[[], None], most_block_bytes: int
    ) -> None:
        self.greeted = False
        self._block = handlers[frames.HEADERS]
        self._handlers: Mapping[int, Handler] = {
            **handlers,
            frames.HEADERS: self._on_headers,
            frames.CONTINUATION: self._on_continuation,
        }
        self._strike = strike
        self._most_block_bytes = most_block_bytes
        self._rest = b""
        self._parts: Parts | None = None  # of a block that isn't whole

    def read(self, data: bytes) -> None:
        """Take whole frames; what is left waits for the rest."""
        data = self._rest + data if self._rest else data
        self._rest = data[self._frames(data) :]

    def _frames(self, data: bytes) -> int:
        """Take the whole frames of `data`, behind the greeting; return where the rest begins."""
        at = 0
        if not self.greeted:
            at = frames.greeted(data)
            self.greeted = at > 0
        size = len(data)
        while self.greeted and size - at >= frames.HEAD_BYTES:
            start = at + frames.HEAD_BYTES
            head = int.from_bytes(data[at:start], "big")
            length = head >> 48
            if length > frames.FRAME_BYTES:
                raise Http2Error(Code.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            if size < start + length:
                break
            at = start + length
            kind = head >> 40 & 0xFF
            if self._parts is not None and kind != frames.CONTINUATION:
                raise Http2Error(Code.PROTOCOL_ERROR, "headers are cut off by another frame")
            handler = self._handlers.get(kind)
            if handler is not None:
                handler(head >> 32 & 0xFF, head & frames.LAST_STREAM, data[start:at])
            else:
                self._strike()  # an extension's, which is to be ignored
        return at

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if flags & (frames.PADDED | frames.PRIORITIZED):
            payload = frames.unpadded(flags, payload)
        if flags & frames.END_HEADERS:
            self._block(flags, number, payload)
        else:
            self._parts = Parts(number, flags, self._most_block_bytes, bytearray(payload))

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        self._strike()  # empty ones would else cost nothing, and never end
        parts = self._parts
        if parts is None:
            raise Http2Error(Code.PROTOCOL_ERROR, "headers go on that never began")
        parts.add(number, payload)
        if flags & frames.END_HEADERS:
            self._parts = None
            self._block(parts.flags, number, bytes(parts.block))
