"""`unisono predict`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .main import EXIT_DONE
from .options import DEFAULT_ADDRESS, PLAIN_TEXT, AddressOption, OutputOption, SecurityOptions


def predict(  # noqa: PLR0913 - one for each option
    name: Annotated[str, Parameter(help="An ensemble, or one member of it as NAME.member.")],
    *,
    inputs: Annotated[Path, Parameter(name="--input", help="Parquet, CSV, NPZ or NPY with the rows.")],
    rows: Annotated[int, Parameter(help="How many rows of the file to ask for, from the first.")] = 5,
    version: Annotated[str, Parameter(help="The version to ask; the current one if not given.")] = "",
    address: AddressOption = DEFAULT_ADDRESS,
    security: SecurityOptions = PLAIN_TEXT,
    output_format: OutputOption = "table",
) -> int:
    """Ask a running server to score the first rows of a file: a smoke test from the shell."""
    import numpy as np  # noqa: PLC0415 - heavy: only when the command runs

    from ensemble.data.dataset import open_dataset  # noqa: PLC0415 - heavy: only when the command runs
    from server.wire.client import Client  # noqa: PLC0415 - heavy: only when the command runs

    from . import tables  # noqa: PLC0415 - only when the command runs

    with Client(address, security=security) as client:
        dataset = open_dataset([inputs], client.signature(name))
        chunk = next(iter(dataset.batches(rows)))
        answer = client.infer(name, chunk.rows, version=version)
    if output_format == "json":
        scores = [[float(score) for score in row] for row in answer.scores]
        tables.print_json({"model": name, "version": answer.version, "scores": scores})
        return EXIT_DONE
    table = tables.table(
        "row", "top class", "score", "", "runner-up", "score ", numbers=("row", "score", "score ")
    )
    for index, row in enumerate(answer.scores):
        top, second, *_ = (*np.argsort(-row, kind="stable"), 0)
        table.add_row(
            *(str(index), str(top), f"{row[top]:.4f}", tables.bar(float(row[top]))),
            *(str(second), f"{row[second]:.4f}"),
        )
    tables.console().print(table)
    print(f"{name} version {answer.version} at {address}")
    return EXIT_DONE
