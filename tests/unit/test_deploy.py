"""The files of deploy/ and the Dockerfile: what they promise about safety, read from themselves.
What they do when they run is in tests/e2e/test_edge.py."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from genai_app import composition, metrics
from genai_app.settings.secret_files import PREFIX, SECRET_FIELDS
from genai_app.settings.settings import Settings, load_settings
from genai_app.web.body_limit import LARGER, MAX_BODY_BYTES, form_bytes
from tests.fakes.app_process import ROOT, AppProcess
from tests.fakes.edge import make_secrets
from tests.fakes.model_server import ModelServer

DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
KUBERNETES = sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
OBJECTS = [
    each
    for path in KUBERNETES
    for each in yaml.safe_load_all(path.read_text())
    if each["kind"] != "Kustomization"
]
FILES = sorted(
    path
    for path in [*DEPLOY.rglob("*"), ROOT / "Dockerfile"]
    if path.is_file() and path.suffix not in (".md", ".html", ".json")
)
NAMES = {PREFIX + name.upper() for name in Settings.model_fields}
NAMES |= {f"{PREFIX}{name.upper()}_FILE" for name in SECRET_FIELDS}
SECRET_WORDS = re.compile(r"PASSWORD|SECRET|TOKEN|KEY|DATABASE_URL|REDIS_URL")

of_service = pytest.mark.parametrize("name", SERVICES)


def pods() -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    for each in OBJECTS:
        spec = each.get("spec", {})
        if each["kind"] == "Deployment":
            found.append((each["metadata"]["name"], spec["template"]["spec"]))
        if each["kind"] == "CronJob":
            job = spec["jobTemplate"]["spec"]["template"]["spec"]
            found.append((each["metadata"]["name"], job))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_settings_that_are_named_exist(path: Path) -> None:
    """A name with a slip would be a setting that nobody reads."""
    named = set(re.findall(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]\b", path.read_text()))
    assert named <= NAMES


def run_tool(name: str, *arguments: object) -> None:
    done = subprocess.run(
        [str(BIN / name), *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_is_one() -> None:
    run_tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_the_objects_of_kubernetes_are_some() -> None:
    paths = [path for path in KUBERNETES if path.name != "kustomization.yaml"]
    run_tool("kubernetes-validate", "--strict", *paths)


def test_the_dockerfile_is_in_order() -> None:
    run_tool("hadolint", ROOT / "Dockerfile")


def test_kustomizations_name_files_that_exist() -> None:
    for path in KUBERNETES:
        if path.name == "kustomization.yaml":
            told = yaml.safe_load(path.read_text())
            named = set(told["resources"])
            named |= {each["path"] for each in told.get("patches", []) if "path" in each}
            assert all((path.parent / name).exists() for name in named)
            beside = {each.name for each in path.parent.glob("*.yaml")} - {path.name}
            assert beside <= named


@of_service
def test_every_service_is_locked_down(name: str) -> None:
    """No root, nothing written but to what is named, no right to gain."""
    service = SERVICES[name]
    # an image whose program lies below /root, for root alone; the rest holds for it too
    assert name == "tgi" or not service["user"].startswith(("0:", "root"))
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "network_mode" not in service
    limits = service["deploy"]["resources"]["limits"]
    assert "pids" in limits
    assert "memory" in limits or "devices" in service["deploy"]["resources"]["reservations"]


def test_the_model_servers_start_as_their_images_want() -> None:
    """The entrypoint of TGI's image finds its Python, below /root; that of vLLM takes any user."""
    tgi, vllm = SERVICES["tgi"], SERVICES["vllm"]
    assert tgi["user"] == "0:0"
    assert "entrypoint" not in tgi
    assert tgi["environment"]["USAGE_STATS"] == "off"
    assert tgi["environment"]["HF_HUB_OFFLINE"] == "1"
    flags = ("--hostname", "--port", "--model-id", "--max-total-tokens")
    assert re.findall(r"--[a-z-]+", tgi["command"]) == [*flags]
    assert vllm["user"] == "10001:10001"
    flags = ("--host", "--port", "--model", "--served-model-name", "--max-model-len")
    assert re.findall(r"--[a-z-]+", vllm["command"][0]) == [*flags]
    for service in (tgi, vllm):
        assert service["environment"]["HOME"] == "/tmp"
        assert "8000/health" in service["healthcheck"]["test"][-1]


@of_service
def test_every_service_is_watched(name: str) -> None:
    """Its health is asked for; what ends by itself has none."""
    check = SERVICES[name]["healthcheck"]
    assert check == {"disable": True} if name == "migrate" else check["test"]


@of_service
def test_no_secret_stands_in_an_environment(name: str) -> None:
    """Names of files only: what `docker inspect` shows is no secret."""
    for key in SERVICES[name].get("environment", {}):
        assert not SECRET_WORDS.search(key) or key.endswith("_FILE"), key


def test_the_example_of_settings_holds_no_secret() -> None:
    """It reaches every container of the product."""
    for path in (DEPLOY / ".env.example", DEPLOY / "systemd" / "genai.env.example"):
        named = set(re.findall(r"^#?([A-Z_]+)=", path.read_text(), re.M))
        assert named
        assert named.isdisjoint(PREFIX + name.upper() for name in SECRET_FIELDS)


def test_images_are_pinned() -> None:
    """By a whole version; a mirror or a digest may stand in its place."""
    images = [service["image"] for service in SERVICES.values()]
    images += re.findall(r"^ARG PYTHON_IMAGE=(.*)$", (ROOT / "Dockerfile").read_text(), re.M)
    assert len(images) == len(SERVICES) + 1
    for image in images:
        assert re.search(r":(\$\{APP_TAG:-)?v?\d+\.\d+[\w.-]*\}?$", image), image
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.M)
    assert set(bases) == {"${REGISTRY}/${PYTHON_IMAGE}", "packages"}


def test_only_the_edge_is_published() -> None:
    """Grafana at the host's own loopback; every network but two has no way out."""
    published = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each}
    assert set(published) == {"nginx", "grafana"}
    assert all(port.startswith("127.0.0.1:") for port in published["grafana"])
    networks = COMPOSE["networks"]
    open_ones = {name for name, each in networks.items() if not each.get("internal")}
    assert open_ones == {"edge", "company"}
    for name in ("postgres", "redis-state", "redis-cache", "backup", "migrate"):
        assert SERVICES[name]["networks"] == ["data"]
    for name in ("vllm", "tgi"):
        assert SERVICES[name]["networks"] == ["model"]
    assert set(SERVICES["nginx"]["networks"]) == {"edge", "front"}


def directives(path: Path) -> dict[str, str]:
    """Of a configuration file of Redis."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split(" ", 1) for line in lines)


def test_each_redis_has_the_policy_for_what_it_holds(tmp_path: Path) -> None:
    """Counters are never dropped silently, answers may be; a password for every user."""
    policies = {"state": "noeviction", "cache": "allkeys-lfu"}
    secrets = make_secrets(tmp_path / "secrets")
    for name, policy in policies.items():
        told = directives(DEPLOY / "redis" / f"{name}.conf")
        assert told["maxmemory-policy"] == policy
        assert told["aclfile"] == f"/run/secrets/redis_{name}_acl"
        assert told["appendonly"] == "no"
        acl = secrets[f"redis_{name}_acl"].splitlines()
        assert acl[0].startswith("user default off")
        assert all("nopass" not in line and "-@dangerous" in line for line in acl[1:])
        limit = SERVICES[f"redis-{name}"]["deploy"]["resources"]["limits"]["memory"]
        assert int(told["maxmemory"].rstrip("mb")) < int(limit.rstrip("m"))


def test_secrets_are_made_once_and_taken_by_the_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run changes nothing; the settings accept what was made, empty files too."""
    folder = tmp_path / "secrets"
    first = make_secrets(folder)
    assert make_secrets(folder, "elsewhere") == first
    assert folder.stat().st_mode & 0o077 == 0
    assert set(COMPOSE["secrets"]) <= set(first)
    monkeypatch.chdir(tmp_path)
    for key in SERVICES["app"]["environment"]:
        if key.endswith("_FILE"):
            name = key.removeprefix(PREFIX).removesuffix("_FILE").lower()
            monkeypatch.setenv(key, str(folder / name))
    settings = load_settings()
    assert settings.sqlalchemy_url.startswith("postgresql://genai:")
    assert settings.cache_url == first["cache_redis_url"]
    assert not settings.llm_api_key
    assert settings.rates


def test_the_placeholders_of_kubernetes_stop_the_start() -> None:
    secret = next(each for each in OBJECTS if each["kind"] == "Secret")
    with pytest.raises(Exception, match="SECRET_KEY"):
        load_settings(secret_key=secret["stringData"]["secret_key"])


def test_pods_are_locked_down() -> None:
    """What the `restricted` standard asks for, and a read-only root."""
    assert len(pods()) == 2
    for name, pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]) == {"requests", "limits"}
            assert "env" not in container
    probes = pods()[0][1]["containers"][0]
    assert probes["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert probes["livenessProbe"]["httpGet"]["path"] == "/healthz"


def alerts() -> list[dict[str, Any]]:
    told = yaml.safe_load((DEPLOY / "monitoring" / "alerts.yaml").read_text())
    return [rule for group in told["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    board = json.loads((DEPLOY / "monitoring" / "grafana" / "genai.json").read_text())
    found = [rule["expr"] for rule in alerts()]
    return found + [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def test_alerts_and_panels_ask_for_metrics_that_exist() -> None:
    """A renamed metric would be an alarm that never rings."""
    assert composition.build_services  # what it imports registers its metrics
    told = re.findall(r"^# TYPE (\S+) (\S+)$", metrics.render().decode(), re.M)
    known = {name for name, _ in told}
    known |= {f"{name}_bucket" for name, kind in told if kind == "histogram"}
    asked = {
        name for each in expressions() for name in re.findall(r"\b(?:genai|process)_\w+", each)
    }
    assert asked
    assert asked <= known


def test_every_alert_says_what_to_do() -> None:
    """Its link leads to a section of its own in the runbook, and no section is of an alert that is
    gone."""
    runbook = (ROOT / "docs" / "operations.md").read_text()
    sections = re.findall(r"^### (Genai\w+)\n\n\S", runbook, re.M)
    assert sections == [rule["alert"] for rule in alerts()]
    for rule in alerts():
        anchor = rule["alert"].lower()
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{anchor}"


def test_the_edge_and_the_product_agree() -> None:
    """The same numbers, in bytes, in three places; one address, the one that the edge saw."""
    edge = (DEPLOY / "nginx" / "conf.d" / "genai.conf").read_text()
    assert f"client_max_body_size {MAX_BODY_BYTES};" in edge
    for (_, path), size in LARGER.items():
        assert f"location = {path} {{\n        client_max_body_size {size};" in edge
    size = form_bytes(Settings().file_max_mb)
    assert f"location = /files {{\n        client_max_body_size {size};" in edge
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in edge  # replaced, not appended
    ingress = next(each for each in OBJECTS if each["kind"] == "Ingress")
    size = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert size == str(max(LARGER.values()))  # the product's own limit is of each route


UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_are_locked_down(path: Path) -> None:
    text = path.read_text()
    for line in (
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "PrivateTmp=yes",
        "MemoryDenyWriteExecute=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    ):
        assert f"\n{line}\n" in text
    assert re.search(r"^User=genai(-redis)?$", text, re.M)
    assert not re.search(r"^Environment=.*(PASSWORD|TOKEN|SECRET)", text, re.M)


# the version of systemd that knew each first, where that is later than its 230th; RHEL 8 has 239
SINCE = {
    **dict.fromkeys(("ProtectKernelModules", "ProtectKernelTunables", "ProtectControlGroups"), 232),
    **dict.fromkeys(("RestrictNamespaces", "RemoveIPC", "ProtectSystem", "MemoryHigh"), 233),
    **dict.fromkeys(("LockPersonality", "StateDirectory", "StateDirectoryMode"), 235),
    **dict.fromkeys(("ProtectHostname", "RestrictSUIDSGID"), 242),
    **dict.fromkeys(("ProtectKernelLogs", "ProtectClock"), 245),
    "ProtectProc": 247,
}
OLDEST_SYSTEMD = 239
# an older systemd says that it does not know these, and starts the service without them
MAY_BE_IGNORED = {*(name for name, since in SINCE.items() if since > OLDEST_SYSTEMD)}
OLD_DIRECTIVES = {
    *("Description", "After", "Wants", "PartOf", "WantedBy", "OnCalendar", "RandomizedDelaySec"),
    *("Persistent", "Type", "User", "Group", "WorkingDirectory", "EnvironmentFile", "Environment"),
    *("ExecStart", "Restart", "RestartSec", "TimeoutStopSec", "TimeoutStartSec", "KillMode"),
    *("MemoryMax", "TasksMax", "OOMPolicy", "LimitNOFILE", "UMask", "Nice", "IOSchedulingClass"),
    *("ProtectHome", "PrivateTmp", "PrivateDevices", "NoNewPrivileges", "CapabilityBoundingSet"),
    *("AmbientCapabilities", "RestrictAddressFamilies", "RestrictRealtime"),
    *("MemoryDenyWriteExecute", "SystemCallArchitectures", "SystemCallFilter"),
    "SystemCallErrorNumber",
}
# of `systemd-run`; --working-directory came with 240, --collect with 236
OLD_OPTIONS = {"--quiet", "--collect", "--wait", "--pipe", "--pty", "--uid", "--gid", "--property"}
OLD_OPTIONS |= {"--setenv"}


def test_units_start_with_the_systemd_of_red_hat_8() -> None:
    """No directive that it would refuse, and no Type=exec, which came with 240."""
    for path in (DEPLOY / "systemd").glob("*.*"):
        if path.suffix not in (".service", ".timer", ".target"):
            continue
        text = path.read_text()
        named = set(re.findall(r"^([A-Z]\w+)=", text, re.M))
        assert named <= OLD_DIRECTIVES | set(SINCE), path.name
        assert {name for name in named if SINCE.get(name, 0) > OLDEST_SYSTEMD} <= MAY_BE_IGNORED
        assert not re.search(r"^Type=(exec|notify-reload)$", text, re.M), path.name


def test_the_command_starts_with_the_systemd_of_red_hat_8() -> None:
    command = (DEPLOY / "systemd" / "genai").read_text().partition("exec systemd-run")[2]
    assert set(re.findall(r"(--[a-z-]+)", command.partition("/opt/genai")[0])) <= OLD_OPTIONS
    assert "--property=WorkingDirectory=/var/lib/genai" in command


def test_the_image_has_what_the_product_needs_and_nothing_is_written_there(
    tmp_path: Path, model: ModelServer
) -> None:
    """From the very files that the Dockerfile's last stage copies it starts, and leaves them as
    they are: so its root may be read-only."""
    app = tmp_path / "app"
    last = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    for line in re.findall(r"^COPY (.*)$", last, re.M):
        *sources, target = [word for word in line.split() if not word.startswith("--chmod")]
        sources = [word for word in sources if not word.startswith("--from")]
        if target.startswith("/"):
            continue  # the venv, the command
        for source in sources:
            place = app / target if len(sources) == 1 else app / source
            origin = ROOT / source.removeprefix("/app/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if origin.is_dir():
                shutil.copytree(origin, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(origin, place)
    built = "import sys; from genai_app.server.build import is_built; sys.exit(not is_built())"
    asked = [sys.executable, "-B", "-c", built]
    # the doctor of the image finds its pages built from its own sources
    assert subprocess.run(asked, cwd=app, check=False).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in app.rglob("*")}
    process = AppProcess(tmp_path / "home", llm_url=model.url)
    process.root = app
    with process:
        pass
    after = {path: path.stat().st_mtime_ns for path in app.rglob("*")}
    assert before
    assert after == before
