"""The verbs of identity, each one job in one write transaction with its log entry, and what rooms to the right ask."""

from gateway.identity.principals import account_live, addresses, contact_live, holders
from gateway.identity.service.accounts import (
    Invited,
    add_department,
    change_department,
    change_employment,
    disable_account,
    enable_account,
    end_due_accounts,
    enrol_account,
    reinvite_account,
)
from gateway.identity.service.enrol import (
    Enrolled,
    Enrolment,
    begin_enrolment,
    complete_enrolment,
    first_day,
    link,
    look,
)
from gateway.identity.service.factors import Seed
from gateway.identity.service.facts import FACTS, account_active
from gateway.identity.service.own import (
    begin_totp,
    change_password,
    change_totp,
    register_age_recipient,
    remove_age_recipient,
    renew_recovery_codes,
    set_language,
    set_timezone,
)
from gateway.identity.service.partners import (
    change_contact_state,
    change_organisation_state,
    invite_contact,
    propose_organisation,
    reinvite_contact,
    set_signer,
    verify_organisation,
)
from gateway.identity.service.readback import confirm_contact, new_readback_code
from gateway.identity.service.roles import confirm_role, decline_role, end_role, propose_role
from gateway.identity.service.sessions import (
    SessionView,
    end_after_restore,
    own_sessions,
    resolve,
    revoke_other_sessions,
    revoke_session,
)
from gateway.identity.service.signin import confirm, finish_sign_in, sign_in, sign_out

SUBSCRIBERS: dict[str, object] = {"restore.done": end_after_restore}
HANDLERS: dict[str, object] = {}

__all__ = [
    "FACTS",
    "HANDLERS",
    "SUBSCRIBERS",
    "Enrolled",
    "Enrolment",
    "Invited",
    "Seed",
    "SessionView",
    "account_active",
    "account_live",
    "add_department",
    "addresses",
    "begin_enrolment",
    "begin_totp",
    "change_contact_state",
    "change_department",
    "change_employment",
    "change_organisation_state",
    "change_password",
    "change_totp",
    "complete_enrolment",
    "confirm",
    "confirm_contact",
    "confirm_role",
    "contact_live",
    "decline_role",
    "disable_account",
    "enable_account",
    "end_due_accounts",
    "end_role",
    "enrol_account",
    "finish_sign_in",
    "first_day",
    "holders",
    "invite_contact",
    "link",
    "look",
    "new_readback_code",
    "own_sessions",
    "propose_organisation",
    "propose_role",
    "register_age_recipient",
    "reinvite_account",
    "reinvite_contact",
    "remove_age_recipient",
    "renew_recovery_codes",
    "resolve",
    "revoke_other_sessions",
    "revoke_session",
    "set_language",
    "set_signer",
    "set_timezone",
    "sign_in",
    "sign_out",
    "verify_organisation",
]
