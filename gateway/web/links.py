"""Ways inside the portal, and the one origin that links out of it carry."""

from flask import url_for

from gateway.web.visitor import deps

HOME, SIGN_IN, VERIFY, SIGN_OUT = "/", "/sign-in", "/verify", "/sign-out"
LONGEST = 2000


def own_path(wanted: str | None, otherwise: str = HOME) -> str:
    """A path of this portal to go on to, or `otherwise`."""
    if not wanted or len(wanted) > LONGEST or not wanted.startswith("/") or wanted.startswith("//"):
        return otherwise
    # Browsers drop control characters and read a backslash as a slash, so a path with either may leave the portal.
    if "\\" in wanted or any(ord(c) < 0x21 or 0x7F <= ord(c) < 0xA0 for c in wanted):
        return otherwise
    return wanted


def absolute(endpoint: str, **values: object) -> str:
    """A link for mails and QR codes: always the configured origin, never the host a request claims."""
    return deps().settings.public_origin + url_for(endpoint, _external=False, **values)  # type: ignore[arg-type]
