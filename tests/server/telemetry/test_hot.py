import asyncio
from threading import Thread

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from server.telemetry import hot
from server.telemetry.hot import BulkHistogram, Hot

BOUNDS = (0.1, 0.5, 1.0)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_what_was_counted_is_scraped_though_nobody_poured_it(registry: CollectorRegistry) -> None:
    waiting = Hot(registry)
    calls = Counter("calls", "Calls.", ["model"], registry=registry)
    rows = Gauge("rows", "Rows.", registry=registry)
    for model in ("a", "b", "a"):
        waiting.count(calls, (model,))
    waiting.set(rows, 7)
    waiting.set(rows, 5)
    assert registry.get_sample_value("calls_total", {"model": "a"}) == 2
    assert registry.get_sample_value("calls_total", {"model": "b"}) == 1
    assert registry.get_sample_value("rows") == 5


def test_a_histogram_filled_in_bulk_reads_as_one_that_observed_each_value() -> None:
    values = (0.0, 0.1, 0.100001, 0.5, 0.7, 1.0, 1.5, 100.0)
    bulk, single = CollectorRegistry(), CollectorRegistry()
    waiting = Hot(bulk)
    poured = BulkHistogram("secs", "Seconds.", ["model"], buckets=BOUNDS, registry=bulk)
    waiting.observe(poured, ("a",), *values[:3])
    waiting.pour()
    waiting.observe(poured, ("a",), *values[3:])
    plain = Histogram("secs", "Seconds.", ["model"], buckets=BOUNDS, registry=single)
    for value in values:
        plain.labels("a").observe(value)
    told = [
        [line for line in generate_latest(each).splitlines() if b"_created" not in line]
        for each in (bulk, single)
    ]
    assert told[0] == told[1]


def test_nothing_is_lost_between_threads_that_count_and_one_that_scrapes(registry: CollectorRegistry) -> None:
    waiting = Hot(registry)
    calls = Counter("calls", "Calls.", ["model"], registry=registry)

    def count() -> None:
        for _ in range(2000):
            waiting.count(calls, ("a",))

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        waiting.pour()
    assert registry.get_sample_value("calls_total", {"model": "a"}) == 8000


def test_the_timer_pours_without_a_scrape(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hot, "POUR_EVERY_SECS", 0.001)
    waiting = Hot(registry)
    calls = Counter("calls", "Calls.", ["model"], registry=registry)
    waiting.count(calls, ("a",))

    def poured() -> bool:
        return any(
            sample.value == 1
            for metric in calls.collect()
            for sample in metric.samples
            if "_total" in sample.name
        )

    async def until_poured() -> None:
        pouring = asyncio.create_task(waiting.pour_on())
        async with asyncio.timeout(5):
            while not poured():
                await asyncio.sleep(0)
        waiting.count(calls, ("b",))
        pouring.cancel()
        await asyncio.wait({pouring})

    asyncio.run(until_poured())
    [metric] = calls.collect()
    told = {
        tuple(sample.labels.values()): sample.value for sample in metric.samples if "_total" in sample.name
    }
    assert told["b",] == 1
