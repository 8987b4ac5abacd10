"""A model's figures in Triton's words: requests and batches, and where their nanoseconds went."""

from typing import Any

from server.telemetry.statistics import Duration, Figures, Stages

from .messages import message_class


def model_statistics(name: str, version: int, figures: Figures) -> Any:
    """Write the figures of one version of one model. Nothing is cached, so the caches stay at zero."""
    return message_class("inference.ModelStatistics")(
        name=name,
        version=str(version),
        last_inference=figures.last_ms,
        inference_count=figures.rows,
        execution_count=figures.batches,
        inference_stats={
            "success": _duration(figures.success),
            "fail": _duration(figures.fail),
            "queue": _duration(figures.queue),
            **_stages(figures.compute),
            "cache_hit": _duration(Duration()),
            "cache_miss": _duration(Duration()),
        },
        batch_stats=[
            {"batch_size": size, **_stages(stages)} for size, stages in sorted(figures.by_batch_size.items())
        ],
    )


def _stages(stages: Stages) -> dict[str, Any]:
    return {
        "compute_input": _duration(stages.input),
        "compute_infer": _duration(stages.infer),
        "compute_output": _duration(stages.output),
    }


def _duration(duration: Duration) -> dict[str, int]:
    return {"count": duration.count, "ns": duration.ns}
