"""Options that several commands share, spelled once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from ensemble.loading.formats import Format
from server.wire.client_security import ClientSecurity

from .member_files import Candidates

StoreOption = Annotated[
    str,
    Parameter(name="--store", env_var="UNISONO_STORE", help="Where the published versions are."),
]
OutputOption = Annotated[
    Literal["table", "json"],
    Parameter(name=["--output-format", "-o"], help="A table for people, or one JSON object for programs."),
]
ReportOption = Annotated[
    Path | None,
    Parameter(help="Write a report here: one page if it ends in .html (needs matplotlib), data if in .json."),
]
DEFAULT_STORE = "./store"
AddressOption = Annotated[
    str,
    Parameter(name="--address", env_var="UNISONO_ADDRESS", help="Where the server listens for gRPC."),
]
DEFAULT_ADDRESS = "127.0.0.1:8001"
ExpectOption = Annotated[
    int | None,
    Parameter(
        validator=validators.Number(gte=0),
        help="Do it only if this is the newest journal entry, 0 for none: nobody was faster.",
    ),
]
AllowH5Option = Annotated[
    bool,
    Parameter(
        negative=(),
        help="Take HDF5 files (.h5), which Keras checks less than .keras: only ones that you trust. They are "
        "checked, and run once in a confined process.",
    ),
]
AllowSavedModelOption = Annotated[
    bool,
    Parameter(
        negative=(),
        help="Take SavedModel folders, which are programs: only ones that you trust. They are checked, and "
        "run once in a confined process.",
    ),
]
CandidateOptions = Annotated[Candidates, Parameter(name="*")]
NO_CANDIDATES = Candidates()
SecurityOptions = Annotated[ClientSecurity, Parameter(name="*")]
PLAIN_TEXT = ClientSecurity()


def allowed_formats(*, h5: bool, saved_model: bool) -> frozenset[Format]:
    """Return the formats that these options allow."""
    chosen: dict[Format, bool] = {"h5": h5, "saved_model": saved_model}
    return frozenset(kind for kind, wanted in chosen.items() if wanted)


@dataclass(frozen=True, slots=True)
class Measure:
    """What --runtimes measures, as for `unisono serve`: what is found then need not be measured there.

    Attributes:
        runtime: With --runtimes: onnxruntime, openvino, tensorflow, or auto, the fastest for each.
        try_tensorflow: With --runtimes: let auto measure TensorFlow too.
        threads: With --runtimes: threads that one member computes with; 0 means one, or one a core.
        cache_dir: With --runtimes: where measurements are kept.
    """

    runtime: Literal["onnxruntime", "openvino", "tensorflow", "auto"] = "auto"
    try_tensorflow: bool = False
    threads: int = 0
    cache_dir: Path | None = None
