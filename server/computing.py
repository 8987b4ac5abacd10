"""The settings that say how members compute: a part of `ServeSettings`, with the rules for it."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from ensemble.runtimes.devices import Devices, Kind
from ensemble.runtimes.measurements import cores

Rules = list[tuple[str, bool, str]]


@dataclass(frozen=True, slots=True)
class ComputeSettings:
    """How members compute. `ServeSettings` says what each means."""

    max_batch_size: int = 0
    allowed_batch_sizes: str = ""
    runtime: Literal["onnxruntime", "openvino", "tensorflow", "auto"] = "onnxruntime"
    try_tensorflow: bool = False
    threads: int = 0
    cache_dir: Path | None = None
    device: Kind = "cpu"
    device_memory_fraction: float = 0.0
    logical_devices: int = 1

    def compute_rules(self) -> Rules:
        """Return what must hold: the setting, whether it does, and what it must be."""
        not_negative = "it must be 0 or more"
        both = "--max-batch-size says too what the most is: leave one out"
        return [
            ("max_batch_size", self.max_batch_size >= 0, not_negative),
            (
                "allowed_batch_sizes",
                self.batch_sizes is not None,
                "they are numbers above 0, larger and larger",
            ),
            ("allowed_batch_sizes", not (self.allowed_batch_sizes and self.max_batch_size), both),
            ("try_tensorflow", not self.try_tensorflow or self.runtime == "auto", "it needs --runtime auto"),
            ("threads", self.threads >= 0, not_negative),
            ("device_memory_fraction", 0 <= self.device_memory_fraction <= 1, "it must be 0 to 1"),
            ("logical_devices", self.logical_devices > 0, "it must be above 0"),
        ]

    @property
    def batch_sizes(self) -> tuple[int, ...] | None:
        """The sizes that batches may have, none if any; None if they can't be read."""
        return sizes_in(self.allowed_batch_sizes)

    @property
    def member_threads(self) -> int:
        """Most threads that one member computes with: one for each core that this process may use."""
        return self.threads or cores()

    @property
    def devices(self) -> Devices:
        """What members may compute on."""
        return Devices(self.device, self.device_memory_fraction, self.logical_devices)


def sizes_in(text: str) -> tuple[int, ...] | None:
    """Read batch sizes as they are typed, such as 1,4,16: larger and larger; None if they aren't."""
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    if not all(word.isascii() and word.isdecimal() for word in words):
        return None
    sizes = tuple(map(int, words))
    return sizes if all(one < other for one, other in pairwise((0, *sizes))) else None
