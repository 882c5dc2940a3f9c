"""`deployments/` is held to the code: what its files name exists, and they say the same things."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import pytest
import typer.main
import yaml
from prefect import settings
from prefect.workers.process import ProcessWorker

from notify import registry
from notify.cli import app
from notify.engine.server import TUNING
from notify.errors import InvalidSetting
from notify.settings import Settings
from tests.compose import DEPLOYMENTS, Compose, example
from tests.house.source import ROOT

KUBERNETES = DEPLOYMENTS / "kubernetes"
#: Programs of the images and of every Linux.
THEIRS = {"sh", "python", "postgres", "pg_isready"}
#: The longest that a call to a provider may take: a worker asked to end waits for it.
CALL = 30
COMPOSE = Compose(example())


def _manifests() -> Iterator[dict[str, Any]]:
    for file in sorted(KUBERNETES.glob("*.yaml")):
        yield from yaml.safe_load_all(file.read_text(encoding="utf-8"))


MANIFESTS = list(_manifests())


def _of(kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in MANIFESTS if one["kind"] == kind}


def _pods() -> dict[str, dict[str, Any]]:
    return {name: one["spec"]["template"]["spec"] for kind in ("Deployment", "Job") for name, one in _of(kind).items()}


def _containers() -> list[dict[str, Any]]:
    return [container for pod in _pods().values() for container in pod["containers"]]


def _probes(container: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe"))


# --- variables ----------------------------------------------------------------------------------


def test_every_variable_of_compose_is_in_the_example_and_the_other_way_round() -> None:
    text = (DEPLOYMENTS / "compose.yaml").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{(\w+)", text))

    assert used <= set(example())
    # What the settings read reaches the services through env_file.
    assert {name for name in example() if not name.startswith("NOTIFY_") or name == "NOTIFY_IMAGE"} == used


def _environments() -> Iterator[str]:
    for service in COMPOSE.services.values():
        yield from service.environment
    for kind, key in (("ConfigMap", "data"), ("Secret", "stringData")):
        for one in _of(kind).values():
            yield from one[key]
    yield from re.findall(r"^(?:ENV)?\s+(\w+)=", (DEPLOYMENTS / "Dockerfile").read_text(), re.MULTILINE)


def test_every_setting_named_is_one_that_is_read() -> None:
    read = set(re.findall(r'"(NOTIFY_\w+)"', (ROOT / "notify" / "settings.py").read_text(encoding="utf-8")))
    for workflow in registry.load(ROOT / "flows").workflows.values():
        read |= {f"NOTIFY_{workflow.id}_{name}".upper().replace("-", "_") for name in workflow.parameters}
    named = {name for name in _environments() if name.startswith("NOTIFY_")}

    assert named - read == {"NOTIFY_IMAGE"}  # compose's own
    assert {"NOTIFY_DATABASE_URL", "NOTIFY_HOME", "NOTIFY_FLOWS"} <= named


def test_every_setting_of_prefect_is_one_that_it_knows() -> None:
    named = {name for name in _environments() if name.startswith("PREFECT_")}

    assert {name for name in named if not hasattr(settings, name)} == set()
    assert "PREFECT_API_URL" in named


def test_the_server_is_tuned_alike_everywhere() -> None:
    tuned = {name: value for name, value in TUNING.items() if name.startswith("PREFECT_SERVER_SERVICES_")}

    assert tuned
    for said in (COMPOSE.services["prefect"].environment, _of("ConfigMap")["prefect-server"]["data"]):
        assert {name: said.get(name) for name in tuned} == tuned


def test_the_secrets_of_the_examples_are_refused_by_name() -> None:
    workers = [COMPOSE.services["worker"].environment, COMPOSE.services["setup"].environment]
    secret = _of("Secret")["notify"]["stringData"]

    for environment in (*workers, secret):
        with pytest.raises(InvalidSetting, match=r"^(NOTIFY|PREFECT)_\w+='…change-me…': still has .* `openssl rand"):
            Settings.from_env(environment)
    assert [
        name for name, value in _of("Secret")["prefect-server"]["stringData"].items() if "change-me" not in value
    ] == []


# --- commands -----------------------------------------------------------------------------------


def _commands() -> Iterator[list[str]]:
    for service in COMPOSE.services.values():
        yield service.command
        if "healthcheck" in service.said:
            yield service.health
    for container in _containers():
        yield container["args"]
        yield from (probe["exec"]["command"] for probe in _all_probes(container) if "exec" in probe)


def _all_probes(container: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (value for name, value in container.items() if name.endswith("Probe"))


def _parts(command: list[str]) -> list[list[str]]:
    """What a shell would run, one by one."""
    if command[:2] == ["sh", "-c"]:
        return [shlex.split(part) for part in command[2].split("&&")]
    return [command]


def test_every_command_exists_with_its_words() -> None:
    scripts = {script.name for script in entry_points(group="console_scripts")}
    commands = [part for command in _commands() for part in _parts(command)]

    assert {command[0] for command in commands} - THEIRS <= scripts
    ours = [command[1:] for command in commands if command[0] == "notify"]
    assert ["work"] in ours
    for words in ours:
        _understood(words)


def _understood(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        assert words[0] in command.commands, words
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, list(words))


# --- order, health, ends ------------------------------------------------------------------------


def test_compose_starts_each_service_when_what_it_needs_is_so() -> None:
    names = [service.name for service in COMPOSE.in_order()]

    assert names == ["postgres", "prefect", "setup", "worker"]
    for service in COMPOSE.services.values():
        for needed, condition in service.needs.items():
            ends = "healthcheck" not in COMPOSE.services[needed].said
            assert condition == ("service_completed_successfully" if ends else "service_healthy")
    assert COMPOSE.services["worker"].said["deploy"]["replicas"] == "2"


def test_a_worker_is_given_longer_to_end_than_a_call_takes() -> None:
    assert int(COMPOSE.services["worker"].said["stop_grace_period"].removesuffix("s")) > CALL
    assert _pods()["worker"]["terminationGracePeriodSeconds"] > CALL


def test_what_runs_on_starts_again_and_what_ends_does_not() -> None:
    for service in COMPOSE.services.values():
        assert service.said["restart"] == ("unless-stopped" if "healthcheck" in service.said else "no")
        assert not {"tmpfs", "privileged"} & set(service.said)


def test_every_container_of_kubernetes_is_probed_and_bounded_and_no_root() -> None:
    for deployment in _of("Deployment").values():
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        assert all(len({"exec", "httpGet"} & set(probe)) == 1 for probe in _probes(container))
    for pod in _pods().values():
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["enableServiceLinks"]
    for container in _containers():
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


def test_what_a_manifest_points_at_exists() -> None:
    assert {one["metadata"].get("namespace", "notify") for one in MANIFESTS} == {"notify"} == set(_of("Namespace"))
    for container in _containers():
        for source in container["envFrom"]:
            [(kind, named)] = source.items()
            assert named["name"] in _of({"configMapRef": "ConfigMap", "secretRef": "Secret"}[kind])
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in _of("Deployment").values()]
    assert _of("Service")["prefect"]["spec"]["selector"] in labels
    assert _of("PodDisruptionBudget")["worker"]["spec"]["selector"]["matchLabels"] in labels
    assert _of("Deployment")["worker"]["spec"]["replicas"] >= 2


def test_a_flow_run_in_its_own_pod_gets_what_a_worker_gets() -> None:
    template = json.loads((KUBERNETES / "pool.json").read_text(encoding="utf-8"))
    [container] = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"]
    [worker] = _pods()["worker"]["containers"]

    assert container["envFrom"] == worker["envFrom"]
    assert template["variables"]["properties"]["image"]["default"] == worker["image"]
    # The stock worker's own default: `prefect flow-run execute`.
    assert container["args"] == "{{ command }}"
    assert "default" not in template["variables"]["properties"]["command"]
    assert ProcessWorker.get_default_base_job_template()["job_configuration"]["command"] == "{{ command }}"


def test_the_image_is_made_of_what_is_here() -> None:
    lines = (DEPLOYMENTS / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    kept = {line[1:] for line in (DEPLOYMENTS / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}

    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert set(copied) == kept
    assert "USER 10001" in lines
    assert {pod["securityContext"]["runAsUser"] for pod in _pods().values()} == {10001}
    assert [line for line in lines if "[test]" in line or "[bench]" in line] == []


def test_every_file_here_is_in_the_index() -> None:
    index = (DEPLOYMENTS / "README.md").read_text(encoding="utf-8")
    files = [file for file in DEPLOYMENTS.rglob("*") if file.is_file() and file.name not in ("README.md", ".env")]

    assert [file.name for file in files if f"`{file.relative_to(DEPLOYMENTS).as_posix()}`" not in index] == []
