# SPDX-License-Identifier: Apache-2.0
"""Who plays in a sandbox; this file is about its countries, agencies, officers and the certificates that go wrong."""

from __future__ import annotations

from dataclasses import dataclass

COUNTRIES = ("GTM", "MEX", "USA")


@dataclass(frozen=True, slots=True)
class SandboxParty:
    """An agency or officer; `curve` gives it a P-256 signing key, so that both algorithms are in use."""

    id: str
    name: str
    roles: tuple[str, ...]
    curve: bool = False
    suspended: bool = False

    @property
    def country(self) -> str:
        """Return the alpha-3 code that the id begins with."""
        return self.id[:3]


PARTNERS = (
    SandboxParty("USA.DHS.CBP", "U.S. Customs and Border Protection", ("provider", "reader")),
    SandboxParty(
        "MEX.SEGOB.UPMRIP",
        "Unidad de Política Migratoria, Registro e Identidad de Personas",
        ("provider", "reader"),
        curve=True,
    ),
    SandboxParty("GTM.IGM", "Instituto Guatemalteco de Migración", ("provider", "reader")),
    SandboxParty("GTM.SEGEPLAN", "Secretaría de Planificación y Programación de la Presidencia", ("reader",)),
    SandboxParty("MEX.SPECIMEN", "Specimen, suspended", ("provider", "reader"), suspended=True),
)

_ROLES = {"SECURITY": "security-officer", "APPROVER": "approver", "DPO": "data-protection-officer"}
OFFICERS = tuple(
    SandboxParty(officer := f"{country}.OFFICER.{short}", officer, (role,), curve=country == "MEX")
    for country in COUNTRIES
    for short, role in _ROLES.items()
)

# Whose name the specimens bear: certificates for tests and for trying out refusals.
SPECIMEN_PARTNER = "USA.DHS.CBP"
