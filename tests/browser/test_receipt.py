"""A receipt checked by Chromium: a good one, every kind of lie, in the portal and from a saved file without any network."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Browser, Page, expect

from gateway.audit import note, proof, tree
from gateway.audit.signer import Signer
from gateway.audit.verify import verify_receipt
from gateway.audit.witness import cosignature
from gateway.errors import SealGateError
from gateway.serving import running
from tests.browser.portal import said
from tests.factories import World, copy_world

pytestmark = pytest.mark.browser

NAME = "witness.example/w1"
WITNESS = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
WITNESS_KEY = cosignature.CosignatureKey(NAME, WITNESS.public_key().public_bytes_raw())
LOG = Signer("files.example/log", Ed25519PrivateKey.from_private_bytes(b"l" * 32))
VECTORS = Path(__file__).parents[1] / "vectors" / "audit"
GOOD = (VECTORS / "collect-1.tlog-proof").read_bytes()
ENTRY = proof.parse_receipt(GOOD).entry
SIZE, AT = 11, 6


def receipt(
    *,
    signer: Signer = LOG,
    witness: Ed25519PrivateKey | None = WITNESS,
    root: bytes | None = None,
    size: int = SIZE,
) -> bytes:
    """The vector's entry at a place of a larger tree, signed and cosigned."""
    leaves = [tree.leaf_hash(f"{i}".encode()) for i in range(SIZE)]
    leaves[AT] = tree.leaf_hash(ENTRY)

    def node(level: int, index: int) -> bytes:
        return tree.complete_root(leaves[index << level : (index + 1) << level])

    text = note.TreeHead(signer.name, size, root or tree.root(node, SIZE)).text()
    made = signer.sign(text)
    if witness is not None:
        made += cosignature.sign(text, NAME, witness, datetime(2026, 11, 23, 8, tzinfo=UTC)).line()
    return proof.Receipt(AT, tree.inclusion(node, AT, SIZE), made, ENTRY).encode()


def altered(change: Callable[[proof.Receipt], proof.Receipt]) -> bytes:
    return change(proof.parse_receipt(receipt())).encode()


def with_signature(receipt_: proof.Receipt, line: int) -> proof.Receipt:
    held = note.parse(receipt_.checkpoint)
    lines = list(held.signatures)
    value = lines[line].value
    lines[line] = dataclasses.replace(lines[line], value=value[:-1] + bytes([value[-1] ^ 1]))
    return dataclasses.replace(receipt_, checkpoint=note.Note(held.text, tuple(lines)).encode())


def swapped(receipt_: proof.Receipt) -> proof.Receipt:
    return dataclasses.replace(receipt_, entry=ENTRY.replace(b"collect", b"destroy"))


def retold(receipt_: proof.Receipt) -> proof.Receipt:
    return dataclasses.replace(receipt_, checkpoint=receipt_.checkpoint.replace(f"\n{SIZE}\n", "\n12\n"))


def not_canonical() -> bytes:
    """A log that signed an entry in another spelling."""
    entry = ENTRY.replace(b'{"actor"', b'{ "actor"')
    root = tree.leaf_hash(entry)
    return proof.Receipt(0, [], LOG.sign(note.TreeHead(LOG.name, 1, root).text()), entry).encode()


FOREIGN = Signer("files.example/log", Ed25519PrivateKey.from_private_bytes(b"f" * 32))
LIES: dict[str, tuple[bytes, str]] = {
    "wrong root": (receipt(root=bytes(32)), "inclusion"),
    "swapped leaf": (altered(swapped), "inclusion"),
    "another position": (altered(lambda r: dataclasses.replace(r, index=AT + 1)), "inclusion"),
    "position outside": (altered(lambda r: dataclasses.replace(r, index=SIZE)), "inclusion"),
    "proof too short": (altered(lambda r: dataclasses.replace(r, proof=r.proof[:-1])), "inclusion"),
    "proof too long": (altered(lambda r: dataclasses.replace(r, proof=[*r.proof, bytes(32)])), "inclusion"),
    "proof in another order": (altered(lambda r: dataclasses.replace(r, proof=r.proof[::-1])), "inclusion"),
    "size retold": (altered(retold), "signature"),
    "wrong signature": (altered(lambda r: with_signature(r, 0)), "signature"),
    "foreign key": (receipt(signer=FOREIGN), "foreign"),
    "another log": (receipt(signer=Signer("else.example/log", Ed25519PrivateKey.generate())), "foreign"),
    "wrong cosignature": (altered(lambda r: with_signature(r, 1)), "cosignature"),
    "cut in the signature": (receipt()[:-20], "cut"),
    "cut in the checkpoint": (receipt()[: receipt().rindex(b"\n\n")], "cut"),
    "cut in the proof": (receipt()[:600], "cut"),
    "empty": (b"", "format"),
    "not text": (b"\xff" + receipt()[1:], "format"),
    "another header": (receipt().replace(b"@v1", b"@v2"), "format"),
    "number with a zero": (receipt().replace(b"index 6", b"index 06"), "format"),
    "second spelling of base64": (receipt().replace(b"\nindex", b"=\nindex"), "format"),
    "entry in another spelling": (not_canonical(), "entry"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(500), "format"),
}


@pytest.fixture(scope="module")
def portal_world(company: World, origin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("receipts") / "home"
    world = copy_world(
        company, home, public_origin=origin, witnesses=(f"http://127.0.0.1:9 {WITNESS_KEY.text}",)
    )
    with running(world.deps, port=int(origin.rpartition(":")[2])):
        yield world


@pytest.fixture(scope="module")
def saved(portal_world: World, origin: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as a file, as a visitor saves it."""
    path = tmp_path_factory.mktemp("saved") / "sealgate-receipt.html"
    path.write_bytes(portal_world.app.test_client().get("/receipts/check.html", base_url=origin).data)
    return path


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(locale="zh-CN", offline=False)
    page = context.new_page()
    page.set_default_timeout(20_000)
    yield page
    context.close()


def give(page: Page, content: bytes, key: str = LOG.vkey, witnesses: str = WITNESS_KEY.text) -> str:
    """Chooses a receipt and returns the page's verdict."""
    page.locator("#receipt-key").fill(key)
    page.locator("#receipt-witnesses").fill(witnesses)
    page.locator("#receipt-result").evaluate("e => e.replaceChildren()")
    page.locator("#receipt-file").set_input_files(
        {"name": "r.tlog-proof", "mimeType": "application/octet-stream", "buffer": content}
    )
    verdict = page.locator("#receipt-result .sg-note")
    expect(verdict).to_be_visible()
    return verdict.get_attribute("data-verdict") or ""


def test_a_receipt_of_this_portal_is_accepted(portal_world: World, visit: Page, origin: str) -> None:
    portal_world.tick()
    leaf = portal_world.leaves()[0]
    asked: list[str] = []
    visit.goto(f"{origin}/receipts", wait_until="networkidle")
    visit.on("request", lambda request: asked.append(request.url))
    visit.locator("#receipt-file").set_input_files(
        {"name": "r", "mimeType": "text/plain", "buffer": portal_world.deps.log.receipt(leaf.id)}
    )
    result = visit.locator("#receipt-result")
    expect(result).to_contain_text(said("回执有效：这条记录在日志签署的检查点之内。", "zh"))
    expect(result).to_contain_text(leaf.event)
    expect(result).to_contain_text(portal_world.deps.log.vkey.partition("+")[0])
    assert asked == []


def test_the_page_may_send_nothing(visit: Page, portal_world: World, origin: str) -> None:
    answer = visit.goto(f"{origin}/receipts")
    assert answer is not None
    assert "connect-src 'none'" in answer.headers["content-security-policy"]
    tried = """async (to) => { try { await fetch(to, {method: "POST", body: "x"}); return "sent"; } catch { return "kept"; } }"""
    assert visit.evaluate(tried, f"{origin}/healthz") == "kept"


def test_a_cosigned_receipt_names_its_witness(portal_world: World, visit: Page, origin: str) -> None:
    visit.goto(f"{origin}/receipts")
    assert give(visit, receipt()) == "accepted"
    result = visit.locator("#receipt-result")
    expect(result).to_contain_text(f"{NAME} 2026-11-23T08:00:00.000Z")
    expect(result).to_contain_text(f"{AT} / {SIZE}")
    expect(result).to_contain_text("copy.collect")
    assert give(visit, receipt(witness=None)) == "accepted"
    expect(result).to_contain_text("没有已知的见证方签名")


def test_every_lie_is_refused_with_its_sentence(portal_world: World, visit: Page, origin: str) -> None:
    visit.goto(f"{origin}/receipts")
    wrong = []
    for name, (content, word) in LIES.items():
        verdict = give(visit, content)
        sentence = visit.locator(f"[data-word={word}]").text_content() or "?"
        if verdict != word or sentence not in (visit.locator("#receipt-result").text_content() or ""):
            wrong.append(f"{name}: {verdict}")
    assert not wrong, wrong
    assert give(visit, receipt()) == "accepted"


@pytest.mark.parametrize("lie", [name for name in LIES if name != "wrong cosignature"])
def test_the_offline_verifier_refuses_the_same(lie: str) -> None:
    with pytest.raises(SealGateError):
        verify_receipt(LIES[lie][0], [LOG.key])


def test_keys_that_are_none_are_told(portal_world: World, visit: Page, origin: str) -> None:
    visit.goto(f"{origin}/receipts")
    spoilt = LOG.vkey.replace("files", "filed")
    for key in ("", "abc", spoilt, WITNESS_KEY.text, LOG.vkey[:-3]):
        assert give(visit, receipt(), key=key) == "key", key
    assert give(visit, receipt(), witnesses=LOG.vkey) == "key"
    assert give(visit, receipt(), witnesses="") == "accepted"


def test_the_saved_file_works_without_any_network(saved: Path, chromium: Browser) -> None:
    context = chromium.new_context(offline=True)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.goto(saved.as_uri())
    assert give(page, receipt()) == "accepted"
    assert give(page, LIES["swapped leaf"][0]) == "inclusion"
    assert give(page, LIES["foreign key"][0]) == "foreign"
    assert faults == []
    context.close()


def test_the_saved_file_holds_the_portals_own_keys(saved: Path, portal_world: World) -> None:
    text = saved.read_text("utf-8")
    plain = text.replace("&#43;", "+")
    assert portal_world.deps.log.vkey in plain and WITNESS_KEY.text in plain
    assert "default-src &#39;none&#39;" in text


def test_a_browser_without_the_algorithm_says_so(portal_world: World, visit: Page, origin: str) -> None:
    visit.add_init_script(
        "SubtleCrypto.prototype.importKey = () => Promise.reject(new DOMException('no', 'NotSupportedError'));"
    )
    visit.goto(f"{origin}/receipts")
    assert give(visit, receipt()) == "unsupported"


def test_in_english(portal_world: World, chromium: Browser, origin: str) -> None:
    context = chromium.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(f"{origin}/receipts")
    assert give(page, LIES["wrong root"][0]) == "inclusion"
    expect(page.locator("#receipt-result")).to_contain_text("does not lead to the signed root")
    context.close()


def test_the_frozen_vector_is_accepted(portal_world: World, visit: Page, origin: str) -> None:
    visit.goto(f"{origin}/receipts")
    key = (VECTORS / "checkpoint-1.key").read_text()
    assert give(visit, GOOD, key=key) == "accepted"
    assert base64.b64encode(ENTRY) in GOOD
