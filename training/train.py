"""Making members: from a configuration to files, each made once.

`train` is the only way in. Beside every member it writes a receipt, `NAME.json`, with the sha256 of the
member's file and what made it; a member whose file matches its receipt is not made again, and one whose
training was killed goes on where it was.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .config import DataConfig, MemberConfig, TrainConfig, TrainConfigError, shipped
from .data.images import with_ink, with_profile
from .data.parts import Data
from .data.sources import SOURCES
from .data.written import write_rows
from .devices import GpuMemory
from .make import Order, make
from .progress import OnProgress
from .receipts import Trained, read_receipt, sources_digest, write_receipt


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How a run differs from its configuration.

    Attributes:
        names: Only these members; all of them if none is named.
        seed: Another seed makes other members of the same rows, and the same one the same members, on the
            same machine and libraries.
        most_epochs: Caps every network's epochs.
        pictures: Draw each network, with the shapes between its layers, as NAME.png.
        gpu_memory: How much of a GPU to take: see `GpuMemory`.
    """

    names: Sequence[str] = ()
    seed: int = 0
    most_epochs: int | None = None
    pictures: bool = False
    gpu_memory: str = "grow"


def train(
    folder: Path,
    config: TrainConfig | None = None,
    on_progress: OnProgress = lambda _: None,
    options: TrainOptions = TrainOptions(),
) -> list[Trained]:
    """Make the members of `config`, the demo's if left out, in `folder`, with rows to weigh them beside.

    Every file appears whole or not at all. Networks are trained in the calling process, which has TensorFlow
    in it from then on.
    """
    config = config or TrainConfig.read(shipped("digits"))
    members = choose(config.members, options.names)
    folder.mkdir(parents=True, exist_ok=True)
    data = load(config.data)
    write_rows(folder, data)
    done = []
    for member in (capped(member, options.most_epochs) for member in members):
        made_by = {
            "seed": options.seed,
            "member": dataclasses.asdict(member),
            "rows": data.digest,
            "sources": sources_digest(),
        }
        trained = read_receipt(folder, member.name, made_by)
        if trained is None:
            order = Order(
                folder,
                member,
                data,
                options.seed,
                options.pictures,
                GpuMemory.parse(options.gpu_memory),
                made_by,
            )
            trained = make(order, on_progress)
            write_receipt(folder, trained, made_by)
        done.append(trained)
    return done


def load(config: DataConfig) -> Data:
    """Read the rows, all of them."""
    if config.own is not None:
        return config.own.load()
    if config.source not in SOURCES:
        raise TrainConfigError(
            f"[data] source is {config.source!r}; it is one of {', '.join(SOURCES)}, or train names files"
        )
    data = SOURCES[config.source]()
    for wanted, added in ((config.profile, with_profile), (config.ink, with_ink)):
        if wanted:
            data = Data(added(data.train), added(data.validation), added(data.test), data.classes)
    return data


def choose(members: Sequence[MemberConfig], names: Sequence[str]) -> list[MemberConfig]:
    """Return the members called `names`, each once, in the configuration's order; all if none is named."""
    known = [member.name for member in members]
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise TrainConfigError(f"no member is called {unknown}; there are {', '.join(known)}")
    return [member for member in members if not names or member.name in names]


def capped(member: MemberConfig, most_epochs: int | None) -> MemberConfig:
    """Return the member with no more than `most_epochs` epochs."""
    epochs = member.fit.epochs if most_epochs is None else min(most_epochs, member.fit.epochs)
    return replace(member, fit=replace(member.fit, epochs=epochs))
