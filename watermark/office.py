"""Office files to PDF by LibreOffice: a private profile and a private folder in memory for each file, behind the sandbox's walls.

LibreOffice's defaults fetch linked pictures and embed local files; the profile forbids it, and the walls would too. Its exit code
says nothing: only a PDF in the folder counts. Fonts are pinned, so that a machine's own do not change where pages break.
"""

import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

from pylopdf_fonts_zh_cn import sans_path

from watermark import child, memory, sandbox
from watermark.errors import Refusal

PROGRAMS = ("/usr/lib/libreoffice/program/soffice.bin", "/opt/libreoffice/program/soffice.bin")
# The filter is named, so that content is never guessed: a web page called .doc would fetch whatever it names.
FILTERS = {
    "docx": ("MS Word 2007 XML", "writer_pdf_Export"),
    "xlsx": ("Calc MS Excel 2007 XML", "calc_pdf_Export"),
    "pptx": ("Impress MS PowerPoint 2007 XML", "impress_pdf_Export"),
    "odt": ("writer8", "writer_pdf_Export"),
    "ods": ("calc8", "calc_pdf_Export"),
    "odp": ("impress8", "impress_pdf_Export"),
    "odg": ("draw8", "draw_pdf_Export"),
    "doc": ("MS Word 97", "writer_pdf_Export"),
    "xls": ("MS Excel 97", "calc_pdf_Export"),
    "ppt": ("MS PowerPoint 97", "impress_pdf_Export"),
}
_IN_MEMORY = "/dev/shm"  # noqa: S108  # A fresh folder of its own, 0700.
_READ = (
    "/usr/lib",
    "/usr/share",
    "/lib",
    "/lib64",
    "/etc/libreoffice",
    "/var/spool/libreoffice",
    "/etc/ld.so.cache",
    "/dev/urandom",
    "/dev/null",
)
_LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")
_MEMORY, _OUTPUT, _FILES, _MAX_PDF = 4 << 30, 512 << 20, 256, 512 << 20
_FONTS = (
    "/usr/share/fonts/truetype/liberation",
    "/usr/share/fonts/truetype/liberation2",
    "/usr/share/fonts/truetype/crosextra",
)
# Path, name, type, value (LibreOffice's own schema, officecfg).
SETTINGS = (
    ("Office.Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("Office.Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("Office.Common/Security/Scripting", "MacroSecurityLevel", "3"),
    ("Office.Writer/Content/Update", "Link", "2"),
    ("Office.Writer/Content/Update", "Field", "false"),
    ("Office.Calc/Content/Update", "Link", "2"),
    ("Office.Java/VirtualMachine", "Enable", "false"),
    ("Inet/Settings", "ooInetProxyType", "2"),
    ("Inet/Settings", "ooInetHTTPProxyName", "127.0.0.1"),
    ("Inet/Settings", "ooInetHTTPProxyPort", "9"),
    ("Inet/Settings", "ooInetHTTPSProxyName", "127.0.0.1"),
    ("Inet/Settings", "ooInetHTTPSProxyPort", "9"),
    ("Office.Common/Misc", "FirstRun", "false"),
    ("Setup/Office", "ooSetupInstCompleted", "true"),
)
_FAMILIES = {
    "Noto Serif SC": (
        "SimSun",
        "宋体",
        "NSimSun",
        "新宋体",
        "FangSong",
        "仿宋",
        "KaiTi",
        "楷体",
        "STSong",
        "华文宋体",
    ),
    "Noto Sans SC": (
        "SimHei",
        "黑体",
        "Microsoft YaHei",
        "微软雅黑",
        "DengXian",
        "等线",
        "STHeiti",
        "PingFang SC",
    ),
}


def found() -> str | None:
    """The program, or None: without it office files are refused."""
    return next((path for path in PROGRAMS if Path(path).is_file()), None)


def settings() -> str:
    """The profile's registry as LibreOffice reads it."""
    items = "".join(
        f'<item oor:path="/org.openoffice.{path}"><prop oor:name="{name}" oor:op="fuse"><value>{value}</value></prop></item>'
        for path, name, value in SETTINGS
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><oor:items xmlns:oor="http://openoffice.org/2001/registry" '
        f'xmlns:xs="http://www.w3.org/2001/XMLSchema">{items}</oor:items>'
    )


def fontconfig(folder: Path) -> str:
    """Fonts of the product and metric twins of the usual Latin ones; untagged Han is Chinese, not Japanese."""
    paths = [str(sans_path().parent), *(path for path in _FONTS if Path(path).is_dir())]
    dirs = "".join(f"<dir>{escape(path)}</dir>" for path in paths)
    aliases = "".join(
        f'<match target="pattern"><test name="family"><string>{escape(name)}</string></test>'
        f'<edit name="family" mode="assign" binding="strong"><string>{family}</string></edit></match>'
        for family, names in _FAMILIES.items()
        for name in names
    )
    return (
        f'<?xml version="1.0"?><fontconfig>{dirs}<cachedir>{folder}/fonts</cachedir>{aliases}'
        '<match target="pattern"><edit name="lang" mode="prepend"><string>zh-cn</string></edit></match>'
        '<match target="pattern"><edit name="family" mode="append"><string>Noto Sans SC</string></edit></match>'
        "</fontconfig>"
    )


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder in memory, the child's own; gone afterwards with all that was left in it."""
    if not os.path.ismount(_IN_MEMORY):
        raise Refusal("SANDBOX", "there is no folder in memory for the converter")
    folder = Path(_IN_MEMORY) / f"sealgate-{secrets.token_hex(12)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _furnish(folder: Path, source: int, code: str) -> None:
    (folder / "profile" / "user").mkdir(parents=True)
    (folder / "out").mkdir()
    (folder / "profile" / "user" / "registrymodifications.xcu").write_text(settings(), encoding="utf-8")
    (folder / "fonts.conf").write_text(fontconfig(folder), encoding="utf-8")
    with (folder / f"source.{code}").open("wb") as copy:
        for piece in memory.chunks(source):
            copy.write(piece)
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, sandbox.NOBODY, sandbox.NOBODY)


def _program(program: str, folder: Path, code: str) -> list[str]:
    reader, writer = FILTERS[code]
    return [
        program,
        f"-env:UserInstallation=file://{folder}/profile",
        f"-env:OSL_SOCKET_PATH={folder}",
        "--headless",
        "--invisible",
        "--nologo",
        "--norestore",
        "--nodefault",
        "--nolockcheck",
        f"--infilter={reader}",
        "--convert-to",
        f"pdf:{writer}",
        "--outdir",
        f"{folder}/out",
        f"{folder}/source.{code}",
    ]


def _environment(folder: Path) -> dict[str, str]:
    return {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "SAL_USE_VCLPLUGIN": "svp",
        "FONTCONFIG_FILE": f"{folder}/fonts.conf",
    }


def walls(program: str, folder: Path) -> sandbox.Walls:
    """LibreOffice's own files to read, its folder to write, itself and the loader to run, nothing else."""
    read = (*_READ, *_FONTS, str(sans_path().parent), str(Path(program).parent.parent))
    return sandbox.Walls(
        "program",
        read=tuple(path for path in read if Path(path).exists()),
        write=(str(folder),),
        execute=(program, *(path for path in _LOADERS if Path(path).exists())),
    )


def convert(source: int, code: str, *, deadline_s: float = 60) -> int:
    """A PDF of an office file, as a memory file that the caller closes.

    Raises Refusal CONVERTER, TIMEOUT, SANDBOX or NOT_CONVERTED.
    """
    program = found()
    if program is None:
        raise Refusal("CONVERTER", "office files need LibreOffice, which is not installed")
    last = time.monotonic() + deadline_s
    with _folder() as folder:
        _furnish(folder, source, code)
        for _ in range(2):  # A fresh profile may make it end and ask to be started once more.
            _run(program, folder, source, code, last - time.monotonic())
            made = _taken(folder / "out" / "source.pdf")
            if made is not None:
                return made
    raise Refusal("NOT_CONVERTED", "LibreOffice could not convert the file")


def _run(program: str, folder: Path, source: int, code: str, deadline_s: float) -> None:
    size = memory.size(source)
    budget = sandbox.Limits(_MEMORY + 2 * size, _OUTPUT + 2 * size, int(deadline_s) + 2, _FILES)
    out, done = child.run(
        source,
        {},
        deadline_s,
        walls=walls(program, folder),
        budget=budget,
        program=_program(program, folder, code),
        environment=_environment(folder),
    )
    os.close(out)
    if done == "TIMEOUT":
        raise Refusal("TIMEOUT", "the conversion took longer than its time")
    if isinstance(done, dict) or done == "SANDBOX":
        raise Refusal("SANDBOX", "the converter's walls could not be raised")


def _taken(path: Path) -> int | None:
    """The file as a memory file; what is not a plain file of a sensible size does not count."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or not 0 < seen.st_size <= _MAX_PDF:
            return None
        return memory.create("converted", memory.read(fd))
    finally:
        os.close(fd)
