"""Accounts, roles and departments, for 行政部, the system administrator and the general manager."""

from typing import Any

from flask import redirect, url_for
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response

from gateway.errors import NotFound
from gateway.identity import queries, service
from gateway.identity.forms import (
    AccountForm,
    BeginForm,
    DeliverForm,
    DepartmentForm,
    EmploymentForm,
    HeadForm,
    ReasonForm,
    RoleForm,
    options,
)
from gateway.identity.views.room import bp, done, qr, tried
from gateway.principal import ROLE_TEXT, Role, Text
from gateway.web.kit import access, actor, deps, flash_text, language, nav, now, page

READERS = queries.STAFF_READERS
OFFICE = (Role.SYS, Role.ADM)

nav(bp, _("人员与角色"), "accounts", group="company", roles=READERS, icon="person", order=10)
nav(bp, _("部门"), "departments", group="company", roles=OFFICE, icon="list", order=20)


@bp.get("/accounts")
@access("staff", roles=READERS)
def accounts() -> Response:
    """Every account, and the role proposals that wait."""
    rows = queries.account_list(deps(), actor=actor(), now=now())
    waiting = queries.grants_waiting(deps(), actor=actor(), now=now())
    return page("identity/accounts.html", rows=rows, waiting=waiting, may_add=actor().has(Role.ADM))


@bp.get("/accounts/new")
@access("staff", roles={Role.ADM})
def new_account() -> Response:
    """A new account's form."""
    form = AccountForm(formdata=None)
    form.offer(_departments())
    return page("identity/account_new.html", form=form)


@bp.post("/accounts/new")
@access("staff", roles={Role.ADM})
def add_account() -> Response:
    """Enrols an account; a link that is not mailed is shown on this answer only."""
    form = AccountForm()
    form.offer(_departments())
    made = tried(
        form,
        lambda: service.enrol_account(
            deps(),
            email=form.email.data or "",
            name=form.name.data or "",
            department=form.department.data or None,
            employment=form.employment.data or "",
            ends_on=form.ends_on.data,
            actor=actor(),
            now=now(),
            mail=form.mail,
        ),
    )
    if made is None:
        return page("identity/account_new.html", form=form, status=422)
    return invited(made, url_for("identity.account_detail", account_id=made.id), shown=not form.mail)


@bp.get("/accounts/<account_id>")
@access("staff", roles=READERS)
def account_detail(account_id: str) -> Response:
    """One account: roles, employment, on and off."""
    return _account_page(account_id)


@bp.post("/accounts/<account_id>/employment")
@access("staff", roles={Role.ADM})
def change_employment(account_id: str) -> Response:
    """Department, employment type, end date."""
    form = EmploymentForm()
    form.offer(_departments())
    fields = {
        "department": form.department.data or None,
        "employment": form.employment.data or "",
        "ends_on": form.ends_on.data,
    }
    if not done(
        form, lambda: service.change_employment(deps(), account_id, actor=actor(), now=now(), **fields)
    ):
        return _account_page(account_id, 422, employment_form=form)
    return _said(Text("已保存。", "Saved."), account_id)


@bp.post("/accounts/<account_id>/invite")
@access("staff", roles=OFFICE)
def reinvite_account(account_id: str) -> Response:
    """Another one-time link."""
    form = DeliverForm()
    made = tried(
        form, lambda: service.reinvite_account(deps(), account_id, actor=actor(), now=now(), mail=form.mail)
    )
    if made is None:
        return _account_page(account_id, 422)
    return invited(made, url_for("identity.account_detail", account_id=account_id), shown=not form.mail)


@bp.post("/accounts/<account_id>/disable")
@access("staff", roles={Role.SYS})
def disable_account(account_id: str) -> Response:
    """Off, with every session."""
    form = ReasonForm()
    reason = form.reason.data or ""
    if not done(
        form, lambda: service.disable_account(deps(), account_id, reason=reason, actor=actor(), now=now())
    ):
        return _account_page(account_id, 422, reason_form=form)
    return _said(
        Text("账号已停用，登录都已结束。", "The account is off and its sessions have ended."), account_id
    )


@bp.post("/accounts/<account_id>/enable")
@access("staff", roles={Role.SYS})
def enable_account(account_id: str) -> Response:
    """On again, by enrolling anew."""
    form = ReasonForm()
    reason = form.reason.data or ""
    made = tried(
        form, lambda: service.enable_account(deps(), account_id, reason=reason, actor=actor(), now=now())
    )
    if made is None:
        return _account_page(account_id, 422, reason_form=form)
    return invited(made, url_for("identity.account_detail", account_id=account_id), shown=False)


# ── Roles ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.post("/accounts/<account_id>/roles")
@access("staff", roles={Role.ADM})
def propose_role(account_id: str) -> Response:
    """Proposes a role."""
    form = RoleForm()
    form.role.choices = options(_role_choices(tuple(Role)))
    if not done(
        form, lambda: service.propose_role(deps(), account_id, Role(form.role.data), actor=actor(), now=now())
    ):
        return _account_page(account_id, 422, role_form=form)
    return _said(Text("已提出。", "Proposed."), account_id)


@bp.post("/accounts/<account_id>/roles/<grant_id>/confirm")
@access("staff", roles={Role.GM})
def confirm_role(account_id: str, grant_id: str) -> Response:
    """The general manager's confirmation."""
    _same_account(account_id, grant_id)
    service.confirm_role(deps(), grant_id, actor=actor(), now=now())
    return _said(Text("角色已生效。", "The role is in force."), account_id)


@bp.post("/accounts/<account_id>/roles/<grant_id>/decline")
@access("staff", roles={Role.GM, Role.ADM})
def decline_role(account_id: str, grant_id: str) -> Response:
    """Declined by the general manager, or withdrawn."""
    return _end_role(
        account_id, grant_id, service.decline_role, Text("提议已撤下。", "The proposal is withdrawn.")
    )


@bp.post("/accounts/<account_id>/roles/<grant_id>/end")
@access("staff", roles={Role.ADM})
def end_role(account_id: str, grant_id: str) -> Response:
    """Takes a role away."""
    return _end_role(account_id, grant_id, service.end_role, Text("角色已结束。", "The role has ended."))


def _end_role(account_id: str, grant_id: str, verb: Any, said: Text) -> Response:
    _same_account(account_id, grant_id)
    form = ReasonForm()
    if not done(
        form, lambda: verb(deps(), grant_id, reason=form.reason.data or "", actor=actor(), now=now())
    ):
        return _account_page(account_id, 422, reason_form=form)
    return _said(said, account_id)


def _same_account(account_id: str, grant_id: str) -> None:
    shown = queries.account_page(deps(), account_id, actor=actor(), now=now())
    if grant_id not in {grant.id for grant in shown.row.roles}:
        raise NotFound


# ── Departments ──────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/departments")
@access("staff", roles=OFFICE)
def departments() -> Response:
    """Every department with its head."""
    return _departments_page(DepartmentForm(formdata=None))


@bp.post("/departments")
@access("staff", roles=OFFICE)
def add_department() -> Response:
    """A new department."""
    form = DepartmentForm()
    code, name = form.code.data or "", form.name.data or ""
    if not done(form, lambda: service.add_department(deps(), code=code, name=name, actor=actor(), now=now())):
        return _departments_page(form, status=422)
    flash_text(Text("部门已建立。", "The department is added."))
    return redirect(url_for("identity.departments"))


@bp.post("/departments/<department_id>")
@access("staff", roles=OFFICE)
def change_department(department_id: str) -> Response:
    """Its name and head."""
    form = _head_form(department_id)
    name, head = form.name.data or "", form.head.data or None
    if not done(
        form,
        lambda: service.change_department(
            deps(), department_id, name=name, head=head, actor=actor(), now=now()
        ),
    ):
        return _departments_page(DepartmentForm(formdata=None), {department_id: form}, status=422)
    flash_text(Text("已保存。", "Saved."))
    return redirect(url_for("identity.departments"))


def _departments_page(
    form: DepartmentForm, given: dict[str, HeadForm] | None = None, status: int = 200
) -> Response:
    rows = queries.department_list(deps(), actor=actor(), now=now())
    forms = {row.id: (given or {}).get(row.id) or _blank_head_form(row) for row in rows}
    return page("identity/departments.html", rows=rows, form=form, forms=forms, status=status)


def _head_form(department_id: str) -> HeadForm:
    row = next(
        (r for r in queries.department_list(deps(), actor=actor(), now=now()) if r.id == department_id), None
    )
    if row is None:
        raise NotFound
    form = HeadForm(prefix=department_id[:8])
    form.head.choices = options([("", "–"), *row.candidates])
    return form


def _blank_head_form(row: queries.DepartmentRow) -> HeadForm:
    form = HeadForm(formdata=None, prefix=row.id[:8], data={"name": row.name, "head": row.head or ""})
    form.head.choices = options([("", "–"), *row.candidates])
    return form


# ── Shared ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def invited(made: service.Invited, back: str, *, shown: bool) -> Response:
    """Says that the mail is on its way, or shows the link and its QR code on this answer only."""
    if not shown:
        flash_text(
            Text("邀请邮件已发出，72 小时内有效。", "The invitation is mailed and valid for 72 hours.")
        )
        return redirect(back)
    return page("identity/link.html", link=made.link, image=qr(made.link), back=back)


def _account_page(account_id: str, status: int = 200, **forms: Any) -> Response:
    shown = queries.account_page(deps(), account_id, actor=actor(), now=now())
    row = shown.row
    employment = EmploymentForm(
        formdata=None,
        data={"department": row.department_id or "", "employment": row.employment, "ends_on": row.ends_on},
    )
    employment.offer(_departments())
    role_form = RoleForm(formdata=None)
    role_form.role.choices = options(_role_choices(shown.proposable))
    drawn: dict[str, Any] = {
        "employment_form": employment,
        "role_form": role_form,
        "reason_form": ReasonForm(formdata=None),
        "deliver_form": DeliverForm(formdata=None),
        "act_form": BeginForm(formdata=None),
        **forms,
    }
    rights = {
        "adm": actor().has(Role.ADM) and actor().id != account_id,
        "gm": actor().has(Role.GM),
        "office": actor().has(*OFFICE),
    }
    return page("identity/account_detail.html", status=status, shown=shown, row=row, may=rights, **drawn)


def _departments() -> list[tuple[str, str]]:
    return [
        (row.id, f"{row.code} {row.name}")
        for row in queries.department_list(deps(), actor=actor(), now=now())
    ]


def _role_choices(roles: tuple[Role, ...]) -> list[tuple[str, str]]:
    return [(role.value, ROLE_TEXT[role](language())) for role in roles if role is not Role.PTN]


def _said(text: Text, account_id: str) -> Response:
    flash_text(text)
    return redirect(url_for("identity.account_detail", account_id=account_id))
