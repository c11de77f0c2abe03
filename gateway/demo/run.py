"""`sealgate demo`: a portal of its own, the main job over HTTP, one line a step, the proof left in a folder."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import click
import structlog

from gateway import bootstrap
from gateway.config import Settings, load
from gateway.demo.company import COMPANY, FONDS, USCC, load_company
from gateway.demo.errors import Failed
from gateway.demo.story import Story
from gateway.serving import free_port, running

log = structlog.get_logger()
REPORT = "report.json"
MINIO = Path("tests/services/minio.py")


def replaceable(out: Path) -> bool:
    """Whether the demo may empty this folder: there is none, it is empty, or an earlier demo left its report in it."""
    return not out.exists() or (out.is_dir() and ((out / REPORT).is_file() or not next(out.iterdir(), None)))


def run_demo(storage: str, out: Path) -> int:
    """Runs the whole story; 0 when every step showed what it has to, else 1. Writes `out`/report.json either way."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    steps: list[dict[str, Any]] = []
    paths: dict[str, str] = {}
    with ExitStack() as held:
        home = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="sealgate-demo-")))
        try:
            settings = held.enter_context(demo_home(home, storage))
            story = _stage(settings, out, held, steps)
            _tell(story, steps)
            paths = story.paths
        except Exception as error:
            log.error("the demo portal did not start", exc_info=True)
            _line(steps, "准备 Set-up", ok=False, detail=f"{type(error).__name__}: {error}")
    report = {"ok": all(s["ok"] for s in steps) and bool(paths), "storage": storage, "steps": steps, **paths}
    (out / REPORT).write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    click.echo(f"{out / REPORT}: {sum(s['ok'] for s in steps)}/{len(steps)}")
    return 0 if report["ok"] else 1


def _stage(settings: Settings, out: Path, held: ExitStack, steps: list[dict[str, Any]]) -> Story:
    bootstrap.make_keys(settings)
    bootstrap.upgrade(settings)
    missing = bootstrap.prepare_storage(settings)
    if missing:
        raise RuntimeError("the object store lacks: " + "; ".join(missing))
    deps = bootstrap.build(settings)
    held.callback(deps.database.close)
    company = load_company(deps, now=deps.clock())
    port = int(settings.public_origin.rpartition(":")[2])
    held.enter_context(running(deps, port=port))
    _line(
        steps,
        "演示公司 Demo company",
        ok=True,
        detail=f"{COMPANY}，{len(company.people)} 个账号，{settings.public_origin}",
    )
    return Story(deps, company, settings.public_origin, out)


def _tell(story: Story, steps: list[dict[str, Any]]) -> None:
    for name, step in story.steps():
        try:
            _line(steps, name, ok=True, detail=step())
        except Failed as error:
            _line(steps, name, ok=False, detail=str(error))
            return
        except Exception as error:
            log.error("a step of the demo broke", step=name, exc_info=True)
            _line(steps, name, ok=False, detail=f"{type(error).__name__}: {error}")
            return


def _line(steps: list[dict[str, Any]], name: str, *, ok: bool, detail: str) -> None:
    steps.append({"name": name, "ok": ok, "detail": detail})
    click.echo(f"{'✔' if ok else '✘'} {len(steps):2d} {name}　{detail}", file=sys.stdout)


@contextmanager
def demo_home(home: Path, storage: str, *, port: int | None = None) -> Iterator[Settings]:
    """Settings of a demo portal whose state lies in `home`, on a local store or on a MinIO of its own while this lasts."""
    base = {
        "home": home / "state", "public_origin": f"http://127.0.0.1:{port or free_port()}", "company_name": COMPANY,
        "company_uscc": USCC, "fonds": FONDS, "demo": True,
    }  # fmt: skip
    if storage == "local":
        yield load({}, **base)
        return
    with _minio(home) as server:
        for name, value in (("access", server.access_key), ("secret", server.secret_key)):
            path = home / name
            path.touch(mode=0o600)
            path.write_text(value)
        keys = {"s3_access_key_file": home / "access", "s3_secret_key_file": home / "secret"}
        yield load({}, **base, storage="s3", s3_endpoint=server.endpoint, **keys)


@contextmanager
def _minio(home: Path) -> Iterator[Any]:
    # The server is a tool of development: it is built and started by the checkout's own script, never installed with the product.
    if not MINIO.exists():
        raise RuntimeError("--storage minio needs the project's checkout as working folder")
    spec = spec_from_file_location("sealgate_minio", MINIO)
    if spec is None or spec.loader is None:
        raise RuntimeError("the MinIO script cannot be loaded")
    module = module_from_spec(spec)
    sys.modules["sealgate_minio"] = module
    spec.loader.exec_module(module)
    folder = home / "minio"
    folder.mkdir()
    folder.chmod(0o700)
    with module.running_minio(folder) as server:
        yield server
