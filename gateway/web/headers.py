"""Headers of every answer: nothing inline, nothing from elsewhere, nothing framed, nothing kept."""

from flask import Flask, Response, g, request
from secure import Secure
from secure.headers import (
    ContentSecurityPolicy,
    CrossOriginOpenerPolicy,
    CrossOriginResourcePolicy,
    PermissionsPolicy,
    ReferrerPolicy,
    StrictTransportSecurity,
    XContentTypeOptions,
    XFrameOptions,
)

YEAR_S = 365 * 24 * 3600
STATIC_S = 24 * 3600
FEATURES = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "payment",
    "usb",
)


_KEPT, _UNCONNECTED = "sealgate_kept", "sealgate_unconnected"


def let_caches_keep(how: str) -> None:
    """Lets caches keep the answer of this request, if it is 200; `how` is the header. Only for what everybody may have."""
    setattr(g, _KEPT, how)


def let_nothing_out() -> None:
    """Forbids the scripts of this request's page to send anything anywhere, this portal included."""
    setattr(g, _UNCONNECTED, True)


def install(app: Flask, *, https: bool) -> None:
    """Sets the headers on every answer, errors included."""
    fixed = _policy(https=https).headers

    def put(response: Response) -> Response:
        for name, value in fixed.items():
            response.headers[name] = value
        if g.get(_UNCONNECTED):
            policy = response.headers["Content-Security-Policy"]
            shut = policy.replace("connect-src 'self'", "connect-src 'none'")
            response.headers["Content-Security-Policy"] = shut
        # A visitor with a cookie might get a new one with the answer, which no cache may hand to the next.
        if g.get(_KEPT) and response.status_code == 200 and not request.cookies:
            response.headers["Cache-Control"] = g.get(_KEPT)
        elif request.endpoint == "static" and response.status_code in (200, 206, 304):
            response.headers["Cache-Control"] = f"public, max-age={STATIC_S}"
        else:
            response.headers["Cache-Control"] = "no-store"
            response.vary.update(("Cookie", "Accept-Language"))
        return response

    app.after_request(put)


def _policy(*, https: bool) -> Secure:
    features = PermissionsPolicy()
    for feature in FEATURES:
        features = features.add_directive(feature)
    return Secure(
        csp=_content(),
        coop=CrossOriginOpenerPolicy().same_origin(),
        corp=CrossOriginResourcePolicy().same_origin(),
        hsts=StrictTransportSecurity().max_age(YEAR_S).include_subdomains() if https else None,
        permissions=features,
        referrer=ReferrerPolicy().no_referrer(),
        xcto=XContentTypeOptions(),
        xfo=XFrameOptions().deny(),
    )


def _content() -> ContentSecurityPolicy:
    none, own = "'none'", "'self'"
    return (
        ContentSecurityPolicy()
        .default_src(none)
        .script_src(own)
        .style_src(own)
        .img_src(own, "data:")
        .connect_src(own)
        .form_action(own)
        .frame_ancestors(none)
        .base_uri(none)
    )
