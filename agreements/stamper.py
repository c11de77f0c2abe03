"""Time stamps for pyHanko from one authority, each token proved before it goes into a document."""

import asyncio
import datetime
import hmac
from typing import Any

from asn1crypto import cms, core, tsp
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
from pyhanko_certvalidator import ValidationContext

from agreements.errors import AuthorityLied, AuthorityUnavailable
from agreements.timestamp import Authority, exchange

# A reply is from now: an authority whose clock, or ours, is further off than this proves nothing.
MAX_SKEW = datetime.timedelta(minutes=10)


class Stamper(TimeStamper):
    """Asks `authority`; a token counts only with our nonce, our digest, a time near `now` and a trusted signature."""

    def __init__(self, authority: Authority, context: ValidationContext, now: datetime.datetime) -> None:
        super().__init__()
        self._authority, self._context, self._now = authority, context, now

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        """Return a proved token over this digest; raises AuthorityUnavailable or AuthorityLied."""
        nonce, query = self.request_cms(message_digest, md_algorithm)
        reply = await asyncio.to_thread(exchange, self._authority, query.dump())
        token, info = _granted(reply)
        _require_asked(info, nonce, message_digest, md_algorithm, self._now)
        await self._prove(token, message_digest)
        return token

    async def _prove(self, token: cms.ContentInfo, digest: bytes) -> None:
        try:
            found = await validate_tst_signed_data(token["content"], self._context, lambda _: digest)
        except (SignatureValidationError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise AuthorityLied("the time stamp is not signed as one") from error
        if not (found["intact"] and found["valid"]):
            raise AuthorityLied("the time stamp's signature does not hold")
        if found["trust_problem_indic"] is not None:
            raise AuthorityUnavailable(
                "the time-stamp authority is not trusted, or its state could not be asked"
            )


class _Reply(core.Sequence):  # type: ignore[misc]
    """RFC 3161, 2.4.2: a refusal carries no token."""

    _fields = [("status", tsp.PKIStatusInfo), ("token", cms.ContentInfo, {"optional": True})]


def _granted(reply: bytes) -> tuple[cms.ContentInfo, Any]:
    try:
        response = _Reply.load(reply, strict=True)
        if response["status"]["status"].native not in ("granted", "granted_with_mods"):
            raise AuthorityUnavailable("the authority refused to give a time stamp")
        token = response["token"]
        return token, token["content"]["encap_content_info"]["content"].parsed
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise AuthorityLied("the authority's answer is not a time stamp") from error


def _require_asked(info: Any, nonce: object, digest: bytes, algorithm: str, now: datetime.datetime) -> None:
    try:
        imprint = info["message_imprint"]
        same_nonce = info["nonce"].native == getattr(nonce, "native", nonce)
        same_digest = hmac.compare_digest(imprint["hashed_message"].native, digest)
        same_algorithm = imprint["hash_algorithm"]["algorithm"].native == algorithm
        at = info["gen_time"].native
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise AuthorityLied("the authority's answer is not a time stamp") from error
    if not same_nonce:
        raise AuthorityLied("the time stamp carries another nonce")
    if not (same_digest and same_algorithm):
        raise AuthorityLied("the time stamp is over another digest")
    if abs(at - now) > MAX_SKEW:
        raise AuthorityLied("the time stamp names another time")
