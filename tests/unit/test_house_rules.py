"""The rules of the house, run over its source. Each rule is itself tried on a small sample that breaks it."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "watermark", "agreements", "storage")
TEXT_SUFFIXES = {
    ".py",
    ".md",
    ".html",
    ".txt",
    ".cfg",
    ".toml",
    ".yml",
    ".js",
    ".css",
    ".typ",
    ".po",
    ".in",
    "",
}
LONGEST_FUNCTION = 55
LONGEST_FILE = 350


@dataclass(frozen=True)
class Source:
    """One file: its path from the root, with `/`, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def nodes(self, *kinds: type) -> Iterator:
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))

    def at(self, *prefixes: str) -> bool:
        """Whether the file is one of these, or lies below one that ends in `/`."""
        return any(
            self.path == prefix or (prefix.endswith("/") and self.path.startswith(prefix))
            for prefix in prefixes
        )


Rule = Callable[[Source], Iterator[str]]

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def dotted(node: ast.AST) -> str:
    """`a.b.c` for a chain of names; calls and subscripts inside it become empty parts."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


# --- names ------------------------------------------------------------------------------------------------------

EMPTY_NAMES = {"helper", "helpers", "util", "utils", "common", "manager", "managers", "misc"}


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def names_say_something(source: Source) -> Iterator[str]:
    """No helper, utils, common or manager: names are the field's own."""
    for part in source.path.removesuffix(".py").split("/"):
        if words(part) & EMPTY_NAMES:
            yield f"{source.path}: file or folder {part}"
    for node in source.nodes(ast.ClassDef, *FUNCTIONS):
        if words(node.name) & EMPTY_NAMES:
            yield f"{source.path}:{node.lineno} {node.name}"


# --- errors -----------------------------------------------------------------------------------------------------


def no_swallowed_exception(source: Source) -> Iterator[str]:
    """No bare except, and no `except Exception` that says nothing."""
    for node in source.nodes(ast.ExceptHandler):
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        wide = any(
            isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException") for kind in caught
        )
        silent = all(
            isinstance(step, ast.Pass | ast.Continue)
            or (isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant))
            for step in node.body
        )
        if node.type is None or (wide and silent):
            yield f"{source.path}:{node.lineno} swallows every exception"
    for node in source.nodes(ast.Call):
        if dotted(node.func) in ("suppress", "contextlib.suppress") and any(
            dotted(kind) in ("Exception", "BaseException") for kind in node.args
        ):
            yield f"{source.path}:{node.lineno} suppresses every exception"


def is_error(node: ast.ClassDef, known: set[str]) -> bool:
    bases = {dotted(base).rpartition(".")[2] for base in node.bases}
    return bool(bases & known) or any(base.endswith(("Error", "Exception")) for base in bases)


def errors_live_in_errors_py(source: Source) -> Iterator[str]:
    """Exceptions are defined in a package's errors.py, whose docstring draws each of them."""
    known = {"Refused", "Invalid", "Unavailable", "NotFound", "Refusal"}
    drawn = ast.get_docstring(source.tree) or ""
    for node in source.nodes(ast.ClassDef):
        if not is_error(node, known):
            continue
        known.add(node.name)
        if not source.path.endswith("/errors.py"):
            yield f"{source.path}:{node.lineno} {node.name} belongs into errors.py"
        elif not re.search(rf"^\W*{node.name}\b", drawn, re.MULTILINE):
            yield f"{source.path}:{node.lineno} {node.name} is not in the tree at the top"


# --- doors, time, output ----------------------------------------------------------------------------------------


def is_door(source: Source) -> bool:
    return (
        source.at(
            "gateway/app.py",
            "gateway/cli.py",
            "gateway/cli/",
            "gateway/web/",
            "gateway/demo.py",
            "gateway/demo/",
        )
        or source.path.endswith("/__main__.py")
        or bool(re.fullmatch(r"gateway/(demo|cli)_\w+\.py", source.path))
    )


def no_print_below_the_doors(source: Source) -> Iterator[str]:
    """Only commands print; everything else logs or returns."""
    if is_door(source) and not source.at("gateway/app.py", "gateway/web/"):
        return
    for node in source.nodes(ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{source.path}:{node.lineno} prints"


CLOCKS = re.compile(
    r"(^|\.)(datetime\.(now|utcnow|today)|date\.today|time\.(time|time_ns|localtime|gmtime))$"
)


def no_clock_below_the_doors(source: Source) -> Iterator[str]:
    """Time is a parameter: the wall clock is read by the doors, by the loop that runs jobs, and wired by bootstrap."""
    views = re.fullmatch(r"gateway/\w+/(views|\w+_views|views/\w+)\.py", source.path)
    if (
        is_door(source)
        or views
        or source.at("gateway/bootstrap.py", "gateway/jobs/worker.py", "gateway/jobs/loop.py")
    ):
        return
    for node in source.nodes(ast.Call):
        if CLOCKS.search(dotted(node.func)):
            yield f"{source.path}:{node.lineno} {dotted(node.func)}"


# --- size -------------------------------------------------------------------------------------------------------


def rooms_are_small(source: Source) -> Iterator[str]:
    """Functions fit on a screen, and files can be read in one sitting."""
    if "/migrations/" in source.path:
        return
    lines = source.text.count("\n")
    if lines > LONGEST_FILE:
        yield f"{source.path}: {lines} lines"
    for node in source.nodes(*FUNCTIONS):
        length = node.end_lineno - node.lineno + 1
        if length > LONGEST_FUNCTION:
            yield f"{source.path}:{node.lineno} {node.name}: {length} lines"


# --- danger -----------------------------------------------------------------------------------------------------

DANGEROUS_MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve", "jsonpickle"}
DANGEROUS_CALLS = {
    "eval",
    "exec",
    "yaml.load",
    "yaml.unsafe_load",
    "os.system",
    "os.popen",
    "tempfile.mktemp",
}


def no_dangerous_call(source: Source) -> Iterator[str]:
    """Nothing that turns data into code, and no shell."""
    for node in source.nodes(ast.Import, ast.ImportFrom):
        modules = (
            [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        )
        for module in modules:
            if module.split(".")[0] in DANGEROUS_MODULES:
                yield f"{source.path}:{node.lineno} imports {module}"
    for node in source.nodes(ast.Call):
        if dotted(node.func) in DANGEROUS_CALLS:
            yield f"{source.path}:{node.lineno} calls {dotted(node.func)}"
        for keyword in node.keywords:
            if keyword.arg == "shell" and not (
                isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            ):
                yield f"{source.path}:{node.lineno} uses a shell"


UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|raise NotImplementedError)\b")


def nothing_unfinished(source: Source) -> Iterator[str]:
    """What stands in the tree is done."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield f"{source.path}:{number} {line.strip()}"


# --- invariants -------------------------------------------------------------------------------------------------

SEALED_STORES = {"objects", "bundles", "sealed", "store"}


def archive_is_read_by_the_gate_only(source: Source) -> Iterator[str]:
    """Bytes of archived files and of bundles are opened in gateway/release.py and nowhere else."""
    if not source.at("gateway/") or source.at("gateway/release.py"):
        return
    for node in source.nodes(ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr == "open":
            receiver = dotted(node.func.value).rpartition(".")[2]
            if receiver.lstrip("_") in SEALED_STORES:
                yield f"{source.path}:{node.lineno} {dotted(node.func)}"


def no_presigned_url(source: Source) -> Iterator[str]:
    """No URL is handed out that the store would honour by itself."""
    for node in source.nodes(ast.Attribute, ast.Name):
        name = node.attr if isinstance(node, ast.Attribute) else node.id
        if "presign" in name:
            yield f"{source.path}:{node.lineno} {name}"


def guarded_models(sources: list[Source]) -> dict[str, set[str]]:
    """Guarded columns by the name of their model."""
    found = {}
    for source in sources:
        for node in source.nodes(ast.ClassDef):
            for step in node.body:
                names = [dotted(target) for target in step.targets] if isinstance(step, ast.Assign) else []
                if names == ["__guarded__"]:
                    found[node.name] = {e.value for e in ast.walk(step.value) if isinstance(e, ast.Constant)}
    return found


def bulk_target(call: ast.Call, guarded: dict[str, set[str]]) -> tuple[str, str]:
    """(verb, model) of an update() or delete() statement on a guarded model, or two empty strings."""
    verb = dotted(call.func).rpartition(".")[2]
    model = dotted(call.args[0]).rpartition(".")[2] if call.args else ""
    return (verb, model) if verb in ("update", "delete") and model in guarded else ("", "")


def chained(node: ast.AST) -> Iterator[ast.Call]:
    """The calls of a method chain, outermost first."""
    while isinstance(node, ast.Call):
        yield node
        node = node.func.value if isinstance(node.func, ast.Attribute) else ast.Pass()


def no_bulk_change_of_guarded_rows(
    source: Source, guarded: dict[str, set[str]] | None = None
) -> Iterator[str]:
    """Guarded columns are changed row by row through the ORM, which seals them; guarded rows are not bulk-deleted."""
    guarded = guarded_models(python_sources()) if guarded is None else guarded
    seen = set()
    for node in source.nodes(ast.Call):
        calls = list(chained(node))
        verb, model = next(
            (bulk_target(call, guarded) for call in calls if bulk_target(call, guarded)[0]), ("", "")
        )
        if verb == "delete" and (node.lineno, model) not in seen:
            seen.add((node.lineno, model))
            yield f"{source.path}:{node.lineno} deletes {model} in bulk"
        for call in calls if verb == "update" else []:
            if isinstance(call.func, ast.Attribute) and call.func.attr == "values":
                columns = {keyword.arg for keyword in call.keywords}
                if call.args or None in columns or columns & guarded[model]:
                    yield f"{source.path}:{node.lineno} updates guarded columns of {model} in bulk"


# --- templates and texts ----------------------------------------------------------------------------------------

TEMPLATE_FAULTS = {
    "inline style": re.compile(r"\sstyle\s*=|<style\b", re.IGNORECASE),
    "inline script": re.compile(r"<script(?![^>]*\bsrc\s*=)|javascript:", re.IGNORECASE),
    "event attribute": re.compile(r"\s(on[a-z]+|hx-on[\w:-]*)\s*=\s*[\"'{]", re.IGNORECASE),
    "switched-off escaping": re.compile(r"\|\s*safe\b|autoescape\s+false", re.IGNORECASE),
    "foreign origin": re.compile(
        r"<(script|link|img|iframe)\b[^>]*\b(src|href)\s*=\s*[\"']?(https?:)?//", re.IGNORECASE
    ),
}


def templates_obey_the_policy(source: Source) -> Iterator[str]:
    """Pages hold what the content security policy allows, and escape what they show."""
    for number, line in enumerate(source.text.splitlines(), 1):
        for fault, pattern in TEMPLATE_FAULTS.items():
            if pattern.search(line):
                yield f"{source.path}:{number} {fault}"


# Spelt in pieces, so that this file does not break its own rule.
MACHINE_PATH = re.compile(r"(?<![\w.$}~-])/(" + "|".join(("work", "root", "farm", "tmp", "home")) + r")/")
ISSUE_NUMBER = re.compile(r"\bissues?\s+#?\d", re.IGNORECASE)


def no_trace_of_a_machine(source: Source) -> Iterator[str]:
    """No path of one machine, and no number of an issue, stands in code or documents."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if MACHINE_PATH.search(line) or ISSUE_NUMBER.search(line):
            yield f"{source.path}:{number} {line.strip()[:100]}"


def no_waiting_test(source: Source) -> Iterator[str]:
    """Tests wait for events, not for time; none is always skipped, expected to fail, or unable to."""
    for node in source.nodes(ast.Call):
        if dotted(node.func) in ("time.sleep", "sleep"):
            yield f"{source.path}:{node.lineno} sleeps"
    for node in source.nodes(ast.Attribute):
        if dotted(node) in ("pytest.mark.skip", "pytest.mark.xfail"):
            yield f"{source.path}:{node.lineno} {dotted(node)}"
    for node in source.nodes(ast.Assert):
        if isinstance(node.test, ast.Constant):
            yield f"{source.path}:{node.lineno} cannot fail"


# --- what each rule reads ---------------------------------------------------------------------------------------


def read(paths: Iterator[Path]) -> list[Source]:
    return [
        Source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8", "replace"))
        for path in sorted(paths)
    ]


def python_sources() -> list[Source]:
    return read(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_sources() -> list[Source]:
    return read((ROOT / "tests").rglob("*.py"))


test_sources.__test__ = False


def templates() -> list[Source]:
    return read(path for package in PACKAGES for path in (ROOT / package).rglob("templates/**/*.html"))


def texts() -> list[Source]:
    folders = [ROOT / name for name in (*PACKAGES, "tests", "docs", "deploy", ".ci")]
    below = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    here = [path for path in ROOT.iterdir() if path.is_file() and path.suffix in TEXT_SUFFIXES]
    return read(
        path
        for path in (*below, *here)
        if path.suffix in TEXT_SUFFIXES
        and "vendor" not in path.parts
        and "__pycache__" not in path.parts
        and path.name not in ("LICENSE", ".coverage")
    )


RULES: dict[Rule, Callable[[], list[Source]]] = {
    names_say_something: python_sources,
    no_swallowed_exception: python_sources,
    errors_live_in_errors_py: python_sources,
    no_print_below_the_doors: python_sources,
    no_clock_below_the_doors: python_sources,
    rooms_are_small: python_sources,
    no_dangerous_call: python_sources,
    nothing_unfinished: python_sources,
    archive_is_read_by_the_gate_only: python_sources,
    no_presigned_url: python_sources,
    no_bulk_change_of_guarded_rows: python_sources,
    templates_obey_the_policy: templates,
    no_trace_of_a_machine: texts,
    no_waiting_test: test_sources,
}


def breaches(rule: Rule, sources: list[Source]) -> list[str]:
    if rule is no_bulk_change_of_guarded_rows:
        guarded = guarded_models(python_sources())
        return [fault for source in sources for fault in no_bulk_change_of_guarded_rows(source, guarded)]
    return [fault for source in sources for fault in rule(source)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps(rule: Rule) -> None:
    sources = RULES[rule]()
    assert sources, "the rule reads nothing"
    assert breaches(rule, sources) == []


def test_every_package_draws_its_errors() -> None:
    for package in PACKAGES:
        module = ast.parse((ROOT / package / "errors.py").read_text("utf-8"))
        assert "└── " in (ast.get_docstring(module) or ""), package


# --- the rules on samples ---------------------------------------------------------------------------------------

SERVICE = "gateway/archive/service.py"
MODEL = "class Account(Guarded, Base):\n    __guarded__ = ('email', 'state')\n"

BROKEN = [
    (names_say_something, "gateway/archive/utils.py", "x = 1"),
    (names_say_something, SERVICE, "class ShareManager: ..."),
    (names_say_something, SERVICE, "def upload_helper(): ..."),
    (no_swallowed_exception, SERVICE, "try:\n    f()\nexcept Exception:\n    pass"),
    (no_swallowed_exception, SERVICE, "try:\n    f()\nexcept (ValueError, BaseException):\n    ..."),
    (no_swallowed_exception, SERVICE, "try:\n    f()\nexcept:\n    log()"),
    (no_swallowed_exception, SERVICE, "with contextlib.suppress(Exception):\n    f()"),
    (errors_live_in_errors_py, SERVICE, "class Lost(ValueError): ..."),
    (
        errors_live_in_errors_py,
        "storage/errors.py",
        '"""StorageError"""\nclass StorageError(Exception): ...\nclass Lost(StorageError): ...',
    ),
    (no_print_below_the_doors, SERVICE, "print('here')"),
    (no_print_below_the_doors, "gateway/app.py", "print('here')"),
    (no_clock_below_the_doors, SERVICE, "now = datetime.now(UTC)"),
    (no_clock_below_the_doors, SERVICE, "now = datetime.datetime.utcnow()"),
    (no_clock_below_the_doors, "storage/local.py", "import time\nt = time.time()"),
    (rooms_are_small, SERVICE, "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION),
    (rooms_are_small, SERVICE, "x = 1\n" * (LONGEST_FILE + 1)),
    (no_dangerous_call, SERVICE, "import pickle"),
    (no_dangerous_call, SERVICE, "from marshal import loads"),
    (no_dangerous_call, SERVICE, "yaml.load(text)"),
    (no_dangerous_call, SERVICE, "eval(text)"),
    (no_dangerous_call, SERVICE, "subprocess.run(line, shell=True)"),
    (nothing_unfinished, SERVICE, "x = 1  # " + "TO" + "DO finish"),
    (archive_is_read_by_the_gate_only, "gateway/sharing/service.py", "deps.objects.open(ref)"),
    (archive_is_read_by_the_gate_only, "gateway/sharing/views.py", "self._store.open(ref)"),
    (no_presigned_url, "storage/s3.py", "client.generate_presigned_url('get_object')"),
    (no_bulk_change_of_guarded_rows, SERVICE, "session.execute(update(Account).where(a).values(state='x'))"),
    (no_bulk_change_of_guarded_rows, SERVICE, "session.execute(sa.update(Account).values({'state': 'x'}))"),
    (no_bulk_change_of_guarded_rows, SERVICE, "session.execute(delete(models.Account).where(a))"),
    (templates_obey_the_policy, "gateway/web/templates/a.html", '<p style="color:red">'),
    (templates_obey_the_policy, "gateway/web/templates/a.html", "<script>go()</script>"),
    (templates_obey_the_policy, "gateway/web/templates/a.html", '<a onclick="go()">'),
    (templates_obey_the_policy, "gateway/web/templates/a.html", "<button hx-on:click='go()'>"),
    (templates_obey_the_policy, "gateway/web/templates/a.html", "{{ name | safe }}"),
    (templates_obey_the_policy, "gateway/web/templates/a.html", '<script src="//cdn.example/x.js"></script>'),
    (no_trace_of_a_machine, "docs/a.md", "see /" + "work/main"),
    (no_trace_of_a_machine, SERVICE, "path = '/" + "tmp/x'"),
    (no_trace_of_a_machine, "docs/a.md", "as is" + "sue #3 asks"),
    (no_waiting_test, "tests/unit/test_a.py", "time.sleep(1)"),
    (no_waiting_test, "tests/unit/test_a.py", "@pytest.mark.skip\ndef test_a(): ..."),
    (no_waiting_test, "tests/unit/test_a.py", "assert True"),
]

KEPT = [
    (names_say_something, SERVICE, "from contextlib import contextmanager\ndef communicate(): ..."),
    (
        no_swallowed_exception,
        SERVICE,
        "try:\n    f()\nexcept OSError:\n    pass\nexcept Exception:\n    log()\n    raise",
    ),
    (
        errors_live_in_errors_py,
        "storage/errors.py",
        '"""StorageError\n└── Lost  gone"""\nclass StorageError(Exception): ...\nclass Lost(StorageError): ...',
    ),
    (no_print_below_the_doors, "gateway/cli.py", "print('here')"),
    (no_clock_below_the_doors, "gateway/sharing/views.py", "now = datetime.now(UTC)"),
    (no_clock_below_the_doors, SERVICE, "started = time.monotonic()"),
    (rooms_are_small, SERVICE, "def f():\n" + "    x = 1\n" * (LONGEST_FUNCTION - 1)),
    (no_dangerous_call, SERVICE, "yaml.safe_load(text); subprocess.run(['qpdf'], shell=False)"),
    (nothing_unfinished, SERVICE, "try:\n    f()\nexcept NotImplementedError:\n    refuse()"),
    (archive_is_read_by_the_gate_only, "gateway/release.py", "deps.objects.open(ref)"),
    (archive_is_read_by_the_gate_only, SERVICE, "path.open('rb'); deps.objects.write(chunks)"),
    (no_presigned_url, "storage/s3.py", "client.get_object()"),
    (no_bulk_change_of_guarded_rows, SERVICE, "update(Account).where(Account.state == 'A').values(used=1)"),
    (no_bulk_change_of_guarded_rows, SERVICE, "delete(Window).where(old); session.delete(row)"),
    (templates_obey_the_policy, "gateway/web/templates/a.html", '<a data-once="1" href="/x">{{ one }}</a>'),
    (templates_obey_the_policy, "gateway/web/templates/a.html", '<script src="{{ url }}" defer></script>'),
    (
        no_trace_of_a_machine,
        "docs/a.md",
        "the framework/root/ of https://example.com/work/x, and an issue of policy",
    ),
    (no_waiting_test, "tests/unit/test_a.py", "event.wait(1)\nassert done"),
]


def faults_of(rule: Rule, path: str, text: str) -> list[str]:
    if rule is no_bulk_change_of_guarded_rows:
        return list(
            no_bulk_change_of_guarded_rows(Source(path, text), guarded_models([Source("m.py", MODEL)]))
        )
    return list(rule(Source(path, text)))


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN)
def test_rule_catches(rule: Rule, path: str, text: str) -> None:
    assert faults_of(rule, path, text)


@pytest.mark.parametrize(("rule", "path", "text"), KEPT)
def test_rule_lets_pass(rule: Rule, path: str, text: str) -> None:
    assert faults_of(rule, path, text) == []


def test_every_rule_has_both_samples() -> None:
    assert {rule for rule, *_ in BROKEN} == {rule for rule, *_ in KEPT} == set(RULES)
