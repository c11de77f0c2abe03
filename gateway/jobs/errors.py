"""Errors of jobs.

SealGateError
└── UnknownJob      no handler is registered for a job's kind
"""

from gateway.errors import SealGateError


class UnknownJob(SealGateError):
    """A job's kind has no handler; the job fails rather than waits for ever."""

    code = "UNKNOWN_JOB"
