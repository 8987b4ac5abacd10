"""The manifests in deploy/ are what Kubernetes and KubeRay take, and their commands are what unisono takes.

Kubernetes' own schemas come with kubernetes-validate; nothing is fetched. Of KubeRay's fields those that are
used are listed here, after its reference of `ray.io/v1`; its pods are checked by Kubernetes' schema.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from server.cli.main import application

yaml = pytest.importorskip("yaml", reason="needs .venv-ray: make test-ray")
kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="needs .venv-ray: make test-ray")
FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
KUBERNETES = "1.34"
RAY_JOB: dict[str, type] = {
    "entrypoint": str,
    "submissionMode": str,
    "shutdownAfterJobFinishes": bool,
    "ttlSecondsAfterFinished": int,
    "backoffLimit": int,
    "rayClusterSpec": dict,
}
RAY_CLUSTER: dict[str, type] = {
    "rayVersion": str,
    "authOptions": dict,
    "headGroupSpec": dict,
    "workerGroupSpecs": list,
}
HEAD: dict[str, type] = {"rayStartParams": dict, "template": dict}
WORKERS: dict[str, type] = HEAD | {"groupName": str, "replicas": int, "minReplicas": int, "maxReplicas": int}


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


def check(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def check_fields(found: Mapping[str, Any], known: Mapping[str, type]) -> None:
    assert {name: type(value) for name, value in found.items()} == known


def check_command(words: list[str]) -> None:
    """Parse it as the command would, and run nothing."""
    application().parse_args(words, exit_on_error=False, print_error=False)


def test_the_job_is_one_of_kubernetes() -> None:
    job = read("score-job.yaml")
    check(job)
    [container] = job["spec"]["template"]["spec"]["containers"]
    check_command(container["args"])
    assert job["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]["containerName"] == container["name"]


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    job = read("score-job.yaml")
    job["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        check(job)


def test_the_ray_job_has_kuberay_s_fields_and_pods_of_kubernetes() -> None:
    job = read("score-rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    check_fields(job["spec"], RAY_JOB)
    cluster = job["spec"]["rayClusterSpec"]
    check_fields(cluster, RAY_CLUSTER)
    check_fields(cluster["headGroupSpec"], HEAD)
    for group in cluster["workerGroupSpecs"]:
        check_fields(group, WORKERS)
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        metadata = {"name": "pod"}
        check(
            {"apiVersion": "v1", "kind": "PodTemplate", "metadata": metadata, "template": group["template"]}
        )
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    unisono, *words = shlex.split(job["spec"]["entrypoint"])
    assert unisono == "unisono"
    check_command(words)
