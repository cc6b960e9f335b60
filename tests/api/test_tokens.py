# SPDX-License-Identifier: Apache-2.0
"""OAuth over real connections; this file is about getting tokens, using them, and being refused either."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, import_key

from gateway.api.problems import ROWS
from gateway.auditlog.receipts import fields_of
from gateway.errors import Reason
from tests.api.asking import Answered, check_signature, line, read_refused, refused, send, signed, stored_event
from tests.api.asking import Asked as Request
from tests.running import GTM, MEX, USA, Running, parse_answer

SEGEPLAN = "GTM.SEGEPLAN"
OWN = "/v1/own/border-event"
FORM = "application/x-www-form-urlencoded"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def ask(gateway: Running, name: str, form: dict[str, str] | str, *, media_type: str = FORM) -> Answered:
    """Ask for a token with somebody's certificate; the answer's signature is checked."""
    body = (form if isinstance(form, str) else urlencode(form)).encode()
    asked = Request(name, "/oauth/token", (("content-type", media_type),), body)
    status, headers, answer = parse_answer(gateway.exchange(name, asked.wire()))
    check_signature(gateway, asked, status, headers, answer)
    assert headers["cache-control"] == "no-store"
    return Answered(status, headers, json.loads(answer))


def by_certificate(name: str, scope: str = "") -> dict[str, str]:
    return {"grant_type": "client_credentials", "client_id": name} | ({"scope": scope} if scope else {})


def assertion(gateway: Running, name: str, *, algorithm: str = "", signer: str = "", **claims: Any) -> dict[str, str]:
    """Return the form of a signed assertion; a claim of None is left away."""
    pem = gateway.party(signer or name).signing_key.read_bytes()
    elliptic = "EC" in type(load_pem_private_key(pem, None)).__name__
    key = (ECKey if elliptic else OKPKey).import_key(pem)
    algorithm = algorithm or ("ES256" if elliptic else "Ed25519")
    words = {
        "iss": name,
        "sub": name,
        "aud": gateway.files.public_origin,
        "exp": int(time.time()) + 60,
        "jti": secrets.token_urlsafe(16),
    } | claims
    text = jwt.encode(
        {"alg": algorithm, "kid": gateway.party(signer or name).keyid},
        {name: value for name, value in words.items() if value is not None},
        key,
        algorithms=[algorithm],
    )
    return {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": text}


def token_of(gateway: Running, name: str, scope: str = "") -> str:
    answer = ask(gateway, name, by_certificate(name, scope))
    assert answer.status == 200, answer.document
    return str(answer.document["access_token"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def not_issued(gateway: Running, answer: Answered, reason: Reason, error: str) -> None:
    """Check an error of RFC 6749, section 5.2, that is a problem of ours as well, with its event."""
    assert (answer.document["reason"], answer.document["error"]) == (reason, error), answer.document
    assert answer.status == ROWS[reason].status
    assert answer.headers["content-type"] == "application/json"
    assert answer.document["error_uri"] == f"{gateway.files.public_origin}/problems/{reason}"
    assert not set('"\\') & set(answer.document["error_description"])
    assert fields_of(stored_event(gateway, answer.headers["audit-event"]).fields)["reason"] == reason


def test_a_certificate_gets_a_token_bound_to_it(gateway: Running) -> None:
    """RFC 9068 claims, RFC 8705 binding, signed by a published key, and one event without the token in it."""
    started = int(time.time())
    answer = ask(gateway, USA, by_certificate(USA, "read-own"))

    document = answer.document
    assert (answer.status, document["token_type"], document["scope"]) == (200, "Bearer", "read-own")
    assert 300 <= document["expires_in"] <= 600
    [published] = json.loads(gateway.get(USA, "/oauth/keys")[2])["keys"]
    token = jwt.decode(document["access_token"], import_key(published), algorithms=["ES256"])
    assert (token.header["typ"], token.header["kid"]) == ("at+jwt", published["kid"])
    claims = token.claims
    origin = gateway.files.public_origin
    assert (claims["iss"], claims["aud"], claims["sub"], claims["client_id"]) == (origin, origin, USA, USA)
    assert started <= claims["iat"] <= time.time()
    assert claims["exp"] - claims["iat"] == document["expires_in"]
    assert set(claims["cnf"]) == {"x5t#S256"}
    issued = [fields for fields in issued_to(gateway, USA) if fields["token_id"] == claims["jti"]]
    assert [(one["method"], one["scopes"]) for one in issued] == [("tls_client_auth", ["read-own"])]
    assert document["access_token"] not in json.dumps(issued)


def issued_to(gateway: Running, name: str) -> list[dict[str, Any]]:
    page = json.loads(gateway.get(f"{name[:3]}.OFFICER.SECURITY", "/v1/audit/events?kind=token.issued")[2])
    return [dict(fields_of(stored_event(gateway, one["event_id"]).fields)) for one in page["events"]]


@pytest.mark.parametrize(("name", "algorithm"), [(USA, "Ed25519"), (USA, "EdDSA"), (MEX, "ES256")])
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_a_registered_signing_key_gets_a_token(gateway: Running, name: str, algorithm: str) -> None:
    """RFC 7523; Ed25519 under both of its names."""
    answer = ask(gateway, name, assertion(gateway, name, algorithm=algorithm))

    assert answer.status == 200, answer.document
    assert answer.document["scope"] == "contest read-flow read-own submit"
    assert gateway.get(name, OWN, bearer(answer.document["access_token"]))[0] == 200
    assert issued_to(gateway, name)[-1]["method"] == "private_key_jwt"


BAD: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "https://elsewhere.example"},
    "no audience": {"aud": None},
    "another issuer": {"iss": MEX},
    "another subject": {"iss": MEX, "sub": MEX},
    "no subject": {"sub": None},
    "no end": {"exp": None},
    "past its end": {"exp": 1_700_000_000},
    "an end too far": {"exp": 4_000_000_000},
    "no end of time": {"exp": "never"},
    "not valid yet": {"nbf": 4_000_000_000},
    "from the future": {"iat": 4_000_000_000},
    "no id": {"jti": None},
    "another's key": {"signer": MEX},
    "an audience of the token path of another": {"aud": ["https://elsewhere.example/oauth/token"]},
}


@pytest.mark.parametrize("case", BAD)
def test_an_assertion_that_does_not_hold_gets_nothing(gateway: Running, case: str) -> None:
    """Signature, audience, subject, times and id are all checked."""
    answer = ask(gateway, USA, assertion(gateway, USA, **BAD[case]))

    not_issued(gateway, answer, Reason.CLIENT_UNAUTHENTICATED, "invalid_client")


def test_an_unsigned_assertion_gets_nothing(gateway: Running) -> None:
    form = assertion(gateway, USA)
    header, claims, _ = form["client_assertion"].split(".")
    unsigned = (f"eyJhbGciOiJub25lIn0.{claims}.", f"{header}.{claims}.", f"{header}.e30.AAAA")
    for forged in (*unsigned, "nothing", "a" * 9000):
        answer = ask(gateway, USA, form | {"client_assertion": forged})
        not_issued(gateway, answer, Reason.CLIENT_UNAUTHENTICATED, "invalid_client")


def test_an_assertion_counts_once(gateway: Running) -> None:
    """Its id is spent with the first token, in the database."""
    form = assertion(gateway, USA)
    assert ask(gateway, USA, form).status == 200

    not_issued(gateway, ask(gateway, USA, form), Reason.REPLAYED, "invalid_client")
    again = assertion(gateway, USA, jti="an-id-that-comes-twice-" + secrets.token_hex(4))
    assert [ask(gateway, USA, again).status for _ in range(2)] == [200, 401]


CASES: dict[str, tuple[Reason, str, str, dict[str, str] | str]] = {
    "another's name": (Reason.CLIENT_UNAUTHENTICATED, "invalid_client", USA, by_certificate(MEX)),
    "no name": (Reason.CLIENT_UNAUTHENTICATED, "invalid_client", USA, {"grant_type": "client_credentials"}),
    "a secret": (Reason.CLIENT_UNAUTHENTICATED, "invalid_client", USA, by_certificate(USA) | {"client_secret": "x"}),
    "another grant": (Reason.GRANT_UNSUPPORTED, "unsupported_grant_type", USA, {"grant_type": "password"}),
    "no grant": (Reason.GRANT_UNSUPPORTED, "unsupported_grant_type", USA, {"client_id": USA}),
    "a scope of nobody": (Reason.SCOPE_NOT_GRANTED, "invalid_scope", USA, by_certificate(USA, "read-own admin")),
    "a scope of other roles": (Reason.SCOPE_NOT_GRANTED, "invalid_scope", SEGEPLAN, by_certificate(SEGEPLAN, "submit")),
    "no form": (Reason.REQUEST_MALFORMED, "invalid_request", USA, "grant_type"),
    "a word twice": (Reason.REQUEST_MALFORMED, "invalid_request", USA, f"grant_type=a&client_id={USA}&client_id=x"),
    "too much": (Reason.BODY_TOO_LARGE, "invalid_request", USA, "a=" + "b" * 20_000),
    "a suspended partner": (Reason.PARTNER_SUSPENDED, "invalid_client", "MEX.SPECIMEN", by_certificate("MEX.SPECIMEN")),
    "a stranger": (Reason.UNKNOWN_PARTNER, "invalid_client", "unpinned", by_certificate(USA)),
}


@pytest.mark.parametrize("case", CASES)
def test_who_may_not_gets_no_token(gateway: Running, case: str) -> None:
    """Each refusal is an error that OAuth knows, and a problem with a page of its own."""
    reason, error, name, form = CASES[case]

    not_issued(gateway, ask(gateway, name, form), reason, error)


def test_another_media_type_is_no_form(gateway: Running) -> None:
    answer = ask(gateway, USA, "{}", media_type="application/json")

    not_issued(gateway, answer, Reason.MEDIA_TYPE_UNSUPPORTED, "invalid_request")


def test_a_reader_alone_gets_the_reader_s_scope(gateway: Running) -> None:
    """Scopes come from roles and agreements, never from the asking."""
    assert ask(gateway, SEGEPLAN, by_certificate(SEGEPLAN)).document["scope"] == "read-flow"


def test_a_token_narrows_to_its_scopes(gateway: Running) -> None:
    """What the certificate alone may do, the token may not unless it says so."""
    token = token_of(gateway, USA, "read-flow")
    assert gateway.get(USA, OWN)[0] == 200

    document = read_refused(gateway, USA, OWN, Reason.SCOPE_INSUFFICIENT, bearer(token))

    assert "read-own" in document["detail"]
    _, headers, _ = gateway.get(USA, OWN, bearer(token))
    assert headers["www-authenticate"].startswith('Bearer error="insufficient_scope"')
    assert headers["www-authenticate"].endswith('scope="read-own"')
    assert gateway.get(USA, OWN, bearer(token_of(gateway, USA, "read-own")))[0] == 200
    assert gateway.get(USA, "/v1/contracts", bearer(token))[0] == 200


def test_a_submission_needs_the_scope_as_well(gateway: Running) -> None:
    """The signature covers the token, and the token is checked before a byte of the body is read."""
    narrow, wide = token_of(gateway, USA, "read-own"), token_of(gateway, USA, "submit")

    refused(gateway, signed(gateway, [line()], headers=lower(narrow)), Reason.SCOPE_INSUFFICIENT)

    assert send(gateway, signed(gateway, [line()], headers=lower(wide))).status == 201


def lower(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_a_token_is_good_for_its_certificate_alone(gateway: Running) -> None:
    """Whoever finds one has nothing."""
    token = token_of(gateway, USA)

    for other in (GTM, MEX):
        read_refused(gateway, other, OWN, Reason.TOKEN_INVALID, bearer(token))
    document = read_refused(gateway, SEGEPLAN, "/v1/contracts", Reason.TOKEN_INVALID, bearer(token_of(gateway, GTM)))
    assert gateway.get(USA, OWN, bearer(token))[0] == 200
    assert token not in json.dumps(document)


def test_a_token_does_not_widen_what_the_partner_may(gateway: Running) -> None:
    """A reader stays a reader."""
    token = token_of(gateway, SEGEPLAN)

    read_refused(gateway, SEGEPLAN, OWN, Reason.SCOPE_INSUFFICIENT, bearer(token))
    read_refused(gateway, "unpinned", "/v1/contracts", Reason.UNKNOWN_PARTNER, bearer(token))


@pytest.mark.parametrize("value", ["Basic dXNlcjpwYXNz", "Bearer", "Bearer x.y.z", "Bearer a b", "Token x", ""])
def test_what_is_no_token_is_refused_and_not_ignored(gateway: Running, value: str) -> None:
    """A caller who thinks that it narrows itself must not act with its whole right."""
    read_refused(gateway, USA, OWN, Reason.TOKEN_INVALID, {"Authorization": value})


def test_a_changed_token_is_refused(gateway: Running) -> None:
    head, claims, signature = token_of(gateway, USA, "read-flow").split(".")
    other = token_of(gateway, USA, "read-own").split(".")

    for forged in (f"{head}.{other[1]}.{signature}", f"eyJhbGciOiJub25lIn0.{claims}.", f"{head}.{claims}."):
        read_refused(gateway, USA, OWN, Reason.TOKEN_INVALID, bearer(forged))


def test_an_assertion_is_no_access_token(gateway: Running) -> None:
    form = assertion(gateway, USA)

    read_refused(gateway, USA, OWN, Reason.TOKEN_INVALID, bearer(form["client_assertion"]))


def test_the_metadata_are_those_of_rfc_8414(gateway: Running) -> None:
    """Programs find the endpoint by themselves, without a registry entry."""
    status, _, body = gateway.get("unpinned", "/.well-known/oauth-authorization-server")

    document = AuthorizationServerMetadata(json.loads(body))
    document.validate()
    assert status == 200
    assert document["issuer"] == gateway.files.public_origin
    assert document["tls_client_certificate_bound_access_tokens"] is True
    assert set(document["token_endpoint_auth_methods_supported"]) == {"tls_client_auth", "private_key_jwt"}
