"""The log's head by mail: to every auditor, once a day, with the checkpoint whole."""

from __future__ import annotations

from datetime import timedelta

from gateway.audit import note
from gateway.notify.models import Message
from gateway.oversight.daily_head import NOTICE, mail_head
from tests.factories import World


def test_auditors_are_mailed_the_checkpoint_once_a_day(world: World) -> None:
    world.tick()
    noon = world.now().replace(hour=12)
    assert mail_head(world.deps, now=noon)
    assert not mail_head(world.deps, now=noon + timedelta(hours=11))
    assert mail_head(world.deps, now=noon + timedelta(hours=13))
    with world.deps.database.read() as session:
        told = session.query(Message).filter_by(event=NOTICE).all()
    assert {(row.recipient_kind, row.recipient) for row in told} == {("role", "AUD")}
    assert len(told) == 2
    _, body = world.deps.mailer.words(told[0])
    for language in (body.zh, body.en):
        sent = language.partition("\n\n")[2]
        note.open_checkpoint(sent.rstrip("\n") + "\n", [note.parse_key(world.deps.log.vkey)])
