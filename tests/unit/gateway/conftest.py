"""Worlds for the gate and for sharing; rooms with a world of their own name theirs."""

from tests.worlds import scene, template, template_scene, world

__all__ = ["scene", "template", "template_scene", "world"]
