"""What is deployed for monitoring: rules that promtool accepts and tests, a dashboard that is sound, a page that names all."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from testing.monitoring import (
    CONFIG,
    DEPLOYED,
    PAGE,
    ROOT,
    RULES,
    UNIT_TESTS,
    alerts,
    dashboard,
    exported_names,
    families,
    names_in,
    promtool,
    queries,
)

ALERTS = [alert["alert"] for alert in alerts()]
PANELS: list[dict[str, Any]] = dashboard()["panels"]
COLUMNS = 24  # of Grafana's grid


def unit_tests() -> list[dict[str, Any]]:
    """Every check of one alert at one time, of all files."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in UNIT_TESTS]
    return [check for file in files for test in file["tests"] for check in test.get("alert_rule_test", [])]


def test_prometheus_accepts_its_configuration_and_the_rules() -> None:
    promtool("check", "config", CONFIG)  # with the rules that it names
    assert yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["rule_files"] == [RULES.name]


@pytest.mark.long
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    promtool("test", "rules", path)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_seen_to_fire_and_to_be_quiet(alert: str) -> None:
    expected = [bool(check["exp_alerts"]) for check in unit_tests() if check["alertname"] == alert]
    assert set(expected) == {True, False}


def test_unit_tests_are_about_alerts_that_there_are() -> None:
    assert len(set(ALERTS)) == len(ALERTS)
    assert {check["alertname"] for check in unit_tests()} <= set(ALERTS)


@pytest.mark.parametrize("rule", alerts(), ids=ALERTS)
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    texts = rule["annotations"]
    assert set(texts) == {"summary", "description", "see"}
    assert "First " in texts["description"] or rule["labels"]["severity"] == "info"
    page, _, section = texts["see"].partition(", ")
    assert f"\n### {section}\n" in (ROOT / page).read_text(encoding="utf-8")
    assert section == rule["alert"]


def test_the_page_has_no_alert_that_is_not_there() -> None:
    assert re.findall(r"^### (UnifiedWorker\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE) == ALERTS


def test_every_metric_that_is_asked_for_is_exported() -> None:
    exported = exported_names()
    asked = {name for expr in (*(rule["expr"] for rule in alerts()), *queries("1m")) for name in names_in(str(expr))}
    assert len(asked) > 20
    assert asked <= exported


def test_the_page_names_every_metric_and_no_other() -> None:
    named = re.findall(r"^\| `((?:unified_worker|process)_\w+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(set(named)) == len(named)
    assert set(named) == set(families())


def test_prometheus_understands_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"dashboard:{number}", "expr": query.expr} for number, query in enumerate(queries("1m"))]
    path = tmp_path / "dashboard.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML, too
    assert "$" not in path.read_text()
    promtool("check", "rules", path)


def test_panels_have_numbers_and_places_of_their_own() -> None:
    numbers = [panel["id"] for panel in PANELS]
    assert len(set(numbers)) == len(numbers)
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in PANELS)
        for x, y in itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
    ]
    assert len(set(taken)) == len(taken)
    assert {x for x, _ in taken} == set(range(COLUMNS))


def test_the_dashboard_shows_what_is_proven_and_what_is_not() -> None:
    shown = {name for query in queries("1m") for name in names_in(query.expr)}
    counted = (
        "verified",
        "bad_signatures",
        "doubts",
        "settled",
        "key_refreshes",
        "identity_lookups",
        "confirmations",
        "audited",
    )
    gauges = ("unproven_repos", "identity_lookups_waiting", "deletions_unconfirmed")
    assert {*(f"unified_worker_{name}_total" for name in counted), *(f"unified_worker_{name}" for name in gauges)} <= shown


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_can_be_read(panel: dict[str, Any]) -> None:
    assert panel["type"] in ("stat", "timeseries")  # others may be plugins
    assert panel["title"]
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        assert target["legendFormat"]
        assert 'instance=~"$instance"' in target["expr"]
    if panel["type"] == "stat":  # of a worker that is gone it says so, and not what was true last
        assert [target["instant"] for target in panel["targets"]] == [True]


def test_the_dashboard_goes_with_any_data_source() -> None:
    board = dashboard()
    source, instance = board["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert names_in(instance["query"]["query"]) <= exported_names()
    variable = {"type": "prometheus", "uid": "${datasource}"}
    users = [instance, *board["annotations"]["list"], *board["panels"]]
    users += [target for panel in board["panels"] for target in panel["targets"]]
    assert all(user["datasource"] == variable for user in users)
    assert "id" not in board  # each Grafana gives its own


def test_prometheus_asks_every_worker_of_the_compose_file_by_its_name() -> None:
    """One that stands by is not always there: its name is looked up, and what has no address is not missed."""
    services = yaml.safe_load((ROOT / "docker-compose.unified.yml").read_text(encoding="utf-8"))["services"]
    workers = {name for name, one in services.items() if one.get("build") and "ingest" not in one["command"]}
    (job,) = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["scrape_configs"]
    (fixed,), (looked_up,) = job["static_configs"], job["dns_sd_configs"]
    optional = {name for name in workers if "profiles" in services[name]}
    assert {target.removesuffix(":8080") for target in fixed["targets"]} == workers - optional
    assert (set(looked_up["names"]), looked_up["type"], looked_up["port"]) == (optional, "A", 8080)


def test_grafana_finds_the_dashboard_and_prometheus() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.unified.yml").read_text(encoding="utf-8"))["services"]
    (provider,) = yaml.safe_load((DEPLOYED / "grafana/provisioning/dashboards/files.yml").read_text())["providers"]
    assert f"./deploy/monitoring/grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]
    (source,) = yaml.safe_load((DEPLOYED / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    interval = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == interval
