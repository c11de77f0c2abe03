"""Pages of need-to-know grants: give, list, confirm, end."""

from datetime import timedelta

from flask import Blueprint, Response, redirect, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from werkzeug.wrappers import Response as AnyResponse

from gateway.archive import pages, queries, service
from gateway.archive import vocabulary as words
from gateway.archive.forms import GrantForm, ReasonForm
from gateway.principal import Role
from gateway.web.kit import access, actor, deps, flash_text, nav, now, page

READERS = frozenset({Role.HOD, Role.BIZ, Role.DGM, Role.ARC})


def add_grant_pages(bp: Blueprint) -> None:
    """Enters the pages of this module into the archive's blueprint."""
    bp.add_url_rule("/grants", view_func=grants, methods=["GET"])
    bp.add_url_rule("/cases/<case_id>/grants/new", view_func=new_case_grant, methods=["GET", "POST"])
    bp.add_url_rule("/clients/<client_id>/grants/new", view_func=new_client_grant, methods=["GET", "POST"])
    bp.add_url_rule("/grants/<grant_id>/confirm", view_func=confirm_grant, methods=["POST"])
    bp.add_url_rule("/grants/<grant_id>/end", view_func=end_grant, methods=["POST"])
    nav(bp, lazy_gettext("知悉授权"), "grants", group="archive", roles=READERS, icon="key", order=30)


@access("staff", roles=READERS)
def grants() -> Response:
    """The grants that the reader gives, confirms or holds."""
    rows = queries.grant_list(deps(), actor=actor(), now=now())
    return page("archive/grants.html", rows=rows, form=ReasonForm(formdata=None), words=words)


@access("staff", roles={Role.HOD})
def new_case_grant(case_id: str) -> AnyResponse:
    """A grant on one case."""
    found = queries.case_page(deps(), case_id, actor=actor(), now=now())
    return _new(found.row.number, url_for("archive.case", case_id=case_id), client_id=None, case_id=case_id)


@access("staff", roles={Role.HOD})
def new_client_grant(client_id: str) -> AnyResponse:
    """A grant on all cases of one client."""
    found = queries.client_page(deps(), client_id, actor=actor(), now=now())
    return _new(
        found.row.client_no, url_for("archive.client", client_id=client_id), client_id=client_id, case_id=None
    )


def _new(target: str, back: str, *, client_id: str | None, case_id: str | None) -> AnyResponse:
    form = GrantForm().offer([(c.id, c.text) for c in queries.grantees(deps()) if c.id != actor().id])
    made = pages.tried(form, lambda: _give(form, client_id, case_id))
    if made is not None:
        flash_text(_("授权已登记；含重要（L3）类别的，须档案管理员确认后生效。"))
        return redirect(url_for("archive.grants"))
    return page("archive/grant_form.html", form=form, target=target, back=back, status=pages.status(form))


def _give(form: GrantForm, client_id: str | None, case_id: str | None) -> str:
    days = min(max(form.days.data, 0), 3650)
    return service.give_grant(
        deps(),
        grantee=form.grantee.data,
        client_id=client_id,
        case_id=case_id,
        classes=list(form.classes.data or ()),
        purpose=form.purpose.data,
        valid_from=now(),
        valid_to=now() + timedelta(days=days),
        reason=form.reason.data or "",
        actor=actor(),
        now=now(),
    )


@access("staff", roles={Role.ARC})
def confirm_grant(grant_id: str) -> AnyResponse:
    """The archive's half of a level 3 grant."""
    service.confirm_grant(deps(), grant_id, actor=actor(), now=now())
    flash_text(_("授权已确认，即时生效。"))
    return redirect(url_for("archive.grants"))


@access("staff", roles=READERS)
def end_grant(grant_id: str) -> AnyResponse:
    """Ends a grant early, with a reason."""
    form = ReasonForm()
    why = form.reason.data or ""
    if pages.done(form, lambda: service.end_grant(deps(), grant_id, reason=why, actor=actor(), now=now())):
        flash_text(_("授权已收回。"))
    else:
        flash_text(_("没有收回：请写明理由，10 到 500 字。"), "fail")
    return redirect(url_for("archive.grants"))
