from dataclasses import replace
from math import inf
from pathlib import Path

from model_store.store import Store
from server.app import _loader
from tests.ensemble.refit.published import NAME, publish_uniform


def test_a_member_whose_recorded_loss_is_infinite_is_loaded_with_it(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    publish_uniform(store, tmp_path)
    losses = {"members": {"blunt": 0.9, "fair": 0.4, "over": None}, "learned": 0.3}
    draft = replace(store.manifest(NAME).draft, evidence={"validation": {"losses": losses}}, parent=1)
    store.publish(NAME, draft, by="test", why="refit")
    loaded = _loader(store, 0)(NAME, 2, {})
    assert loaded.member_losses == {"blunt": 0.9, "fair": 0.4, "over": inf}
    assert loaded.loss == 0.3
