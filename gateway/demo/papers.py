"""The demo's documents: a Chinese budget with a table and photos, a drawing on A3 and a rotated page, a photo."""

import io
import json
from pathlib import Path

import pikepdf
import pylopdf_fonts_zh_cn
import typst
from PIL import Image, ImageDraw

BUDGET = r"""
#set page(paper: "a4", margin: 2cm, footer: context align(center, text(9pt, counter(page).display("1 / 1", both: true))))
#set text(font: "Noto Sans SC", size: 10.5pt, lang: "zh", region: "cn")
#let data = json(bytes(sys.inputs.data))
#align(center, text(18pt)[装修工程预算书（演示）])
#align(center)[示例云阶装饰公司（虚构）　客户：示例客户甲]
#v(1em)
#table(columns: (1fr, 3fr, 1fr, 1fr, 1.4fr), align: (center, left, right, right, right),
  [*序号*], [*项目*], [*数量*], [*单价*], [*合计（元）*],
  ..data.rows.flatten())
#v(1em)
#grid(columns: (1fr, 1fr), gutter: 1em, image("photo.jpg"), image("photo.jpg"))
#v(1em)
说明：本预算为演示数据，金额均为虚构，不构成报价。
#pagebreak()
#text(14pt)[材料清单]
#table(columns: (1fr, 3fr, 2fr), [*编号*], [*材料*], [*规格*], ..data.materials.flatten())
"""
DRAWING = r"""
#set text(font: "Noto Sans SC", size: 12pt, lang: "zh", region: "cn")
#let plan(name) = {
  align(center, text(16pt, name))
  place(center + horizon, rect(width: 78%, height: 62%, stroke: 2pt)[
    #place(left + top, rect(width: 45%, height: 50%, stroke: 1pt)[客厅 Living room])
    #place(right + top, rect(width: 45%, height: 40%, stroke: 1pt)[主卧 Bedroom])
    #place(left + bottom, rect(width: 35%, height: 35%, stroke: 1pt)[厨房 Kitchen])
    #place(right + bottom, rect(width: 50%, height: 45%, stroke: 1pt)[书房 Study])
  ])
}
#set page(paper: "a3", flipped: true)
#plan("一层平面布置图 1:50")
#set page(paper: "a3", flipped: false)
#plan("二层平面布置图 1:50")
#set page(paper: "a4")
#plan("节点大样 1:10")
"""
ROWS = [
    ["1", "墙面基层处理及乳胶漆", "186 ㎡", "38.00", "7,068.00"],
    ["2", "强化复合地板铺装", "72 ㎡", "126.00", "9,072.00"],
    ["3", "厨房橱柜定制", "6.2 m", "1,980.00", "12,276.00"],
    ["4", "卫生间防水（两遍）", "24 ㎡", "65.00", "1,560.00"],
    ["5", "强弱电改造", "1 项", "8,600.00", "8,600.00"],
]
MATERIALS = [
    ["A-01", "乳胶漆", "净味，哑光"],
    ["B-02", "复合地板", "12 mm，E0"],
    ["C-03", "石英石台面", "15 mm"],
]


def photo() -> bytes:
    """A picture of a room that never was, as JPEG."""
    picture = Image.new("RGB", (1200, 800), (196, 186, 170))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 520, 1200, 800), fill=(120, 92, 68))
    draw.rectangle((120, 120, 480, 420), fill=(150, 190, 220), outline=(250, 250, 250), width=14)
    draw.rectangle((640, 360, 1080, 620), fill=(72, 84, 96))
    draw.ellipse((820, 60, 900, 140), fill=(250, 240, 190))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def budget(folder: Path) -> bytes:
    """The budget as a PDF of two pages; `folder` holds its parts while it is set."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "photo.jpg").write_bytes(photo())
    return _set(folder, "budget.typ", BUDGET, {"rows": ROWS, "materials": MATERIALS})


def drawing(folder: Path) -> bytes:
    """The drawing: A3 landscape, A3 upright turned by 90°, and A4."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pikepdf.open(io.BytesIO(_set(folder, "drawing.typ", DRAWING, {})))
    made.pages[1].Rotate = 90
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def _set(folder: Path, name: str, source: str, data: object) -> bytes:
    path = folder / name
    path.write_text(source, encoding="utf-8")
    fonts = Path(pylopdf_fonts_zh_cn.__file__).parent
    pdf: bytes = typst.compile(
        str(path),
        root=str(folder),
        font_paths=[str(fonts)],
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(data)},
    )
    return pdf
