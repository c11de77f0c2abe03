"""Pages of clients: the masked register, one client, revealing a field, legal bases."""

from flask import Blueprint, Response, redirect, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from werkzeug.wrappers import Response as AnyResponse

from gateway.archive import pages, queries, service
from gateway.archive import vocabulary as words
from gateway.archive.forms import ANY_PURPOSE_TEXT, BasisForm, ClientForm, ReasonForm, RevealForm, SearchForm
from gateway.archive.rules import CASE
from gateway.errors import NotFound
from gateway.principal import Role
from gateway.web.kit import access, actor, deps, flash_text, nav, now, page

READERS = frozenset({Role.GM, Role.DGM, Role.ADM, Role.HOD, Role.BIZ, Role.ARC, Role.AUD})
REVEALERS = frozenset({Role.HOD, Role.BIZ, Role.ARC})
KEEPERS = frozenset({Role.HOD, Role.BIZ})
BASIS_KEEPERS = frozenset({Role.HOD, Role.BIZ, Role.ARC})


def add_client_pages(bp: Blueprint) -> None:
    """Enters the pages of this module into the archive's blueprint."""
    bp.add_url_rule("/clients", view_func=clients, methods=["GET", "POST"])
    bp.add_url_rule("/clients/new", view_func=new_client, methods=["GET", "POST"])
    bp.add_url_rule("/clients/<client_id>", view_func=client, methods=["GET"])
    bp.add_url_rule("/clients/<client_id>/edit", view_func=edit_client, methods=["GET", "POST"])
    bp.add_url_rule("/clients/<client_id>/fields/<column>/reveal", view_func=reveal, methods=["POST"])
    bp.add_url_rule("/clients/<client_id>/bases", view_func=add_basis, methods=["POST"])
    bp.add_url_rule("/clients/<client_id>/bases/<basis_id>/end", view_func=end_basis, methods=["POST"])
    nav(bp, lazy_gettext("客户"), "clients", group="archive", roles=READERS, icon="person", order=20)


@access("staff", roles=READERS)
def clients() -> Response:
    """The reader's clients; a search is sent by POST and changes nothing."""
    form = SearchForm()
    asked = (form.asked.data or "") if form.validate_on_submit() else ""
    rows = queries.client_list(deps(), asked, actor=actor(), now=now())
    return page("archive/clients.html", rows=rows, form=form, asked=asked, words=words)


@access("staff", roles=KEEPERS)
def new_client() -> AnyResponse:
    """Registers a client."""
    form = ClientForm().offer()
    saved = pages.tried(form, lambda: service.create_client(deps(), form.entry(), actor=actor(), now=now()))
    if saved is not None:
        _say(saved)
        return redirect(url_for("archive.client", client_id=saved.id))
    return page("archive/client_form.html", form=form, found=None, status=pages.status(form))


def _say(saved: service.Saved) -> None:
    flash_text(_("客户 %(no)s 已保存。", no=saved.client_no))
    if saved.id_unverified:
        flash_text(_("证件号码校验未通过，已按说明标记。"), "wait")
    seen = [n for n in saved.duplicates if n]
    if seen:
        flash_text(_("可能重复的客户：%(numbers)s", numbers=", ".join(seen)), "wait")
    elif saved.duplicates:
        flash_text(_("其他部门可能已有同一客户，请联系档案室核对。"), "wait")


@access("staff", roles=READERS)
def client(client_id: str) -> Response:
    """One client, masked."""
    return _client(client_id)


def _client(client_id: str, basis: BasisForm | None = None, shown: tuple[str, str] | None = None) -> Response:
    found = queries.client_page(deps(), client_id, actor=actor(), now=now())
    return page(
        "archive/client.html",
        found=found,
        words=words,
        states=CASE.states,
        any_purpose={service.ANY_PURPOSE: ANY_PURPOSE_TEXT},
        basis_form=basis or BasisForm(formdata=None).offer(),
        reveal_form=RevealForm(formdata=None).offer(),
        end_form=ReasonForm(formdata=None),
        shown=shown,
        status=pages.status(basis) if basis is not None else 200,
    )


@access("staff", roles=KEEPERS)
def edit_client(client_id: str) -> AnyResponse:
    """Edits a client; sealed fields start empty and keep what is stored unless something is typed."""
    found = queries.client_page(deps(), client_id, actor=actor(), now=now())
    if not found.may_edit:
        raise NotFound
    row = found.row
    form = ClientForm(type=row.type, status=row.status, minors=row.minors, id_type=found.id_type).offer()
    saved = pages.tried(
        form, lambda: service.edit_client(deps(), client_id, form.entry(), actor=actor(), now=now())
    )
    if saved is not None:
        _say(saved)
        return redirect(url_for("archive.client", client_id=client_id))
    return page("archive/client_form.html", form=form, found=found, status=pages.status(form))


@access("staff", roles=REVEALERS)
def reveal(client_id: str, column: str) -> AnyResponse:
    """Shows one sealed field once, on this answer only, after its entry was written."""
    form = RevealForm().offer()
    text = pages.tried(
        form,
        lambda: service.reveal_field(deps(), client_id, column, form.purpose.data, actor=actor(), now=now()),
    )
    return _client(client_id, shown=(column, text) if text is not None else None)


@access("staff", roles=BASIS_KEEPERS)
def add_basis(client_id: str) -> AnyResponse:
    """Registers a legal basis."""
    form = BasisForm().offer()
    made = pages.tried(
        form,
        lambda: service.add_basis(
            deps(),
            client_id,
            list(form.field_classes.data or ()),
            form.basis.data,
            form.purpose.data,
            notice_version=form.notice_version.data or "",
            actor=actor(),
            now=now(),
        ),
    )
    if made is not None:
        flash_text(_("合法性基础已登记。"))
        return redirect(url_for("archive.client", client_id=client_id))
    return _client(client_id, basis=form)


@access("staff", roles=BASIS_KEEPERS)
def end_basis(client_id: str, basis_id: str) -> AnyResponse:
    """Ends a legal basis, with a reason."""
    form = ReasonForm()
    why = form.reason.data or ""
    if pages.done(form, lambda: service.end_basis(deps(), basis_id, reason=why, actor=actor(), now=now())):
        flash_text(_("合法性基础已终止，依据它的使用即时停止。"))
    else:
        flash_text(_("没有终止：请写明理由，10 到 500 字。"), "fail")
    return redirect(url_for("archive.client", client_id=client_id))
