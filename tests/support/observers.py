"""An observer that remembers what it was told, in the words it was told with."""

from typing import Any


class Recorder:
    """Takes any call: `recorder.calls` is a list of (method, arguments)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def record(*args: Any, **kwargs: Any) -> None:
            self.calls.append((name, args, kwargs))

        return record

    def of(self, method: str) -> list[tuple[Any, ...]]:
        """The positional arguments of each call of `method`."""
        return [args for name, args, _ in self.calls if name == method]
