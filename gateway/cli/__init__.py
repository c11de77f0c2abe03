"""The command `sealgate`: one verb a line, one module a trade; importing a module adds its verbs to the door."""

from gateway.cli import agreements, backup, doctor, keys, log, marking, opening, running, storage, witness
from gateway.cli.door import main

__all__ = [
    "agreements",
    "backup",
    "doctor",
    "keys",
    "log",
    "main",
    "marking",
    "opening",
    "running",
    "storage",
    "witness",
]
