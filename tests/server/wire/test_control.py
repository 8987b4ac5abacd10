import json
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from ensemble.errors import InvalidDataError, InvalidRequestError, ModelNotFoundError
from ensemble.refit.job import RefitJob
from model_store.errors import ConflictError, EnsembleNotFoundError, VersionNotFoundError
from model_store.store import Store
from server.wire.call import Call
from server.wire.control import Control, ControlOptions
from tests.server.cli.published import store_with_history

DATA = {"march": Path("/data/march.parquet"), "april": Path("/data/april.parquet")}
FOUND = {
    "name": "digits",
    "outcome": "held",
    "version": None,
    "parent": 1,
    "forced": False,
    "weights": {"sepconv": 0.75, "forest": 0.25},
    "solver": {"gap": 1e-12},
    "validation": {"losses": {"incumbent": None, "learned": 0.125}},
    "verdict": {"publish": False, "reasons": ["not sure"]},
    "notes": ["few rows"],
    "seconds": 2.5,
}


class World:
    """Control of a store with a little history; refits find FOUND."""

    def __init__(self, folder: Path, ensembles: tuple[str, ...] = ()) -> None:
        self.store: Store = store_with_history(folder)
        self.jobs: list[RefitJob] = []
        self.looks = 0
        self.error: Exception | None = None
        self.call = Call(0)
        control = Control(self.store, self, self.look, ControlOptions(DATA, ensembles))
        self.methods = {method.name: method for method in control.methods()}

    async def refit(self, job: RefitJob) -> Mapping[str, Any]:
        self.jobs.append(job)
        if self.error is not None:
            raise self.error
        return FOUND

    async def look(self) -> None:
        self.looks += 1

    async def ask(self, method: str, **fields: Any) -> Any:
        request = self.methods[method].request(**fields)
        return await self.methods[method].function(request, self.call)


@pytest.fixture(name="world")
def fixture_world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_refit_runs_on_data_by_its_name_and_answers_with_what_was_found(world: World) -> None:
    told = await world.ask(
        "Refit", ensemble="digits", data="march", test="april", min_gain=0.5, why="spring", by="ann"
    )

    digests = world.store.manifest("digits").digests
    assert world.jobs == [
        RefitJob(
            world.store.address,
            "digits",
            (DATA["march"],),
            (DATA["april"],),
            min_gain=0.5,
            why="spring",
            by="ann (over gRPC)",
        )
    ]
    assert (told.outcome, told.version, told.parent, told.forced) == ("held", 0, 1, False)
    assert [(each.member, each.weight, each.digest) for each in told.weights] == [
        ("forest", 0.25, digests["forest"]),
        ("sepconv", 0.75, digests["sepconv"]),
    ]
    assert (list(told.reasons), list(told.notes)) == (["not sure"], ["few rows"])
    assert (told.incumbent_loss, told.learned_loss, told.gap, told.seconds) == (inf, 0.125, 1e-12, 2.5)
    assert json.loads(told.evidence_json) == FOUND
    assert (world.call.model, world.call.version) == ("digits", "1")


async def test_what_a_refit_may_be_told_reaches_it(world: World) -> None:
    columns = {"sample_weight": "w", "group": "patient", "time_order": "day", "slices": ["site", "age"]}
    told = {
        "label": "z",
        "dry_run": True,
        "force": True,
        "why": "x",
        "pools": ["linear", "log"],
        "max_cost": 0.0,
        "expect_seq": 0,
    }
    await world.ask("Refit", ensemble="digits", data="april", objective="brier", **told, **columns)
    [job] = world.jobs
    assert job == replace(
        RefitJob(world.store.address, "digits", (DATA["april"],), label="z"),
        dry_run=True,
        force=True,
        why="x",
        by="somebody (over gRPC)",
        pools=("linear", "log"),
        objective="brier",
        sample_weight="w",
        group="patient",
        time_order="day",
        slices=("site", "age"),
        max_cost=0.0,
        expect_seq=0,
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"data": "/etc/passwd"}, "data is '/etc/passwd'; the server was told of april, march"),
        ({"data": ""}, "data is ''; the server was told of april, march"),
        ({"data": "march", "test": "may"}, "test is 'may'; the server was told of april, march"),
        ({"data": "march", "min_gain": -1.0}, r"min_gain is -1.0; it must be 0 nats or more"),
        ({"data": "march", "min_gain": inf}, "min_gain is inf"),
    ],
)
async def test_data_without_a_name_and_a_gate_that_is_none_are_refused(
    world: World, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        await world.ask("Refit", ensemble="digits", **fields)
    assert world.jobs == []


async def test_no_path_of_the_operators_goes_over_the_wire(world: World) -> None:
    world.error = InvalidDataError("/data/march.parquet has no column 'y'")
    with pytest.raises(InvalidDataError, match=r"^march has no column 'y'$"):
        await world.ask("Refit", ensemble="digits", data="march")


@pytest.mark.parametrize("method", ["Refit", "GetWeights", "History", "Rollback"])
async def test_an_ensemble_that_is_not_there_is_an_error_and_no_metric_label(
    world: World, method: str
) -> None:
    with pytest.raises(EnsembleNotFoundError):
        await world.ask(method, ensemble="nobody")
    assert world.call.model == ""


@pytest.mark.parametrize("method", ["Refit", "GetWeights", "History", "Rollback"])
async def test_only_what_the_server_serves_is_controlled(tmp_path: Path, method: str) -> None:
    world = World(tmp_path, ensembles=("other",))
    with pytest.raises(ModelNotFoundError, match="'digits' is not this server's; it serves other"):
        await world.ask(method, ensemble="digits")


@pytest.mark.parametrize(("asked", "version", "forest"), [(0, 1, 0.5), (2, 2, 0.25)])
async def test_weights_are_those_of_a_version_or_the_current_one(
    world: World, asked: int, version: int, forest: float
) -> None:
    told = await world.ask("GetWeights", ensemble="digits", version=asked)
    assert told.version == version
    assert {each.member: each.weight for each in told.weights} == {"forest": forest, "sepconv": 1 - forest}
    assert json.loads(told.pool_json) == {"form": "linear"}
    with pytest.raises(VersionNotFoundError):
        await world.ask("GetWeights", ensemble="digits", version=7)


async def test_history_is_the_journal_newest_entry_first(world: World) -> None:
    told = await world.ask("History", ensemble="digits")
    assert told.current == 1
    assert [(entry.seq, entry.op, entry.version, entry.previous, entry.label) for entry in told.entries] == [
        (4, "label", 2, 1, "canary"),
        (3, "rollback", 1, 2, ""),
        (2, "publish", 2, 1, ""),
        (1, "publish", 1, 0, ""),
    ]
    last = told.entries[3]
    assert (last.at, last.by, last.why) == ("2026-03-01T12:00:00Z", "ann", "first [try]")
    assert last.manifest_sha256 == world.store.entries("digits")[0].manifest_sha256
    assert [entry.seq for entry in (await world.ask("History", ensemble="digits", limit=2)).entries] == [4, 3]
    with pytest.raises(InvalidRequestError, match="limit is -1"):
        await world.ask("History", ensemble="digits", limit=-1)


async def test_a_rollback_is_written_with_who_says_to_have_asked_and_looked_for_at_once(world: World) -> None:
    told = await world.ask("Rollback", ensemble="digits", version=2, why="better", by="eve")
    entry = told.entry
    assert (entry.op, entry.version, entry.previous, entry.by, entry.why) == (
        *("rollback", 2, 1),
        *("eve (over gRPC)", "better"),
    )
    assert (world.store.current("digits"), world.looks) == (2, 1)
    with pytest.raises(ConflictError, match="is current already"):
        await world.ask("Rollback", ensemble="digits", version=2)
    assert world.looks == 1


async def test_a_rollback_for_another_head_of_the_journal_does_nothing(world: World) -> None:
    with pytest.raises(ConflictError, match="at entry 4, not 3: somebody published or rolled back"):
        await world.ask("Rollback", ensemble="digits", version=2, expect_seq=3)
    assert (world.store.current("digits"), world.looks) == (1, 0)
    await world.ask("Rollback", ensemble="digits", version=2, expect_seq=4)
    assert world.store.current("digits") == 2


def test_a_refit_may_take_longer_than_other_calls(world: World) -> None:
    longest = {name: method.longest_secs for name, method in world.methods.items()}
    assert longest == {"Refit": 86400, "GetWeights": None, "History": None, "Rollback": None}
