# SPDX-License-Identifier: Apache-2.0
"""Who plays in a sandbox; this file is about its countries, agencies, officers and the certificates that go wrong."""

from __future__ import annotations

from dataclasses import dataclass

COUNTRIES = ("GTM", "MEX", "USA")


@dataclass(frozen=True, slots=True)
class SandboxPartner:
    """An agency of the sandbox; `curve` gives it a P-256 signing key, so that both algorithms are in use."""

    id: str
    name: str
    roles: tuple[str, ...]
    curve: bool = False
    suspended: bool = False

    @property
    def country(self) -> str:
        """Return the alpha-3 code that the id begins with."""
        return self.id[:3]


@dataclass(frozen=True, slots=True)
class SandboxOfficer:
    """A person of the sandbox, with one role."""

    id: str
    country: str
    role: str


PARTNERS = (
    SandboxPartner("USA.DHS.CBP", "U.S. Customs and Border Protection", ("provider", "reader")),
    SandboxPartner(
        "MEX.SEGOB.UPMRIP",
        "Unidad de Política Migratoria, Registro e Identidad de Personas",
        ("provider", "reader"),
        curve=True,
    ),
    SandboxPartner("GTM.IGM", "Instituto Guatemalteco de Migración", ("provider", "reader")),
    SandboxPartner("GTM.SEGEPLAN", "Secretaría de Planificación y Programación de la Presidencia", ("reader",)),
    SandboxPartner("MEX.SPECIMEN", "Specimen, suspended", ("provider", "reader"), suspended=True),
)

_ROLES = {"SECURITY": "security-officer", "APPROVER": "approver", "DPO": "data-protection-officer"}
OFFICERS = tuple(
    SandboxOfficer(f"{country}.OFFICER.{short}", country, role)
    for country in COUNTRIES
    for short, role in _ROLES.items()
)

# Certificates for tests and for trying out refusals; they speak for this partner, or try to.
SPECIMEN_PARTNER = "USA.DHS.CBP"
SPECIMENS = ("unpinned", "revoked", "expired", "not-yet-valid", "foreign", "withdrawn")
