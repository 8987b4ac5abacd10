"""How the demo talks: numbered steps, the commands it types, what came of them."""

import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from ensemble.errors import EnsembleError


class DemoError(EnsembleError):
    """A command of the demo failed; what it said was shown."""


@dataclass(slots=True)
class Stage:
    """Prints to `console`; counts the steps and the seconds."""

    console: Console
    steps: int
    began: float = field(default_factory=time.monotonic)
    step: int = 0

    def next(self, title: str) -> None:
        """Begin the next step."""
        self.step += 1
        seconds = time.monotonic() - self.began
        head = Text(f"\n{self.step}/{self.steps}  ", style="bold cyan").append(title, style="bold")
        self.console.print(head.append(f"  ({seconds:.0f} s so far)" if self.step > 1 else "", style="dim"))

    def say(self, text: str) -> None:
        """Print a sentence."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def command(self, *words: str, accept: tuple[int, ...] = (0,), quiet: bool = False) -> str:
        """Type `unisono WORDS` as a user would; return what it printed when `quiet`, else let it print."""
        self.console.print(Text("$ unisono " + shlex.join(words), style="green"), soft_wrap=True)
        sys.stdout.flush()
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "unisono", *words],
            stdout=subprocess.PIPE if quiet else None,
            text=True,
            check=False,
        )
        if done.returncode not in accept:
            raise DemoError(f"`unisono {shlex.join(words)}` ended with exit code {done.returncode}")
        return done.stdout or ""
