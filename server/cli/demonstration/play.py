"""The demo's eight steps, in order."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ensemble.data.dataset import open_dataset
from ensemble.member import Rows, Scores
from server.cli import tables
from server.wire.client import Client

from .callers import Tally, calling
from .picture import draw
from .scrape import MemberFigures, member_figures, samples_of
from .server_process import ServerProcess, serving
from .stage import DemoError, Stage

NAME = "digits"
FILES = {
    "sepconv": "sepconv.keras",
    "bndense": "bndense.keras",
    "bnconv": "bnconv.keras",
    "forest": "forest.onnx",
}
CALLERS = 4
ROWS_A_CALL = 8


class Play:
    """One run of the demo in `folder`; what an earlier run made there is used again."""

    def __init__(self, stage: Stage, folder: Path, clients_python: Path) -> None:
        self._stage = stage
        self._members = folder / "members"
        self._store = str(folder / "store")
        self._folder = folder
        self._clients_python = clients_python
        self._validation = self._members / "validation.npz"
        self._test = self._members / "test.npz"

    def run(self) -> None:
        """Play all steps."""
        self._train()
        self._publish()
        with self._serve() as server:
            self._ask_with_the_stock_client(server)
            learned = self._refit_under_load(server)
            self._score(server)
            self._show_metrics(server)
        self._finish(learned)

    def _train(self) -> None:
        self._stage.next("Train four different models on real handwritten digits")
        self._stage.command("train", "--output", str(self._members))

    def _publish(self) -> None:
        self._stage.next("Publish them as one ensemble, weighed alike for now")
        members = [f"--member={name}={self._members / file}" for name, file in FILES.items()]
        why = "--why=demo: four members, weighed alike"
        self._stage.command("publish", NAME, *members, why, "--store", self._store)

    def _serve(self) -> Any:
        self._stage.next("Serve it over gRPC")
        self._stage.say(f"$ unisono serve --store {self._store} --grpc-port 0 --metrics-port 0")
        return serving(self._store, self._folder / "serve.log", ["--poll-interval-secs", "0.5"])

    def _ask_with_the_stock_client(self, server: ServerProcess) -> None:
        self._stage.say(
            f"ready in {server.ready_seconds:.2f} s, without TensorFlow: gRPC on {server.address},"
            f" metrics on {server.metrics_url}"
        )
        self._stage.next("Ask it with the stock Triton client, as any of your services would")
        if not self._clients_python.exists():
            self._stage.say(
                f"skipped: no {self._clients_python}; `make demo` in a checkout makes it, or name one"
                " with --clients-python"
            )
            return
        script = Path(__file__).with_name("triton_client.py")
        arguments = [server.address, NAME, str(self._test), "5"]
        done = subprocess.run(  # noqa: S603 - our own script
            [str(self._clients_python), "-I", str(script), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DemoError("the stock client failed; what it said is above")
        self._show_answer(json.loads(done.stdout))

    def _show_answer(self, answer: Mapping[str, Any]) -> None:
        self._stage.say(f"{answer['server']}; model {answer['model']}, versions {answer['versions']}")
        self._stage.say(f"inputs: {', '.join(answer['inputs'])}; answered by version {answer['version']}")
        with np.load(self._test, allow_pickle=False) as arrays:
            labels = arrays["label"]
        table = tables.table("row", "true digit", "answer", "score", "", numbers=("row", "score"))
        for row, scores in enumerate(np.array(answer["scores"])):
            top = int(scores.argmax())
            figures = (str(row), str(labels[row]), str(top), f"{scores[top]:.4f}")
            table.add_row(*figures, tables.bar(float(scores[top])))
        self._stage.console.print(table)

    def _refit_under_load(self, server: ServerProcess) -> dict[str, Any]:
        self._stage.next("Learn on validation rows how much each should count, while callers keep asking")
        data = ["--data", str(self._validation), "--test", str(self._test), "--label", "label"]
        rows = self._test_rows(server, ROWS_A_CALL)
        with calling(server.address, NAME, rows, CALLERS) as tally:
            before = self._version(server)
            learned: dict[str, Any] = json.loads(
                self._stage.command("refit", NAME, *data, "--store", self._store, "-o", "json", quiet=True)
            )
            self._wait_for(server, learned["version"])
        self._show_losses(learned)
        self._show_tally(tally, before)
        return learned

    def _test_rows(self, server: ServerProcess, count: int) -> Rows:
        with Client(server.address) as client:
            dataset = open_dataset([self._test], client.signature(NAME))
        return next(iter(dataset.batches(count))).rows

    def _version(self, server: ServerProcess) -> int:
        return int(samples_of(server.metrics(), NAME)["unisono_active_version"][""])

    def _wait_for(self, server: ServerProcess, version: int) -> None:
        """Wait until the server says that it serves `version`."""
        for _ in range(200):
            if self._version(server) == version:
                return
            try:
                server.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            break
        raise DemoError(f"the server did not take up version {version}; {server.log} says why")

    def _show_losses(self, learned: Mapping[str, Any]) -> None:
        weights, test = learned["weights"], learned["test"]["losses"]
        validation = learned["validation"]["losses"]
        table = tables.table(
            "", "weight", " ", "validation log-loss", "test log-loss",
            numbers=("weight", "validation log-loss", "test log-loss"),
        )  # fmt: skip
        for name in sorted(weights, key=lambda member: -weights[member]):
            figures = (f"{validation['members'][name]:.4f}", f"{test['members'][name]:.4f}")
            table.add_row(name, f"{weights[name]:.3f}", tables.bar(weights[name]), *figures)
        table.add_section()
        for title, key in (("weighed alike", "uniform"), ("learned", "learned")):
            table.add_row(title, "", "", f"{validation[key]:.4f}", f"{test[key]:.4f}")
        self._stage.console.print(table)
        self._stage.say(verdict_on_test(test))

    def _show_tally(self, tally: Tally, before: int) -> None:
        answers = ", ".join(f"{count:,} by version {v}" for v, count in sorted(tally.by_version.items()))
        self._stage.say(
            f"meanwhile {CALLERS} callers asked without pause, from version {before} on:"
            f" {answers or 'none'}; {len(tally.failures)} failed"
        )
        if tally.failures:
            raise DemoError(f"a request failed during the swap: {tally.failures[0]}")

    def _score(self, server: ServerProcess) -> None:
        self._stage.next("Score a file in batch, with no server, and compare with the server's answers")
        output = self._folder / "scores"
        shutil.rmtree(output, ignore_errors=True)
        self._stage.command(
            "score", NAME, "--input", str(self._test), "--output", str(output), "--store", self._store
        )
        scored = scores_column(output)
        served = self._ask_for_all(server, len(scored))
        same = np.array_equal(scored, served)
        self._stage.say(f"the server's answers for the same {len(served)} rows: equal bit for bit: {same}")
        if not same:
            raise DemoError(f"scores differ by up to {np.abs(scored - served).max():.3g}")

    def _ask_for_all(self, server: ServerProcess, rows: int) -> Scores:
        with Client(server.address) as client:
            dataset = open_dataset([self._test], client.signature(NAME))
            # 37 divides nothing here: the server's batches are other ones than the job's.
            answers = [client.infer(NAME, chunk.rows).scores for chunk in dataset.batches(37)]
        return np.concatenate(answers)[:rows]

    def _show_metrics(self, server: ServerProcess) -> None:
        self._stage.next("Look at what Prometheus would see of each member")
        samples = samples_of(server.metrics(), NAME)
        table = tables.table(
            "member", "weight", "validation loss", "same top class", "mean divergence", "mean compute",
            numbers=("weight", "validation loss", "same top class", "mean divergence", "mean compute"),
        )  # fmt: skip
        for figures in member_figures(samples):
            table.add_row(*_in_words(figures))
        self._stage.console.print(table)
        requests = int(samples["unisono_requests_total"][""])
        self._stage.say(f"{requests:,} calls of {NAME} counted; all of it at {server.metrics_url}")

    def _finish(self, learned: Mapping[str, Any]) -> None:
        self._stage.next("Draw the picture, and show where the weights came from")
        test = learned["test"]["losses"]
        losses = {**test["members"], "weighed alike": test["uniform"], "learned": test["learned"]}
        picture = self._folder / "digits.png"
        draw(picture, learned["weights"], losses, learned="learned")
        self._stage.command("history", NAME, "--store", self._store)
        self._stage.say(
            f"saved {picture}; the server's log is {self._folder / 'serve.log'}\n\n"
            f"Now try it yourself:\n"
            f"  unisono serve --store {self._store}\n"
            f"  unisono predict {NAME} --input {self._test}\n"
            f"  unisono inspect {NAME} --store {self._store}"
        )


def verdict_on_test(losses: Mapping[str, Any]) -> str:
    """Say honestly how the learned weights do on rows that nothing was learned from."""
    learned, best = losses["learned"], losses["best_single"]
    rivals = {"uniform weights": losses["uniform"], f"best single, {best['member']}": best["loss"]}
    beaten = [f"{name} ({loss:.4f})" for name, loss in rivals.items() if learned < loss]
    missed = [f"{name} ({loss:.4f})" for name, loss in rivals.items() if learned >= loss]
    said = f"on test rows learned ({learned:.4f} nats) "
    said += f"beats {' and '.join(beaten)}" if beaten else "beats nothing"
    said += f"; it does NOT beat {' and '.join(missed)}" if missed else ""
    lucky = min(losses["members"], key=lambda name: losses["members"][name])
    if losses["members"][lucky] < learned and lucky != best["member"]:
        said += (
            f"; {lucky} alone ({losses['members'][lucky]:.4f}) happens to do better on these rows,"
            " which the validation rows could not tell"
        )
    return said


def scores_column(folder: Path) -> Scores:
    """Read the scores that a scoring job wrote, [row, class]."""
    column = pq.read_table(sorted(folder.glob("part-*.parquet")), columns=["scores"])["scores"]
    return np.array(column.to_pylist(), dtype=np.float32)


def _in_words(figures: MemberFigures) -> tuple[str, ...]:
    def known(value: float, written: str) -> str:
        return "not asked yet" if np.isnan(value) else written

    return (
        figures.member,
        f"{figures.weight:.3f}",
        f"{figures.validation_loss:.4f} nats",
        known(figures.same_top_class, f"{figures.same_top_class:.1%}"),
        known(figures.mean_divergence, f"{figures.mean_divergence:.4f} nats"),
        known(figures.mean_compute_ms, f"{figures.mean_compute_ms:.2f} ms"),
    )
