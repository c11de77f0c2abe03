"""What stands between a parser and the machine, tried from inside: for the start of a portal and for `sealgate doctor`."""

import os
from dataclasses import dataclass
from typing import Any

from watermark import child, memory, office, sandbox


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer or one attempt: whether it stands as it must, and what was seen."""

    name: str
    stands: bool
    detail: str = ""


def layers(*, deadline_s: float = 30) -> tuple[Layer, ...]:
    """Raise the walls in a child and try them from inside. A layer that does not stand means that no file is touched."""
    source = memory.create("probe", b"")
    try:
        out, done = child.run(source, {"task": "probe"}, deadline_s)
        os.close(out)
    finally:
        os.close(source)
    if isinstance(done, str) or "attempts" not in done:
        why = done if isinstance(done, str) else str(done.get("detail", ""))
        return tuple(Layer(name, False, why) for name in sandbox.LAYERS)
    walls = [Layer(name, True, _seen(name, done)) for name in sandbox.LAYERS]
    attempts = [
        Layer(f"a parser cannot {name}", bool(refused)) for name, refused in sorted(done["attempts"].items())
    ]
    return (*walls, *attempts)


def _seen(name: str, done: dict[str, Any]) -> str:
    return f"children run as user {done['uid']}" if name == "no root" else ""


def converters() -> tuple[Layer, ...]:
    """Programs that some kinds need; without them those kinds are refused."""
    program = office.found()
    return (
        Layer(
            "LibreOffice for office files",
            program is not None,
            program or "not installed: office files are refused",
        ),
    )
