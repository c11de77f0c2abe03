"""docs/workflows.md, written from the process tables: `python -m gateway.oversight.tables` prints it."""

import sys

from gateway.oversight.words import PROCESSES, kind_text
from gateway.principal import ROLE_TEXT
from gateway.workflow import Move, Process

_HEAD = """# Workflows

Every process of the product as its table in `gateway/*/rules.py` has it (`gateway/workflow.py` moves them all). This page is
written from the tables by `python -m gateway.oversight.tables > docs/workflows.md`; a test fails when it is not up to date.
"""


def document() -> str:
    """The whole page: a diagram and a table for each process."""
    return "\n".join([_HEAD, *(_section(process) for process in PROCESSES)])


def _section(process: Process) -> str:
    title = kind_text(process.name)
    rows = [
        "| Event | Button | From | To | Who | Needs |",
        "|---|---|---|---|---|---|",
        *(_row(step) for step in process.moves),
    ]
    return (
        f"## {title.en} {title.zh} (`{process.name}`)\n\n```mermaid\n{process.mermaid()}```\n\n"
        + "\n".join(rows)
        + "\n"
    )


def _row(step: Move) -> str:
    sources = ", ".join(source or "–" for source in step.sources)
    cells = [
        f"`{step.event}`",
        f"{step.button.zh} {step.button.en}",
        sources,
        step.target,
        _who(step),
        _needs(step),
    ]
    return "| " + " | ".join(cells) + " |"


def _who(step: Move) -> str:
    names = [ROLE_TEXT[role].en for role in sorted(step.who or ())]
    return ", ".join([*names, *(["the system"] if step.who is None or step.system else [])])


def _needs(step: Move) -> str:
    needs = [("reason", step.reason), ("fresh second factor", step.fresh), ("guards", bool(step.guards))]
    return ", ".join(name for name, wanted in needs if wanted) or "–"


if __name__ == "__main__":
    sys.stdout.write(document())
