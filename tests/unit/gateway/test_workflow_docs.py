"""docs/workflows.md says what the tables say."""

from pathlib import Path

from gateway.oversight.tables import document
from gateway.oversight.words import PROCESSES

PAGE = Path(__file__).parents[3] / "docs" / "workflows.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(), (
        "python -m gateway.oversight.tables > docs/workflows.md"
    )


def test_every_process_has_its_diagram() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert {p.name for p in PROCESSES} >= {
        "account",
        "organisation",
        "contact",
        "case",
        "agreement",
        "share",
        "bundle",
        "copy",
    }
    for process in PROCESSES:
        assert f"```mermaid\n{process.mermaid()}```" in text
