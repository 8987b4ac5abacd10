"""The streams of one connection."""

from .frames import Code, Http2Error
from .stream import CallStream


class Streams(dict[int, CallStream]):
    """Those that run, by number."""

    def __init__(self) -> None:
        super().__init__()
        self.last = 0  # the highest there was

    def check_past(self, number: int, what: str) -> None:
        """Refuse a frame of a stream that never was; those with even numbers would be ours."""
        if number > self.last or not number % 2:
            raise Http2Error(Code.PROTOCOL_ERROR, f"{what} on stream {number}, which never began")

    def grow(self, more: int) -> None:
        """Let so many bytes more be sent on each."""
        for stream in self.values():
            stream.grow(more)

    def narrow(self, *, narrow: bool) -> None:
        """Keep the windows of those that run as new ones begin with less, or with more."""
        for stream in self.values():
            (stream.narrow if narrow else stream.widen)()

    def lose(self) -> None:
        """End all: their client has gone."""
        streams = list(self.values())
        self.clear()
        for stream in streams:
            stream.lose()
