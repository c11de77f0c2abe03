"""The time-stamp authority (RFC 3161) as a value, and the one exchange with it over HTTP."""

import http.client
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

from agreements.errors import AuthorityUnavailable

QUERY = "application/timestamp-query"
REPLY = "application/timestamp-reply"
# A token with its certificates takes a few kilobytes; more than this is no answer.
MAX_REPLY = 256 * 1024


@dataclass(frozen=True)
class Authority:
    """Where time stamps are asked for, how many seconds an answer may take, and whether nothing is sealed without one."""

    url: str
    timeout_s: float = 10.0
    required: bool = True

    @property
    def host(self) -> str:
        """Its name, as pages show it."""
        return urlsplit(self.url).hostname or ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """An authority that sends elsewhere is not the one that was configured."""


def exchange(authority: Authority, query: bytes) -> bytes:
    """Post a time-stamp query and return the reply's bytes, unread.

    Raises:
        AuthorityUnavailable: no connection, too late, another status than 200, another type, or too long.
    """
    # The settings take http and https addresses only.
    request = urllib.request.Request(authority.url, query, {"Content-Type": QUERY, "Accept": REPLY})  # noqa: S310
    # No proxy of the environment and no redirect: the bytes go to the address in the settings.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        _NoRedirect(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    )
    try:
        with opener.open(request, timeout=authority.timeout_s) as reply:
            if reply.headers.get_content_type() != REPLY:
                raise AuthorityUnavailable("the authority's answer is not a time-stamp reply")
            data: bytes = reply.read(MAX_REPLY + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise AuthorityUnavailable("the time-stamp authority did not answer") from error
    if len(data) > MAX_REPLY:
        raise AuthorityUnavailable("the authority's answer is too long")
    return data
