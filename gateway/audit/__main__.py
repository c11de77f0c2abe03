"""`python -m gateway.audit`: the offline verifier. Exit 0 accepted, 1 refused, 2 not understood."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.audit import verify
from gateway.audit.errors import AuditError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gateway.audit", description="Verify the log offline.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("verify", help="verify a receipt, an export, a published folder or a checkpoint")
    one.add_argument("file", type=Path)
    one.add_argument("--full", action="store_true", help="also read every entry of a folder as an entry")
    one.add_argument(
        "--witness", help="a witness's key, or a file that holds some: each must have cosigned it"
    )
    two = verbs.add_parser("consistency", help="verify that a newer log begins with an older one")
    two.add_argument("old", type=Path, help="anything that holds the older checkpoint")
    two.add_argument("new", type=Path, help="a published folder, a whole export, or a consistency file")
    for verb in (one, two):
        verb.add_argument("--key", required=True, help="the checkpoint key, or a file that holds it")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the verifier and prints what was proved and what was not."""
    given = _parser().parse_args(arguments)
    try:
        keys = verify.read_keys(given.key)
        if given.verb == "verify":
            report = verify.verify_file(given.file, keys, full=given.full)
            if given.witness:
                witnesses = verify.read_witnesses(given.witness)
                report.proved += verify.verify_cosignatures(given.file, witnesses)
        else:
            report = verify.verify_consistency(given.old, given.new, keys)
    except AuditError as error:
        print(f"REFUSED     {error}")
        return 1
    except OSError as error:
        print(f"REFUSED     cannot be read: {error.strerror}")
        return 1
    print("ACCEPTED", *report.lines(), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
