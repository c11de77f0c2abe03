"""Partner organisations and their contacts."""

from typing import Any

from flask import redirect, url_for
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response

from gateway.identity import queries, rules, service
from gateway.identity.forms import (
    ConfirmForm,
    ContactForm,
    DeliverForm,
    OrganisationForm,
    ReasonForm,
    SignerForm,
    VerifyForm,
)
from gateway.identity.views.room import bp, done, tried
from gateway.identity.views.staff import invited
from gateway.principal import Role, Text
from gateway.web.kit import access, actor, deps, flash_text, nav, now, page

READERS = queries.PARTNER_READERS
PROPOSERS = (Role.HOD, Role.BIZ, Role.ADM)

nav(bp, _("合作单位"), "partners", group="company", roles=READERS, icon="list", order=5)


@bp.get("/partners")
@access("staff", roles=READERS)
def partners() -> Response:
    """Every organisation."""
    rows = queries.organisation_list(deps(), actor=actor(), now=now())
    return page("identity/partners.html", rows=rows, may_add=actor().has(*PROPOSERS))


@bp.get("/partners/new")
@access("staff", roles=PROPOSERS)
def new_partner() -> Response:
    """A new organisation's form."""
    form = OrganisationForm(formdata=None)
    form.offer()
    return page("identity/partner_new.html", form=form)


@bp.post("/partners/new")
@access("staff", roles=PROPOSERS)
def add_partner() -> Response:
    """Proposes an organisation."""
    form = OrganisationForm()
    form.offer()
    name, uscc, category = form.name.data or "", form.uscc.data or "", form.category.data or ""
    made = tried(
        form,
        lambda: service.propose_organisation(
            deps(), name=name, uscc=uscc, category=category, actor=actor(), now=now()
        ),
    )
    if made is None:
        return page("identity/partner_new.html", form=form, status=422)
    return _to_partner(made, Text("已登记，待行政部门核验。", "Registered; administration verifies it next."))


@bp.get("/partners/<organisation_id>")
@access("staff", roles=READERS)
def partner(organisation_id: str) -> Response:
    """One organisation with its contacts."""
    return _partner_page(organisation_id)


@bp.post("/partners/<organisation_id>/verify")
@access("staff", roles={Role.ADM})
def verify_partner(organisation_id: str) -> Response:
    """行政部's verification."""
    form = VerifyForm()
    fields = {"how": form.how.data or "", "abroad": form.abroad.data == "yes"}
    if not done(
        form, lambda: service.verify_organisation(deps(), organisation_id, actor=actor(), now=now(), **fields)
    ):
        return _partner_page(organisation_id, 422, verify_form=form)
    return _to_partner(
        organisation_id,
        Text("单位已启用，可以邀请联系人。", "The organisation is active; contacts can be invited."),
    )


@bp.post("/partners/<organisation_id>/<any(suspend, resume, disable):event>")
@access("staff", roles={Role.ADM})
def change_partner(organisation_id: str, event: str) -> Response:
    """Suspends, resumes or turns off."""
    form = ReasonForm()
    reason = form.reason.data or ""
    if not done(
        form,
        lambda: service.change_organisation_state(
            deps(), organisation_id, event, reason=reason, actor=actor(), now=now()
        ),
    ):
        return _partner_page(organisation_id, 422, reason_form=form)
    return _to_partner(organisation_id, Text("状态已更新。", "The state has changed."))


@bp.get("/partners/<organisation_id>/contacts/new")
@access("staff", roles={Role.ADM})
def new_contact(organisation_id: str) -> Response:
    """A new contact's form."""
    shown = queries.organisation_page(deps(), organisation_id, actor=actor(), now=now())
    return page("identity/contact_new.html", form=ContactForm(formdata=None), row=shown.row)


@bp.post("/partners/<organisation_id>/contacts/new")
@access("staff", roles={Role.ADM})
def invite_contact(organisation_id: str) -> Response:
    """Invites a contact; a link that is not mailed is shown on this answer only."""
    form = ContactForm()
    made = tried(
        form,
        lambda: service.invite_contact(
            deps(),
            organisation_id,
            name=form.name.data or "",
            title=form.title.data or "",
            mobile=form.mobile.data or "",
            email=form.email.data or "",
            signer=bool(form.signer.data),
            valid_to=rules.ends_at(form.valid_to.data),
            actor=actor(),
            now=now(),
            mail=form.mail,
        ),
    )
    if made is None:
        shown = queries.organisation_page(deps(), organisation_id, actor=actor(), now=now())
        return page("identity/contact_new.html", form=form, row=shown.row, status=422)
    return invited(made, url_for("identity.contact", contact_id=made.id), shown=not form.mail)


@bp.get("/contacts/<contact_id>")
@access("staff", roles=READERS)
def contact(contact_id: str) -> Response:
    """One contact: verification, link, on and off."""
    return _contact_page(contact_id)


@bp.post("/contacts/<contact_id>/confirm")
@access("staff", roles={Role.ADM})
def confirm_contact(contact_id: str) -> Response:
    """The code that the contact read back."""
    form = ConfirmForm()
    form.offer()
    code, check = form.code.data or "", form.identity_check.data or ""
    if not done(
        form,
        lambda: service.confirm_contact(
            deps(), contact_id, code, identity_check=check, actor=actor(), now=now()
        ),
    ):
        return _contact_page(contact_id, 422, confirm_form=form)
    return _to_contact(contact_id, Text("联系人已核验并启用。", "The contact is verified and active."))


@bp.post("/contacts/<contact_id>/invite")
@access("staff", roles={Role.ADM})
def reinvite_contact(contact_id: str) -> Response:
    """Another one-time link; what was enrolled before ends."""
    form = DeliverForm()
    made = tried(
        form, lambda: service.reinvite_contact(deps(), contact_id, actor=actor(), now=now(), mail=form.mail)
    )
    if made is None:
        return _contact_page(contact_id, 422)
    return invited(made, url_for("identity.contact", contact_id=contact_id), shown=not form.mail)


@bp.post("/contacts/<contact_id>/signer")
@access("staff", roles={Role.ADM})
def set_signer(contact_id: str) -> Response:
    """Whether the contact may sign agreements."""
    form = SignerForm()
    if not done(
        form,
        lambda: service.set_signer(
            deps(), contact_id, signer=bool(form.signer.data), actor=actor(), now=now()
        ),
    ):
        return _contact_page(contact_id, 422)
    return _to_contact(contact_id, Text("已保存。", "Saved."))


@bp.post("/contacts/<contact_id>/<any(suspend, resume, disable):event>")
@access("staff", roles={Role.ADM})
def change_contact(contact_id: str, event: str) -> Response:
    """Suspends, resumes or turns off."""
    form = ReasonForm()
    reason = form.reason.data or ""
    if not done(
        form,
        lambda: service.change_contact_state(
            deps(), contact_id, event, reason=reason, actor=actor(), now=now()
        ),
    ):
        return _contact_page(contact_id, 422, reason_form=form)
    return _to_contact(contact_id, Text("状态已更新。", "The state has changed."))


def _partner_page(organisation_id: str, status: int = 200, **forms: Any) -> Response:
    shown = queries.organisation_page(deps(), organisation_id, actor=actor(), now=now())
    drawn: dict[str, Any] = {
        "verify_form": VerifyForm(formdata=None),
        "reason_form": ReasonForm(formdata=None),
        **forms,
    }
    return page(
        "identity/partner.html", status=status, shown=shown, row=shown.row, adm=actor().has(Role.ADM), **drawn
    )


def _contact_page(contact_id: str, status: int = 200, **forms: Any) -> Response:
    shown = queries.contact_page(deps(), contact_id, actor=actor(), now=now())
    confirm = ConfirmForm(formdata=None)
    confirm.offer()
    drawn: dict[str, Any] = {
        "confirm_form": confirm,
        "reason_form": ReasonForm(formdata=None),
        "deliver_form": DeliverForm(formdata=None),
        "signer_form": SignerForm(formdata=None, data={"signer": shown.row.signer}),
        **forms,
    }
    if not actor().has(Role.ADM):
        drawn = {}
    return page(
        "identity/contact.html", status=status, shown=shown, row=shown.row, adm=actor().has(Role.ADM), **drawn
    )


def _to_partner(organisation_id: str, text: Text) -> Response:
    flash_text(text)
    return redirect(url_for("identity.partner", organisation_id=organisation_id))


def _to_contact(contact_id: str, text: Text) -> Response:
    flash_text(text)
    return redirect(url_for("identity.contact", contact_id=contact_id))
