"""Errors of notification.

SealGateError
└── UnknownNotice      an event that the catalogue does not have
"""

from gateway.errors import SealGateError


class UnknownNotice(SealGateError):
    """Only what stands in the catalogue is ever sent."""

    code = "UNKNOWN_NOTICE"
