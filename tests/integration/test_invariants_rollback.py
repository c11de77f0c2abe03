"""Older images of rows that grant power, put back whole with their good seals: what was ended stays ended."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text

from gateway.errors import TamperedRow
from gateway.identity import service as identity
from gateway.sharing import service as sharing
from gateway.signing import service as signing
from tests.worlds import Scene

REASON = "核查期间发现用途不符，立即停止"


def _end_session(scene: Scene) -> None:
    _, actor = scene.world.session("s1")
    identity.revoke_other_sessions(scene.deps, actor=actor, now=scene.world.now())


def _terminate(scene: Scene) -> None:
    with scene.deps.database.engine.connect() as connection:
        agreement = connection.execute(text("SELECT id FROM agreement")).scalar_one()
    now = scene.world.now()
    signing.terminate(scene.deps, agreement, REASON, actor=scene.world.actor("adm"), now=now)


ENDINGS: dict[str, Callable[[Scene], None]] = {
    "share": lambda s: sharing.revoke(s.deps, s.share, REASON, actor=s.world.actor("adm"), now=s.world.now()),
    "contact": lambda s: identity.change_contact_state(
        s.deps, s.world.id("s1"), "suspend", reason=REASON, actor=s.world.actor("adm"), now=s.world.now()
    ),
    "organisation": lambda s: identity.change_organisation_state(
        s.deps,
        s.world.company.organisations["supplier"],
        "suspend",
        reason=REASON,
        actor=s.world.actor("adm"),
        now=s.world.now(),
    ),
    "agreement": _terminate,
    "login_session": _end_session,
}


def _image(scene: Scene) -> dict[str, list[dict[str, object]]]:
    with scene.deps.database.engine.connect() as connection:
        return {
            table: [dict(row._mapping) for row in connection.execute(text(f"SELECT * FROM {table}"))]
            for table in ENDINGS
        }


def _put_back(scene: Scene, image: dict[str, list[dict[str, object]]]) -> None:
    with scene.deps.database.engine.begin() as connection:
        for table, rows in image.items():
            for row in rows:
                sets = ", ".join(f'"{column}" = :{column}' for column in row)
                connection.execute(text(f"UPDATE {table} SET {sets} WHERE id = :id"), row)


@pytest.mark.parametrize("what", ENDINGS)
def test_what_was_ended_is_not_brought_back_by_an_older_image(scene: Scene, what: str) -> None:
    partner = scene.partner()
    scene.world.tick()
    image = _image(scene)
    ENDINGS[what](scene)
    _put_back(scene, image)
    with pytest.raises(TamperedRow):
        scene.collect(partner)
    assert scene.used() == 0
    assert not scene.world.leaves("bundle.collect")


def test_the_untouched_rows_still_open_the_gate(scene: Scene) -> None:
    partner = scene.partner()
    _put_back(scene, _image(scene))
    assert scene.collect(partner)
