"""The certificate of completion: every fact on the page, nothing without a good signature, and a recipe that works."""

import base64
import dataclasses
import datetime
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pypdfium2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from agreements import certificate as module
from agreements.certificate import LogReference, certificate, printable
from agreements.errors import EvidenceError
from agreements.evidence import Access, Event, canonical, key_id, sign
from agreements.render import PLACES

AT = datetime.datetime(2026, 11, 23, 6, 30, tzinfo=datetime.UTC)
LOG = (LogReference("NDA_SIGNED", 41, "ab" * 32), LogReference("NDA_COUNTERSIGNED", 42, "cd" * 32))


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def without_footers(text: str) -> str:
    """A paragraph that runs over a page has the footer in its midst."""
    return re.sub(r"BM-2026-0001\d/\d", "", text)


@pytest.fixture(scope="module")
def data(evidence):
    return canonical(evidence)


@pytest.fixture(scope="module")
def page(data, key):
    return certificate(
        data, sign(data, key), key.public_key(), countersigned_by="总经理 示例", countersigned_at=AT, log=LOG
    )


def test_every_fact_stands_on_the_page(page, data, evidence, key, words):
    found = words(page)
    facts = [
        evidence.agreement_no,
        evidence.template_version,
        evidence.pdf_sha256,
        evidence.text_sha256,
        evidence.drawing_sha256,
        *dataclasses.astuple(evidence.signer),
        evidence.consent.text,
        evidence.consent.version,
        evidence.access.ip,
        evidence.access.user_agent,
        evidence.access.session_sha256,
        "2026-11-23 03:20:05 UTC",
        "totp, 2026-11-23 03:19:45 UTC",
        "2026-11-23 03:16:05 UTC",
        "viewed，页 pages 1、2、3",
        "总经理 示例",
        "2026-11-23 06:30:00 UTC",
        "#41 " + "ab" * 32,
        "NDA_COUNTERSIGNED",
        hashlib.sha256(data).hexdigest(),
        key_id(key.public_key()).hex(),
        base64.b64encode(sign(data, key)).decode(),
    ]
    assert [fact for fact in facts if squeezed(fact) not in found] == []


def test_the_evidence_stands_on_the_page_as_it_is(page, data, words):
    assert squeezed(data.decode()) in without_footers(words(page))


def test_equal_input_gives_equal_bytes(page, data, key):
    again = certificate(
        data, sign(data, key), key.public_key(), countersigned_by="总经理 示例", countersigned_at=AT, log=LOG
    )
    assert again == page


def test_no_certificate_without_a_good_signature(data, key):
    signature = sign(data, key)
    other = Ed25519PrivateKey.generate()
    for evidence, seal, public in (
        (data.replace(b"totp", b"sms "), signature, key.public_key()),
        (data, signature[:-1] + bytes([signature[-1] ^ 1]), key.public_key()),
        (data, signature, other.public_key()),
    ):
        with pytest.raises(EvidenceError):
            certificate(evidence, seal, public, countersigned_by="总经理", countersigned_at=AT)


def test_a_time_without_utc_is_refused(data, key):
    for at in (AT.replace(tzinfo=None), AT.astimezone(datetime.timezone(datetime.timedelta(hours=8)))):
        with pytest.raises(EvidenceError, match="UTC"):
            certificate(
                data, sign(data, key), key.public_key(), countersigned_by="总经理", countersigned_at=at
            )


@pytest.mark.parametrize(
    "agent",
    [
        "😀" * 300,
        "#panic() *x* $y$ ] [",
        "\u202egnitirw",
        "A" * 512,
        "\ue000",
        "𠮷",
        "</x>{}",
        "\u00a0" * 500,
    ],
)
def test_a_hostile_browser_name_is_shown_and_never_stops_the_certificate(
    evidence, key, words, outside, agent
):
    access = Access.of(ip="192.0.2.7", user_agent=agent, session_id="s")
    data = canonical(dataclasses.replace(evidence, access=access))
    page = certificate(
        data, sign(data, key), key.public_key(), countersigned_by="甲" * 200, countersigned_at=AT
    )
    assert squeezed(printable(access.user_agent)) in without_footers(words(page))
    assert outside(page) == []


def test_many_events_run_over_pages(evidence, key, words):
    events = tuple(Event("viewed", AT + datetime.timedelta(seconds=n), (1, 2, 3)) for n in range(200))
    data = canonical(dataclasses.replace(evidence, events=events))
    page = certificate(
        data, sign(data, key), key.public_key(), countersigned_by="总经理", countersigned_at=AT
    )
    assert words(page).count("viewed，页pages1、2、3") == 200


def test_characters_that_would_not_be_seen_are_written_out():
    assert printable("甲\u202e乙\ue000😀") == "甲\\u{202e}乙\\u{e000}\\u{1f600}"
    assert printable("示例 A-1") == "示例 A-1"


def steps_on(page: bytes) -> list[str]:
    """Read the recipe's commands from the page, one per line."""
    document = pypdfium2.PdfDocument(page)
    try:
        text = "\n".join(sheet.get_textpage().get_text_range() for sheet in document)
    finally:
        document.close()
    starts = ("sha256sum", "pdfsig", "(echo", "tail", "openssl")
    return [line.strip() for line in text.splitlines() if line.startswith(starts)]


def test_the_recipe_on_the_page_is_the_one_that_is_tried_below(page):
    assert [squeezed(step) for step in steps_on(page)] == [squeezed(str(step)) for step in module._recipe()]


def test_the_recipe_runs_in_a_shell_and_its_bytes_verify(tmp_path, evidence, key, shown, signed):
    """The last step is OpenSSL's; what the steps before it made is also verified by another library."""
    data = canonical(dataclasses.replace(evidence, pdf_sha256=hashlib.sha256(shown).hexdigest()))
    (tmp_path / "agreement.pdf").write_bytes(shown)
    (tmp_path / "agreement-signed.pdf").write_bytes(signed)
    (tmp_path / "evidence.json").write_bytes(data)
    (tmp_path / "evidence.sig").write_bytes(sign(data, key))
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    *making, checking = [str(step).replace("PUBLIC_KEY", public) for step in module._recipe()]
    (reading,) = [step for step in making if step.startswith("pdfsig ")]
    making.remove(reading)
    made = subprocess.run(
        ["bash", "-ec", "\n".join(making)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    for content in (shown, signed, data):
        assert hashlib.sha256(content).hexdigest() in made.stdout
    read = load_der_public_key((tmp_path / "key.der").read_bytes())
    assert isinstance(read, Ed25519PublicKey)
    read.verify((tmp_path / "raw.sig").read_bytes(), (tmp_path / "signed.bin").read_bytes())
    if shutil.which("pdfsig"):
        _sealed_by_the_recipe(reading, tmp_path, signed)
    if shutil.which("openssl"):
        checked = subprocess.run(["bash", "-ec", checking], cwd=tmp_path, capture_output=True, text=True)
        assert "Signature Verified Successfully" in checked.stdout
        (tmp_path / "signed.bin").write_bytes(b"x" + data)
        assert subprocess.run(["bash", "-ec", checking], cwd=tmp_path, capture_output=True).returncode != 0


def _sealed_by_the_recipe(reading: str, folder: Path, signed: bytes) -> None:
    """The recipe's step says of every signature what its comment promises, and no longer of a document changed since."""

    def said() -> int:
        done = subprocess.run(
            ["bash", "-ec", reading], cwd=folder, capture_output=True, text=True, timeout=60
        )
        return done.stdout.count("Signature is Valid")

    assert reading.endswith("# Signature is Valid")
    assert said() == len(PLACES)
    changed = bytearray(signed)
    changed[len(changed) // 4] ^= 1
    (folder / "agreement-signed.pdf").write_bytes(bytes(changed))
    assert said() < len(PLACES)


def test_the_format_s_page_gives_the_same_recipe():
    """docs/formats.md and the certificate tell the same commands; comments aside."""
    page = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
    for step in module._recipe():
        assert str(step).split("    #")[0] in page.splitlines()
