"""The files of deploy/ fit the real command line, the project's files and each other, and pass their linters."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mmrec.contract.events import UserEvent
from mmrec_serving import BackgroundServer, ServerConfig
from mmrec_serving.change_log import open_changes
from mmrec_serving.event_log import open_events
from mmrec_serving.store_place import store_place
from tests.commands import run
from tests.fake_engine import FakeEngine
from tests.redis_server import program as redis_program
from tests.redis_server import running

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted(path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")
INSTRUCTION = re.compile(r"^\s*([A-Z]+)\s+(.+)$")


@cache
def parsed(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def instructions() -> list[tuple[str, str]]:
    """What the Dockerfile does, each with its arguments, in one line."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [found.groups() for line in text.replace("\\\n", " ").splitlines() if (found := INSTRUCTION.match(line))]  # type: ignore[misc]


def of_image(name: str) -> list[str]:
    """The arguments of an instruction of the Dockerfile, wherever it stands."""
    return [arguments for instruction, arguments in instructions() if instruction == name]


def unit() -> configparser.SectionProxy:
    text = (DEPLOY / "mmrec.service").read_text(encoding="utf-8").replace("\\\n", " ")
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser["Service"]


def manifest(kind: str) -> Any:
    (found,) = [found for path in MANIFESTS if (found := parsed(f"kubernetes/{path.name}"))["kind"] == kind]
    return found


def pod() -> Any:
    return manifest("Deployment")["spec"]["template"]["spec"]


def container() -> Any:
    (found,) = pod()["containers"]
    return found


def commands() -> dict[str, list[str]]:
    """Each command line of `mmrec serve`, by the file that has it."""
    (start,) = of_image("CMD")[-1:]
    program, *words = shlex.split(unit()["ExecStart"])
    assert program.endswith("/bin/mmrec")
    return {
        "Dockerfile": json.loads(start),
        "compose.yaml": parsed("compose.yaml")["services"]["mmrec"]["command"],
        "deployment.yaml": container()["args"],
        "mmrec.service": words,
    }


def value(words: list[str], option: str) -> str:
    """What an option is given, as ``--option=value`` or ``--option value``."""
    for at, word in enumerate(words):
        if word == option:
            return words[at + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    raise AssertionError(f"{option} is not in {words}")


def program(name: str) -> str:
    """A linter's path: beside Python, or where programs are."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def checked(*words: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """Run a program that must succeed; what it prints."""
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "deployment.yaml", "mmrec.service"])
def test_the_command_line_takes_all_options_and_misses_the_bundle_alone(name: str, tmp_path: Path) -> None:
    command, _, *options = commands()[name]
    assert command == "serve"
    done = run(command, tmp_path / "none", *options)
    # The check of the bundle comes after those of the options and of the server's whole configuration.
    assert "there is no bundle folder" in done.stderr
    assert done.returncode == 3


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "deployment.yaml", "mmrec.service"])
def test_a_server_has_keys_and_ports_that_are_the_same_everywhere(name: str) -> None:
    words = commands()[name]
    assert value(words, "--keys").endswith("/keys.toml")
    assert "--without-keys" not in words
    assert value(words, "--port") == "50051"
    assert value(words, "--metrics").endswith(":9464")
    assert value(words, "--log-format") == "json"


def test_a_server_is_given_more_time_to_end_than_its_calls() -> None:
    given = {
        "compose.yaml": parsed("compose.yaml")["services"]["mmrec"]["stop_grace_period"].removesuffix("s"),
        "deployment.yaml": pod()["terminationGracePeriodSeconds"],
        "mmrec.service": unit()["TimeoutStopSec"],
    }
    for name, seconds in given.items():
        # Eight threads of work have two seconds each to end, behind the calls.
        assert float(seconds) >= float(value(commands()[name], "--grace")) + 20, name


def test_what_the_image_copies_exists_and_makes_the_package(tmp_path: Path) -> None:
    allowed = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"]
    copied = [word for words in of_image("COPY") if "--from" not in words for word in words.split()[:-1]]
    assert sorted(copied) == sorted(allowed)
    for name in copied:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    pytest.importorskip("hatchling")
    made = tmp_path / "wheels"
    checked(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", made, cwd=tmp_path)
    assert len(list(made.glob("mmrec-*.whl"))) == 1


def test_the_optional_parts_that_the_image_installs_exist() -> None:
    (names,) = re.findall(r"'\.\[([\w,]+)\]'", " ".join(of_image("RUN")))
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert names.split(",") == ["serving", "postgres", "redis", "tracing"]
    assert set(names.split(",")) <= set(declared)


def test_no_container_runs_as_root_or_can_become_it() -> None:
    assert of_image("USER") == ["10001:10001"]
    for name, service in parsed("compose.yaml")["services"].items():
        assert re.search(r"\d+:\d+\}?$", service["user"]), name
        assert not re.search(r"(^|-)0:", service["user"]), name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    context = pod()["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"], context["fsGroup"]) == (True, 10001, 10001)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for one in (*pod()["initContainers"], *pod()["containers"]):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(one["resources"]) == {"requests", "limits"}
    assert pod()["automountServiceAccountToken"] is False
    assert manifest("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    service = unit()
    assert service["User"] == "mmrec"
    assert service["CapabilityBoundingSet"] == ""
    assert (service["NoNewPrivileges"], service["ProtectSystem"]) == ("yes", "strict")


def test_the_parts_of_the_compose_file_find_each_other() -> None:
    file = parsed("compose.yaml")
    services = file["services"]
    words = commands()["compose.yaml"]
    mounted = {
        path: host
        for service in services.values()
        for host, path in (entry.removesuffix(":ro").rsplit(":", 1) for entry in service.get("volumes", ()))
    }
    for host in mounted.values():
        if host.startswith("./") and host != "./keys":
            assert (DEPLOY / host).is_file()
        elif not host.startswith((".", "$")):
            assert host in file["volumes"]
    assert words[1] in mounted
    assert str(Path(value(words, "--keys")).parent) in mounted
    assert "--config.file=/etc/prometheus/prometheus.yml" in services["prometheus"]["command"]
    assert mounted["/etc/prometheus/prometheus.yml"] == "./prometheus.yml"
    assert mounted["/etc/grafana/provisioning/datasources/mmrec.yaml"] == "./grafana/datasource.yaml"
    assert mounted["/etc/grafana/provisioning/dashboards/mmrec.yaml"] == "./grafana/dashboards.yaml"
    (provider,) = parsed("grafana/dashboards.yaml")["providers"]
    assert mounted[f"{provider['options']['path']}/mmrec.json"] == "./grafana-dashboard.json"
    (source,) = parsed("grafana/datasource.yaml")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (job,) = parsed("prometheus.yml")["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert found["names"][0] in services
    assert value(words, "--metrics") == f"0.0.0.0:{found['port']}"
    (ports,) = services["mmrec"]["ports"]
    assert ports.rpartition(":")[2] == value(words, "--port")
    store = urlsplit(value(words, "--store"))
    assert store.hostname in services
    assert store.password is None
    environment = services[store.hostname]["environment"]
    assert (store.username, store.path) == (environment["POSTGRES_USER"], f"/{environment['POSTGRES_DB']}")
    for service in services.values():
        paths = [text for text in service.get("environment", {}).values() if text.startswith("/run/secrets/")]
        assert [Path(path).name for path in paths] == service.get("secrets", [])
        assert set(service.get("secrets", ())) <= set(file["secrets"])
        # A published port is of this machine, unless somebody decides otherwise.
        assert [port for port in service.get("ports", ()) if not port.startswith("127.0.0.1:")] == []


def test_a_redis_with_these_settings_and_this_user_is_taken_as_a_store(tmp_path: Path) -> None:
    found = redis_program()
    if found is None:
        pytest.skip("Redis is not installed; run: apt-get install redis-server")
    pytest.importorskip("redis")
    lines = (DEPLOY / "redis.conf").read_text(encoding="utf-8").splitlines()
    settings = [shlex.split(line) for line in lines if line and not line.startswith("#")]
    (rights,) = re.findall(r"^ACL SETUSER mmrec on >PASSWORD (.+)$", (DEPLOY / "README.md").read_text(), re.MULTILINE)
    (tmp_path / "password").write_text("secret")
    with running(found, *(word for name, *values in settings for word in (f"--{name}", *values))) as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "mmrec", "on", ">secret", *rights.split())
        place = store_place(f"redis://mmrec@127.0.0.1:{server.port}/0?password_file={tmp_path}/password")
        with open_events(place) as events, open_changes(place, "c1") as changes:
            assert events.record([UserEvent("mug", "view", "ann")]) == [1]
            assert events.delete_user("ann") == 1
            assert changes.compact(0) == 0


def test_the_manifests_find_each_other() -> None:
    labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    service = manifest("Service")["spec"]
    assert (service["selector"], service["clusterIP"]) == (labels, "None")
    words = container()["args"]
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert ports == {"grpc": int(value(words, "--port")), "metrics": int(value(words, "--metrics").partition(":")[2])}
    assert {port["targetPort"]: port["port"] for port in service["ports"]} == ports
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container()[probe]["grpc"]["port"] == ports["grpc"]
    let_in = [port["port"] for rule in manifest("NetworkPolicy")["spec"]["ingress"] for port in rule["ports"]]
    assert let_in == list(ports.values())
    let_out = [port["port"] for rule in manifest("NetworkPolicy")["spec"]["egress"] for port in rule["ports"]]
    assert urlsplit(value(words, "--store")).port in let_out
    assert manifest("Deployment")["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == "9464"
    # Those of the autoscaler, which a number of the deployment would reset.
    assert "replicas" not in manifest("Deployment")["spec"]
    target = manifest("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", manifest("Deployment")["metadata"]["name"])
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    for one in (*pod()["initContainers"], *pod()["containers"]):
        assert {mount["name"] for mount in one["volumeMounts"]} <= set(volumes)
    claim = volumes["bundle"]["persistentVolumeClaim"]["claimName"]
    assert claim == manifest("PersistentVolumeClaim")["metadata"]["name"]
    places = [mount["mountPath"] for mount in container()["volumeMounts"]]
    assert {words[1], str(Path(value(words, "--keys")).parent)} <= set(places)
    (password,) = [entry["value"] for entry in container()["env"] if entry["name"] == "PGPASSFILE"]
    assert pod()["initContainers"][0]["command"][-1] == password


def test_kustomize_takes_every_manifest_and_names_the_image() -> None:
    file = parsed("kubernetes/kustomization.yaml")
    assert sorted(file["resources"]) == [path.name for path in MANIFESTS]
    assert file["namespace"] == manifest("Namespace")["metadata"]["name"]
    (image,) = file["images"]
    assert {one["image"] for one in (*pod()["initContainers"], *pod()["containers"])} == {image["name"]}


def test_images_have_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert parsed("kubernetes/kustomization.yaml")["images"][0]["newTag"] == version
    assert parsed("compose.yaml")["services"]["mmrec"]["image"] == f"mmrec:{version}"
    assert parsed("compose.cuda.yaml")["services"]["mmrec"]["image"] == f"mmrec:{version}-cuda"


def test_the_check_of_containers_says_how_a_server_is() -> None:
    (check,) = of_image("HEALTHCHECK")
    assert "/opt/mmrec/healthcheck.py" in json.loads(check[check.index("[") :])
    words = (sys.executable, str(DEPLOY / "healthcheck.py"))
    with BackgroundServer(FakeEngine, ServerConfig(port=0)) as server:
        checked(*words, server.target)
    gone = subprocess.run((*words, server.target), capture_output=True, text=True, check=False)
    assert (gone.returncode, gone.stderr) == (1, f"{server.target}: UNAVAILABLE\n")


def test_hadolint_finds_nothing() -> None:
    assert checked(program("hadolint"), "--config", DEPLOY / "hadolint.yaml", DEPLOY / "Dockerfile") == ""


@pytest.mark.parametrize("more", [(), ("compose.cuda.yaml",)], ids=["cpu", "cuda"])
def test_docker_compose_takes_the_file(more: tuple[str, ...]) -> None:
    files = [word for name in ("compose.yaml", *more) for word in ("--file", str(DEPLOY / name))]
    shown = checked(program("docker-compose"), *files, "config", "--format", "json", MMREC_BUNDLE="/srv/bundle")
    mmrec = json.loads(shown)["services"]["mmrec"]
    assert mmrec["user"] == "10001:10001"
    assert Path(mmrec["build"]["context"]) == ROOT
    assert mmrec["volumes"][0]["source"] == "/srv/bundle"


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_follows_the_schema_of_kubernetes(path: Path) -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    validate(parsed(f"kubernetes/{path.name}"), "1.30", strict=True)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    # The program of the unit is not installed where tests run; another one stands in its place.
    copy = tmp_path / "mmrec.service"
    text = (DEPLOY / "mmrec.service").read_text(encoding="utf-8")
    copy.write_text(text.replace("/opt/mmrec/bin/mmrec", sys.executable), encoding="utf-8")
    checked(program("systemd-analyze"), "verify", copy)
