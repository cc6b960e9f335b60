# SPDX-License-Identifier: Apache-2.0
"""How a refusal looks on the wire; this file is about the one table from reason to status, title and advice.

The problem document is RFC 9457. Each `type` is a page that this gateway serves, in English and Spanish.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import Reason, Refusal
from gateway.wire.problem import Problem


@dataclass(frozen=True, slots=True)
class Row:
    """What people are told about one reason: `mend` says what to do."""

    status: int
    title: tuple[str, str]
    mend: tuple[str, str]

    def title_in(self, language: str) -> str:
        """Return the title in English or, for `es`, in Spanish."""
        return self.title[language == "es"]

    def mend_in(self, language: str) -> str:
        """Return the advice in English or, for `es`, in Spanish."""
        return self.mend[language == "es"]


ROWS: dict[Reason, Row] = {
    Reason.CERTIFICATE_REQUIRED: Row(
        401,
        ("A client certificate is required", "Se requiere un certificado de cliente"),
        (
            (
                "Present the client certificate that was pinned when you were enrolled. In a direct connection"
                " this is the TLS alert certificate_required."
            ),
            (
                "Presente el certificado de cliente que se fijó al darle de alta. En una conexión directa es la"
                " alerta TLS certificate_required."
            ),
        ),
    ),
    Reason.CERTIFICATE_UNTRUSTED: Row(
        401,
        ("The certificate is not trusted", "El certificado no es de confianza"),
        (
            (
                "Use a certificate for client authentication issued by an authority of your country that the"
                " gateway knows; send no others in its place."
            ),
            (
                "Use un certificado de autenticación de cliente emitido por una autoridad de su país que la"
                " pasarela conozca."
            ),
        ),
    ),
    Reason.CERTIFICATE_EXPIRED: Row(
        401,
        ("The certificate has expired", "El certificado ha caducado"),
        (
            "Have a new certificate issued and pinned; overlap the old and the new one next time.",
            "Solicite un certificado nuevo y haga que se fije; la próxima vez, solape el anterior y el nuevo.",
        ),
    ),
    Reason.CERTIFICATE_NOT_YET_VALID: Row(
        401,
        ("The certificate is not valid yet", "El certificado aún no es válido"),
        (
            "Wait until its first day, or compare the clocks of issuer and gateway.",
            "Espere al primer día de validez o compare los relojes del emisor y de la pasarela.",
        ),
    ),
    Reason.CERTIFICATE_REVOKED: Row(
        401,
        ("The certificate was revoked", "El certificado fue revocado"),
        (
            "Ask the authority that issued it why, and have a new one issued and pinned.",
            "Pregunte a la autoridad emisora el motivo y solicite uno nuevo para que se fije.",
        ),
    ),
    Reason.UNKNOWN_PARTNER: Row(
        401,
        ("The certificate is not pinned", "El certificado no está fijado"),
        (
            (
                "Being issued by a trusted authority is not enough: ask the operator to pin this certificate. An"
                " officer's certificate opens officers' pages only, a partner's only those of partners."
            ),
            (
                "No basta con que lo emita una autoridad de confianza: pida al operador que fije este"
                " certificado. El de un oficial abre solo las páginas de oficiales; el de un socio, solo las de"
                " socios."
            ),
        ),
    ),
    Reason.PARTNER_SUSPENDED: Row(
        403,
        ("The partner is suspended", "El socio está suspendido"),
        (
            "Speak with the operator or your data-protection officer; repeating the request does not help.",
            "Hable con el operador o con su oficial de protección de datos; repetir la solicitud no ayuda.",
        ),
    ),
    Reason.SIGNATURE_MISSING: Row(
        401,
        ("The signature is missing", "Falta la firma"),
        (
            "Send Signature-Input and Signature with tag gateway-submission (RFC 9421).",
            "Envíe Signature-Input y Signature con la etiqueta gateway-submission (RFC 9421).",
        ),
    ),
    Reason.SIGNATURE_MALFORMED: Row(
        401,
        ("The signature is malformed", "La firma está mal formada"),
        (
            "Compare your fields with the worked example; created, nonce, keyid, alg and tag are required.",
            "Compare sus campos con el ejemplo desarrollado; se exigen created, nonce, keyid, alg y tag.",
        ),
    ),
    Reason.SIGNATURE_COMPONENT_MISSING: Row(
        401,
        ("The signature covers too little", "La firma cubre demasiado poco"),
        (
            (
                "Cover @method, @target-uri, content-digest, content-type and idempotency-key, and content-"
                " encoding, authorization and gateway-records where you send them."
            ),
            (
                "Cubra @method, @target-uri, content-digest, content-type e idempotency-key, y también content-"
                " encoding, authorization y gateway-records cuando los envíe."
            ),
        ),
    ),
    Reason.SIGNATURE_KEY_UNKNOWN: Row(
        401,
        ("The signing key is unknown", "La clave de firma es desconocida"),
        (
            "The keyid is the RFC 7638 thumbprint of a signing key that is registered for you and active.",
            "El keyid es la huella RFC 7638 de una clave de firma registrada a su nombre y activa.",
        ),
    ),
    Reason.SIGNATURE_ALGORITHM_MISMATCH: Row(
        401,
        ("The algorithm is not the key's", "El algoritmo no es el de la clave"),
        (
            "Name the algorithm for which the key is registered, or leave alg to your library.",
            "Indique el algoritmo con el que está registrada la clave, o deje alg a su biblioteca.",
        ),
    ),
    Reason.SIGNATURE_INVALID: Row(
        401,
        ("The signature does not verify", "La firma no se verifica"),
        (
            (
                "Compare your signature base with the gateway's byte by byte; in a sandbox the hint shows it. The"
                " usual cause is another @target-uri than the public origin with the raw path and query."
            ),
            (
                "Compare su base de firma con la de la pasarela byte por byte; en el entorno de pruebas la"
                " muestra hint. La causa habitual es un @target-uri distinto del origen público con la ruta y"
                " consulta tal cual."
            ),
        ),
    ),
    Reason.SIGNATURE_EXPIRED: Row(
        401,
        ("The signature is too old", "La firma es demasiado antigua"),
        (
            "Sign again, and send at once; a signature holds 300 seconds. Check your clock.",
            "Firme de nuevo y envíe enseguida; una firma vale 300 segundos. Revise su reloj.",
        ),
    ),
    Reason.SIGNATURE_NOT_YET_VALID: Row(
        401,
        ("The signature lies in the future", "La firma está en el futuro"),
        (
            "Check your clock: it may be ahead of the gateway's by 30 seconds at most.",
            "Revise su reloj: puede adelantar al de la pasarela en 30 segundos como máximo.",
        ),
    ),
    Reason.REPLAYED: Row(
        401,
        ("The nonce was used before", "El nonce ya se usó"),
        (
            "Sign every request with a new nonce; to repeat a submission keep its Idempotency-Key.",
            "Firme cada solicitud con un nonce nuevo; para repetir un envío conserve su Idempotency-Key.",
        ),
    ),
    Reason.DIGEST_MISSING: Row(
        400,
        ("The content digest is missing", "Falta el resumen del contenido"),
        (
            "Send Content-Digest with sha-256 over the body as sent (RFC 9530).",
            "Envíe Content-Digest con sha-256 sobre el cuerpo tal como se envía (RFC 9530).",
        ),
    ),
    Reason.DIGEST_MISMATCH: Row(
        400,
        ("The body is not the one that was signed", "El cuerpo no es el que se firmó"),
        (
            "Compute the digest after compression, and look for a proxy that changes bodies.",
            "Calcule el resumen después de comprimir y busque un intermediario que altere los cuerpos.",
        ),
    ),
    Reason.BODY_INCOMPLETE: Row(
        400,
        ("The body did not arrive whole", "El cuerpo no llegó entero"),
        (
            "Send again with the same Idempotency-Key; nothing was kept.",
            "Envíe de nuevo con el mismo Idempotency-Key; no se guardó nada.",
        ),
    ),
    Reason.REQUEST_MALFORMED: Row(
        400,
        ("The request is malformed", "La solicitud está mal formada"),
        ("Mend what the detail names.", "Corrija lo que indica el detalle."),
    ),
    Reason.IDEMPOTENCY_KEY_MISSING: Row(
        400,
        ("The idempotency key is missing", "Falta la clave de idempotencia"),
        (
            "Send Idempotency-Key and keep it when you repeat the same content.",
            "Envíe Idempotency-Key y consérvelo al repetir el mismo contenido.",
        ),
    ),
    Reason.PURPOSE_MISSING: Row(
        400,
        ("The purpose is missing", "Falta la finalidad"),
        (
            "Name one of the agreement's purposes in Gateway-Purpose.",
            "Indique en Gateway-Purpose una de las finalidades del acuerdo.",
        ),
    ),
    Reason.RECORDS_ROOT_MISMATCH: Row(
        400,
        ("The records are not those that were named", "Los registros no son los indicados"),
        (
            "Compute count and root over the decoded lines without LF, in the order sent.",
            "Calcule el número y la raíz sobre las líneas decodificadas sin LF, en el orden enviado.",
        ),
    ),
    Reason.DENIED_BY_POLICY: Row(
        403,
        ("No policy permits this", "Ninguna política lo permite"),
        (
            "Ask your government which agreement should permit it; everything else is denied.",
            "Pregunte a su gobierno qué acuerdo debería permitirlo; todo lo demás se deniega.",
        ),
    ),
    Reason.NOT_FOUND: Row(
        404,
        ("There is nothing here for you", "Aquí no hay nada para usted"),
        (
            "Check the address. What belongs to others looks the same as what does not exist.",
            "Revise la dirección. Lo que es de otros se ve igual que lo que no existe.",
        ),
    ),
    Reason.IDEMPOTENCY_CONFLICT: Row(
        409,
        ("The idempotency key is taken", "La clave de idempotencia ya se usó"),
        (
            "Use a new key for new content; the earlier submission stands as it was.",
            "Use una clave nueva para contenido nuevo; el envío anterior queda como estaba.",
        ),
    ),
    Reason.CONTRACT_RETIRED: Row(
        410,
        ("The contract version is retired", "La versión del contrato está retirada"),
        ("Move to its successor; see the list of contracts.", "Pase a su sucesora; consulte la lista de contratos."),
    ),
    Reason.BODY_TOO_LARGE: Row(
        413,
        ("The body is too large", "El cuerpo es demasiado grande"),
        (
            "Split the submission; atomic products are split on whole periods only.",
            "Divida el envío; los productos atómicos solo se dividen por periodos completos.",
        ),
    ),
    Reason.MEDIA_TYPE_UNSUPPORTED: Row(
        415,
        ("The media type is not supported", "El tipo de medio no se admite"),
        ("Use one of the types that the detail names.", "Use uno de los tipos que indica el detalle."),
    ),
    Reason.ENCODING_UNSUPPORTED: Row(
        415,
        ("The content encoding is not supported", "La codificación no se admite"),
        ("Use zstd, gzip or none, once.", "Use zstd, gzip o ninguna, una sola vez."),
    ),
    Reason.CONTRACT_UNKNOWN: Row(
        422,
        ("The contract is not in force", "El contrato no está en vigor"),
        (
            "Write the full version, such as 1.0.0, and look at the list of contracts.",
            "Escriba la versión completa, como 1.0.0, y consulte la lista de contratos.",
        ),
    ),
    Reason.CONTRACT_VIOLATED: Row(
        422,
        ("The records break the contract", "Los registros incumplen el contrato"),
        (
            "Mend the records that errors lists, by line and pointer, and send the whole submission again.",
            "Corrija los registros que enumera errors, por línea y puntero, y envíe de nuevo todo.",
        ),
    ),
    Reason.FORBIDDEN_FIELD: Row(
        422,
        ("A forbidden field was sent", "Se envió un campo prohibido"),
        (
            (
                "Remove it at the source: data that may identify a person must not leave your house. Your data-"
                " protection officer sees this event."
            ),
            (
                "Elimínelo en el origen: los datos que puedan identificar a una persona no deben salir de su"
                " institución. Su oficial de protección de datos ve este evento."
            ),
        ),
    ),
    Reason.WRONG_PROVIDER: Row(
        422,
        ("A record speaks for another provider", "Un registro habla por otro proveedor"),
        (
            "Send only your own records: provider and reporting country are yours.",
            "Envíe solo sus propios registros: el proveedor y el país declarante son los suyos.",
        ),
    ),
    Reason.NOT_A_PUBLISHED_TABLE: Row(
        422,
        ("That is not a published table", "Esa no es una tabla publicada"),
        (
            "Ask for a combination that the dataflow names; no other is computed.",
            "Pida una combinación que el flujo de datos nombre; no se calcula ninguna otra.",
        ),
    ),
    Reason.UNITS_DIFFER: Row(
        422,
        ("The units differ", "Las unidades difieren"),
        (
            "Ask for one unit and one definition at a time.",
            "Pida una sola unidad y una sola definición cada vez.",
        ),
    ),
    Reason.RATE_LIMITED: Row(
        429,
        ("Too many requests", "Demasiadas solicitudes"),
        (
            "Wait as Retry-After says; send larger submissions less often.",
            "Espere lo que indica Retry-After; haga menos envíos y más grandes.",
        ),
    ),
    Reason.LOG_STALLED: Row(
        503,
        ("The audit log is stalled", "La bitácora de auditoría está detenida"),
        (
            "Repeat later with the same Idempotency-Key; without evidence nothing is accepted.",
            "Repita más tarde con el mismo Idempotency-Key; sin evidencia no se acepta nada.",
        ),
    ),
    Reason.STORAGE_UNAVAILABLE: Row(
        503,
        ("The storage is unavailable", "El almacenamiento no está disponible"),
        (
            "Repeat later with the same Idempotency-Key; what was acknowledged is kept.",
            "Repita más tarde con el mismo Idempotency-Key; lo que se confirmó está guardado.",
        ),
    ),
}


def type_of(reason: Reason, public_origin: str) -> str:
    """Return the address of the page about a reason."""
    return f"{public_origin}/problems/{reason.value}"


def problem_of(refusal: Refusal, *, public_origin: str, language: str) -> Problem:
    """Return the problem document of a refusal."""
    row = ROWS[refusal.reason]
    return Problem(
        type=type_of(refusal.reason, public_origin),
        title=row.title_in(language),
        status=row.status,
        detail=refusal.detail(language),
        reason=refusal.reason.value,
        audit_event=refusal.audit_event or "",
        hint=refusal.hint,
        extra=refusal.extra,
    )
