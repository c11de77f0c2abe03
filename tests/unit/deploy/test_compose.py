"""docker-compose.yml: true to the compose specification, and to the rules of this house."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, validators

ROOT = Path(__file__).parents[3]
SPEC = "github.com/compose-spec/compose-go/v2@v2.16.2"
SPEC_SUM = "h1:pTp1DqQwJzFd85GzlWsSszKA1ABrV/ySqsClujIcWA8="
ONE_SHOT = {"init", "store-user", "volumes"}


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """The specification's JSON schema, from the Go module that Docker's own compose reads files with."""
    cache = Path(os.environ.get("SEALGATE_CACHE") or Path.home() / ".cache" / "sealgate")
    environment = os.environ | {
        "GOMODCACHE": str(cache / "go-mod"),
        "GOFLAGS": "-modcacherw",
        "GOSUMDB": "off",
    }
    go = Path(sys.executable).parent / "go"
    command = [str(go), "mod", "download", "-json", SPEC]
    answer = subprocess.run(
        command, env=environment, cwd=cache.anchor, capture_output=True, text=True, timeout=120, check=True
    )
    module = json.loads(answer.stdout)
    assert module["Sum"] == SPEC_SUM
    return json.loads((Path(module["Dir"]) / "schema" / "compose-spec.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    return compose["services"]


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    kind = validators.validator_for(schema, default=Draft202012Validator)
    kind.check_schema(schema)
    return kind(schema)


def test_is_true_to_the_specification(schema: dict[str, Any], compose: dict[str, Any]) -> None:
    faults = [f"{fault.json_path}: {fault.message}" for fault in validator(schema).iter_errors(compose)]
    assert faults == []


def test_the_specification_would_notice(schema: dict[str, Any]) -> None:
    wrong = {"services": {"web": {"image": "x:1", "port": ["80:80"]}}}
    assert list(validator(schema).iter_errors(wrong))


def test_only_caddy_publishes_ports(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["caddy"]
    assert not [name for name, service in services.items() if service.get("network_mode") == "host"]


def test_only_caddy_and_the_mailing_worker_have_a_way_out(compose: dict[str, Any]) -> None:
    open_networks = {name for name, network in compose["networks"].items() if not network.get("internal")}
    reach = {
        (name, network)
        for name, service in compose["services"].items()
        for network in service.get("networks", [])
        if network in open_networks
    }
    assert reach == {("caddy", "outside"), ("worker", "mail")}


def test_partners_front_reaches_neither_database_nor_store(services: dict[str, Any]) -> None:
    assert set(services["caddy"]["networks"]) == {"outside", "edge"}
    for store in ("postgres", "valkey", "minio"):
        assert len(services[store]["networks"]) == 1
    assert len({services[store]["networks"][0] for store in ("postgres", "valkey", "minio")}) == 3


def test_every_image_is_pinned(services: dict[str, Any]) -> None:
    for name, service in services.items():
        tag = service["image"].partition(":")[2]
        assert re.search(r"\d+\.\d+\.\d+|\d+\.\d+-|RELEASE\.\d{4}", tag), (name, service["image"])


def test_every_base_image_is_pinned() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "deploy" / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert bases
    assert all(re.search(r":\d+\.\d+\.\d+-", base) for base in bases)


def test_every_lasting_service_has_a_health_check(services: dict[str, Any]) -> None:
    checked = {name for name, service in services.items() if "test" in service.get("healthcheck", {})}
    assert checked == set(services) - ONE_SHOT
    assert all(services[name]["restart"] == "no" for name in ONE_SHOT)


def test_every_service_is_confined(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name
        uid = int(service["user"].split(":")[0])
        assert uid > 0, name
        assert "mem_limit" in service, name
        assert "pids_limit" in service, name
        assert name == "caddy" or "cap_add" not in service


def test_no_secret_stands_in_the_file(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for key, value in service.get("environment", {}).items():
            telling = re.search(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY|ROOT_USER", key)
            assert not telling or (key.endswith("_FILE") and value.startswith("/run/secrets/")), (name, key)
            assert not re.search(r"://[^/\s]*:[^/\s]*@", str(value)), (name, key)
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())


def test_secrets_are_given_to_their_readers_only(compose: dict[str, Any]) -> None:
    readers = {
        secret: {
            name for name, service in compose["services"].items() if secret in service.get("secrets", [])
        }
        for secret in compose["secrets"]
    }
    portal = {"web", "worker", "init"}
    assert readers == {
        "database_password": {"postgres"},
        "database_passfile": portal,
        "s3_root_user": {"minio", "store-user"},
        "s3_root_password": {"minio", "store-user"},
        "s3_access_key": portal | {"store-user"},
        "s3_secret_key": portal | {"store-user"},
        "seal": portal,
        "seal_roots": portal,
    }


def test_every_setting_is_one_that_exists(compose: dict[str, Any]) -> None:
    from gateway.config import PREFIX, Settings

    given = {key for key in compose["x-settings"] if key.startswith(PREFIX)}
    assert given <= {PREFIX + name.upper() for name in Settings.model_fields}


def test_the_settings_of_the_file_are_accepted(compose: dict[str, Any], tmp_path: Path) -> None:
    from gateway.config import load

    filled = {
        "SEALGATE_HOST": "files.example.com",
        "SEALGATE_COMPANY_NAME": "示例装饰",
        "SEALGATE_COMPANY_USCC": "91110000000000000X",
        "SEALGATE_FONDS": "KH",
        "SEALGATE_TSA_URL": "https://tsa.example.com/",
    }

    def fill(value: str) -> str:
        return re.sub(r"\$\{(\w+)(?::[?-]([^}]*))?\}", lambda m: filled.get(m[1], m[2] or ""), value)

    def here(value: str) -> str:
        # The secrets of the running containers, as files of this machine.
        if not value.startswith("/run/secrets/"):
            return value
        secret = tmp_path / Path(value).name
        secret.touch(mode=0o600)
        secret.write_text("a secret of the test")
        return str(secret)

    given = {key: fill(str(value)) for key, value in compose["x-settings"].items() if value is not None}
    settings = load({key: here(value) for key, value in given.items()})
    assert settings.storage == "s3"
    assert settings.queue == "redis"
    assert settings.secure_cookies
    assert settings.production and settings.tsa_required


def test_every_file_it_names_is_there(compose: dict[str, Any]) -> None:
    assert (ROOT / compose["configs"]["caddyfile"]["file"]).is_file()
    assert (ROOT / compose["x-gateway"]["build"]["dockerfile"]).is_file()
    copied = re.findall(
        r"^COPY (?!--)(.+) \S+$", (ROOT / "deploy" / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )
    missing = [part for line in copied for part in line.split() if not (ROOT / part).exists()]
    assert missing == []


def test_make_secrets_makes_every_secret_once(compose: dict[str, Any], tmp_path: Path) -> None:
    mine = os.environ | {"GATEWAY_UID": str(os.getuid()), "DATABASE_UID": str(os.getuid())}
    command = [str(ROOT / "deploy" / "make-secrets"), str(tmp_path / "secrets")]
    subprocess.run(command, env=mine, check=True, capture_output=True)
    files = {path.name: path.read_text("ascii") for path in (tmp_path / "secrets").iterdir()}
    # The seal is the company's own and is brought, never made.
    brought = {"seal", "seal_roots"}
    assert set(files) == {Path(secret["file"]).name for secret in compose["secrets"].values()} - brought
    assert {(tmp_path / "secrets" / name).stat().st_mode & 0o777 for name in files} == {0o600}
    assert files["database_passfile"].strip().endswith(":" + files["database_password"].strip())
    assert len(set(files.values())) == len(files)

    subprocess.run(command, env=mine, check=True, capture_output=True)
    assert {path.name: path.read_text("ascii") for path in (tmp_path / "secrets").iterdir()} == files


def test_the_portals_user_gets_the_portals_buckets(compose: dict[str, Any]) -> None:
    from gateway.config import Settings

    given = compose["services"]["store-user"]["environment"]["S3_BUCKETS"].split()
    fields = Settings.model_fields.items()
    assert sorted(given) == sorted(field.default for name, field in fields if name.startswith("s3_bucket_"))


def test_the_witness_shares_nothing_with_the_portal(services: dict[str, Any]) -> None:
    witness, portal = services["witness"], [services[name] for name in ("web", "worker", "init")]
    assert witness["user"] not in {service["user"] for service in portal}
    assert not set(witness["volumes"]) & {volume for service in portal for volume in service["volumes"]}
    assert witness["networks"] == ["witnessing"]
    assert witness["environment"] == {} and witness["secrets"] == []
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
    assert "-o 10002 -g 10002 /var/lib/sealgate/witness" in dockerfile


def test_the_witness_understands_its_command(services: dict[str, Any]) -> None:
    from gateway.audit.witness.__main__ import _parser

    command = services["witness"]["command"]
    given = _parser().parse_args(command[2:])
    assert command[:2] == ["sealgate", "witness"]
    assert (str(given.home), given.listen) == ("/var/lib/sealgate/witness", "0.0.0.0:7380")


def test_every_command_of_ours_exists(services: dict[str, Any]) -> None:
    from gateway.cli import main

    verbs = {
        service["command"][1]
        for service in services.values()
        if service.get("command", [""])[0] == "sealgate"
    }
    assert verbs == {"init", "worker", "witness"}
    assert verbs <= set(main.commands)
