"""Which versions of an ensemble are to be served, and which of them answers who names none.

Rule 1: the first choice answers; the others are served beside it, and found by their number or label.
Rule 2: a choice is a number (pinned), a label or "latest" (followed wherever they point).
Rule 3: `keep_latest` adds the newest of the others, until so many are served.
Rule 4: this file decides; it reads no store and no clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from model_store.errors import VersionNotFoundError

LATEST = "latest"
# Stands for the ensembles that no choice names.
OTHERS = ""


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """`choices`: by ensemble, or `OTHERS`, what to serve of it; `keep_latest`: how many versions at least."""

    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keep_latest: int = 1

    def of(self, name: str) -> tuple[str, ...]:
        """Return the choices for one ensemble, the one that answers first."""
        return self.choices.get(name) or self.choices.get(OTHERS) or (LATEST,)

    def looks_back(self, name: str) -> bool:
        """Whether other versions of `name` than the current one may be wanted."""
        return self.keep_latest > 1 or self.of(name) != (LATEST,)

    @property
    def named(self) -> frozenset[str]:
        """The ensembles that are named: whoever names one wants it served."""
        return frozenset(self.choices) - {OTHERS}


def wanted(
    policy: VersionPolicy, name: str, *, current: int, labels: Mapping[str, int], live: Sequence[int]
) -> tuple[int, ...]:
    """Return the versions of `name` to serve, the one that answers first; VersionNotFoundError.

    `live` are those that can be served, oldest first.
    """
    chosen = [
        current if choice == LATEST else _version(name, choice, labels, live) for choice in policy.of(name)
    ]
    versions = list(dict.fromkeys(chosen))
    others = [version for version in reversed(live) if version not in versions]
    missing = max(policy.keep_latest - len(versions), 0)
    return (*versions, *others[:missing])


def _version(name: str, choice: str, labels: Mapping[str, int], live: Sequence[int]) -> int:
    """Return the version that a number or a label means."""
    version = int(choice) if choice.isdecimal() else labels.get(choice)
    if version is None:
        raise VersionNotFoundError(
            f"ensemble {name!r} has no label {choice!r}, which is to be served; it has {sorted(labels)}: set "
            f"it with `unisono label {name} {choice} VERSION`"
        )
    if version not in live:
        raise VersionNotFoundError(
            f"ensemble {name!r} has no version {version}, which is to be served; it has {list(live)}"
        )
    return version
