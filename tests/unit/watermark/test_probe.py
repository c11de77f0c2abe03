"""What the doctor says of the walls."""

from watermark import child, probe, sandbox
from watermark.zygote import Zygote


def test_every_layer_stands_and_every_attempt_fails() -> None:
    seen = probe.layers()
    assert {layer.name for layer in seen} >= set(sandbox.LAYERS)
    assert len(seen) > len(sandbox.LAYERS)
    assert all(layer.stands for layer in seen), seen


def test_a_layer_that_is_missing_is_said(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    broken = Zygote(
        "from watermark import job, landlock\njob.preload = lambda: None\nlandlock._CREATE = 9999"
    )
    monkeypatch.setattr(child, "ZYGOTE", broken)
    seen = probe.layers()
    broken.close()
    assert [layer.stands for layer in seen] == [False] * len(sandbox.LAYERS)
    assert "Landlock" in seen[0].detail


def test_the_attempts_tell_when_nothing_stands_in_their_way(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    open_wide = Zygote(
        "from watermark import job, sandbox\njob.preload = lambda: None\nsandbox.filter_calls = lambda calls: None"
    )
    monkeypatch.setattr(child, "ZYGOTE", open_wide)
    seen = {layer.name: layer.stands for layer in probe.layers()}
    open_wide.close()
    assert not seen["a parser cannot open a socket"]
