"""Pages of cases and items, and the door of uploads; clients and grants have their own pages beside this module."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, abort, jsonify, redirect, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from werkzeug.wrappers import Response as AnyResponse

from gateway.archive import pages, queries, service
from gateway.archive import vocabulary as words
from gateway.archive.client_views import add_client_pages
from gateway.archive.forms import CaseForm, ItemForm, ReasonForm, RevealForm
from gateway.archive.grant_views import add_grant_pages
from gateway.archive.rules import CASE
from gateway.errors import Invalid, NotFound
from gateway.principal import Role
from gateway.web.kit import access, actor, deps, flash_text, language, nav, now, page

bp = Blueprint("archive", __name__, template_folder="templates")
READERS = frozenset({Role.GM, Role.DGM, Role.ADM, Role.HOD, Role.BIZ, Role.ARC, Role.AUD})
WRITERS = frozenset({Role.HOD, Role.BIZ, Role.ARC})
# Auditors read the log, not the files.
CONTENT_READERS = READERS - {Role.AUD}
PART_BYTES = 8 << 20

add_client_pages(bp)
add_grant_pages(bp)
nav(bp, lazy_gettext("档案目录"), "cases", group="archive", roles=READERS, order=10)
nav(
    bp,
    lazy_gettext("编目复核"),
    "reviews",
    group="todo",
    roles={Role.ARC, Role.ADM},
    order=30,
    count=lambda: queries.waiting_reviews(deps(), actor=actor()),
)


@bp.get("/cases")
@access("staff", roles=READERS)
def cases() -> Response:
    """The catalogue, with filters in the address."""
    asked = pages.case_filter(request.args)
    found = queries.case_list(deps(), asked, actor=actor(), now=now())
    return page(
        "archive/cases.html",
        found=found,
        asked=asked,
        states=CASE.states,
        levels=words.LEVELS,
        departments=queries.departments(deps()),
    )


@bp.get("/cases/review")
@access("staff", roles={Role.ARC, Role.ADM})
def reviews() -> AnyResponse:
    """The catalogue's entries that wait for a second person."""
    return redirect(url_for("archive.cases", state="REVIEW"))


@bp.route("/clients/<client_id>/cases/new", methods=["GET", "POST"])
@access("staff", roles=WRITERS)
def new_case(client_id: str) -> AnyResponse:
    """A new case of a client."""
    client = queries.client_page(deps(), client_id, actor=actor(), now=now())
    form = CaseForm().offer()
    made = pages.tried(
        form, lambda: service.create_case(deps(), client_id, form.entry(), actor=actor(), now=now())
    )
    if made:
        flash_text(_("案卷已建立，可以添加卷内文件。"))
        return redirect(url_for("archive.case", case_id=made))
    return page("archive/case_form.html", form=form, client=client, case=None, status=pages.status(form))


@bp.get("/cases/<case_id>")
@access("staff", roles=READERS)
def case(case_id: str) -> Response:
    """One case: items, what is missing, the steps open to the reader, its history."""
    return _case(case_id, ReasonForm(formdata=None))


def _case(case_id: str, form: ReasonForm) -> Response:
    found = queries.case_page(deps(), case_id, actor=actor(), now=now())
    return page(
        "archive/case.html",
        found=found,
        form=form,
        states=CASE.states,
        words=words,
        status=422 if form.errors else 200,
    )


@bp.route("/cases/<case_id>/edit", methods=["GET", "POST"])
@access("staff", roles=WRITERS)
def edit_case(case_id: str) -> AnyResponse:
    """The catalogue form."""
    found = queries.case_page(deps(), case_id, actor=actor(), now=now())
    if not found.writable:
        raise NotFound
    form = CaseForm(obj=found, title=found.row.title, year=found.row.year).offer()
    saved = pages.done(
        form, lambda: service.edit_case(deps(), case_id, form.entry(), actor=actor(), now=now())
    )
    if saved:
        flash_text(_("编目已保存。"))
        return redirect(url_for("archive.case", case_id=case_id))
    return page("archive/case_form.html", form=form, case=found, client=None, status=pages.status(form))


_STEPS: dict[str, Callable[[str], object]] = {
    "claim": lambda i: service.claim_case(deps(), i, actor=actor(), now=now()),
    "submit": lambda i: service.submit_case(deps(), i, actor=actor(), now=now()),
    "file": lambda i: service.file_case(deps(), i, actor=actor(), now=now()),
}
_REASONED: dict[str, Callable[..., None]] = {
    "return": service.return_case,
    "amend": service.amend_case,
    "void": service.void_case,
}


@bp.post("/cases/<case_id>/<any(claim, submit, file):event>")
@access("staff", roles={Role.ARC, Role.ADM})
def step_case(case_id: str, event: str) -> AnyResponse:
    """One step of the case's life."""
    _STEPS[event](case_id)
    flash_text(_("已完成。"))
    return redirect(url_for("archive.case", case_id=case_id))


@bp.post("/cases/<case_id>/<any('return', amend, void):event>")
@access("staff", roles={Role.ARC, Role.ADM})
def reasoned_step(case_id: str, event: str) -> AnyResponse:
    """One step that wants a reason."""
    form = ReasonForm()
    act = _REASONED[event]
    done = pages.done(
        form, lambda: act(deps(), case_id, reason=form.reason.data or "", actor=actor(), now=now())
    )
    if done:
        flash_text(_("已完成。"))
        return redirect(url_for("archive.case", case_id=case_id))
    return _case(case_id, form)


@bp.route("/cases/<case_id>/items/new", methods=["GET", "POST"])
@access("staff", roles=WRITERS)
def new_item(case_id: str) -> AnyResponse:
    """A new item of a case; its file is uploaded on the item's page."""
    found = queries.case_page(deps(), case_id, actor=actor(), now=now())
    form = ItemForm().offer()
    made = pages.tried(
        form, lambda: service.add_item(deps(), case_id, form.entry(), actor=actor(), now=now())
    )
    if made:
        return redirect(url_for("archive.item", item_id=made))
    return page("archive/item_form.html", form=form, case=found, item=None, status=pages.status(form))


@bp.get("/items/<item_id>")
@access("staff", roles=READERS)
def item(item_id: str) -> Response:
    """One item: its versions, what was proved of them, uploading, looking at its pages."""
    found = queries.item_page(deps(), item_id, actor=actor(), now=now())
    return page(
        "archive/item.html",
        found=found,
        look=RevealForm(formdata=None).offer(),
        states=CASE.states,
        words=words,
    )


@bp.route("/items/<item_id>/edit", methods=["GET", "POST"])
@access("staff", roles=WRITERS)
def edit_item(item_id: str) -> AnyResponse:
    """The item's description."""
    found = queries.item_page(deps(), item_id, actor=actor(), now=now())
    if not found.writable:
        raise NotFound
    form = ItemForm(obj=found.row, level=str(found.row.level)).offer()
    saved = pages.done(
        form, lambda: service.edit_item(deps(), item_id, form.entry(), actor=actor(), now=now())
    )
    if saved:
        flash_text(_("已保存。"))
        return redirect(url_for("archive.item", item_id=item_id))
    return page("archive/item_form.html", form=form, item=found, case=None, status=pages.status(form))


def _answered(call: Callable[[], Any]) -> Any:
    # Uploads are driven by a script, which reads why something was refused from JSON.
    try:
        return call()
    except Invalid as problem:
        answer = jsonify(message=problem.text(language()), code=problem.code)
        answer.status_code = 422
        return answer


@bp.post("/items/<item_id>/uploads")
@access("staff", roles=WRITERS)
def start_upload(item_id: str) -> Any:
    """Begins an upload, or goes on with an open one: which parts are there already."""

    def start() -> Response:
        name, label = request.form.get("name", ""), request.form.get("label", "")
        size = request.form.get("size", "", type=str)
        number = int(size) if size.isascii() and size.isdigit() and len(size) < 16 else 0
        begun = service.start_upload(
            deps(), item_id, file_name=name, size=number, label=label, actor=actor(), now=now()
        )
        return jsonify(upload=begun.id, part_size=begun.part_size, parts=begun.parts, have=list(begun.have))

    return _answered(start)


@bp.get("/uploads/<upload_id>")
@access("staff", roles=WRITERS)
def upload_state(upload_id: str) -> Response:
    """Which parts have arrived."""
    state = service.upload_state(deps(), upload_id, actor=actor(), now=now())
    return jsonify(
        upload=state.id,
        part_size=state.part_size,
        parts=state.parts,
        have=list(state.have),
        size=state.size,
        state=state.state,
    )


@bp.put("/uploads/<upload_id>/parts/<int:number>")
@access("staff", roles=WRITERS, max_body=PART_BYTES)
def put_part(upload_id: str, number: int) -> Any:
    """One raw part, read into memory and sealed at once."""
    if request.content_length is None:
        abort(411)

    def put() -> Response:
        data = request.stream.read(PART_BYTES + 1)
        digest = request.headers.get("X-Part-SHA256")
        service.put_part(deps(), upload_id, number, data, sha256=digest, actor=actor(), now=now())
        return jsonify(part=number, size=len(data))

    return _answered(put)


@bp.post("/uploads/<upload_id>/complete")
@access("staff", roles=WRITERS)
def complete_upload(upload_id: str) -> Any:
    """Joins the parts and starts the inspection; says where to go on."""

    def complete() -> Response:
        state = service.upload_state(deps(), upload_id, actor=actor(), now=now())
        job = service.complete_upload(deps(), upload_id, actor=actor(), now=now())
        return jsonify(next=url_for("archive.item", item_id=state.item_id), job=job, version=state.version)

    return _answered(complete)


@bp.post("/uploads/<upload_id>/abort")
@access("staff", roles=WRITERS)
def abort_upload(upload_id: str) -> AnyResponse:
    """Gives an upload up."""
    state = service.upload_state(deps(), upload_id, actor=actor(), now=now())
    service.abort_upload(deps(), upload_id, actor=actor(), now=now())
    flash_text(_("上传已放弃。"))
    return redirect(url_for("archive.item", item_id=state.item_id))


@bp.get("/items/<item_id>/versions/<int:version>/progress")
@access("staff", roles=READERS)
def version_progress(item_id: str, version: int) -> Response:
    """The fragment that shows how far the inspection is; when it is over, the whole page is asked for."""
    row = queries.version_row(deps(), item_id, version, actor=actor(), now=now())
    shown = page("archive/_progress.html", item_id=item_id, row=row)
    if row.state != "CHECKING":
        shown.headers["HX-Refresh"] = "true"
    return shown


@bp.post("/items/<item_id>/versions/<int:version>/check")
@access("staff", roles={Role.ARC})
def check_again(item_id: str, version: int) -> AnyResponse:
    """Has an unfinished inspection done again."""
    row = queries.version_row(deps(), item_id, version, actor=actor(), now=now())
    service.check_again(deps(), row.id, actor=actor(), now=now())
    return redirect(url_for("archive.item", item_id=item_id))


@bp.post("/items/<item_id>/versions/<int:version>/look")
@access("staff", roles=CONTENT_READERS)
def look(item_id: str, version: int) -> AnyResponse:
    """Takes the purpose (and a fresh code) and opens the marked page images."""
    form = RevealForm().offer()
    if not form.validate_on_submit():
        return redirect(url_for("archive.item", item_id=item_id))
    return redirect(
        url_for("archive.look_pages", item_id=item_id, version=version, purpose=form.purpose.data)
    )


@bp.get("/items/<item_id>/versions/<int:version>/pages")
@access("staff", roles=CONTENT_READERS)
def look_pages(item_id: str, version: int) -> Response:
    """One page image at a time, with the way to the next."""
    purpose = pages.purpose(request.args)
    found = queries.viewable(deps(), item_id, version, actor=actor(), now=now())
    number = min(max(request.args.get("page", 1, type=int), 1), max(found.pages, 1))
    return page(
        "archive/pages.html", found=found, item_id=item_id, version=version, purpose=purpose, number=number
    )


@bp.get("/items/<item_id>/versions/<int:version>/pages/<int:number>.webp")
@access("staff", roles=CONTENT_READERS)
def page_image(item_id: str, version: int, number: int) -> Response:
    """The marked image of one page, through the gate; each one leaves an entry with its purpose."""
    return pages.page_image(item_id, version, number, pages.purpose(request.args))
