"""Small files of a bucket, opened in order: those that come next are fetched meanwhile, side by side.

Each request takes long, and not for the bytes: one file after another would leave the members waiting.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from typing import IO

from .opening import RemoteFile

AT_ONCE = 32  # requests
AHEAD = 64  # files
BYTES_AT_MOST = 64 << 20
# A larger file is no image that a network takes as it is; what its header says is enough to refuse it.
WHOLE_AT_MOST = 8 << 20


class Fetcher:
    """Opens files by their place among `files`. For one thread.

    A file of up to `WHOLE_AT_MOST` bytes is fetched whole, once, and kept while there is room: a block with a
    bad row in it is read in parts again. A larger one is read a piece at a time.
    """

    def __init__(self, files: Sequence[RemoteFile]) -> None:
        self._files = files
        self._fetched: dict[int, Future[bytes]] = {}
        self._bytes = 0  # of those
        # Of one file alone, nothing is ahead.
        self._threads = ThreadPoolExecutor(AT_ONCE, "fetch") if len(files) > 1 else None

    def open(self, row: int) -> IO[bytes]:
        """Open one for reading. StoreError, here or later."""
        if row not in self._fetched or row + AT_ONCE not in self._fetched:
            self._fetch(row)
        fetched = self._fetched.get(row)
        return self._files[row].open() if fetched is None else BytesIO(fetched.result())

    def close(self) -> None:
        """Fetch nothing ahead any more; requests under way end by themselves.

        Nobody waits for them: Python's collector may close what was dropped in one of the threads that fetch.
        """
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._threads = None
        self._fetched, self._bytes = {}, 0

    def _fetch(self, start: int) -> None:
        """Begin to fetch the files from `start` as far as they may be ahead."""
        for row in range(start, min(start + AHEAD, len(self._files))):
            size = self._files[row].size
            if self._threads is None or row in self._fetched or size > WHOLE_AT_MOST:
                continue
            if self._bytes + size > BYTES_AT_MOST:
                self._forget(start)
            if self._bytes + size > BYTES_AT_MOST:
                return
            self._fetched[row] = self._threads.submit(_bytes_of, self._files[row])
            self._bytes += size

    def _forget(self, start: int) -> None:
        """Let go of the files before `start`."""
        self._fetched = {row: fetched for row, fetched in self._fetched.items() if row >= start}
        self._bytes = sum(self._files[row].size for row in self._fetched)


def _bytes_of(file: RemoteFile) -> bytes:
    with file.open() as stream:
        return stream.read(file.size)
