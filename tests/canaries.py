# SPDX-License-Identifier: Apache-2.0
"""Values that must never come out again; this file is about planting canaries and looking for them.

Every gateway process that the tests start has its operational log scanned for these when it ends, so that any test
may plant one in whatever a caller sends.
"""

from __future__ import annotations

from pathlib import Path

# A name, a document number, a number in Mexico's population register, a mailbox; of nobody.
PERSON = "Quetzalcanario Zumarraga"
DOCUMENT = "A098765432"
REGISTER = "CANA800101HDFRRL09"
MAILBOX = "quetzalcanario@example.invalid"
# A code that is in no list, where a value of the contract belongs.
CODE = "QZCANARY"
ALL = (PERSON.split(maxsplit=1)[0], DOCUMENT, REGISTER, MAILBOX, CODE)


def found_in(data: bytes) -> list[str]:
    """Return the canaries that stand in some bytes, whatever their case."""
    lowered = data.lower()
    return [canary for canary in ALL if canary.lower().encode() in lowered]


def secrets_in(data: bytes, folder: Path) -> list[str]:
    """Return the private keys below a folder of which some part stands in the bytes."""
    leaked = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_size < 1 << 16 and b"PRIVATE KEY-----" in (pem := path.read_bytes()):
            lines = [line for line in pem.splitlines() if line and not line.startswith(b"-----")]
            leaked += [path.name for line in lines if line in data]
    return leaked
