"""The fonts that the product carries are what fonts.json says, under the Open Font License."""

import hashlib

from watermark import faces


def test_every_font_is_listed_with_its_digest_and_licence() -> None:
    listed = faces.bundled()
    files = {path.name for path in faces.FOLDER.iterdir()}
    assert files == {entry["file"] for entry in listed} | {"OFL.txt", "fonts.json"}
    for entry in listed:
        assert entry["licence"] == "OFL-1.1"
        assert hashlib.sha256((faces.FOLDER / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    assert "SIL OPEN FONT LICENSE Version 1.1" in (faces.FOLDER / "OFL.txt").read_text("utf-8")


def test_scripts_are_covered_by_a_face_of_their_own() -> None:
    wanted = {
        "件": "NotoSansSC-Regular.otf",
        "𠮷": "NotoSansCJK-Regular.ttc",
        "한": "NotoSansCJK-Regular.ttc",
        "ع": "NotoSansArabic-Regular.ttf",
        "ไ": "NotoSansThai-Regular.ttf",
        "ש": "NotoSansHebrew-Regular.ttf",
        "ᠮ": "NotoSansMongolian-Regular.ttf",
        "x\u0301": "NotoSans-Regular.ttf",
    }
    for text, name in wanted.items():
        face = faces.covering(text)
        assert face is not None
        assert face.name == name, text
    assert faces.covering("\U0002a6a5") is None
