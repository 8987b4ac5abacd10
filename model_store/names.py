"""Which names ensembles, members and labels may have, and what a digest looks like.

A name becomes a folder on disk and a word on the wire, where `NAME.member` is a member's own model:
so no dots, no slashes, nothing that a file system or a shell reads as more than a name.
"""

import re

from model_store.errors import InvalidNameError

MAX_LENGTH = 64
_NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_-]{{0,{MAX_LENGTH - 1}}}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Words that already mean a version without anybody having set them.
RESERVED_LABELS = ("current", "latest")


def is_name(text: str) -> bool:
    """Whether `text` can be a name."""
    return _NAME.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether `text` is a sha256 in lower-case hex."""
    return _DIGEST.fullmatch(text) is not None


def check_name(text: str, what: str) -> str:
    """Return `text` if it can be the name of a `what` ("ensemble", "member"); else InvalidNameError."""
    if not is_name(text):
        raise InvalidNameError(
            f"{what} name {text[: 2 * MAX_LENGTH]!r} can't be used; a name is 1 to {MAX_LENGTH} characters "
            "of A-Z, a-z, 0-9, _ and -, and doesn't start with -"
        )
    return text


def check_label(text: str) -> str:
    """Return `text` if it can be a label: a name that nobody takes for a version; else InvalidNameError."""
    check_name(text, "label")
    if text.isdigit() or text in RESERVED_LABELS:
        raise InvalidNameError(
            f"label {text!r} would be taken for a version; choose a word such as 'stable' or 'canary'"
        )
    return text
