"""Writes this folder's models and what PyTorch gives for rows: run it in the environment that has PyTorch.

    make .venv-torch/.done && .venv-torch/bin/python tests/support/pytorch/write.py

`conv.onnx` is a convnet for images, channels first, that gives probabilities, by today's `torch.onnx.export`;
`dense.onnx` a net for features that gives logits, by the older exporter, whose files are everywhere.
`NAME.npz` holds rows, under the input's name, and PyTorch's own `scores` for them.
"""

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

HERE = Path(__file__).parent
ROWS = 48


class Block(nn.Module):  # type: ignore[misc]  # PyTorch is in another environment
    """Two normalised convolutions, the second halving the image, and a way around them."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.through = nn.Sequential(
            nn.Conv2d(channels, filters, 3, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(filters),
        )
        self.around = nn.Conv2d(channels, filters, 1, stride=2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what came through and what went around, added up."""
        return torch.relu(self.through(x) + self.around(x))


def conv() -> nn.Module:
    """Build a residual convnet for 8 x 8 images of one channel, of ten classes."""
    return nn.Sequential(
        Block(1, 8), Block(8, 16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10), nn.Softmax(dim=1)
    )


def dense() -> nn.Module:
    """Build a dense net for 30 features, of two classes as logits."""
    return nn.Sequential(
        nn.Linear(30, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(16, 8),
        nn.GELU(),
        nn.Linear(8, 2),
    )


def settled(network: nn.Module, rows: torch.Tensor) -> nn.Module:
    """Return the network ready to predict, its normalisations with statistics as after training."""
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(rows * (1 + torch.rand(len(rows), *[1] * (rows.ndim - 1))))
    return network.eval()


def write(name: str, network: nn.Module, given: str, shape: tuple[int, ...], *, modern: bool) -> None:
    """Export the network, and write rows with what it gives for them."""
    rows = torch.rand(ROWS, *shape)
    network = settled(network, rows)
    options = (
        {"dynamo": True, "dynamic_shapes": ({0: torch.export.Dim("rows")},), "external_data": False}
        if modern
        else {"dynamo": False, "dynamic_axes": {given: {0: "rows"}, "scores": {0: "rows"}}}
    )
    file = HERE / f"{name}.onnx"
    torch.onnx.export(network, (rows,), file, input_names=[given], output_names=["scores"], **options)
    _forget_where(file)
    with torch.no_grad():
        np.savez(HERE / f"{name}.npz", **{given: rows.numpy(), "scores": network(rows).numpy()})


def _forget_where(file: Path) -> None:
    """Take out the notes of where on this machine each node comes from; the graph stays as it is."""
    model = onnx.load(file)
    for noted in (
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.input,
        *model.graph.output,
        model.graph,
    ):
        del noted.metadata_props[:]
        noted.doc_string = ""
    onnx.save(model, file)


def main() -> None:
    """Write them all."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    write("conv", conv(), "image", (1, 8, 8), modern=True)
    with warnings.catch_warnings():
        # The older exporter says on every call that it is the older one.
        warnings.simplefilter("ignore", DeprecationWarning)
        write("dense", dense(), "features", (30,), modern=False)


if __name__ == "__main__":
    main()
