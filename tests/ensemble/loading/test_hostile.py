"""Files that mean harm are refused with a reason; nothing outside the working folder is touched.

`UNISONO_PROOF=whole` damages Keras' files at more places.
"""

import json
import os
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import pytest

from ensemble.errors import InvalidModelError
from ensemble.loading import child, convert
from ensemble.loading.confine import Limits
from ensemble.publishing.examine import examine
from tests.ensemble.loading import hostile
from tests.support.figures import report
from tests.support.onnx_models import write_linear

WHOLE = os.environ.get("UNISONO_PROOF") == "whole"
LIMITS = Limits(seconds=1000 if WHOLE else 300, memory=2**31, file=2**28)
# Of a .keras file, one byte in so many is flipped, and it is cut off at one in so many.
FLIPPED, CUT = (41, 97) if WHOLE else (499, 997)


@pytest.mark.parametrize("name", hostile.REFUSED_AT_ONCE)
def test_a_hostile_file_is_refused_before_anything_loads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write, reason = hostile.REFUSED_AT_ONCE[name]
    path, work = tmp_path / "model", tmp_path / "work"
    work.mkdir()
    write(path)
    monkeypatch.setattr(child, "run", None)

    with pytest.raises(InvalidModelError) as caught:
        list(examine(path, work))

    assert reason in str(caught.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model", "work"]
    assert [file.name for file in work.iterdir()] in (["file"], [])


def test_a_link_is_read_once_and_what_it_points_to_later_does_not_matter(tmp_path: Path) -> None:
    work, link = tmp_path / "work", tmp_path / "link"
    work.mkdir()
    write_linear(tmp_path / "linear.onnx")
    link.symlink_to(tmp_path / "linear.onnx")
    steps = examine(link, work)
    checks = [next(steps).check, next(steps).check]
    link.unlink()
    link.symlink_to("/etc/passwd")

    assert [*checks, *(step.check for step in steps)] == ["format", "digest", "graph", "signature", "trial"]


def examine_all(files: list[str], folder: str) -> None:
    """Examine every file; write down how each ended. Runs in a child: a crash must not be ours."""
    ends = {}
    for index, file in enumerate(files):
        work = Path(folder) / f"work-{index}"
        work.mkdir()
        try:
            # This is a confined child already, and it may start no other.
            with patch("ensemble.publishing.examine.probe"):
                list(examine(Path(file), work))
            ends[file] = "taken"
        except InvalidModelError:
            ends[file] = "refused"
        (Path(folder) / "ends.json").write_text(json.dumps(ends))


def test_a_damaged_onnx_file_is_refused_or_taken_and_never_crashes(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    write_linear(tmp_path / "linear.onnx")
    files = []
    for index, content in enumerate(hostile.mutants((tmp_path / "linear.onnx").read_bytes(), 2, 5)):
        files.append(str(tmp_path / f"mutant-{index}"))
        Path(files[-1]).write_bytes(content)

    ended = child.run(examine_all, [files, str(tmp_path)], tmp_path, LIMITS)

    assert ended == "the conversion ended with exit code 0"
    ends = json.loads((tmp_path / "ends.json").read_text())
    assert list(ends) == files
    counts = Counter(ends.values())
    # A parameter's byte may be any; a cut never leaves a model.
    assert counts["refused"] > counts["taken"] > 0
    cut = files[-(len(files) // 4) :]
    assert {ends[file] for file in cut} == {"refused"}
    report(
        pytestconfig, f"damaged ONNX files: {counts['refused']} refused, {counts['taken']} taken, 0 crashes"
    )


@pytest.mark.slow
def test_what_only_loading_shows_is_refused_by_the_confined_child(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    folder = tmp_path / "work"
    damaged = tmp_path / "harmless"
    hostile.harmless(damaged)
    writers = {name: write for name, (write, _) in hostile.REFUSED_BY_THE_CHILD.items()}
    folders = {name: folder / name for name in ("harmless", *writers)}
    for name, place in folders.items():
        place.mkdir(parents=True)
        writers.get(name, hostile.harmless)(place / "model.keras")
    for index, content in enumerate(hostile.mutants(damaged.read_bytes(), FLIPPED, CUT)):
        folders[f"mutant {index}"] = folder / f"mutant-{index}"
        folders[f"mutant {index}"].mkdir()
        (folders[f"mutant {index}"] / "model.keras").write_bytes(content)

    words = ([str(place) for place in folders.values()], str(folder / "log"))
    ended = child.run(convert._convert_all, words, folder, LIMITS)  # noqa: SLF001 - the child's own part

    assert ended == "the conversion ended with exit code 0", (folder / "log").read_text()[-2000:]
    results = {
        name: json.loads((place / "result.json").read_text()).get("error") for name, place in folders.items()
    }
    assert results["harmless"] is None
    for name, (_, reason) in hostile.REFUSED_BY_THE_CHILD.items():
        assert reason in str(results[name]), name
    mutated = [error for name, error in results.items() if name.startswith("mutant")]
    refused = sum(error is not None for error in mutated)
    assert refused > 0
    report(pytestconfig, f"damaged .keras files: {refused} of {len(mutated)} refused, 0 crashes")


@pytest.mark.slow
def test_a_model_whose_answers_need_more_memory_than_there_may_be_is_stopped(tmp_path: Path) -> None:
    place = tmp_path / "work" / "0"
    place.mkdir(parents=True)
    hostile.write_bomb(place / "model.keras")

    words = ([str(place)], str(place.parent / "log"))
    ended = child.run(convert._convert_all, words, place.parent, LIMITS)  # noqa: SLF001 - the child's own part

    if ended == "the conversion ended with exit code 0":
        # Some allocations the kernel refuses at once, which is as good.
        assert "error" in json.loads((place / "result.json").read_text())
    else:
        assert ended == "the conversion took over 2 GiB of memory and was stopped"
