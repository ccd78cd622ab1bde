"""An issuer of JWTs, as many good and bad ones as it can write, and a list of API keys."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER, AUDIENCE = "https://issuer.example", "assay"
API_KEY = "assay_fX0nVb1l2c3d4e5f6g7h8i9j0kAbCdEfGhIjKlMnOpQ"


class Issuer:
    """Writes a JWKS file with a key for each algorithm, and signs with them."""

    def __init__(self, directory: Path) -> None:
        self._keys: dict[str, Any] = {
            "RS256": rsa.generate_private_key(65537, 2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
        self.jwks = directory / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [self._public(name) for name in self._keys]}))

    def _public(self, algorithm: str) -> dict[str, Any]:
        written = jwt.get_algorithm_by_name(algorithm).to_jwk(self._keys[algorithm].public_key(), as_dict=True)
        return {**written, "kid": algorithm, "use": "sig", "alg": algorithm}

    def token(self, algorithm: str = "ES256", *, kid: str | None = None, key: Any = None, **claims: Any) -> str:
        """Good unless something else is said; a claim of None is left out."""
        now = int(time.time())
        said = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "someone",
            "exp": now + 600,
            "nbf": now - 5,
            "tenant": "acme",
            "scope": "score uri live",
            **claims,
        }
        said = {name: value for name, value in said.items() if value is not None}
        signing = key if key is not None else self._keys.get(algorithm)
        return jwt.encode(said, signing, algorithm, {"kid": kid or algorithm})

    def bad_tokens(self) -> dict[str, str]:
        """What is wrong -> the token."""
        now = int(time.time())
        public = self._keys["ES256"].public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        stranger = ec.generate_private_key(ec.SECP256R1())
        return {
            "no token": "",
            "garbage": "ÿ.ÿ.ÿ",
            "expired": self.token(exp=now - 90),
            "not yet valid": self.token(nbf=now + 90),
            "wrong audience": self.token(aud="another"),
            "wrong issuer": self.token(iss="https://other.example"),
            "no expiry": self.token(exp=None),
            "no tenant": self.token(tenant=None),
            "a tenant with a slash": self.token(tenant="acme/../b"),
            "not signed": self.token("none", key=""),
            "wrong algorithm": self.token("ES384", kid="ES256", key=ec.generate_private_key(ec.SECP384R1())),
            "public key as secret": _hmac(pem, self.token()),
            "another's signature": self.token(key=stranger),
            "unknown key": self.token(kid="unknown"),
            "unknown API key": "assay_" + "A" * 43,
        }


def _hmac(secret: bytes, like: str) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"ES256"}').rstrip(b"=")
    signed = head + b"." + like.split(".")[1].encode()
    mac = base64.urlsafe_b64encode(hmac.digest(secret, signed, "sha256")).rstrip(b"=")
    return (signed + b"." + mac).decode()


def write_api_keys(directory: Path, *, scopes: tuple[str, ...] = ("score",), names_tenants: bool = False) -> Path:
    """A file that knows API_KEY as acme's."""
    file = directory / "keys.toml"
    digest = hashlib.sha256(API_KEY.encode()).hexdigest()
    file.write_text(
        f'[[keys]]\nname = "ci"\nsha256 = "{digest}"\ntenant = "acme"\nscopes = {json.dumps(scopes)}\n'
        f"names_tenants = {str(names_tenants).lower()}\n"
    )
    return file
