import math
from pathlib import Path

import pytest
from rich.console import Console

from ensemble.errors import UnavailableError
from server.cli.demonstration.picture import draw
from server.cli.demonstration.play import verdict_on_test
from server.cli.demonstration.scrape import member_figures, samples_of
from server.cli.demonstration.server_process import serving
from server.cli.demonstration.stage import DemoError, Stage

SCRAPE = """\
# TYPE unisono_member_weight gauge
unisono_member_weight{model="digits",member="a"} 0.25
unisono_member_weight{model="digits",member="b"} 0.75
unisono_member_weight{model="letters",member="c"} 1.0
# TYPE unisono_member_compared_rows counter
unisono_member_compared_rows_total{model="digits",member="b"} 10.0
# TYPE unisono_member_same_top_class counter
unisono_member_same_top_class_total{model="digits",member="b"} 9.0
"""


def losses(learned: float, uniform: float, single: float, members: dict[str, float]) -> dict[str, object]:
    best = {"member": "a", "loss": single}
    return {"learned": learned, "uniform": uniform, "best_single": best, "members": members}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            losses(0.1, 0.2, 0.3, {"a": 0.3, "b": 0.4}),
            "on test rows learned (0.1000 nats) beats uniform weights (0.2000) and best single, a (0.3000)",
        ),
        (
            losses(0.2, 0.1, 0.3, {"a": 0.3}),
            (
                "on test rows learned (0.2000 nats) beats best single, a (0.3000);"
                " it does NOT beat uniform weights (0.1000)"
            ),
        ),
        (
            losses(0.4, 0.1, 0.3, {"a": 0.3}),
            (
                "on test rows learned (0.4000 nats) beats nothing;"
                " it does NOT beat uniform weights (0.1000) and best single, a (0.3000)"
            ),
        ),
        (
            losses(0.1, 0.2, 0.3, {"a": 0.3, "b": 0.05}),
            (
                "on test rows learned (0.1000 nats) beats uniform weights (0.2000) and best single,"
                " a (0.3000); b alone (0.0500) happens to do better on these rows, which the validation rows"
                " could not tell"
            ),
        ),
    ],
)
def test_the_demo_says_honestly_what_learning_was_worth(given: dict[str, object], said: str) -> None:
    assert verdict_on_test(given) == said


def test_a_scrape_is_told_member_by_member_the_heaviest_first() -> None:
    first, second = member_figures(samples_of(SCRAPE, "digits"))
    assert (first.member, first.weight, first.same_top_class) == ("b", 0.75, 0.9)
    assert (second.member, second.weight) == ("a", 0.25)
    assert math.isnan(second.same_top_class)


def test_the_picture_is_a_png_of_some_size(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    draw(path, {"a": 0.25, "b": 0.75}, {"a": 0.5, "b": 0.4, "learned": 0.3}, learned="learned")
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert int.from_bytes(data[16:20]) == 1430


def test_a_command_of_the_demo_that_fails_is_named(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    stage = Stage(Console(width=140, highlight=False), steps=2)
    stage.next("Try")
    with pytest.raises(DemoError, match=r"`unisono history nobody --store .*` ended with exit code 1"):
        stage.command("history", "nobody", "--store", str(tmp_path))
    stage.next("Go on")
    said = capfd.readouterr().out
    assert "1/2  Try" in said
    assert "2/2  Go on" in said


def test_a_server_that_cannot_start_is_not_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    with pytest.raises(UnavailableError, match="did not get ready"), serving(str(tmp_path / "nowhere"), log):
        pass
    assert "doesn't exist" in log.read_text()
