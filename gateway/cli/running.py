"""Running the portal: serve, worker, demo."""

import sys
from pathlib import Path

import click

from gateway.cli.door import main, told
from gateway.config import load


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--demo", is_flag=True, help="Fill an empty portal with the demo company and print its accounts."
)
def serve(host: str, port: int, demo: bool) -> None:
    """Serve the portal and its worker in one process.

    This is the embedded installation; it ends on SIGINT or SIGTERM after the work at hand.
    """
    from gateway.serving import ends_on_signals, serve_portal

    with told(), ends_on_signals():
        if demo:
            from gateway.demo.serving import serve_demo

            serve_demo(host, port)
        else:
            serve_portal(load(), host, port)


@main.command()
def worker() -> None:
    """Run jobs, mail and sweeps without the web door.

    Ends on SIGINT or SIGTERM after the job at hand.
    """
    from gateway.serving import ends_on_signals, run_worker

    with ends_on_signals():
        run_worker(load())


@main.command()
@click.option("--storage", type=click.Choice(["local", "minio"]), default="local", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo-out"), show_default=True)
def demo(storage: str, out: Path) -> None:
    """Do the main job over HTTP and leave the proof.

    The portal is its own and is gone afterwards; the folder of an earlier demo is replaced, any other is refused.
    """
    from gateway.demo.run import replaceable, run_demo
    from gateway.serving import raise_on_signals

    if not replaceable(out):
        raise click.UsageError("--out names a folder that holds something else than an earlier demo")
    raise_on_signals()
    sys.exit(run_demo(storage, out))
