"""One agreement and one piece of evidence, with the demo names of the policy."""

import datetime
import io
import random
import re

import pypdfium2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image, ImageDraw

from agreements.appearance import appearance
from agreements.credentials import DEVELOPMENT_NOTICE, Credentials, development_ca
from agreements.drawing import normalise
from agreements.evidence import (
    CONSENT_VERSION,
    CONSENT_ZH,
    Access,
    Authentication,
    Consent,
    Event,
    Evidence,
    Signer,
)
from agreements.render import PLACES, places, render
from agreements.signature import Mark, Sealer, seal
from agreements.text import DEFAULT, fill

VALUES = {
    "nda_no": "BM-2026-0001",
    "template_version": "NDA-1",
    "company_name": "示例云阶装饰公司（虚构）",
    "company_uscc": "0" * 18,
    "partner_name": "示例建材供应商（虚构）",
    "partner_uscc": "0" * 18,
    "signer_name": "示例签署人",
    "signer_title": "总经理",
    "purpose": "采购下单、施工安装",
    "client_scope": "示例客户甲",
    "category_scope": "F06 装修需求、F07 设计方案与图纸",
    "contact_list": "s1、s2",
    "pi_relation": "委托处理",
    "pi_purpose": "按图备料与安装",
    "pi_period": "协议期内",
    "pi_method": "查阅、下载加密副本",
    "pi_categories": "姓名称谓、房屋地址",
    "incident_hours": "24",
    "incident_contact": "行政部",
    "return_days": "10",
    "effective_from": "2026年11月23日",
    "effective_to": "2027年11月22日",
    "survival_years": "5",
    "liability_clause": "违约方承担因此产生的合理费用",
    "dispute_forum": "甲方所在地人民法院",
}


@pytest.fixture(scope="session")
def values() -> dict[str, str]:
    return dict(VALUES)


@pytest.fixture(scope="session")
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture(scope="session")
def evidence() -> Evidence:
    signed_at = datetime.datetime(2026, 11, 23, 3, 20, 5, 123456, tzinfo=datetime.UTC)
    return Evidence(
        agreement_no="BM-2026-0001",
        template_version="NDA-1",
        pdf_sha256="11" * 32,
        text_sha256="22" * 32,
        signer=Signer("contact-1", "示例签署人", "总经理", "示例建材供应商（虚构）", "0" * 18),
        consent=Consent(CONSENT_VERSION, "zh", CONSENT_ZH),
        signed_at=signed_at,
        access=Access("192.0.2.7", "Mozilla/5.0 (Linux; Android 15)", "33" * 32),
        authentication=Authentication("totp", signed_at - datetime.timedelta(seconds=20)),
        drawing_sha256="44" * 32,
        events=(Event("viewed", signed_at - datetime.timedelta(minutes=4), (1, 2, 3)),),
    )


@pytest.fixture(scope="session")
def words():
    """Return a function: what a reader copies out of a PDF, without white space, which line breaks may change."""

    def extracted(pdf: bytes) -> str:
        document = pypdfium2.PdfDocument(pdf)
        try:
            text = "".join(page.get_textpage().get_text_range() for page in document)
        finally:
            document.close()
        return re.sub(r"\s", "", text)

    return extracted


@pytest.fixture(scope="session")
def outside():
    """Return a function: every character of a PDF that is drawn beyond the edge of its page."""

    def strays(pdf: bytes) -> list[str]:
        found = []
        document = pypdfium2.PdfDocument(pdf)
        try:
            for page in document:
                width, height = page.get_size()
                text = page.get_textpage()
                for index in range(text.count_chars()):
                    left, bottom, right, top = text.get_charbox(index)
                    if left < 0 or bottom < 0 or right > width or top > height:
                        found.append(text.get_text_range(index, 1))
        finally:
            document.close()
        return found

    return strays


NUMBER, DAY = "BM-2026-0001", datetime.date(2026, 11, 23)


@pytest.fixture(scope="session")
def seal_credentials() -> Credentials:
    return development_ca("示例云阶装饰公司（虚构）", datetime.datetime.now(datetime.UTC))


@pytest.fixture(scope="session")
def shown(values) -> bytes:
    """Revision 0, as a development certificate asks for it."""
    return render(fill(DEFAULT, values), number=NUMBER, date=DAY, notice=DEVELOPMENT_NOTICE)


@pytest.fixture(scope="session")
def marks(values) -> list[Mark]:
    """The three visible signatures, the partner's with a drawing."""
    found = places(fill(DEFAULT, values), number=NUMBER, date=DAY, notice=DEVELOPMENT_NOTICE)
    ink = Image.new("RGBA", (300, 100))
    ImageDraw.Draw(ink).line([(10, 80), (150, 20), (290, 70)], fill=(0, 0, 60, 255), width=5)
    out = io.BytesIO()
    ink.save(out, "PNG")
    drawn = {"Partner": normalise(out.getvalue())}
    seen = {
        n: appearance(found[n], f"{n} 示例签署人", ["2026-11-23"], DAY, drawing=drawn.get(n)) for n in PLACES
    }
    return [Mark(name, found[name], seen[name], name, "签") for name in PLACES]


@pytest.fixture(scope="session")
def signed(shown, marks, seal_credentials) -> bytes:
    """The document sealed at B-B by the development certificate."""
    root = seal_credentials.root
    return seal(shown, marks, Sealer(seal_credentials, (root,)), now=datetime.datetime.now(datetime.UTC))


@pytest.fixture(scope="session")
def flipped():
    """Return a function: the same bytes with one bit of the byte at a place turned."""

    def turned(data: bytes, at: int) -> bytes:
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return turned


@pytest.fixture(scope="session")
def signed_places():
    """Return a function: some places in the bytes that the last signature covers, spread over them and over every object."""

    def chosen(pdf: bytes, count: int, seed: int = 7) -> list[int]:
        ranges = [int(n) for n in re.findall(rb"/ByteRange \[(\d+) (\d+) (\d+) (\d+)", pdf)[-1]]
        covered = [*range(ranges[0], ranges[1]), *range(ranges[2], ranges[2] + ranges[3])]
        return random.Random(seed).sample(covered, count)

    return chosen
