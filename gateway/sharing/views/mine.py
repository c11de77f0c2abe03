"""The partner's pages: own shares, a bundle's three faces, the passphrase, the own record."""

import re

from flask import Response, redirect, request, url_for
from flask_babel import gettext, lazy_gettext
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from gateway.errors import Invalid
from gateway.principal import Text
from gateway.sharing import queries, service
from gateway.sharing.forms import PrepareForm
from gateway.sharing.queries import MyShare
from gateway.sharing.service import sidecars
from gateway.sharing.views.room import bp, need_fresh
from gateway.web.kit import access, actor, deps, flash_text, language, nav, now, page

nav(bp, _("分享"), "my_shares", kind="partner", icon="file", order=10)
nav(bp, lazy_gettext("我的记录"), "my_record", kind="partner", icon="list", order=30)

FORMATS: dict[str, Text] = {
    "": Text("自动选择", "Best fit"),
    "pdf": Text("逐个加密 PDF（适合手机）", "Separate encrypted PDFs (good on phones)"),
    "zip": Text("一个加密 ZIP", "One encrypted ZIP"),
    "age": Text("用登记的 age 公钥加密", "Sealed to the registered age key"),
}
REMEDIES = {"NDA": "/my/agreements", "COVER": "/my/agreements", "PLEDGE": "/my/pledge"}
TYPES = {
    "cover.pdf": "application/pdf",
    "manifest.json": "application/json",
    "manifest.sig": "application/octet-stream",
    "issue.tlog-proof": "text/plain; charset=utf-8",
    "collect.tlog-proof": "text/plain; charset=utf-8",
}


@bp.get("/my/shares")
@access("partner")
def my_shares() -> Response:
    """What is shared with this contact."""
    return page("sharing/my_shares.html", home=queries.my_shares(deps(), actor=actor(), now=now()))


@bp.get("/my/shares/<share_id>")
@access("partner")
def my_share(share_id: str) -> Response:
    """One share: its items, what stands in the way, the bundles made so far."""
    return _share_page(queries.my_share(deps(), share_id, actor=actor(), now=now()))


def _share_page(share: MyShare, form: PrepareForm | None = None) -> Response:
    form = form or _form(share, sent=False)
    decision = sidecars.copy_checklist(deps(), share.id, actor=actor(), now=now()) if share.live else None
    # A second factor that is too old is asked for by the form itself.
    missing = [c.code for c in decision.missing if c.code != "MFA"] if decision else []
    return page(
        "sharing/my_share.html", share=share, form=form, decision=decision, missing=missing, remedies=REMEDIES,
        status=422 if form.errors or form.form_errors else 200,
    )  # fmt: skip


def _form(share: MyShare, *, sent: bool) -> PrepareForm:
    form = (
        PrepareForm()
        if sent
        else PrepareForm(formdata=None, data={"items": [i.id for i in share.items], "format": ""})
    )
    formats = [(code, FORMATS[code](language())) for code in share.formats]
    return form.offer([(i.id, i.title) for i in share.items], formats)


@bp.post("/my/shares/<share_id>/prepare")
@access("partner", limit="30/minute")
def prepare(share_id: str) -> AnyResponse:
    """Asks for copies of the ticked items; the bundle's page then shows how far they are."""
    share = queries.my_share(deps(), share_id, actor=actor(), now=now())
    form = _form(share, sent=True)
    if not form.validate_on_submit():
        return _share_page(share, form)
    need_fresh()
    try:
        made = service.prepare(
            deps(), share_id, form.items.data or [], wanted=form.format.data or None, actor=actor(), now=now()
        )
    except Invalid as problem:
        form.put_error(problem)
        return _share_page(share, form)
    if len(made) == 1:
        return redirect(url_for("sharing.bundle", bundle_id=made[0]), 303)
    flash_text(gettext("正在逐个制作，做好后在本页领取。"), "info")
    return redirect(url_for("sharing.my_share", share_id=share_id), 303)


@bp.get("/my/bundles/<bundle_id>")
@access("partner")
def bundle(bundle_id: str) -> Response:
    """One bundle: being made, ready, collected, or why not."""
    return _bundle_page(bundle_id)


def _bundle_page(bundle_id: str, *, ticket: str = "", secret: str = "") -> Response:
    found = queries.bundle_page(deps(), bundle_id, actor=actor(), now=now())
    return page("sharing/bundle.html", bundle=found, ticket=ticket, secret=secret)


@bp.get("/my/bundles/<bundle_id>/progress")
@access("partner")
def bundle_progress(bundle_id: str) -> AnyResponse:
    """The fragment that is polled while a bundle is made; when it is made, the whole page is loaded again."""
    found = queries.bundle_page(deps(), bundle_id, actor=actor(), now=now())
    if "HX-Request" not in request.headers:
        return redirect(url_for("sharing.bundle", bundle_id=bundle_id))
    shown = page("sharing/_progress.html", bundle=found, said=request.args.get("step", type=int))
    if found.row.state != "PREPARING":
        shown.headers["HX-Refresh"] = "true"
    return shown


@bp.post("/my/bundles/<bundle_id>/collect")
@access("partner", limit="30/minute")
def collect(bundle_id: str) -> Response:
    """Spends one download of each item; the answer holds the link, which is kept nowhere else."""
    queries.bundle_page(deps(), bundle_id, actor=actor(), now=now())
    need_fresh()
    return _bundle_page(bundle_id, ticket=service.collect(deps(), bundle_id, actor=actor(), now=now()))


@bp.post("/my/bundles/<bundle_id>/passphrase")
@access("partner", limit="30/minute")
def passphrase(bundle_id: str) -> Response:
    """Shows the passphrase, on this answer only; the link that the page held before stays on it."""
    held = request.form.get("ticket", "")
    ticket = held if re.fullmatch(r"[0-9a-f]{64}", held) else ""
    return _bundle_page(
        bundle_id, secret=service.reveal(deps(), bundle_id, actor=actor(), now=now()), ticket=ticket
    )


@bp.post("/my/bundles/<bundle_id>/acknowledge")
@access("partner")
def acknowledge(bundle_id: str) -> AnyResponse:
    """The passphrase was kept: it is deleted here."""
    service.acknowledge(deps(), bundle_id, actor=actor(), now=now())
    flash_text(gettext("已记下。口令在这里已删除，不能再显示。"))
    return redirect(url_for("sharing.bundle", bundle_id=bundle_id), 303)


@bp.get("/my/bundles/<bundle_id>/files/<name>")
@access("partner")
def bundle_file(bundle_id: str, name: str) -> Response:
    """Cover, manifest, its signature and the receipts."""
    content = sidecars.read_sidecar(deps(), bundle_id, name, actor=actor(), now=now())
    answer = Response(content, content_type=TYPES[name])
    answer.headers["Content-Disposition"] = f'attachment; filename="{bundle_id[:8]}-{name}"'
    return answer


@bp.get("/my/record")
@access("partner")
def my_record() -> Response:
    """Own downloads with their receipts, and how to check them without this portal."""
    found = queries.my_record(deps(), actor=actor(), now=now())
    return page("sharing/my_record.html", record=found, key=deps().log.vkey, formats=FORMATS)
