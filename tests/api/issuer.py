"""An OpenID Connect issuer for tests: a real HTTP server with its own keys, which can misbehave."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

AUDIENCE = "https://aurea.example"
_ALGORITHMS = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}


@dataclass
class Issuer:
    """The issuer at `url`; `behaviour`: well, down, huge, slow, trickling, moved or other."""

    url: str = ""
    behaviour: str = "well"
    asked: list[str] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)
    extra: list[dict[str, Any]] = field(default_factory=list)  # more members of the key set

    def __post_init__(self) -> None:
        self.keys = {
            "rsa": rsa.generate_private_key(65_537, 2048),
            "ec": ec.generate_private_key(ec.SECP256R1()),
            "ed": ed25519.Ed25519PrivateKey.generate(),
        }

    def sign(self, claims: dict[str, Any], *, kid: str = "rsa", **header: Any) -> str:
        """Return a token under the key `kid`."""
        return jwt.encode(claims, self.keys[kid], _ALGORITHMS[kid], headers={"kid": kid, **header})

    def claims(self, now: int, **more: Any) -> dict[str, Any]:
        """Return what a good token says at `now` (ms); None takes a claim away."""
        seconds = now // 1_000
        said = {"iss": self.url, "aud": AUDIENCE, "sub": "svc", "iat": seconds, "exp": seconds + 300, **more}
        return {name: value for name, value in said.items() if value is not None}

    def key_set(self) -> dict[str, Any]:
        """Return the public keys, as published."""
        kinds = {"rsa": jwt.algorithms.RSAAlgorithm, "ec": jwt.algorithms.ECAlgorithm,
                 "ed": jwt.algorithms.OKPAlgorithm}  # fmt: skip
        own = [
            {**kinds[kid].to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
            for kid, key in self.keys.items()
        ]
        return {"keys": [*own, *self.extra]}

    def answer(self, path: str) -> tuple[int, bytes]:
        """Return status and body for a path."""
        self.asked.append(path)
        if self.behaviour == "down":
            return 503, b"{}"
        if path.endswith("openid-configuration"):
            named = "https://elsewhere.example" if self.behaviour == "other" else self.url
            return 200, json.dumps({"issuer": named, "jwks_uri": f"{self.url}/keys"}).encode()
        padding = "x" * 2**20 if self.behaviour == "huge" else ""
        return 200, json.dumps({**self.key_set(), "padding": padding}).encode()


def _handler(issuer: Issuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = issuer.answer(self.path)
            if issuer.behaviour == "moved" and self.path == "/keys":
                status, body = 302, b""
            if issuer.behaviour == "slow":
                time.sleep(2)
            self.send_response(status)
            self.send_header("location", f"{issuer.url}/elsewhere")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if issuer.behaviour == "trickling":
                for byte in body[:40]:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                return  # the other side hung up, as it should

    return Handler


@contextmanager
def an_issuer() -> Iterator[Issuer]:
    """An issuer for the length of a block."""
    issuer = Issuer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(issuer))
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
