"""The documents that the watermark's benchmarks measure: drawings, long text, heavy pictures, and a budget."""

import io
import os
import random

import pikepdf
import typst
from pikepdf import Dictionary, Name, Pdf

from watermark import faces

_ROW = (
    "地面找平 墙面基层处理 轻钢龙骨石膏板吊顶 乳胶漆涂饰 木饰面安装 石材干挂 强电管线敷设 弱电桥架 "
    "给排水改造 防水涂膜 门窗套 成品保护 垃圾清运 脚手架搭设 灯具安装"
).split()


def pages(count: int, *, text: int, picture: int, size: tuple[float, float] = (595, 842)) -> bytes:
    """A PDF of `count` pages, each with about `text` bytes of lines and words and `picture` bytes that do not compress."""
    with Pdf.new() as pdf:
        font = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
        for number in range(count):
            pdf.add_blank_page(page_size=size)
            page = pdf.pages[-1].obj
            page.Resources = Dictionary(Font=Dictionary(F=font))
            content = _content(number, text)
            if picture:
                page.Resources.XObject = Dictionary(P=_picture(pdf, picture))
                content += b"q 200 0 0 120 60 600 cm /P Do Q "
            page.Contents = pdf.make_stream(content)
        out = io.BytesIO()
        pdf.save(out, compress_streams=True)
        return out.getvalue()


def _content(number: int, length: int) -> bytes:
    noise = random.Random(number)  # The same document in every run.
    parts, total = [f"BT /F 11 Tf 60 760 Td (Page {number}) Tj ET "], 0
    while total < length:
        parts.append(
            f"{noise.randrange(60, 540)} {noise.randrange(80, 740)} m {noise.randrange(60, 540)} 400 l S "
        )
        total += len(parts[-1])
    return "".join(parts).encode()


def _picture(pdf: Pdf, size: int) -> pikepdf.Object:
    side = int((size * 1.0) ** 0.5)
    picture = pdf.make_stream(os.urandom(side * side))
    picture.Type, picture.Subtype, picture.Width, picture.Height = Name.XObject, Name.Image, side, side
    picture.ColorSpace, picture.BitsPerComponent = Name.DeviceGray, 8
    return picture


def budget() -> bytes:
    """A budget as an office writes it: a title sheet and tables of priced works, Chinese, with embedded fonts."""
    noise = random.Random(7)  # The same document in every run.
    rows = "\n".join(
        f"[{index}], [{noise.choice(_ROW)}], [㎡], [{noise.randrange(10, 900)}], [{noise.randrange(20, 990)}.00],"
        f" [{noise.randrange(1000, 99999)}.00], [含主材、辅材、人工及损耗],"
        for index in range(1, 700)
    )
    source = f"""#set page(paper: "a4", flipped: true, margin: 1.6cm, numbering: "1 / 1")
#set text(font: "Noto Sans SC", size: 9pt, lang: "zh")
#align(center, text(16pt)[装饰工程预算书（样例）])
#table(columns: (auto, 1.4fr, auto, auto, auto, auto, 1.6fr), inset: 4pt,
table.header([序号], [项目名称], [单位], [工程量], [单价], [合价], [备注]),
{rows}
)"""
    made: bytes = typst.compile(source.encode(), font_paths=faces.folders(), ignore_system_fonts=True)
    return made
