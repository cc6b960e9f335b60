# SPDX-License-Identifier: Apache-2.0
"""Everything that a contract yields; this file is about generating it, and about noticing when it has drifted.

contract.json is what is hashed and signed. Schema, template and pages are for integrators and can be made again
by anyone from contract.yaml and the code lists.
"""

from __future__ import annotations

import json
from pathlib import Path

from gateway.contracting.contract import Contract
from gateway.contracting.load import load_contract
from gateway.contracting.pages import page_of


class ContractDrift(Exception):
    """A generated file is missing or is not what its contract yields; the text names it."""


def generated(contract: Contract) -> dict[str, bytes]:
    """Return the generated files of a contract version, by their path in its folder."""
    schema = json.dumps(contract.schema, ensure_ascii=False, indent=2) + "\n"
    return {
        "contract.json": contract.document,
        "generated/schema.json": schema.encode(),
        "generated/template.csv": template_of(contract).encode(),
        "generated/page.en.html": page_of(contract, "en").encode(),
        "generated/page.es.html": page_of(contract, "es").encode(),
    }


def template_of(contract: Contract) -> str:
    """Return the header of a table with the contract's own column names; the gateway's client makes the ids."""
    return ",".join(name for name in contract.shape.column_names if name != contract.shape.id_column) + "\r\n"


def build(folder: Path) -> None:
    """Write the generated files of one contract version.

    Raises:
        ContractInvalid: when the authored files leave their form.
    """
    for name, content in generated(load_contract(folder)).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def check(root: Path) -> None:
    """Compare the generated files of every contract version with what they should be.

    Raises:
        ContractInvalid: when an authored file leaves its form.
        ContractDrift: when a generated file is missing or differs.
    """
    for authored in sorted(root.glob("*/*/contract.yaml")):
        folder = authored.parent
        for name, content in generated(load_contract(folder)).items():
            path = folder / name
            if not path.is_file() or path.read_bytes() != content:
                raise ContractDrift(f"{path} is not what {authored} yields; run: gateway contracts build {folder}")
