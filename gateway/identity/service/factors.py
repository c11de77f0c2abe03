"""Passwords, one-time codes, recovery codes: made, checked, changed. Nothing here decides who may do what."""

import base64
import binascii
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gateway.audit.service import record
from gateway.db import new_id
from gateway.deps import Deps
from gateway.errors import Invalid
from gateway.identity import entries, rules
from gateway.identity.errors import WrongCode
from gateway.identity.models import Credential, RecoveryCode
from gateway.principal import Actor, Text
from storage.errors import Corrupt, KeyGone

STEP_S = 30
WINDOW = (-1, 0, 1)
# Base32 characters of a recovery code (75 bits) and of a one-time-code seed (160 bits, RFC 4226 §4 R6).
RECOVERY_CHARS, SEED_CHARS = 15, 32
_HASHER = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
# The hash of a random password nobody kept: unknown accounts cost the same time as known ones.
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$lx8Y0RPs+gy/oim+cUeCdw$IFjCbEg0nMePOKciq9q4eZPmtjG3yp1F7y0ilGrgplg"
Verify = Callable[[str, str], bool]


# ── Passwords ────────────────────────────────────────────────────────────────────────────────────────────────────────


def hash_password(password: str) -> str:
    """Argon2id in the low-memory profile of RFC 9106 §4, as a PHC string."""
    return _HASHER.hash(entries.normal_password(password))


def verify_password(stored: str, password: str) -> bool:
    """Whether the password fits; takes the same time either way."""
    try:
        return _HASHER.verify(stored, entries.normal_password(password)[: entries.PASSWORD_MOST])
    except (VerificationError, InvalidHashError):
        return False


def rehash(session: Session, row: Credential, password: str, *, actor: Actor, now: datetime) -> None:
    """Hashes anew with today's parameters where the stored hash has older ones."""
    if _HASHER.check_needs_rehash(row.password_hash):
        with session.no_autoflush:
            row.password_hash = hash_password(password)
            row.leaf = record(session, "credential.rehash", actor=actor, obj=("credential", row.id), now=now)


# ── One-time codes (RFC 6238) ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Seed:
    """A seed on its way to the authenticator: for the eye, for the camera, and sealed for the form that sends it back."""

    secret: str
    uri: str
    pending: str


def new_seed(deps: Deps, principal: str, purpose: str, *, name: str) -> Seed:
    """A fresh seed; `pending` opens only for the same principal and purpose, so no other form can bring it back."""
    secret = pyotp.random_base32(SEED_CHARS)
    pending = base64.urlsafe_b64encode(deps.fields.seal(principal, f"totp.{purpose}", secret)).decode()
    return Seed(secret, _uri(deps, secret, name), pending)


def seed_again(deps: Deps, principal: str, purpose: str, pending: str, *, name: str) -> Seed:
    """The same seed from its sealed form, for a form that is shown again; raises Invalid("code") when it is not ours."""
    try:
        blob = base64.b64decode(pending, altchars=b"-_", validate=True)
        secret = deps.fields.open(principal, f"totp.{purpose}", blob)
    except (binascii.Error, ValueError, Corrupt, KeyGone) as error:
        raise Invalid(
            "code", Text("登记页已过期，请重新开始。", "This page is out of date. Start again.")
        ) from error
    return Seed(secret, _uri(deps, secret, name), pending)


def _uri(deps: Deps, secret: str, name: str) -> str:
    return pyotp.TOTP(secret).provisioning_uri(
        name=name, issuer_name=f"SealGate {deps.settings.company_name}"
    )


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """The 30-second step, now or one to either side, whose code this is; None when it is none of them."""
    digits = "".join(code.split())
    if len(digits) != 6 or not (digits.isascii() and digits.isdigit()):
        return None
    totp, present = pyotp.TOTP(secret), int(now.timestamp()) // STEP_S
    found = [present + i for i in WINDOW if secrets.compare_digest(totp.at((present + i) * STEP_S), digits)]
    return max(found, default=None)


def spend_code(deps: Deps, session: Session, principal: str, code: str, now: datetime) -> bool:
    """Whether a code is right and newer than any accepted before; accepting it is one compare-and-set (RFC 6238 §5.2)."""
    row = session.scalar(select(Credential).where(Credential.principal == principal))
    if row is None:
        return False
    secret = deps.fields.open(principal, "totp", row.totp_secret)
    step = matching_step(secret, code, now)
    if step is None:
        return False
    later = (
        update(Credential).where(Credential.id == row.id, Credential.totp_step < step).values(totp_step=step)
    )
    return _count(session.execute(later, execution_options={"synchronize_session": False})) == 1


# ── Recovery codes ───────────────────────────────────────────────────────────────────────────────────────────────────


def new_recovery_codes(deps: Deps, session: Session, principal: str, *, leaf: str) -> tuple[str, ...]:
    """Ten fresh codes, shown once; the older ones are gone. Only keyed digests are kept."""
    for old in session.scalars(select(RecoveryCode).where(RecoveryCode.principal == principal)):
        session.delete(old)
    codes = tuple(pyotp.random_base32(32)[:RECOVERY_CHARS] for _ in range(rules.RECOVERY_CODES))
    for code in codes:
        digest = _recovery_digest(deps, principal, code)
        session.add(RecoveryCode(id=new_id(), principal=principal, code_hash=digest, used_at=None, leaf=leaf))
    return tuple("-".join(code[i : i + 5] for i in range(0, RECOVERY_CHARS, 5)) for code in codes)


def spend_recovery_code(deps: Deps, session: Session, principal: str, code: str, now: datetime) -> bool:
    """Whether an unused code of this principal fits; using it is one compare-and-set."""
    digest = _recovery_digest(deps, principal, code)
    row = session.scalar(
        select(RecoveryCode).where(RecoveryCode.principal == principal, RecoveryCode.code_hash == digest)
    )
    if row is None:
        return False
    use = (
        update(RecoveryCode)
        .where(RecoveryCode.id == row.id, RecoveryCode.used_at.is_(None))
        .values(used_at=now)
    )
    return _count(session.execute(use, execution_options={"synchronize_session": False})) == 1


def recovery_codes_left(session: Session, principal: str) -> int:
    """How many codes are unused."""
    query = select(RecoveryCode).where(RecoveryCode.principal == principal, RecoveryCode.used_at.is_(None))
    return len(session.scalars(query).all())


def _recovery_digest(deps: Deps, principal: str, code: str) -> str:
    plain = "".join(c for c in code if c.isalnum())
    return deps.search.digest("identity.recovery", f"{principal} {plain}")


# ── Credentials as a whole ───────────────────────────────────────────────────────────────────────────────────────────


def set_credential(
    deps: Deps, session: Session, actor: Actor, seed: Seed, *, password_hash: str, code: str, now: datetime
) -> tuple[str, ...]:
    """Gives a principal its first, or after an invitation its next, password and seed; returns the recovery codes.

    `password_hash` is made before the transaction, which hashing would hold up. Raises WrongCode("code") unless the code
    proves that the authenticator holds the seed. That code is spent.
    """
    step = matching_step(seed.secret, code, now)
    if step is None:
        raise WrongCode("code")
    principal = actor.label
    leaf = record(session, "credential.set", actor=actor, obj=(actor.kind, actor.id), now=now)
    row = session.scalar(select(Credential).where(Credential.principal == principal))
    with session.no_autoflush:
        if row is None:
            row = Credential(id=new_id(), principal=principal)
            session.add(row)
        row.password_hash, row.set_at = password_hash, now
        row.totp_secret, row.totp_step = deps.fields.seal(principal, "totp", seed.secret), step
        row.leaf = leaf
        session.flush()
    return new_recovery_codes(deps, session, principal, leaf=leaf)


def _count(result: Any) -> int:
    return int(result.rowcount)
