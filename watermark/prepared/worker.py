"""What the parent asks of the sandboxed child to have a document prepared."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watermark import child, memory
from watermark.errors import BadPrepared
from watermark.prepared import build
from watermark.prepared.format import HEADER, Header, Index, Kind, read_header, read_index
from watermark.prepared.task import pages_of
from watermark.profiles import Profile
from watermark.report import Report, from_child


@dataclass(frozen=True, slots=True)
class Job:
    """How a document is to be prepared."""

    profile: Profile
    kind: Kind
    password: str = ""
    signature_loss: bool = False


def prepare(source: int | Path, job: Job, *, deadline_s: float = 300) -> tuple[int | None, Report]:
    """Prepare a PDF in the sandboxed child. Gives a sealed memory file, to be closed by the caller, or None and the reason.

    Never raises for a bad file. The parent reads header and index itself before it believes the child.
    """
    with child.opened(source) as fd:
        digest = memory.sha256(fd)
        out, done = child.run(fd, _order(job, digest), deadline_s)
    report = from_child(done, child.FAILED)
    try:
        if report.status == "refused":
            raise BadPrepared(report.detail)
        header, index = read(out)
        if header.key != build.key(digest, job.profile, job.kind) or header.kind is not job.kind:
            raise BadPrepared("the child prepared another document than it was asked for")
    except BadPrepared as error:
        os.close(out)
        if report.status == "refused":
            return None, report.hashed(digest, None)
        return None, Report("pdf", "refused", "CRASHED", str(error), sha256_in=digest)
    memory.freeze(out)
    return out, Report("pdf", "marked", pages=pages_of(index), removed=index.removed, sha256_in=digest)


def _order(job: Job, digest: str) -> dict[str, Any]:
    return {
        "task": "prepare",
        "profile": job.profile.as_json(),
        "kind_of_copy": int(job.kind),
        "key": build.key(digest, job.profile, job.kind).hex(),
        "password": job.password,
        "signature_loss": job.signature_loss,
    }


def read(prepared: int) -> tuple[Header, Index]:
    """Header and index of a prepared document in a file. Raises BadPrepared."""
    header = read_header(os.pread(prepared, HEADER.size, 0))
    index = read_index(header, os.pread(prepared, header.index_size, HEADER.size))
    if memory.size(prepared) != HEADER.size + header.index_size + header.image_size:
        raise BadPrepared("the prepared document is not as long as its header says")
    return header, index
