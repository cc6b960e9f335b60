# SPDX-License-Identifier: Apache-2.0
"""What `gateway doctor` says; this file is about its findings and how to mend them, in English and Spanish."""

from __future__ import annotations

from typing import Final

# What was found, and where it is no good, how to mend it.
DOCTOR_TEXTS: Final[dict[str, tuple[str, str, str, str]]] = {
    "config": ("the configuration is read: {path}", "la configuración se lee: {path}", "", ""),
    "config-invalid": (
        "the configuration cannot be used: {detail}",
        "la configuración no sirve: {detail}",
        "correct the entry that is named, or make a new client.toml in another folder with gateway init",
        "corrija la entrada indicada o cree otro client.toml en otra carpeta con gateway init",
    ),
    "key-private": ("only its owner can read {path}", "solo su dueño puede leer {path}", "", ""),
    "key-mode": (
        "others can read the key {path} (mode {mode})",
        "otros pueden leer la clave {path} (modo {mode})",
        "chmod 600 {path}; if others use this machine, make a new key",
        "chmod 600 {path}; si otros usan este equipo, cree una clave nueva",
    ),
    "file-unreadable": (
        "{path} cannot be used: {detail}",
        "{path} no se puede usar: {detail}",
        "put the right file there: PEM for certificates and keys, without a passphrase; the operator's files unchanged",
        "ponga el archivo correcto: PEM para certificados y claves, sin contraseña; los del operador sin cambios",
    ),
    "key-matches": ("the certificate belongs to its key", "el certificado corresponde a su clave", "", ""),
    "key-mismatch": (
        "{cert} was not issued for the key {key}",
        "{cert} no se emitió para la clave {key}",
        "put the certificate that was issued for this key first in the file, or ask for one with tls.csr",
        "ponga primero en el archivo el certificado emitido para esta clave, o pida uno con tls.csr",
    ),
    "cert-valid": (
        "the certificate holds until {last} ({days} days)",
        "el certificado vale hasta el {last} ({days} días)",
        "",
        "",
    ),
    "cert-expiring": (
        "the certificate ends on {last}, in {days} days",
        "el certificado vence el {last}, en {days} días",
        "ask your authority for the next one now, and your government's approver to have it pinned",
        "pida ya el siguiente a su autoridad, y al aprobador de su gobierno que lo haga registrar",
    ),
    "cert-expired": (
        "the certificate ended on {last}",
        "el certificado venció el {last}",
        "ask your authority for a new one, and your government's approver to have it pinned",
        "pida uno nuevo a su autoridad, y al aprobador de su gobierno que lo haga registrar",
    ),
    "cert-early": (
        "the certificate holds from {first} only",
        "el certificado vale solo desde el {first}",
        "wait until then, or check the date of this machine",
        "espere hasta entonces o revise la fecha de este equipo",
    ),
    "cert-use": ("the certificate is for clients", "el certificado es para clientes", "", ""),
    "cert-use-missing": (
        "the certificate is not for clients: it lacks the extended key usage clientAuth",
        "el certificado no es para clientes: le falta el uso extendido clientAuth",
        "ask your authority to issue it again with the extensions of tls.csr",
        "pida a su autoridad que lo emita de nuevo con las extensiones de tls.csr",
    ),
    "cert-chain": (
        "in the certificate file, {lower} is not issued by {upper}, which follows it",
        "en el archivo del certificado, {lower} no fue emitido por {upper}, que le sigue",
        "put your certificate first, then each issuer in order; the root itself is not needed",
        "ponga primero su certificado y luego cada emisor en orden; la raíz no hace falta",
    ),
    "signing-key": ("signing key {keyid} ({algorithm})", "clave de firma {keyid} ({algorithm})", "", ""),
    "same-key": (
        "the signing key is the transport key",
        "la clave de firma es la misma que la de transporte",
        "make a signing key of its own, so that each can be replaced without the other",
        "cree una clave de firma propia, para poder cambiar cada una por separado",
    ),
    "name": ("{host} has an address", "{host} tiene dirección", "", ""),
    "name-unknown": (
        "{host} has no address: {detail}",
        "{host} no tiene dirección: {detail}",
        "check gateway_url and the DNS of this network",
        "revise gateway_url y el DNS de esta red",
    ),
    "port": ("{host}:{port} answers", "{host}:{port} responde", "", ""),
    "port-closed": (
        "{host}:{port} cannot be reached: {detail}",
        "no se puede acceder a {host}:{port}: {detail}",
        "check the port in gateway_url, and let your firewall pass it; a proxy is named by proxy in client.toml",
        "revise el puerto en gateway_url y que su cortafuegos lo permita; un proxy se indica con proxy en client.toml",
    ),
    "tls": (
        "{version}, {cipher}; the server is under the pinned CA",
        "{version}, {cipher}; servidor bajo la CA fijada",
        "",
        "",
    ),
    "tls-refused": (
        "no TLS connection with {host}: {detail}",
        "no hay conexión TLS con {host}: {detail}",
        "the client speaks TLS 1.3 only: something in between that breaks TLS must let this host pass",
        "el cliente solo usa TLS 1.3: lo que intercepte TLS en el camino debe dejar pasar este servidor",
    ),
    "server-untrusted": (
        "{host} does not show a certificate of the pinned CA: {detail}",
        "{host} no muestra un certificado de la CA fijada: {detail}",
        "do not go on: compare server_ca with the operator by another way; a proxy that breaks TLS looks like this too",
        "no continúe: compare server_ca con el operador por otra vía; un proxy que intercepta TLS también se ve así",
    ),
    "server-valid": (
        "the server's certificate holds until {last}",
        "el certificado del servidor vale hasta el {last}",
        "",
        "",
    ),
    "server-expiring": (
        "the server's certificate ends on {last}",
        "el certificado del servidor vence el {last}",
        "tell the operator",
        "avise al operador",
    ),
    "cert-refused": (
        "the gateway refuses the certificate: {detail}",
        "la pasarela rechaza el certificado: {detail}",
        "ask the operator: it may be revoked, or of an authority that is not your country's",
        "pregunte al operador: puede estar revocado o ser de una autoridad que no es la de su país",
    ),
    "call-failed": (
        "no usable answer: {detail}",
        "no hay respuesta utilizable: {detail}",
        "try again in a minute; then tell the operator",
        "repita en un minuto; después avise al operador",
    ),
    "clock": ("the clock agrees ({seconds} s)", "el reloj coincide ({seconds} s)", "", ""),
    "clock-off": (
        "the clock differs from the gateway's by {seconds} s",
        "el reloj difiere {seconds} s del de la pasarela",
        "set up NTP before it becomes too much",
        "configure NTP antes de que sea demasiado",
    ),
    "clock-wrong": (
        "the clock differs from the gateway's by {seconds} s; signatures are refused",
        "el reloj difiere {seconds} s del de la pasarela; se rechazan las firmas",
        "set the clock of this machine by NTP",
        "ajuste el reloj de este equipo con NTP",
    ),
    "pinned": ("the gateway knows this certificate", "la pasarela conoce este certificado", "", ""),
    "not-pinned": (
        "the gateway does not know this certificate: {detail}",
        "la pasarela no conoce este certificado: {detail}",
        "hand the certificate to your government's approver: gateway officer act enrol, or pin beside the old one",
        "entregue el certificado al aprobador de su gobierno: gateway officer act enrol, o pin junto al anterior",
    ),
    "suspended": (
        "this partner is suspended: {detail}",
        "esta institución está suspendida: {detail}",
        "ask the operator why, and to resume it",
        "pregunte al operador el motivo y pida que la reactive",
    ),
    "signing-known": (
        "the gateway knows the signing key {keyid}",
        "la pasarela conoce la clave de firma {keyid}",
        "",
        "",
    ),
    "signing-unknown": (
        "the gateway does not know the signing key {keyid}: {detail}",
        "la pasarela no conoce la clave de firma {keyid}: {detail}",
        "hand signing.pub.pem to the operator, or use the key that was registered",
        "entregue signing.pub.pem al operador o use la clave registrada",
    ),
    "answer-keys-other": (
        "the gateway's answers are not signed by a pinned key: {detail}",
        "las respuestas de la pasarela no están firmadas con una clave fijada: {detail}",
        "get answer-keys.json from the operator again, by another way than this connection",
        "pida de nuevo answer-keys.json al operador, por otra vía que esta conexión",
    ),
    "policy": ("the pinned log policy is the gateway's", "la política de registro fijada es la de la pasarela", "", ""),
    "policy-differs": (
        "the pinned log policy is not the gateway's ({digest})",
        "la política de registro fijada no es la de la pasarela ({digest})",
        "ask the operator whether it was changed, and get log.policy again by another way",
        "pregunte al operador si cambió y pida de nuevo log.policy por otra vía",
    ),
    "ends-soon": (
        "{what} of {subject} ends at {at}, in {days} days, as far as the gateway knows",
        "{what} de {subject} termina el {at}, en {days} días, según la pasarela",
        "have the next certificate or key registered beside this one; of an agreement or anchors, ask your government",
        "pida registrar el siguiente certificado o clave junto a este; por un acuerdo o CA, pregunte a su gobierno",
    ),
    "contracts-none": (
        "no contract is in force",
        "no hay ningún contrato vigente",
        "ask the operator",
        "pregunte al operador",
    ),
    "contract": ("{contract} is in force and the same here", "{contract} está vigente y es igual aquí", "", ""),
    "contract-absent": (
        "{contract} is in force and not in this package",
        "{contract} está vigente y falta en este paquete",
        "upgrade the package, or name the folder of contracts with --contracts",
        "actualice el paquete o indique la carpeta de contratos con --contracts",
    ),
    "contract-differs": (
        "{contract} is another text there ({theirs}) than here ({ours})",
        "{contract} tiene allí otro texto ({theirs}) que aquí ({ours})",
        "install the package that has the version your government signed",
        "instale el paquete con la versión que firmó su gobierno",
    ),
    "contract-ends": (
        "{contract} is {state}",
        "{contract}: estado {state}",
        "move to the next version",
        "pase a la siguiente versión",
    ),
    "own": ("own totals of {product} can be asked for", "se pueden consultar los totales propios de {product}", "", ""),
    "own-refused": (
        "own totals of {product} are refused: {detail}",
        "se rechazan los totales propios de {product}: {detail}",
        "only providers have them; ask the operator about the roles if you are one",
        "solo los tienen los proveedores; si lo es, pregunte al operador por los roles",
    ),
}
# A server's certificate that does not hold fails in the handshake before anyone could look at it.
