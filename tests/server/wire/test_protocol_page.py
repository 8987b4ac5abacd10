import re
from pathlib import Path

from server.wire.messages import pool
from server.wire.oip import EXTENSIONS
from server.wire.oip_outputs import OPTIONAL

PAGES = Path(__file__).parents[3] / "docs/reference"
TFS_SERVICES = ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")


def table(heading: str, page: str = "protocol.md") -> dict[str, str]:
    """The rows of the table under `heading`: what is in the first column, and the rest."""
    section = (PAGES / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE))


def test_the_page_has_exactly_the_methods_that_are_answered() -> None:
    service = pool().FindServiceByName("inference.GRPCInferenceService")

    assert list(table("Methods")) == [method.name for method in service.methods]


def test_the_page_has_exactly_the_extensions_and_outputs() -> None:
    extensions = table("Methods")["ServerMetadata"].partition(":")[2]

    assert tuple(re.findall(r"`(\w+)`", extensions)) == EXTENSIONS
    assert list(table("Outputs")) == list(OPTIONAL)


def test_the_page_of_tensorflow_serving_has_exactly_the_methods_that_are_answered() -> None:
    services = [pool().FindServiceByName(name) for name in TFS_SERVICES]

    assert list(table("Methods", "tensorflow-serving.md")) == [
        method.name for service in services for method in service.methods
    ]
