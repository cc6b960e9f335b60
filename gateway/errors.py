# SPDX-License-Identifier: Apache-2.0
"""How the gateway says no; this file is about refusals, one class for each public reason, and faults.

A refusal was understood and is not accepted. Its reason is part of the API and is never renamed;
docs/ERRORS.md has an entry for each, with its status, title and advice. The texts are public:
they name limits, lines and fields, and never a submitted value.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """The closed list of reasons for which a request is refused."""

    CERTIFICATE_REQUIRED = "certificate-required"
    CERTIFICATE_UNTRUSTED = "certificate-untrusted"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid"
    CERTIFICATE_REVOKED = "certificate-revoked"
    UNKNOWN_PARTNER = "unknown-partner"
    PARTNER_SUSPENDED = "partner-suspended"
    INVITATION_INVALID = "invitation-invalid"
    SIGNATURE_MISSING = "signature-missing"
    SIGNATURE_MALFORMED = "signature-malformed"
    SIGNATURE_COMPONENT_MISSING = "signature-component-missing"
    SIGNATURE_KEY_UNKNOWN = "signature-key-unknown"
    SIGNATURE_ALGORITHM_MISMATCH = "signature-algorithm-mismatch"
    SIGNATURE_INVALID = "signature-invalid"
    SIGNATURE_EXPIRED = "signature-expired"
    SIGNATURE_NOT_YET_VALID = "signature-not-yet-valid"
    REPLAYED = "replayed"
    DIGEST_MISSING = "digest-missing"
    DIGEST_MISMATCH = "digest-mismatch"
    BODY_INCOMPLETE = "body-incomplete"
    REQUEST_MALFORMED = "request-malformed"
    IDEMPOTENCY_KEY_MISSING = "idempotency-key-missing"
    PURPOSE_MISSING = "purpose-missing"
    RECORDS_ROOT_MISMATCH = "records-root-mismatch"
    DENIED_BY_POLICY = "denied-by-policy"
    NOT_FOUND = "not-found"
    IDEMPOTENCY_CONFLICT = "idempotency-conflict"
    CONTRACT_RETIRED = "contract-retired"
    BODY_TOO_LARGE = "body-too-large"
    MEDIA_TYPE_UNSUPPORTED = "media-type-unsupported"
    ENCODING_UNSUPPORTED = "encoding-unsupported"
    CONTRACT_UNKNOWN = "contract-unknown"
    CONTRACT_VIOLATED = "contract-violated"
    FORBIDDEN_FIELD = "forbidden-field"
    WRONG_PROVIDER = "wrong-provider"
    NOT_A_PUBLISHED_TABLE = "not-a-published-table"
    UNITS_DIFFER = "units-differ"
    RATE_LIMITED = "rate-limited"
    LOG_STALLED = "log-stalled"
    STORAGE_UNAVAILABLE = "storage-unavailable"
    RULES_NOT_IN_FORCE = "rules-not-in-force"
    GRANT_UNSUPPORTED = "grant-unsupported"
    CLIENT_UNAUTHENTICATED = "client-unauthenticated"
    SCOPE_NOT_GRANTED = "scope-not-granted"
    TOKEN_INVALID = "token-invalid"  # noqa: S105 -- a reason
    SCOPE_INSUFFICIENT = "scope-insufficient"
    CHANGE_INVALID = "change-invalid"
    CHANGE_CLOSED = "change-closed"


class Fault(Exception):
    """Our own trouble: the edge answers 500 with an incident id and nothing else."""


class Refusal(Exception):
    """A request that was understood and is not accepted.

    `facts` fill the texts and are public. `hint` helps a person to mend the request. `extra` joins the
    problem document (for example `errors`). `sealed` is never shown nor kept: the audit event holds an erasable
    HMAC of it. `audit_event` is set once the refusal stands in the audit log.
    """

    reason: ClassVar[Reason]
    en: ClassVar[str]
    es: ClassVar[str]

    def __init__(
        self,
        *,
        hint: str = "",
        retry_after_seconds: int | None = None,
        extra: dict[str, object] | None = None,
        sealed: bytes | None = None,
        **facts: object,
    ) -> None:
        super().__init__(self.reason.value)
        self.hint = hint
        self.retry_after_seconds = retry_after_seconds
        self.extra = extra or {}
        self.sealed = sealed
        self.facts = facts
        self.audit_event: str | None = None

    def detail(self, language: str) -> str:
        """Return the sentence for a person, in English or, for `es`, in Spanish."""
        return (self.es if language == "es" else self.en).format(**self.facts)


class CertificateRefused(Refusal):
    """The caller's certificate does not hold; behind a proxy this is a problem, embedded a TLS alert."""


class CertificateRequired(CertificateRefused):
    reason = Reason.CERTIFICATE_REQUIRED
    en = "This listener needs a client certificate."
    es = "Este punto de acceso exige un certificado de cliente."


class CertificateUntrusted(CertificateRefused):
    reason = Reason.CERTIFICATE_UNTRUSTED
    en = "The certificate does not lead to an anchor of the partner's country for client authentication."
    es = "El certificado no conduce a un ancla del país del socio para autenticación de cliente."


class CertificateExpired(CertificateRefused):
    reason = Reason.CERTIFICATE_EXPIRED
    en = "The certificate is past its end."
    es = "El certificado ha caducado."


class CertificateNotYetValid(CertificateRefused):
    reason = Reason.CERTIFICATE_NOT_YET_VALID
    en = "The certificate is not valid yet."
    es = "El certificado aún no es válido."


class CertificateRevoked(CertificateRefused):
    reason = Reason.CERTIFICATE_REVOKED
    en = "The certificate was revoked by its issuer."
    es = "El certificado fue revocado por su emisor."


class UnknownPartner(Refusal):
    reason = Reason.UNKNOWN_PARTNER
    en = "The certificate is not pinned for a partner or officer."
    es = "El certificado no está fijado para ningún socio u oficial."


class PartnerSuspended(Refusal):
    reason = Reason.PARTNER_SUSPENDED
    en = "The partner {partner} is {status}."
    es = "El socio {partner} tiene el estado {status}."


class InvitationInvalid(Refusal):
    reason = Reason.INVITATION_INVALID
    en = "The invitation does not hold: {what}."
    es = "La invitación no vale: {what}."


class SignatureMissing(Refusal):
    reason = Reason.SIGNATURE_MISSING
    en = "There is no signature with the tag gateway-submission."
    es = "No hay firma con la etiqueta gateway-submission."


class SignatureMalformed(Refusal):
    reason = Reason.SIGNATURE_MALFORMED
    en = "The signature headers do not follow RFC 9421: {what}."
    es = "Los encabezados de firma no siguen la RFC 9421: {what}."


class SignatureComponentMissing(Refusal):
    reason = Reason.SIGNATURE_COMPONENT_MISSING
    en = "The signature does not cover {component}."
    es = "La firma no cubre {component}."


class SignatureKeyUnknown(Refusal):
    reason = Reason.SIGNATURE_KEY_UNKNOWN
    en = "The keyid is not an active signing key of this partner."
    es = "El keyid no es una clave de firma activa de este socio."


class SignatureAlgorithmMismatch(Refusal):
    reason = Reason.SIGNATURE_ALGORITHM_MISMATCH
    en = "The key is registered for {registered}."
    es = "La clave está registrada para {registered}."


class SignatureInvalid(Refusal):
    reason = Reason.SIGNATURE_INVALID
    en = "The signature does not verify over the signature base of this request."
    es = "La firma no se verifica sobre la base de firma de esta solicitud."


class SignatureExpired(Refusal):
    reason = Reason.SIGNATURE_EXPIRED
    en = "The signature's time has passed; the gateway's clock says {now}."
    es = "El plazo de la firma venció; el reloj de la pasarela indica {now}."


class SignatureNotYetValid(Refusal):
    reason = Reason.SIGNATURE_NOT_YET_VALID
    en = "The signature was created in the future; the gateway's clock says {now}."
    es = "La firma fue creada en el futuro; el reloj de la pasarela indica {now}."


class Replayed(Refusal):
    reason = Reason.REPLAYED
    en = "The nonce or jti was used before with another request."
    es = "El nonce o jti ya se usó con otra solicitud."


class DigestMissing(Refusal):
    reason = Reason.DIGEST_MISSING
    en = "There is no Content-Digest with sha-256 or sha-512 (RFC 9530)."
    es = "No hay Content-Digest con sha-256 o sha-512 (RFC 9530)."


class DigestMismatch(Refusal):
    reason = Reason.DIGEST_MISMATCH
    en = "The body does not have the digest that was signed."
    es = "El cuerpo no tiene el resumen que se firmó."


class BodyIncomplete(Refusal):
    reason = Reason.BODY_INCOMPLETE
    en = "The body ended early or its encoding is broken."
    es = "El cuerpo terminó antes de tiempo o su codificación está dañada."


class RequestMalformed(Refusal):
    reason = Reason.REQUEST_MALFORMED
    en = "The request is malformed: {what}."
    es = "La solicitud está mal formada: {what}."


class IdempotencyKeyMissing(Refusal):
    reason = Reason.IDEMPOTENCY_KEY_MISSING
    en = "A submission needs an Idempotency-Key of 16 to 64 letters, digits, hyphens or underscores."
    es = "Un envío necesita un Idempotency-Key de 16 a 64 letras, cifras, guiones o guiones bajos."


class PurposeMissing(Refusal):
    reason = Reason.PURPOSE_MISSING
    en = "The agreement has several purposes; name one in Gateway-Purpose: {purposes}."
    es = "El acuerdo tiene varios fines; indique uno en Gateway-Purpose: {purposes}."


class RecordsRootMismatch(Refusal):
    reason = Reason.RECORDS_ROOT_MISMATCH
    en = "Gateway-Records names another count or root than the lines of the body have."
    es = "Gateway-Records indica otro número o raíz que los de las líneas del cuerpo."


class DeniedByPolicy(Refusal):
    reason = Reason.DENIED_BY_POLICY
    en = "No policy permits this, or one forbids it."
    es = "Ninguna política lo permite, o alguna lo prohíbe."


class NotFound(Refusal):
    reason = Reason.NOT_FOUND
    en = "There is nothing here for you."
    es = "Aquí no hay nada para usted."


class IdempotencyConflict(Refusal):
    reason = Reason.IDEMPOTENCY_CONFLICT
    en = "The Idempotency-Key was accepted before with other content."
    es = "El Idempotency-Key ya se aceptó con otro contenido."


class ContractRetired(Refusal):
    reason = Reason.CONTRACT_RETIRED
    en = "The contract {product} {version} is retired."
    es = "El contrato {product} {version} está retirado."


class BodyTooLarge(Refusal):
    reason = Reason.BODY_TOO_LARGE
    en = "The body exceeds {limit} ({what})."
    es = "El cuerpo excede {limit} ({what})."


class MediaTypeUnsupported(Refusal):
    reason = Reason.MEDIA_TYPE_UNSUPPORTED
    en = "The Content-Type must be one of: {supported}."
    es = "El Content-Type debe ser uno de: {supported}."


class EncodingUnsupported(Refusal):
    reason = Reason.ENCODING_UNSUPPORTED
    en = "The Content-Encoding must be one of: {supported}."
    es = "El Content-Encoding debe ser uno de: {supported}."


class ContractUnknown(Refusal):
    reason = Reason.CONTRACT_UNKNOWN
    en = "No contract of that name and full version is in force."
    es = "No hay en vigor un contrato con ese nombre y versión completa."


class ContractViolated(Refusal):
    reason = Reason.CONTRACT_VIOLATED
    en = "{refused} of {received} records break the contract; nothing was kept."
    es = "{refused} de {received} registros incumplen el contrato; no se guardó nada."


class ForbiddenField(Refusal):
    reason = Reason.FORBIDDEN_FIELD
    en = "Line {line} carries a forbidden field or value at {pointer}; nothing was kept."
    es = "La línea {line} lleva un campo o valor prohibido en {pointer}; no se guardó nada."


class WrongProvider(Refusal):
    reason = Reason.WRONG_PROVIDER
    en = "Line {line} speaks for another provider or country; nothing was kept."
    es = "La línea {line} habla por otro proveedor o país; no se guardó nada."


class NotAPublishedTable(Refusal):
    reason = Reason.NOT_A_PUBLISHED_TABLE
    en = "That combination is not a published table: {what}."
    es = "Esa combinación no es una tabla publicada: {what}."


class UnitsDiffer(Refusal):
    reason = Reason.UNITS_DIFFER
    en = "Counts of different units or definitions are never added together."
    es = "Nunca se suman cifras de unidades o definiciones diferentes."


class RateLimited(Refusal):
    reason = Reason.RATE_LIMITED
    en = "Too many requests; wait as Retry-After says."
    es = "Demasiadas solicitudes; espere lo que indica Retry-After."


class LogStalled(Refusal):
    reason = Reason.LOG_STALLED
    en = "The audit log cannot be written, so nothing is accepted."
    es = "No se puede escribir la bitácora de auditoría, por lo que no se acepta nada."


class StorageUnavailable(Refusal):
    reason = Reason.STORAGE_UNAVAILABLE
    en = "The database cannot be reached for the moment."
    es = "Por el momento no se puede acceder a la base de datos."


class RulesNotInForce(Refusal):
    reason = Reason.RULES_NOT_IN_FORCE
    en = "What the governments approved and what is installed here differ, so nothing is decided."
    es = "Lo que los gobiernos aprobaron y lo que está instalado aquí difieren, por lo que no se decide nada."


class GrantUnsupported(Refusal):
    reason = Reason.GRANT_UNSUPPORTED
    en = "The only grant here is client_credentials."
    es = "La única concesión aquí es client_credentials."


class ClientUnauthenticated(Refusal):
    reason = Reason.CLIENT_UNAUTHENTICATED
    en = "The partner did not authenticate for a token: {what}."
    es = "El socio no se autenticó para un testigo: {what}."


class ScopeNotGranted(Refusal):
    reason = Reason.SCOPE_NOT_GRANTED
    en = "Roles and agreements grant these scopes: {granted}."
    es = "Las funciones y los acuerdos conceden estos alcances: {granted}."


class TokenInvalid(Refusal):
    reason = Reason.TOKEN_INVALID
    en = "The access token does not hold here: {what}."
    es = "El testigo de acceso no vale aquí: {what}."


class ScopeInsufficient(Refusal):
    reason = Reason.SCOPE_INSUFFICIENT
    en = "The access token lacks the scope {scope}."
    es = "Al testigo de acceso le falta el alcance {scope}."


class ChangeInvalid(Refusal):
    reason = Reason.CHANGE_INVALID
    en = "The change cannot be taken: {what}."
    es = "El cambio no puede aceptarse: {what}."


class ChangeClosed(Refusal):
    reason = Reason.CHANGE_CLOSED
    en = "The change waits no longer; its status is {status}."
    es = "El cambio ya no está en espera; su estado es {status}."
