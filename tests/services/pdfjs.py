"""Mozilla's pdf.js, run by node: opens a file with a password and draws up every page's operators. For tests only."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from pathlib import Path

PACKAGE = "pdfjs-dist@4.10.38"
_OPEN = """
import fs from 'fs';
const [library, file, password] = process.argv.slice(2);
const {getDocument} = await import(library);
try {
  const document = await getDocument({data: new Uint8Array(fs.readFileSync(file)), password, verbosity: 0}).promise;
  let operators = 0;
  for (let number = 1; number <= document.numPages; number++) {
    operators += (await (await document.getPage(number)).getOperatorList()).fnArray.length;
  }
  console.log(document.numPages, operators);
} catch (error) {
  console.log(error.name);
  process.exit(3);
}
"""


def found() -> bool:
    """Whether node and npm are here."""
    return shutil.which("node") is not None and shutil.which("npm") is not None


def library() -> Path:
    """pdf.js in the cache folder, installed there on first use."""
    folder = Path(os.environ.get("SEALGATE_CACHE") or Path.home() / ".cache" / "sealgate") / PACKAGE.replace(
        "@", "-"
    )
    folder.mkdir(parents=True, exist_ok=True)
    build = folder / "node_modules" / "pdfjs-dist" / "legacy" / "build" / "pdf.mjs"
    with (folder / ".lock").open("w") as lock, contextlib.ExitStack() as held:
        fcntl.flock(lock, fcntl.LOCK_EX)
        held.callback(fcntl.flock, lock, fcntl.LOCK_UN)
        if not build.is_file():
            subprocess.run(
                ["npm", "install", "--no-audit", "--no-fund", "--silent", "--no-optional", PACKAGE],
                cwd=folder,
                check=True,
                timeout=300,
            )
    return build


def opened(file: Path, password: str, folder: Path) -> tuple[int, str]:
    """node's exit code, and pages with operators, or the name of the error."""
    script = folder / "open.mjs"
    script.write_text(_OPEN, "utf-8")
    done = subprocess.run(
        ["node", script, library(), file, password], check=False, capture_output=True, text=True, timeout=120
    )
    return done.returncode, (done.stdout.strip().splitlines() or [""])[-1]
