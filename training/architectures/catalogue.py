"""The networks by name, and how one is built from a name and options."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from ensemble.errors import InvalidModelError

from .task import Task

NAMES = ("sepconv", "bndense", "bnconv", "xception", "densenet", "two_inputs", "two_outputs")


def option_names(name: str) -> tuple[str, ...]:
    """Return what can be said of the network `name`."""
    return tuple(key for key in inspect.signature(_builder(name)).parameters if key != "task")


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise `InvalidModelError` unless there is a network `name` which has all `options`."""
    known = option_names(name)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InvalidModelError(f"{name} has no options {unknown}; it has {', '.join(known)}")


def build(name: str, task: Task, options: Mapping[str, Any]) -> Any:
    """Return the Keras network, parameters random; Keras' seed decides them."""
    check_options(name, options)
    return _builder(name)(task, **options)


def _builder(name: str) -> Callable[..., Any]:
    if name not in NAMES:
        raise InvalidModelError(f"no network is called {name!r}; there are {', '.join(NAMES)}")
    builder: Callable[..., Any] = import_module(f"training.architectures.{name}").build
    return builder
