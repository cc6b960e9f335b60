# SPDX-License-Identifier: Apache-2.0
"""What contracts yield; this file is about generated files that match, and about drift being noticed."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import jsonschema_rs
import pytest
import rfc8785

from gateway.contracting.build import ContractDrift, build, check, generated
from gateway.contracting.load import packaged_root
from tests.unit.contracting.submissions import contract, contracts, examples


def test_the_generated_files_are_what_the_contracts_yield() -> None:
    """Nobody edits them by hand, and nobody forgets to make them again."""
    check(packaged_root())


@pytest.mark.parametrize("name", ["contract.json", "generated/schema.json", "generated/page.es.html"])
def test_a_generated_file_that_drifted_or_is_missing_is_noticed(tmp_path: Path, name: str) -> None:
    """What was signed and what is enforced must not differ by a byte."""
    root = tmp_path / "contracts"
    shutil.copytree(packaged_root(), root)
    folder = root / "flow" / "1.0.0"
    path = folder / name

    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ContractDrift, match="flow"):
        check(root)
    path.unlink()
    with pytest.raises(ContractDrift, match="flow"):
        check(root)
    build(folder)
    check(root)


def test_contract_json_is_canonical_and_its_digest_is_the_reference() -> None:
    """Another implementation of RFC 8785 writes the same bytes, so that any party can hash the contract itself."""
    for entry in contracts().contracts:
        document = json.loads(entry.document)

        assert rfc8785.dumps(document) == entry.document
        assert sha256(entry.document).hexdigest() == entry.ref.digest
        assert document["code_lists"].keys() == entry.code_lists.keys()


def test_the_published_schema_is_json_schema_and_says_what_the_gateway_says() -> None:
    """An integrator's validator, which knows nothing of us, agrees about every valid example."""
    for entry in contracts().contracts:
        published = json.loads(generated(entry)["generated/schema.json"])
        jsonschema_rs.meta.validate(published)
        validator = jsonschema_rs.validator_for(published)

        for example in examples(entry.ref.product, "valid").values():
            assert validator.is_valid(example["record"])


def test_a_sandbox_schema_differs_only_in_specimen_codes() -> None:
    """What passes in a sandbox passes live, UTO aside."""
    flow = contract("flow")
    record = examples("flow", "valid")["sector"]["record"] | {"citizenship": "UTO"}

    assert flow.sandbox_validator.is_valid(record)
    assert not flow.validator.is_valid(record)


def test_every_text_for_people_is_there_in_both_languages() -> None:
    """Bilingual by construction, and pages carry no script."""
    for entry in contracts().contracts:
        texts = [entry.title, entry.description, *(f.title for f in entry.fields), *(r.message for r in entry.rules)]
        assert all(text.en and text.es for text in texts)
        for code_list in entry.code_lists.values():
            assert all(code.text.en and code.text.es for code in code_list.codes.values())
        pages = generated(entry)
        assert b'lang="es"' in pages["generated/page.es.html"]
        assert b"<script" not in pages["generated/page.es.html"] + pages["generated/page.en.html"]
