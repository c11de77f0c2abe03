"""Whoever enrols in a language goes on in it."""

from __future__ import annotations

from datetime import timedelta

import pyotp
import pytest

from gateway.identity import service as identity
from gateway.identity.models import Contact
from tests.factories import World


@pytest.mark.parametrize(("chosen", "kept"), [("en", "en"), ("zh-CN", "zh-CN"), ("tlh", "zh-CN")])
def test_the_language_of_the_enrolment_becomes_the_person_s_own(world: World, chosen: str, kept: str) -> None:
    now = world.now()
    invited = identity.invite_contact(
        world.deps,
        world.company.organisations["supplier"],
        name="供应商联系人三",
        email="s3@demo.invalid",
        mobile="100-0000-0103",
        actor=world.actor("adm"),
        now=now,
        mail=False,
    )
    begun = identity.begin_enrolment(world.deps, invited.token, now=now)
    assert begun.seed is not None
    identity.complete_enrolment(
        world.deps,
        invited.token,
        begun.seed.pending,
        password="a long enough passphrase",
        code=pyotp.TOTP(begun.seed.secret).at(now - timedelta(seconds=30)),
        ip="127.0.0.1",
        agent="test",
        now=now,
        language=chosen,
    )
    with world.deps.database.read() as session:
        assert session.get_one(Contact, invited.id).language == kept
