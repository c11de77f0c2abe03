"""The command line: what it lists, how it refuses, what `init` makes, and how `mark` keeps its promises."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pyrage
import pytest
import pyzipper
from click.testing import CliRunner, Result

from gateway import bootstrap
from gateway.app import create_app
from gateway.cli import main
from gateway.config import Settings, load
from gateway.demo import papers
from gateway.demo.opening import compare
from tests.factories import pdf, photo
from tests.services.minio import running_minio

VERBS = tuple("agreement backup demo doctor init keys log mark restore serve storage witness worker".split())
KEY = "K7QF-M2XN-ABCD-EFGH-2345"
WORDS = ("--text", "示例建材供应商 Recipient", "--copy", "SG01-KH·2026·SJ-0001-001_F0001")
CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpus"


def good(home: Path) -> dict[str, str]:
    """An environment that can start a portal."""
    return {
        "SEALGATE_HOME": str(home),
        "SEALGATE_PUBLIC_ORIGIN": "http://127.0.0.1:8080",
        "SEALGATE_COMPANY_NAME": "示例公司",
        "SEALGATE_COMPANY_USCC": "0" * 18,
        "SEALGATE_FONDS": "SG01",
    }


def run(*words: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], env=env)


def command(*words: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The installed program, as people run it."""
    program = Path(sys.executable).parent / "sealgate"
    return subprocess.run(
        [program, *words], env=os.environ | (env or {}), capture_output=True, text=True, timeout=120
    )


# --- what it lists ----------------------------------------------------------------------------------------------


def test_help_lists_every_verb_with_one_whole_line() -> None:
    listed = command("--help")
    assert listed.returncode == 0
    lines = listed.stdout.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == list(VERBS)
    for line in lines:
        assert line.endswith(".") and not line.endswith("..."), line


@pytest.mark.parametrize("verb", [*VERBS, "storage init"])
def test_every_verb_explains_itself(verb: str) -> None:
    result = run(*verb.split(), "--help")
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")


def test_an_unknown_verb_is_a_usage_error() -> None:
    assert run("nothing").exit_code == 2


# --- settings ---------------------------------------------------------------------------------------------------

NEEDED = ("HOME", "PUBLIC_ORIGIN", "COMPANY_NAME", "COMPANY_USCC", "FONDS")


@pytest.mark.parametrize("verb", ["init", "serve", "worker", "storage init"])
def test_every_missing_setting_is_named_at_once(verb: str) -> None:
    result = run(*verb.split())
    assert result.exit_code == 1
    assert all(f"SEALGATE_{name}: " in result.stderr for name in NEEDED)
    assert "nothing was done" in result.stderr


def test_every_bad_setting_is_named_at_once_and_nothing_is_done(tmp_path: Path) -> None:
    (tmp_path / "open").write_text("secret")
    (tmp_path / "open").chmod(0o644)
    bad = {
        "PUBLIC_ORIGIN": "http://files.example.com",
        "COMPANY_NAME": "",
        "COMPANY_USCC": "short",
        "FONDS": "sg",
        "TRUSTED_PROXIES": "many",
        "STORAGE": "s3",
        "S3_SECRET_KEY_FILE": str(tmp_path / "open"),
        "QUEUE": "redis",
        "SMTP_PORT": "x",
        "SMTP_PASSWORD_FILE": str(tmp_path / "missing"),
    }
    wanted = {*bad, "S3_ENDPOINT", "S3_ACCESS_KEY_FILE", "REDIS_URL"} - {"STORAGE", "QUEUE"}
    env = {f"SEALGATE_{name}": value for name, value in bad.items()}
    result = run("init", env={"SEALGATE_HOME": str(tmp_path / "home"), **env})
    assert result.exit_code == 1
    named = set(re.findall(r"^  SEALGATE_(\w+): ", result.stderr, re.MULTILINE))
    assert named == wanted
    assert not (tmp_path / "home").exists()
    assert "secret" not in result.stderr.replace("S3_SECRET", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOME", ""),
        ("STORAGE", "tape"),
        ("PUBLIC_ORIGIN", "https://files.example.com/path"),
        ("PUBLIC_ORIGIN", "ftp://files.example.com"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str, tmp_path: Path) -> None:
    result = run("init", env={**good(tmp_path / "home"), f"SEALGATE_{name}": value})
    assert result.exit_code == 1
    assert result.stderr.startswith(f"  SEALGATE_{name}: ")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("verb", ["serve", "worker"])
def test_nothing_starts_without_keys(verb: str, tmp_path: Path) -> None:
    result = run(verb, env=good(tmp_path / "home"))
    assert result.exit_code == 1
    assert all(f"{name}: missing" in result.stderr for name in (*bootstrap.RAW_KEYS, "log.key", "kek"))
    assert not (tmp_path / "home" / "sealgate.db").exists()


# --- init -------------------------------------------------------------------------------------------------------

PEOPLE = (
    "--sys", "sys@demo.invalid", "系统管理员",
    "--gm", "gm@demo.invalid", "总经理",
    "--adm", "adm@demo.invalid", "行政专员",
)  # fmt: skip


def settings(home: Path) -> Settings:
    return load(good(home))


def test_init_makes_closed_keys_a_database_and_three_codes_that_work(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = run("init", *PEOPLE, env=good(home))
    assert done.exit_code == 0, done.output
    for path in (home / "keys").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name
    links = re.findall(r"^(SYS|GM|ADM) (\S+): http://127\.0\.0\.1:8080(/enrol/\S+)$", done.output, re.M)
    assert [(role, email) for role, email, _ in links] == [
        ("SYS", "sys@demo.invalid"),
        ("GM", "gm@demo.invalid"),
        ("ADM", "adm@demo.invalid"),
    ]
    deps = bootstrap.build(settings(home))
    client = create_app(deps).test_client()
    for _, email, link in links:
        page = client.get(link, base_url="http://127.0.0.1:8080")
        assert page.status_code == 200, page.status
        assert email in page.get_data(as_text=True)
    assert client.get("/enrol/" + "0" * 32, base_url="http://127.0.0.1:8080").status_code != 200
    deps.database.close()


def test_init_again_changes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert run("init", *PEOPLE, env=good(home)).exit_code == 0
    before = {path: path.read_bytes() for path in (home / "keys").rglob("*") if path.is_file()}
    again = run("init", env=good(home))
    assert again.exit_code == 0
    assert "made " not in again.output and "/enrol/" not in again.output
    third = run("init", *PEOPLE, env=good(home))
    assert third.exit_code == 1
    assert "Traceback" not in third.output and "/enrol/" not in third.output
    assert {path: path.read_bytes() for path in (home / "keys").rglob("*") if path.is_file()} == before


def test_init_with_two_of_three_people_makes_nothing(tmp_path: Path) -> None:
    result = run("init", *PEOPLE[:6], env=good(tmp_path / "home"))
    assert result.exit_code == 2
    assert not (tmp_path / "home").exists()


def test_a_bad_address_enrols_nobody(tmp_path: Path) -> None:
    home = tmp_path / "home"
    bad = run("init", *PEOPLE[:7], "not an address", "行政专员", env=good(home))
    assert bad.exit_code == 1
    assert "/enrol/" not in bad.output
    assert run("init", *PEOPLE, env=good(home)).exit_code == 0


@pytest.mark.parametrize("name", ["mac.key", "log.key", "session.key", "kek/1"])
def test_a_key_that_others_can_read_stops_every_start(name: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    run("init", env=good(home))
    found = [path for path in (home / "keys").rglob("*") if str(path).endswith(name.partition("/")[0])]
    path = found[0] if found[0].is_file() else next(found[0].iterdir())
    path.chmod(0o640)
    for verb in ("serve", "worker"):
        result = run(verb, env=good(home))
        assert result.exit_code == 1, (verb, result.output)
        assert "Traceback" not in result.output


@pytest.mark.services
def test_init_prepares_a_real_minio_and_says_what_is_lacking(tmp_path: Path) -> None:
    with running_minio(tmp_path) as server:
        for name, value in (("access", server.access_key), ("secret", server.secret_key)):
            (tmp_path / name).touch(mode=0o600)
            (tmp_path / name).write_text(value)
        env = {
            **good(tmp_path / "home"),
            "SEALGATE_STORAGE": "s3",
            "SEALGATE_S3_ENDPOINT": server.endpoint,
            "SEALGATE_S3_ACCESS_KEY_FILE": str(tmp_path / "access"),
            "SEALGATE_S3_SECRET_KEY_FILE": str(tmp_path / "secret"),
        }
        first = run("init", *PEOPLE, env=env)
        assert first.exit_code == 0, first.output
        assert first.output.count("/enrol/") == 3
        assert run("storage", "init", env=env).exit_code == 0
        (tmp_path / "secret").write_text("wrong-secret-key")
        wrong = run("storage", "init", env=env)
        assert wrong.exit_code == 1
        assert "Traceback" not in wrong.output and "wrong-secret-key" not in wrong.output
        env["SEALGATE_S3_ENDPOINT"] = "http://127.0.0.1:9"
    assert run("storage", "init", env=env).exit_code == 1


# --- worker -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_ends_cleanly_on_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    env = good(tmp_path / "home")
    run("init", env=env)
    log = tmp_path / "log"
    with log.open("wb") as out:
        worker = subprocess.Popen(
            [sys.executable, "-X", "utf8", "-c", STARTED],
            env=os.environ | env,
            stdout=subprocess.PIPE,
            stderr=out,
        )
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"started\n"
    worker.send_signal(number)
    assert worker.wait(10) == 0, log.read_text()
    worker.stdout.close()
    assert "Traceback" not in log.read_text()


# The verb itself, which says when its threads run: a signal before that is a start broken off.
STARTED = """
import sys
from gateway import engine
begin = engine.Engine.start
def start(self):
    begin(self)
    print("started", flush=True)
engine.Engine.start = start
from gateway.cli import main
main(["worker"])
"""


# --- mark -------------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.pdf"
    path.write_bytes(pdf(3))
    return path


def test_mark_marks_every_page_and_reports(source: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "out.pdf", tmp_path / "r.json"
    done = command("mark", source, "-o", out, *WORDS, "--text", "第二行 second", "--report", report)
    assert done.returncode == 0, done.stderr
    seen = compare(source.read_bytes(), out.read_bytes())
    assert len(seen) == 3
    assert all(page.marked for page in seen)
    said = json.loads(report.read_text("utf-8"))
    assert (said["status"], said["kind"], said["reason"]) == ("marked", "pdf", None)
    assert [(p["number"], p["width"], p["height"], p["rotation"], p["marked"]) for p in said["pages"]] == [
        (n, 595.0, 842.0, 0, True) for n in (1, 2, 3)
    ]
    assert "removed" in said


def test_a_refusal_ends_with_three_and_leaves_nothing_at_out(tmp_path: Path) -> None:
    (tmp_path / "in.docx").write_bytes(b"PK\x03\x04 no document")
    (tmp_path / "out").write_bytes(b"older")
    done = command("mark", tmp_path / "in.docx", "-o", tmp_path / "out", *WORDS, "--report", tmp_path / "r")
    assert done.returncode == 3
    assert not (tmp_path / "out").exists()
    said = json.loads((tmp_path / "r").read_text("utf-8"))
    assert said["status"] == "refused" and said["reason"]
    assert said["reason"] in done.stderr


def test_what_mark_removed_is_reported(source: Path, tmp_path: Path) -> None:
    with pikepdf.open(source, allow_overwriting_input=True) as made:
        made.Root.OpenAction = pikepdf.Dictionary(
            S=pikepdf.Name.JavaScript, JS=pikepdf.String("app.alert(1)")
        )
        made.save(source)
    assert run("mark", source, "-o", tmp_path / "o", *WORDS, "--report", tmp_path / "r").exit_code == 0
    assert json.loads((tmp_path / "r").read_text("utf-8"))["removed"]
    assert b"app.alert" not in (tmp_path / "o").read_bytes()


def test_each_seal_opens_with_its_key_and_no_other(source: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    for format_ in ("pdf", "zip"):
        sealed = run(
            "mark", source, "-o", tmp_path / format_, *WORDS, "--seal", format_, "--passphrase-file", tmp_path / "key"
        )  # fmt: skip
        assert sealed.exit_code == 0, sealed.output
    assert run(
        "mark", source, "-o", tmp_path / "age", *WORDS, "--seal", "age", "--age-recipient", recipient
    ).exit_code == 0  # fmt: skip
    with pikepdf.open(tmp_path / "pdf", password=KEY) as opened:
        assert len(opened.pages) == 3 and opened.encryption.R == 6
    with pytest.raises(pikepdf.PasswordError):
        pikepdf.open(tmp_path / "pdf", password="wrong")
    with pyzipper.AESZipFile(tmp_path / "zip") as archive:
        (name,) = archive.namelist()
        assert len(pikepdf.open(io.BytesIO(archive.read(name, pwd=KEY.encode()))).pages) == 3
        with pytest.raises(RuntimeError):
            archive.read(name, pwd=b"wrong")
    assert pyrage.decrypt((tmp_path / "age").read_bytes(), [identity])
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt((tmp_path / "age").read_bytes(), [pyrage.x25519.Identity.generate()])


AGE = "age13jdlqc2hahvhnerrnn74z8ryaglzjfg7c4tp7kqggc73rnup7pssuangws"  # Fixed, so that every worker names the cases alike.


@pytest.mark.parametrize(
    "more",
    [
        ["--seal", "pdf"],
        ["--seal", "zip"],
        ["--seal", "age"],
        ["--seal", "rar", "--passphrase-file", "KEY"],
        ["--seal", "age", "--passphrase-file", "KEY"],
        ["--seal", "zip", "--age-recipient", AGE],
        ["--seal", "pdf", "--passphrase-file", "KEY", "--age-recipient", AGE],
        ["--seal", "age", "--age-recipient", "age1nothing"],
        ["--passphrase-file", "KEY"],
        ["--seal", "zip", "--passphrase-file", "EMPTY"],
        ["--seal", "zip", "--passphrase-file", "BINARY"],
        ["--seal", "zip", "--passphrase-file", "MISSING"],
        ["--batch", "FOLDER"],
        ["--batch", "FOLDER", "--report", "R"],
        ["--text", ""],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_a_usage_error_and_writes_nothing(
    more: list[str], source: Path, tmp_path: Path
) -> None:
    for name, data in (("KEY", KEY.encode()), ("EMPTY", b"\n"), ("BINARY", b"\xff\xfe\x00")):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "FOLDER").mkdir()
    names = ("KEY", "EMPTY", "BINARY", "MISSING", "FOLDER", "R")
    words = [str(tmp_path / word) if word in names else word for word in more]
    result = run("mark", source, "-o", tmp_path / "out", *WORDS, *words)
    assert result.exit_code == 2, result.output
    assert not (tmp_path / "out").exists() and not (tmp_path / "R").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["-o", "out", *WORDS],
        ["in.pdf", *WORDS],
        ["in.pdf", "-o", "out", "--copy", "N"],
        ["in.pdf", "-o", "out", "--text", "T"],
        ["in.pdf", "-o", "in.pdf", *WORDS],
        ["--batch", "folder", "-o", "out", *WORDS],
        ["missing.pdf", "-o", "out", *WORDS],
        ["folder", "-o", "out", *WORDS],
    ],
    ids=" ".join,
)
def test_incomplete_commands_are_usage_errors(
    words: list[str], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    before = source.read_bytes()
    assert run("mark", *words).exit_code == 2
    assert source.read_bytes() == before
    assert not (tmp_path / "out").exists()


def test_a_target_that_cannot_be_written_is_said_in_one_line(source: Path, tmp_path: Path) -> None:
    done = command("mark", source, "-o", tmp_path / "no" / "out.pdf", *WORDS)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ") and "Traceback" not in done.stderr


def test_what_never_ends_is_no_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path / "pipe", Path("/dev/zero")):
        done = command("mark", source, "-o", tmp_path / "out", *WORDS)
        assert done.returncode in (2, 3)
        assert not (tmp_path / "out").exists()


# --- a folder ---------------------------------------------------------------------------------------------------


def encrypted() -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf())) as made:
        made.save(out, encryption=pikepdf.Encryption(user="u", owner="o", R=6))
    return out.getvalue()


def bomb() -> bytes:
    """A page whose content is a gigabyte of blanks behind two Flate filters."""
    import zlib

    squeezed = zlib.compress(zlib.compress(b" " * (1 << 30), 9), 9)
    with pikepdf.new() as made:
        made.add_blank_page(page_size=(595, 842))
        stream = pikepdf.Stream(made, b"")
        stream.write(squeezed, filter=pikepdf.Array([pikepdf.Name.FlateDecode, pikepdf.Name.FlateDecode]))
        made.pages[0].Contents = made.make_indirect(stream)
        out = io.BytesIO()
        made.save(out, compress_streams=False)
        return out.getvalue()


def huge() -> bytes:
    """A page of two kilometres."""
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf(1, size=(14_400, 14_400)))) as made:
        made.pages[0].obj.UserUnit = 400
        made.save(out)
    return out.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "bomb.pdf": bomb,
    "broken.pdf": lambda: b"%PDF-1.7\n1 0 obj\n<<",
    "empty.pdf": lambda: b"",
    "encrypted.pdf": encrypted,
    "good.pdf": lambda: pdf(2),
    "huge.pdf": huge,
    "letter.docx": lambda: b"PK\x03\x04",
    "photo.jpg": photo,
    "table.csv": lambda: b"a,b\n",
    "truncated.pdf": lambda: pdf(5)[:-200],
}


def every_page_draws_the_mark_last(data: bytes) -> None:
    """What was converted has no pages of its own to compare with."""
    with pikepdf.open(io.BytesIO(data)) as made:
        assert len(made.pages)
        for page in made.pages:
            assert page.Contents.read_bytes().rstrip().endswith(b"q /Mark Do Q")


def nothing_unmarked(folder: Path, out: Path, report: Path) -> list[dict[str, object]]:
    """Every file that came out is reported as marked, and each of its pages shows the mark."""
    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    marked = {str(line["file"]): line for line in lines if line["status"] == "marked"}
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == set(marked)
    for name, line in marked.items():
        assert line["pages"] and all(page["marked"] for page in line["pages"]), name
        if "CONVERTED" in line["notes"]:
            every_page_draws_the_mark_last((out / name).read_bytes())
            continue
        seen = compare((folder / name).read_bytes(), (out / name).read_bytes())
        assert seen and all(page.marked for page in seen), name
    return lines


def test_a_folder_of_good_and_hostile_files(tmp_path: Path) -> None:
    folder, out, report = tmp_path / "in", tmp_path / "out", tmp_path / "r.jsonl"
    (folder / "图纸").mkdir(parents=True)
    for name, make in HOSTILE.items():
        (folder / name).write_bytes(make())
    (folder / "图纸" / "平面.pdf").write_bytes(pdf(1))
    (tmp_path / "outside.pdf").write_bytes(pdf(1))
    (folder / "link.pdf").symlink_to(tmp_path / "outside.pdf")
    (folder / "linked").symlink_to(folder / "图纸")
    os.mkfifo(folder / "pipe.pdf")
    done = command("mark", "--batch", folder, "-o", out, *WORDS, "--report", report)
    assert done.returncode == 3, done.stderr
    lines = nothing_unmarked(folder, out, report)
    assert [line["file"] for line in lines] == sorted([*HOSTILE, "图纸/平面.pdf"])
    said = {str(line["file"]): line for line in lines}
    for name in ("good.pdf", "photo.jpg", "table.csv", "图纸/平面.pdf"):
        assert said[name]["status"] == "marked", said[name]
    for name in ("bomb.pdf", "broken.pdf", "empty.pdf", "encrypted.pdf", "letter.docx"):
        assert said[name]["status"] == "refused" and said[name]["reason"], said[name]


def _documents(folder: Path) -> Path:
    """The corpus of real PDFs where it lies beside the checkout, else documents of the demo."""
    if CORPUS.is_dir():
        return CORPUS
    folder.mkdir()
    (folder / "budget.pdf").write_bytes(papers.budget(folder.with_name("parts")))
    (folder / "drawing.pdf").write_bytes(papers.drawing(folder.with_name("parts")))
    (folder / "photo.jpg").write_bytes(papers.photo())
    return folder


def test_real_documents_are_marked_or_refused_whole(tmp_path: Path) -> None:
    report, source = tmp_path / "r.jsonl", _documents(tmp_path / "documents")
    done = command("mark", "--batch", source, "-o", tmp_path / "out", *WORDS, "--report", report)
    assert done.returncode in (0, 3)
    lines = nothing_unmarked(source, tmp_path / "out", report)
    assert len(lines) == sum(path.is_file() for path in source.rglob("*"))
    assert sum(line["status"] == "marked" for line in lines) > len(lines) // 2
