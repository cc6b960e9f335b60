# SPDX-License-Identifier: Apache-2.0
"""Who may shake hands with us; this file is about the TLS context and about handshakes that are refused.

Event loops drop the alert of a failed handshake: they close the socket before the bytes that OpenSSL wrote
for the peer are sent, so an agency would see "connection reset" where OpenSSL said "certificate expired".
Here the handshake object sends that alert itself, and tells why the handshake was refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gateway.errors import Reason
from gateway.identity.watched import Watched

LINGER_SECONDS = 1.0

_VERIFY_CODES = {
    9: Reason.CERTIFICATE_NOT_YET_VALID,
    10: Reason.CERTIFICATE_EXPIRED,
    23: Reason.CERTIFICATE_REVOKED,
}
# TLS 1.2 is for named older platforms only: forward secrecy and authenticated encryption, nothing else.
_TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class TlsFilesInvalid(ValueError):
    """A certificate, key, anchor or revocation list cannot be used; the text names the file and the trouble."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What a listener is built from; revocation is checked in the handshake when every anchor has a list."""

    certificate: Path
    key: Path
    anchors: tuple[Path, ...]
    revocation_lists: tuple[Path, ...]
    tls12: bool = False

    def paths(self) -> tuple[Path, ...]:
        """Return every file."""
        return (self.certificate, self.key, *self.anchors, *self.revocation_lists)


def build_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context of a mutually authenticated listener.

    Raises:
        TlsFilesInvalid: when a file is missing or broken.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2 if files.tls12 else ssl.TLSVersion.TLSv1_3
    context.set_ciphers(_TLS12_CIPHERS)
    context.verify_mode = ssl.CERT_REQUIRED
    # A ticket would let a revoked client back in without showing its certificate again. The session ids of TLS 1.2
    # cannot be turned off here; they end with this context, which every new revocation list replaces.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    context.sslobject_class = Handshake
    path = files.certificate
    try:
        context.load_cert_chain(files.certificate, files.key)
        for path in (*files.anchors, *files.revocation_lists):
            context.load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        raise TlsFilesInvalid(f"{path}: {error}") from error
    if files.revocation_lists and len(files.revocation_lists) == len(files.anchors):
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def reason_of(error: ssl.SSLError) -> Reason | None:
    """Say which refusal a failed handshake is, or None when no certificate was judged (noise, old protocols)."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY_CODES.get(error.verify_code, Reason.CERTIFICATE_UNTRUSTED)
    if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return Reason.CERTIFICATE_REQUIRED
    return None


class TlsKeeper(Watched[ssl.SSLContext]):
    """The context in force for new handshakes; open connections keep the one that they began with."""

    def __init__(self, files: TlsFiles) -> None:
        super().__init__("tls", files.paths(), partial(build_context, files))


class Handshake(ssl.SSLObject):
    """One TLS conversation that, when its handshake fails, sends the alert and says why."""

    _doorway: Doorway | None = None
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO
    _failed = False

    def watch(self, doorway: Doorway, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        """Report a failure to this doorway."""
        self._doorway, self._incoming, self._outgoing = doorway, incoming, outgoing

    def do_handshake(self) -> None:
        """Go on with the handshake.

        Raises:
            ssl.SSLWantReadError: when more bytes are needed, and for ever after a failure: the loop then
                neither closes nor answers, and the doorway ends the connection once the alert is read.
        """
        if self._failed:
            self._incoming.read()
            raise ssl.SSLWantReadError
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLSyscallError, ssl.SSLEOFError):
            raise
        except ssl.SSLError as error:
            if self._doorway is None:
                raise
            self._failed = True
            self._doorway.turn_away(error, self._outgoing.read())
            raise ssl.SSLWantReadError from error


class Doorway(ssl.SSLContext):
    """The listener's context for one accepted socket: what the loop is given, so that a failure has an address."""

    _context: ssl.SSLContext
    _socket: socket.socket
    _on_failure: Callable[[ssl.SSLError], None]

    @classmethod
    def of(
        cls, context: ssl.SSLContext, accepted: socket.socket, on_failure: Callable[[ssl.SSLError], None]
    ) -> Doorway:
        """Return the doorway of one socket, to be created in the task that greets it."""
        doorway = cls(ssl.PROTOCOL_TLS_SERVER)
        doorway._context, doorway._socket, doorway._on_failure = context, accepted, on_failure
        return doorway

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 -- the signature is the standard library's
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Start a conversation under the listener's context, watched."""
        handshake = self._context.wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(handshake, Handshake)
        handshake.watch(self, incoming, outgoing)
        return handshake

    def turn_away(self, error: ssl.SSLError, alert: bytes) -> None:
        """Send the alert past the loop, close our half, and leave the peer a moment to read it.

        Closing at once would reset the connection when the peer has already sent its request, and the reset
        destroys the alert. Nothing of ours is queued before it: the peer answered our whole flight.
        """
        with contextlib.suppress(OSError):
            self._socket.send(alert)
            self._socket.shutdown(socket.SHUT_WR)
        self._on_failure(error)


def cancel_later(task: asyncio.Task[Any]) -> None:
    """End a refused connection after the moment that its peer has to read the alert."""
    task.get_loop().call_later(LINGER_SECONDS, task.cancel)
