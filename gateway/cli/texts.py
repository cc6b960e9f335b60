# SPDX-License-Identifier: Apache-2.0
"""What the commands say to people; this file is about their sentences in English and Spanish."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "accepted": (
        "accepted: {accepted} of {received} records, {duplicate} duplicate, {refused} refused",
        "aceptado: {accepted} de {received} registros, {duplicate} duplicados, {refused} rechazados",
    ),
    "change": (
        "{change} {act}: {status}, signed by {signed}, until {until}",
        "{change} {act}: {status}, firmado por {signed}, hasta {until}",
    ),
    "sign-this": ("Sign this document?", "¿Firmar este documento?"),
    "document-signed": ("{path}: {count} signatures; digest {digest}", "{path}: {count} firmas; resumen {digest}"),
    "decided-by": ("decided by: {policies}", "decidido por: {policies}"),
    "founding-written": (
        "{path}: every approver signs it (gateway officer sign), then gateway govern found",
        "{path}: cada aprobador lo firma (gateway officer sign); después, gateway govern found",
    ),
    "enacted": ("{count} changes moved", "{count} cambios avanzaron"),
    "repeat": ("(a repeat: it was accepted before)", "(una repetición: ya se había aceptado)"),
    "part": ("part {number} of {total}: {event} {repeat}", "parte {number} de {total}: {event} {repeat}"),
    "receipt-saved": ("receipt verified ({status}), saved: {path}", "recibo verificado ({status}), guardado: {path}"),
    "done-before": (
        "{path} was accepted completely before; its receipts are in {folder}",
        "{path} ya se había aceptado por completo; sus recibos están en {folder}",
    ),
    "refused-saved": (
        "{count} refused records with their reasons: {path}",
        "{count} registros rechazados con sus motivos: {path}",
    ),
    "refused": ("refused: {reason}: {detail}", "rechazado: {reason}: {detail}"),
    "refused-unsigned": (
        "(the refusal is not signed by the gateway)",
        "(el rechazo no está firmado por la pasarela)",
    ),
    "audit-event": ("audit event: {event}", "evento de auditoría: {event}"),
    "hint": ("hint: {hint}", "pista: {hint}"),
    "record-error": ("  line {line} {pointer}: {code} {detail}", "  línea {line} {pointer}: {code} {detail}"),
    "more-errors": ("  … and {count} more", "  … y {count} más"),
    "cannot-reach": ("cannot reach the gateway: {detail}", "no se puede acceder a la pasarela: {detail}"),
    "handshake": (
        "the TLS handshake was refused, check certificate and CA: {detail}",
        "se rechazó la conexión TLS; revise el certificado y la CA: {detail}",
    ),
    "not-trusted": (
        "NOT accepted, the answer cannot be trusted: {detail}",
        "NO aceptado, la respuesta no es fiable: {detail}",
    ),
    "receipt-not-trusted": (
        "NOT proven, the receipt does not verify: {detail}",
        "SIN prueba, el recibo no se verifica: {detail}",
    ),
    "config": ("configuration: {detail}", "configuración: {detail}"),
    "bad-input": ("cannot use the input: {detail}", "no se puede usar la entrada: {detail}"),
    "server-missing": (
        "this command needs the server parts ({name} is missing): pip install 'gateway[server]'",
        "este comando necesita las partes del servidor (falta {name}): pip install 'gateway[server]'",
    ),
    "valid": ("valid: {count} records keep {contract}", "válido: {count} registros cumplen {contract}"),
    "invalid": (
        "{refused} of {received} records break {contract}",
        "{refused} de {received} registros incumplen {contract}",
    ),
    "remote-valid": (
        "the gateway would accept {accepted} of {received} records ({refused} refused)",
        "la pasarela aceptaría {accepted} de {received} registros ({refused} rechazados)",
    ),
    "verified": ("verified: event {event} of {at}", "verificado: evento {event} de {at}"),
    "verified-place": (
        "leaf {leaf_index} of {tree_size} in {origin}; status: {status}",
        "hoja {leaf_index} de {tree_size} en {origin}; estado: {status}",
    ),
    "data-matches": (
        "the file is what was received: {records} records, the same root",
        "el archivo es lo que se recibió: {records} registros, la misma raíz",
    ),
    "unwitnessed": (
        "no witness of another country has cosigned this checkpoint (sandbox)",
        "ningún testigo de otro país ha refrendado este punto de control (sandbox)",
    ),
    "pulled": ("{rows} observations: {path}", "{rows} observaciones: {path}"),
    "pull-signed": ("what the gateway signed: {path}", "lo que firmó la pasarela: {path}"),
    "proxy-ready": (
        "listening, for tools on this machine: {url}  (Ctrl-C ends it)",
        "escuchando, para programas de esta máquina: {url}  (Ctrl-C lo termina)",
    ),
    "no-proof": (
        "{detail} (neither a receipt, nor is there {path})",
        "{detail} (ni es un recibo, ni existe {path})",
    ),
    "said": (
        "verified: {path} is what the gateway said at {at}, signed with {keyid}",
        "verificado: {path} es lo que dijo la pasarela el {at}, firmado con {keyid}",
    ),
    "said-why": ("  purpose: {purpose}; audit event: {event}", "  finalidad: {purpose}; evento de auditoría: {event}"),
    "pull-empty": ("there are no observations for that", "no hay observaciones para eso"),
    "pending": (
        "stored, but the receipt is still pending; run the same again, or later: gateway receipt {event}",
        "guardado, pero el recibo está pendiente; repita lo mismo, o más tarde: gateway receipt {event}",
    ),
    "no-events": ("no events", "no hay eventos"),
    "contract-ok": ("{contract}: up to date, {digest}", "{contract}: al día, {digest}"),
    "contract-built": ("built: {path}", "generado: {path}"),
    "drift": ("contracts differ from what is generated: {detail}", "los contratos difieren de lo generado: {detail}"),
    "fsck-clean": ("fsck: clean, {checked}", "fsck: sin hallazgos, {checked}"),
    "fsck-finding": ("finding: {finding}", "hallazgo: {finding}"),
    "fsck-count": ("fsck: {count} findings", "fsck: {count} hallazgos"),
    "db-upgraded": ("the schema is up to date: {url}", "el esquema está al día: {url}"),
    "expired-deleted": (
        "{count} records past their retention deleted, tombstones kept",
        "{count} registros vencidos eliminados; quedan sus lápidas",
    ),
    "init-exists": ("{path} exists; nothing was made", "{path} existe; no se creó nada"),
    "init-made": (
        "keys made in {folder}, readable by you alone; signing key {keyid}",
        "claves creadas en {folder}, solo usted puede leerlas; clave de firma {keyid}",
    ),
    "init-next": (
        (
            "next:\n"
            "1. your country's authority certifies {folder}/tls.csr; put the certificate at {folder}/tls.pem\n"
            "2. put the operator's server-ca.pem, answer-keys.json and log.policy into {folder}, set gateway_url\n"
            "3. gateway join with the operator's invitation of {partner}; compare the two digests by voice\n"
            "4. gateway doctor --config {folder}/client.toml"
        ),
        (
            "siguiente:\n"
            "1. la autoridad de su país certifica {folder}/tls.csr; ponga el certificado en {folder}/tls.pem\n"
            "2. ponga server-ca.pem, answer-keys.json y log.policy del operador en {folder}; fije gateway_url\n"
            "3. gateway join con la invitación del operador para {partner}; confirmen de voz los dos resúmenes\n"
            "4. gateway doctor --config {folder}/client.toml"
        ),
    ),
    "joined": (
        (
            "answered for {partner}: read these two to your government's approver by another way,\n"
            "who proposes the activation\n"
            "signing key {keyid}\ncertificate {certificate}"
        ),
        (
            "respondida para {partner}: lea estos dos valores al aprobador de su gobierno por otra vía;\n"
            "él propone activarla\n"
            "clave de firma {keyid}\ncertificado {certificate}"
        ),
    ),
    "conformance": ("{mark:4}  {name}: {found}", "{mark:4}  {name}: {found}"),
    "conformance-report": (
        "{count} checks, {failed} failed; signed report: {path}",
        "{count} pruebas, {failed} fallidas; informe firmado: {path}",
    ),
    "outbox-entry": ("{state}: {id} {name} ({contract})", "{state}: {id} {name} ({contract})"),
    "outbox-problem": (
        "  tried {attempts} times, next at {next}: {problem}",
        "  intentos: {attempts}; el próximo, {next}: {problem}",
    ),
    "outbox-tried": ("not accepted yet: {id} {name}", "aún no aceptado: {id} {name}"),
    "outbox-receipts": ("receipts and refused records: {folder}", "recibos y registros rechazados: {folder}"),
    "outbox-dropped": ("dropped: {id} {name}", "quitado: {id} {name}"),
    "done": ("done: {detail}", "hecho: {detail}"),
    "not-running": (
        "no gateway answers on operator_socket",
        "ninguna pasarela responde en operator_socket",
    ),
    "warning": ("warning: {detail}", "aviso: {detail}"),
    "config-ok": ("the settings hold: {path}", "la configuración es válida: {path}"),
    "backup-made": (
        "backup made: {path}, {size} entries of {origin}",
        "copia hecha: {path}, {size} entradas de {origin}",
    ),
    "backup-verified": (
        "backup verified by restoring it: {path}, {size} entries, made {at}",
        "copia verificada restaurándola: {path}, {size} entradas, hecha {at}",
    ),
    "restored": (
        "restored: {size} entries, made {at}. Nothing is signed before: gateway log confirm-restore",
        "restaurado: {size} entradas, copia de {at}. No se firma nada antes de: gateway log confirm-restore",
    ),
    "fault": ("cannot do that: {detail}", "no se puede hacer: {detail}"),
    "sandbox-made": ("sandbox made: {folder}", "sandbox creado: {folder}"),
    "sandbox-serve": ("start it with: gateway serve --config {path}", "arránquelo con: gateway serve --config {path}"),
    "proven": (
        "proven: no agreement of this set can override the floor",
        "demostrado: ningún acuerdo de este conjunto puede anular el piso",
    ),
    "exists": ("{path} exists and is not empty", "{path} existe y no está vacío"),
}
