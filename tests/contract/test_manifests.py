"""Manifests and compose file: valid by their schemas, and what they promise of privileges."""

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from compose_spec import PyCompose

from railwatch.settings import load
from railwatch_agent.settings import AgentSettings
from railwatch_analyzer.settings import AnalyzerSettings
from support.repository import DEPLOY, ROOT

_KUBERNETES = DEPLOY / "kubernetes"
_COMPOSE = DEPLOY / "compose"
_OF_OPERATOR = "monitoring.coreos.com/v1"
# The oldest that is maintained widely; what is valid there is valid later.
_VERSION = "1.29"
# A registry is a host with a dot or a port before the first slash.
_REGISTRY = re.compile(r"^[^/]*[.:][^/]*/")


def _objects() -> Iterator[dict[str, Any]]:
    for path in sorted(_KUBERNETES.glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def _name(thing: dict[str, Any]) -> str:
    return f"{thing['kind']} {thing['metadata']['name']}"


_BY_NAME = {_name(thing): thing for thing in _objects()}
_PODS = {
    name: thing["spec"]["template"]["spec"]
    for name, thing in _BY_NAME.items()
    if thing["kind"] in {"DaemonSet", "Deployment"}
}
_COMPOSE_FILES = sorted(_COMPOSE.glob("compose*.yaml"))


def _compose(path: Path = _COMPOSE / "compose.yaml") -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize(
    "thing", [t for t in _BY_NAME.values() if t["apiVersion"] != _OF_OPERATOR], ids=_name
)
def test_kubernetes_knows_every_key(thing: dict[str, Any]) -> None:
    """Strict: a key that the schema does not have is an error."""
    kubernetes_validate.validate(thing, _VERSION, strict=True)


def test_a_misspelt_key_would_be_found() -> None:
    thing = json.loads(json.dumps(_BY_NAME["DaemonSet railwatch-agent"]))
    thing["spec"]["template"]["spec"]["hostNetwrok"] = True

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(thing, _VERSION, strict=True)


@pytest.mark.parametrize("pod", _PODS.values(), ids=_PODS.keys())
def test_pods_have_no_privilege(pod: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


def test_the_host_is_mounted_read_only_but_for_two_directories_of_our_own() -> None:
    pod = _PODS["DaemonSet railwatch-agent"]
    of_host = {v["name"]: v["hostPath"]["path"] for v in pod["volumes"] if "hostPath" in v}
    (container,) = pod["containers"]
    writable = {
        of_host[mount["name"]]
        for mount in container["volumeMounts"]
        if mount["name"] in of_host and not mount.get("readOnly")
    }

    assert writable == {"/var/lib/railwatch", "/run/railwatch"}


def test_root_does_one_thing_before_the_agent_starts() -> None:
    (container,) = _PODS["DaemonSet railwatch-agent"]["initContainers"]

    assert container["command"][0] == "chown"
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN"]}


@pytest.mark.parametrize("pod", _PODS.values(), ids=_PODS.keys())
def test_what_a_pod_mounts_is_there_and_no_mount_is_within_another(pod: dict[str, Any]) -> None:
    """A directory cannot be made within a mounted configuration, which is read-only."""
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]

        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        assert not [(a, b) for a in paths for b in paths if b.startswith(f"{a}/")]


@pytest.mark.parametrize(
    ("name", "file", "schema"),
    [
        ("railwatch-agent", "agent.toml", AgentSettings),
        ("railwatch-analyzer", "analyzer.toml", AnalyzerSettings),
    ],
)
def test_the_configuration_is_one_and_agrees_with_the_pod(
    tmp_path: Path, name: str, file: str, schema: type
) -> None:
    text = _BY_NAME[f"ConfigMap {name}"]["data"][file]
    (tmp_path / file).write_text(text)

    load(schema, file=tmp_path / file, environment={}, prefix="X", flags={})
    port = int(tomllib.loads(text)["server"]["listen"].rpartition(":")[2])
    pod = next(pod for key, pod in _PODS.items() if key.endswith(name))

    assert pod["containers"][0]["ports"][0]["containerPort"] == port


def test_prometheus_accepts_the_rules_of_the_operator(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump(_BY_NAME["PrometheusRule railwatch"]["spec"])
    )

    done = subprocess.run(
        ["promtool", "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_monitors_find_the_pods_and_call_the_jobs_as_the_rules_do() -> None:
    rules = json.dumps(_BY_NAME["PrometheusRule railwatch"])
    pods = _BY_NAME["PodMonitor railwatch-agent"]["spec"]
    services = _BY_NAME["ServiceMonitor railwatch-analyzer"]["spec"]
    daemon, service = _BY_NAME["DaemonSet railwatch-agent"], _BY_NAME["Service railwatch-analyzer"]

    for monitor, found in ((pods, daemon["spec"]["template"]), (services, service)):
        labels = found["metadata"]["labels"]
        assert monitor["selector"]["matchLabels"].items() <= labels.items()
        assert f'job=\\"{labels[monitor["jobLabel"]]}\\"' in rules


@pytest.mark.parametrize("path", _COMPOSE_FILES, ids=lambda path: path.name)
def test_compose_knows_every_key(path: Path) -> None:
    PyCompose.from_yaml(yaml.safe_dump(_compose(path))).validate()


def test_a_misspelt_key_of_compose_would_be_found() -> None:
    content = _compose()
    content["services"]["agent"]["privilegedd"] = True

    with pytest.raises(ValueError, match="privilegedd"):
        PyCompose.from_yaml(yaml.safe_dump(content))


def test_what_compose_builds_and_mounts_is_there() -> None:
    """Dashboards are a directory of their own, made by whoever has some."""
    for service in _compose()["services"].values():
        sources = [volume.split(":")[0] for volume in service.get("volumes", [])]
        build = service.get("build")
        if build:
            assert (_COMPOSE / build["context"] / build["dockerfile"]).is_file()
        for source in sources:
            if source.startswith("."):
                assert source == "../../dashboards" or (_COMPOSE / source).exists(), source
            elif not source.startswith("/"):
                assert source in _compose()["volumes"]


def test_compose_services_are_confined() -> None:
    for name, service in _compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name


@pytest.mark.parametrize("path", sorted((DEPLOY / "containers").iterdir()), ids=lambda p: p.name)
def test_container_files_copy_what_is_there_and_end_as_nobody(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    copied = [
        line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line
    ]

    assert copied
    assert all((ROOT / name).exists() for name in copied)
    assert [line for line in lines if line.startswith("USER ")] == ["USER 65532:65532"]


def test_images_name_no_registry() -> None:
    images = [c["image"] for pod in _PODS.values() for c in pod["containers"]]
    images += [service["image"] for service in _compose()["services"].values()]

    assert images
    assert not [image for image in images if _REGISTRY.match(image)]
    assert all(":" in image for image in images)
