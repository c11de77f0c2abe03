"""Real certificate services for tests, from the package `certomancer`, over HTTP on the loopback: an authority with a seal under
it, a time-stamp authority, an OCSP responder and lists of revocations, any of which can fall silent, be slow, or lie."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from asn1crypto import tsp
from certomancer.integrations.animator import Animator, AnimatorArchStore
from certomancer.registry import ArchLabel, CertLabel, CertomancerConfig, KeyLabel
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from agreements.credentials import Credentials

ARCH = "trust"
KEYS = ("root", "seal", "revoked", "tsa", "ocsp", "stranger")
NONCE_LIE = 4711


@dataclass
class Services:
    """Running services. `behave` names what the time-stamp authority does; `deaf` the kinds that answer 503 (ocsp, crls, tsa)."""

    url: str
    architecture: Any
    behave: str = "honest"
    deaf: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    @property
    def tsa(self) -> str:
        """Where time stamps are asked for."""
        return f"{self.url}/{ARCH}/tsa/{'stranger' if self.behave == 'a stranger' else 'tsa'}"

    def certificate(self, label: str) -> x509.Certificate:
        """A certificate of the architecture."""
        return x509.load_der_x509_certificate(self.architecture.get_cert(CertLabel(label)).dump())

    @property
    def root(self) -> x509.Certificate:
        """The one trust anchor."""
        return self.certificate("root")

    def credentials(self, label: str = "seal") -> Credentials:
        """A seal: `seal`, or `revoked`."""
        held = self.architecture.key_set.get_private_key(KeyLabel(label))
        key = load_der_private_key(held.dump(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return Credentials(self.certificate(label), (self.root,), key)


@contextlib.contextmanager
def running_services(folder: Path) -> Iterator[Services]:
    """Makes keys in `folder` and serves until left."""
    for name in KEYS:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.pem").write_bytes(pem)
    server = make_server("127.0.0.1", 0, lambda *_: [], _Threading, _Quiet)
    url = f"http://127.0.0.1:{server.server_port}"
    config = CertomancerConfig(_config(), key_search_dir=str(folder), external_url_prefix=url)
    architecture = config.get_pki_arch(ArchLabel(ARCH))
    services = Services(url, architecture)
    animator = Animator(AnimatorArchStore({ArchLabel(ARCH): architecture}), with_web_ui=False)
    server.set_app(_Door(services, animator))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield services
    finally:
        services.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Threading(WSGIServer):
    """Each request in a thread of its own, so that a slow one holds up no other."""

    def process_request(self, request: Any, client_address: Any) -> None:
        threading.Thread(target=self._serve, args=(request, client_address), daemon=True).start()

    def _serve(self, request: Any, client_address: Any) -> None:
        # Whoever asked may be gone by the time a slow answer is written.
        with contextlib.suppress(OSError):
            self.finish_request(request, client_address)
        self.shutdown_request(request)


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Requests are counted in `asked`, not printed."""


Start = Callable[..., Any]


class _Door:
    """Stands in front of the services and lets them misbehave. What it forges is signed by the authority's real key."""

    def __init__(self, services: Services, animator: Animator) -> None:
        self._services, self._animator = services, animator

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        kind = environ["PATH_INFO"].split("/")[2]
        self._services.asked.append(kind)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if kind in self._services.deaf:
            return _plain(start, "503 Service Unavailable", b"")
        if kind == "tsa":
            body = self._lie(environ, body)
            answers = {"garbage": b"\x30\x03\x02\x01\x00", "refusing": _REFUSAL, "huge": b"\x30" * (1 << 20)}
            if self._services.behave in answers:
                return _plain(start, "200 OK", answers[self._services.behave], "application/timestamp-reply")
            if self._services.behave == "another type":
                return _plain(start, "200 OK", b"<html></html>", "text/html")
            if self._services.behave == "slow":
                self._services.release.wait(30)
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))
        answer: Iterable[bytes] = self._animator(environ, start)
        return answer

    def _lie(self, environ: dict[str, Any], body: bytes) -> bytes:
        query = tsp.TimeStampReq.load(body)
        if self._services.behave == "wrong nonce":
            query["nonce"] = NONCE_LIE
        if self._services.behave == "wrong digest":
            query["message_imprint"]["hashed_message"] = bytes(32)
        if self._services.behave == "wrong time":
            environ["HTTP_X_CERTOMANCER_FAKE_TIME"] = (datetime.now(UTC) - timedelta(days=2)).isoformat()
        return bytes(query.dump(force=True))


# TimeStampResp with PKIStatusInfo rejection (2) and no token, as authorities send it.
_REFUSAL = bytes.fromhex("30053003020102")


def _plain(start: Start, status: str, body: bytes, kind: str = "text/plain") -> list[bytes]:
    start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def _config() -> dict[str, Any]:
    now = datetime.now(UTC)
    times = {
        "valid-from": (now - timedelta(days=400)).isoformat(),
        "valid-to": (now + timedelta(days=800)).isoformat(),
    }
    lists = _smart("crl_distribution_points", "crl-dist-url", {"crl-repo-names": ["root"]})
    asks = _smart("authority_information_access", "aia-urls", {"ocsp-responder-names": ["ocsp"]})
    authority = [
        {"id": "basic_constraints", "critical": True, "value": {"ca": True}},
        _usage("key_cert_sign", "crl_sign"),
    ]
    seal = {
        "issuer": "root",
        "validity": times,
        "extensions": [_usage("digital_signature", "non_repudiation"), lists, asks],
    }
    config = {
        "keysets": {ARCH: {"path-prefix": ".", "keys": {k: {"path": f"{k}.pem"} for k in KEYS}}},
        "pki-architectures": {
            ARCH: {
                "keyset": ARCH,
                "entity-defaults": {"country-name": "CN", "organization-name": "Test services"},
                "entities": {name: {"common-name": f"Test {name}"} for name in KEYS},
                "certs": {
                    "root": {"subject": "root", "issuer": "root", "validity": times, "extensions": authority},
                    "stranger": _purpose("stranger", times, "time_stamping"),
                    "tsa": _purpose("root", times, "time_stamping", lists),
                    "ocsp": _purpose("root", times, "ocsp_signing", {"id": "ocsp_no_check"}),
                    "seal": seal,
                    "revoked": {
                        **seal,
                        "revocation": {"revoked-since": (now - timedelta(days=30)).isoformat(), "reason": "key_compromise"},
                    },
                },
                "services": {
                    "ocsp": {"ocsp": {"for-issuer": "root", "responder-cert": "ocsp", "signing-key": "ocsp"}},
                    "crl-repo": {"root": {"for-issuer": "root", "signing-key": "root", "simulated-update-schedule": "P7D"}},
                    "time-stamping": {n: {"signing-key": n, "signing-cert": n} for n in ("tsa", "stranger")},
                },
            }
        },
    }  # fmt: skip
    made: dict[str, Any] = json.loads(json.dumps(config))
    return made


def _purpose(issuer: str, times: dict[str, str], purpose: str, *more: dict[str, Any]) -> dict[str, Any]:
    use = {"id": "extended_key_usage", "critical": True, "value": [purpose]}
    return {"issuer": issuer, "validity": times, "extensions": [_usage("digital_signature"), use, *more]}


def _usage(*names: str) -> dict[str, Any]:
    return {"critical": True, **_smart("key_usage", "key-usage", list(names))}


def _smart(name: str, schema: str, params: Any) -> dict[str, Any]:
    return {"id": name, "smart-value": {"schema": schema, "params": params}}
