"""Errors raised on purpose, one class for each reaction of the caller.

rows -> *check* -> batch -> *queue* -> scores: a request that is wrong stays wrong
(`InvalidRequestError`), one that came at a bad time may be sent again (`OverloadedError`,
`UnavailableError`, `DeadlineError`). files -> *load* -> members, data, weights: a file that is
wrong names itself and the way out. How an error looks on the wire is `server.wire.status`'s affair.
"""


class EnsembleError(Exception):
    """Base of every error that this library raises on purpose."""


class InvalidRequestError(EnsembleError):
    """The request can't be served by this version of the model: wrong name, dtype, shape or value."""


class ModelNotFoundError(EnsembleError):
    """No model of that name, or no such version of it, is served."""


class NotOfferedError(EnsembleError):
    """The server doesn't do this, whatever the values and whenever it is asked."""


class OverloadedError(EnsembleError):
    """The queue is full; the same request may succeed later."""


class DeadlineError(EnsembleError):
    """The caller's deadline passed before its rows were run."""


class UnavailableError(EnsembleError):
    """No version is ready yet, or the server is draining."""


class InvalidWeightsError(EnsembleError):
    """The weights don't lie on the simplex, or don't match the members."""


class InvalidModelError(EnsembleError):
    """A model file can't be taken as a member: not a model, not allowed, or not what it says."""


class GoldenMismatchError(InvalidModelError):
    """A version gives other scores here than those that were kept when it was published."""


class InvalidDataError(EnsembleError):
    """A data file doesn't hold what the signature asks for, or its labels don't fit the classes.

    `code` says in one word what is wrong with a row, for the list of those that weren't scored.
    """

    def __init__(self, message: str, *, code: str = "invalid") -> None:
        super().__init__(message)
        self.code = code


class TooManyErrorRowsError(InvalidDataError):
    """More rows of a scoring job failed than may; the others are scored."""


class SolverError(EnsembleError):
    """The solver did not converge, so there are no weights to use."""


class MemberError(EnsembleError):
    """A member failed while scoring rows it should have taken; the cause is in the log."""
