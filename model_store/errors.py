"""Errors raised on purpose by the store."""


class StoreError(Exception):
    """Base of every error that the store raises on purpose."""


class EnsembleNotFoundError(StoreError):
    """The store holds no ensemble of that name."""


class VersionNotFoundError(StoreError):
    """The ensemble has no such published version."""


class InvalidNameError(StoreError):
    """The name can't be an ensemble's, a member's or a label's."""


class StoreCorruptError(StoreError):
    """What lies in the store isn't what its manifest or journal says."""


class ConflictError(StoreError):
    """Somebody else published first, or the journal isn't where the caller expected it."""


class StoreUnavailableError(StoreError):
    """The store can't be read or written: missing folder, no space, no permission."""


class InvalidDraftError(StoreError):
    """What was handed over to be published can't become a version."""
