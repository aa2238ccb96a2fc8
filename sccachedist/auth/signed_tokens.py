"""Client tokens that an identity provider signs: ``client_auth.type = jwt_validate``.

The configuration chooses the algorithms; neither the token nor the key does. :mod:`sccachedist.auth.jwks` has the keys.
"""

from collections.abc import Callable, Sequence

import attrs
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWTError

from sccachedist.auth.bearer import IPAddress
from sccachedist.auth.clients import BELIEVED_SECS, digest_of, nameless, party_of, unnamed
from sccachedist.auth.jwks import PublicKey, SigningKeys
from sccachedist.budgets import Party
from sccachedist.errors import ClientRefused

#: Seconds by which the provider's clock and ours may differ, as in the published scheduler.
LEEWAY_SECS = 60.0
#: The kind of key that checks an algorithm's signatures, by the algorithm's family.
_KINDS: dict[str, type[PublicKey]] = {"RS": RSAPublicKey, "PS": RSAPublicKey, "ES": EllipticCurvePublicKey}


@attrs.define
class SignedClientTokens:
    """Clients show tokens that an identity provider has signed.

    :param algorithms: those that a token may be signed with.
    :param name_claim: the claim with a client's name; it counts if ``knows`` says that a client has that name.
    """

    keys: SigningKeys
    audience: str
    issuer: str
    algorithms: Sequence[str]
    name_claim: str | None = None
    _knows: Callable[[str], bool] = unnamed

    async def check(self, token: str | None, sender: IPAddress) -> Party:
        """Check signature, ``aud``, ``iss``, ``exp`` and, if it is there, ``nbf``.

        All tokens of one subject are one party, so that a client gains nothing by getting itself many. A token without
        a subject counts without its signature, because the Base64 of one signature has several spellings.
        """
        if token is None:
            raise ClientRefused("no_bearer_auth", "no client token")
        algorithm, kid = self._signed_with(token)
        key = await self.keys.key(kid)
        if not isinstance(key, _KINDS[algorithm[:2]]):
            raise _refused("its key is not one for its algorithm")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY_SECS,
                options={"require": ["exp", "aud", "iss"]},
            )
        except PyJWTError as error:
            raise _refused(str(error)) from error
        name = claims.get(self.name_claim) if self.name_claim else None
        if isinstance(name, str) and self._knows(name):
            return party_of(name, sender)
        owner = claims.get("sub") or token.rpartition(".")[0]
        return party_of(nameless(digest_of(str(owner))), sender)

    def believed_secs(self, token: str, now: float) -> float:
        """A while, and no longer than the token is good."""
        claims = jwt.decode(token, options={"verify_signature": False})  # it was verified a moment ago
        return max(0.0, min(BELIEVED_SECS, float(claims["exp"]) - now))

    def _signed_with(self, token: str) -> tuple[str, str]:
        """The algorithm and the key that a token names, if they are allowed."""
        try:
            header = jwt.get_unverified_header(token)
        except PyJWTError as error:
            raise _refused("malformed") from error
        match header:
            case {"alg": str(algorithm), "kid": str(kid)} if algorithm in self.algorithms:
                return algorithm, kid
        raise _refused("it names no key, or an algorithm that is not accepted here")


def _refused(reason: str) -> ClientRefused:
    return ClientRefused("bearer_auth_failed", f"JWT could not be validated: {reason}")
