"""The example for Kubernetes, as far as no cluster runs: what must fit together, and what the worker itself says."""

from pathlib import Path
from typing import Any

import yaml

from unified_indexer.command_line import cli, signals
from unified_indexer.config.settings import SETTINGS

FILE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "unified-worker.yaml"


def test_two_workers_of_which_one_is_always_there() -> None:
    deployment, budget = yaml.safe_load_all(FILE.read_text(encoding="utf-8"))
    assert (deployment["apiVersion"], deployment["kind"]) == ("apps/v1", "Deployment")
    assert (budget["apiVersion"], budget["kind"]) == ("policy/v1", "PodDisruptionBudget")
    spec, pod = deployment["spec"], deployment["spec"]["template"]["spec"]
    labels: dict[str, str] = spec["template"]["metadata"]["labels"]
    assert labels == spec["selector"]["matchLabels"] == budget["spec"]["selector"]["matchLabels"]
    assert (spec["replicas"], budget["spec"]["minAvailable"]) == (2, 1)
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    (spread,) = pod["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["labelSelector"]["matchLabels"] == labels
    assert pod["terminationGracePeriodSeconds"] > signals.GRACE + 1


def test_the_container_is_started_as_the_worker_wants_it() -> None:
    deployment, _ = yaml.safe_load_all(FILE.read_text(encoding="utf-8"))
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    options = cli.parse(container["args"]).options
    assert (options.standby, options.hold) == (True, True)
    names = {setting.name for setting in SETTINGS}
    values: dict[str, str] = {one["name"]: one["value"] for one in container["env"]}
    assert values.keys() < names
    port: int = container["ports"][0]["containerPort"]
    assert values["HTTP_BIND"] == f"0.0.0.0:{port}"
    for probe in ("livenessProbe", "readinessProbe"):
        asked: dict[str, Any] = container[probe]["httpGet"]
        assert asked == {"path": "/healthz", "port": container["ports"][0]["name"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["runAsNonRoot"] is True
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
