"""The example for Kubernetes, as far as no cluster runs: its schemas, what must fit together, what the worker says."""

import re
import subprocess
import sys
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from unified_indexer.command_line import cli, signals
from unified_indexer.config import stream_url
from unified_indexer.config.settings import SETTINGS

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
# It is in requirements-dev.lock, so an environment of `make` has it.
needs_schemas = pytest.mark.skipif(find_spec("kubernetes_validate") is None, reason="kubernetes-validate is not installed")


def objects(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def validated(*files: Path) -> subprocess.CompletedProcess[str]:
    """By the schemas of the newest Kubernetes that the package has, which refuse a field that they do not know."""
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", *files]
    return subprocess.run(command, capture_output=True, text=True)


@needs_schemas
def test_the_manifests_are_what_kubernetes_takes() -> None:
    done = validated(*FILES)
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = sum(len(re.findall(r"^kind: ", file.read_text(encoding="utf-8"), re.MULTILINE)) for file in FILES)
    assert (done.stdout + done.stderr).count(" passed for resource ") == kinds > 4


@needs_schemas
def test_a_misspelt_key_is_refused(tmp_path: Path) -> None:
    misspelt = {
        "network-policy.yaml": "policyTypes",
        "secret.yaml": "stringData",
        "unified-worker.yaml": "readOnlyRootFilesystem",
    }
    assert misspelt.keys() == {file.name for file in FILES}
    for name, key in misspelt.items():
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert text.count(f"{key}:") == 1
        (tmp_path / name).write_text(text.replace(f"{key}:", f"{key}x:"), encoding="utf-8")
    done = validated(*(tmp_path / name for name in misspelt))
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    for name, key in misspelt.items():
        assert re.search(rf"{name} did not validate.*'{key}x' was unexpected", said), said


def test_two_workers_of_which_one_is_always_there() -> None:
    deployment, budget, service = objects("unified-worker.yaml")
    assert (deployment["apiVersion"], deployment["kind"]) == ("apps/v1", "Deployment")
    assert (budget["apiVersion"], budget["kind"]) == ("policy/v1", "PodDisruptionBudget")
    spec, pod = deployment["spec"], deployment["spec"]["template"]["spec"]
    labels: dict[str, str] = spec["template"]["metadata"]["labels"]
    assert labels == spec["selector"]["matchLabels"] == budget["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    assert (spec["replicas"], budget["spec"]["minAvailable"]) == (2, 1)
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    (spread,) = pod["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["labelSelector"]["matchLabels"] == labels
    assert pod["terminationGracePeriodSeconds"] > signals.GRACE + 1


def test_the_container_is_started_as_the_worker_wants_it() -> None:
    deployment, _, service = objects("unified-worker.yaml")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    options = cli.parse(container["args"]).options
    assert (options.standby, options.hold) == (True, True)
    names = {setting.name for setting in SETTINGS}
    values: dict[str, str] = {one["name"]: one["value"] for one in container["env"]}
    assert values.keys() < names
    port: int = container["ports"][0]["containerPort"]
    assert values["HTTP_BIND"] == f"0.0.0.0:{port}"
    assert values["HTTP_HOSTS"] == service["metadata"]["name"]
    assert service["spec"]["ports"] == [{"name": "http", "port": port, "targetPort": container["ports"][0]["name"]}]
    (source,) = container["envFrom"]
    (secret,) = objects("secret.yaml")
    assert source == {"secretRef": {"name": secret["metadata"]["name"]}}
    assert secret["stringData"].keys() == {"DATABASE_URL"}
    assert container["resources"]["limits"].keys() == {"memory"}  # a limit of CPU would throttle a catch-up
    for probe in ("livenessProbe", "readinessProbe"):
        asked: dict[str, Any] = container[probe]["httpGet"]
        assert asked == {"path": "/healthz", "port": container["ports"][0]["name"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["runAsNonRoot"] is True
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}  # for large repos


def test_the_network_is_open_for_what_the_worker_asks_and_no_more() -> None:
    """Public addresses alone for what accounts may name, as the worker itself has it."""
    deployment, *_ = objects("unified-worker.yaml")
    (policy,) = objects("network-policy.yaml")
    spec = policy["spec"]
    assert spec["podSelector"]["matchLabels"] == deployment["spec"]["selector"]["matchLabels"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert [rule["ports"] for rule in spec["ingress"]] == [[{"protocol": "TCP", "port": "http"}]]
    (anywhere,) = (rule["ports"] for rule in spec["egress"] if "to" not in rule)
    assert anywhere == [{"protocol": "TCP", "port": port} for port in (5432, stream_url.DEFAULT_PORT)]
    (public,) = (rule["to"] for rule in spec["egress"] if rule["ports"] == [{"protocol": "TCP", "port": 443}])
    (closed,) = (block["ipBlock"]["except"] for block in public if block["ipBlock"]["cidr"] == "0.0.0.0/0")
    for address in ("10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.255.255", "192.168.0.1"):
        assert any(ip_address(address) in ip_network(network) for network in closed), address
    for address in ("1.1.1.1", "172.32.0.1", "192.169.0.1"):
        assert not any(ip_address(address) in ip_network(network) for network in closed), address
