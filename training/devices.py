"""How much of a GPU's memory training takes."""

from dataclasses import dataclass
from typing import Any

from .config import TrainConfigError


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """`grow`: as it is needed, so that others find some; else `most_mib` at most, or all if that is None."""

    grow: bool
    most_mib: int | None

    @classmethod
    def parse(cls, text: str) -> "GpuMemory":
        """Read `grow`, `all`, or a number of MiB."""
        if text in ("grow", "all"):
            return cls(text == "grow", None)
        if not text.isdecimal() or int(text) == 0:
            raise TrainConfigError(f"GPU memory is {text!r}; it is `grow`, `all` or a number of MiB above 0")
        return cls(grow=False, most_mib=int(text))

    def apply(self, config: Any) -> None:
        """Tell TensorFlow, whose `tf.config` it is given, before it has touched any GPU."""
        for gpu in config.list_physical_devices("GPU"):
            if self.grow:
                config.experimental.set_memory_growth(gpu, True)
            elif self.most_mib is not None:
                limit = config.LogicalDeviceConfiguration(memory_limit=self.most_mib)
                config.set_logical_device_configuration(gpu, [limit])
