"""`python -m gateway.audit.witness`: makes a witness's key, or serves it. Exit 0 done, 1 cannot, 2 not understood."""

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from gateway.audit import note
from gateway.audit.errors import AuditError
from gateway.audit.witness.errors import WitnessError, WitnessUnusable
from gateway.audit.witness.keyfile import Cosigner
from gateway.audit.witness.records import Records
from gateway.audit.witness.rules import Logs, Witness
from gateway.audit.witness.server import Server

KEY = "witness.key"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sealgate witness", description="A witness that cosigns logs.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    init = verbs.add_parser("init", help="make the key and print its public half")
    init.add_argument("--name", required=True, help="the witness's name, such as witness.example.com/w1")
    vkey = verbs.add_parser("vkey", help="print the public key")
    serve = verbs.add_parser("serve", help="cosign until it is ended")
    serve.add_argument("--listen", default="127.0.0.1:7380", metavar="HOST:PORT")
    logs = "a log's public key, or a file with one a line; may be repeated"
    serve.add_argument("--log", action="append", required=True, metavar="VKEY", help=logs)
    for verb in (init, vkey, serve):
        verb.add_argument("--home", required=True, type=Path, help="the witness's own folder")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb."""
    given = _parser().parse_args(arguments)
    try:
        if given.verb == "init":
            print(_init(given.home, given.name))
        elif given.verb == "vkey":
            print(Cosigner.load(given.home / KEY).key.text)
        else:
            _serve(given.home, _address(given.listen), _logs(given.log))
    except (AuditError, WitnessError) as error:
        print(f"sealgate witness: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"sealgate witness: {error.strerror or type(error).__name__}", file=sys.stderr)
        return 1
    return 0


def _init(home: Path, name: str) -> str:
    note.check_name(name)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (home / KEY).exists():
        raise WitnessUnusable("there is a key already; it is never overwritten")
    # The records come first: a key without records would be one that forgot.
    Records.create(home)
    return Cosigner.generate(home / KEY, name).key.text


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise WitnessUnusable("--listen takes HOST:PORT")
    return host, int(port)


def _logs(given: Sequence[str]) -> Logs:
    found: dict[str, list[note.Key]] = {}
    for text in given:
        lines = Path(text).read_text("utf-8") if Path(text).is_file() else text
        for line in lines.splitlines():
            if line.strip():
                key = note.parse_key(line)
                found.setdefault(key.name, []).append(key)
    if not found:
        raise WitnessUnusable("no log to witness is named")
    return found


def _serve(home: Path, address: tuple[str, int], logs: Logs) -> None:
    cosigner = Cosigner.load(home / KEY)
    records = Records(home)
    try:
        with Server(
            address, Witness(cosigner, logs, records), clock=lambda: datetime.now(UTC), tell=_tell
        ) as server:
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
            host, port = server.server_address[:2]
            print(f"{cosigner.key.text} listens on {host!s}:{port}", flush=True)
            server.serve_forever()
    except KeyboardInterrupt:
        return
    finally:
        records.close()


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
