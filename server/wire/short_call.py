"""A call that is answered without a task of its own: what waits for the scores is the call itself.

A task, its coroutines and what wakes them are a good part of what a small call costs. Everything that
`Calls.answer` does happens here too, in the same order: the gate, the deadline, the status, the counts.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import grpc

from ensemble.servable import Scored

from .admission import Place
from .call import Call, late, moment
from .method import Method, Shortened
from .outcome import Outcome
from .status import retry_hint, status_of

if TYPE_CHECKING:
    from .calls import Calls


class Teller(Protocol):
    """Who tells callers how their calls end; `to` is what it knows them by. Neither may fail."""

    def answered(self, to: Any, data: bytes) -> None:
        """Give the answer."""
        ...

    def ended(self, to: Any, outcome: Outcome) -> None:
        """Give a status that isn't OK."""
        ...


class ShortCall:
    """A call; a `Promise` of its scores, and `Watched` for its deadline."""

    __slots__ = (
        "_call", "_calls", "_done", "_method", "_place", "_shortened", "_started", "_teller", "_to", "_until",
        "_withdraw", "moment",
    )  # fmt: skip

    def __init__(
        self, calls: "Calls", method: Method, call: Call, shortened: Shortened, *, teller: Teller, to: Any
    ) -> None:
        self._calls, self._method, self._call, self._shortened = calls, method, call, shortened
        self._teller, self._to = teller, to
        self._done = False
        self._place: Place | None = None
        self._withdraw: Callable[[], None] | None = None
        self.moment = moment(call.deadline)

    def begin(self, size: int, started: float, until: float | None) -> bool:
        """Let the call in, with its message of `size` bytes; False if it is to go the plain way instead.

        Its client waits `until` then, on the event loop's clock, if it says so.
        """
        self._started, self._until = started, until
        self._calls.accept()
        self._calls.deadlines.add(self)
        try:
            self._place = self._calls.gate.enter(self._method)
            self._place.hold(size)
            self._withdraw = self._shortened.begin(self._call, self)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a code, and no more
            self.set_exception(error)
            return True
        if self._withdraw is None and not self._done:
            self._leave()
            return False
        return True

    def done(self) -> bool:
        """Whether it has ended."""
        return self._done

    def set_result(self, result: Scored) -> None:
        """Answer."""
        try:
            data = self._calls.checked(self._shortened.answer(result))
        except Exception as error:  # noqa: BLE001 - as above
            self.set_exception(error)
            return
        self._end(grpc.StatusCode.OK)
        self._teller.answered(self._to, data)
        self._let_go()

    def set_exception(self, error: Exception) -> None:
        """Refuse."""
        code, text = status_of(error)
        self._end(code)
        self._teller.ended(self._to, Outcome(code, text, b"", retry_hint(error)))
        self._let_go()

    def end(self) -> None:
        """End it: its deadline has passed."""
        self._call_off()
        self.set_exception(late())

    def cancel(self) -> None:
        """End it: its client has gone."""
        if not self._done:
            self._call_off()
            self._end(self._calls.code_of_gone(self._until))
            self._let_go()

    def _call_off(self) -> None:
        if self._withdraw is not None:
            self._withdraw()

    def _let_go(self) -> None:
        """Forget who knows it: a circle stays, with its rows and version, until Python looks for one."""
        self._to = self._withdraw = None

    def _end(self, code: grpc.StatusCode) -> None:
        self._leave()
        self._calls.count(self._method, self._call, code, self._started)

    def _leave(self) -> None:
        self._done = True
        self._calls.deadlines.remove(self)
        if self._place is not None:
            self._place.leave()
        self._calls.leave()
