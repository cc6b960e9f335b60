# SPDX-License-Identifier: Apache-2.0
"""Reading contracts; this file is about the closed form, and about which contracts are served."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.contracting.contract import approved
from gateway.contracting.load import load_contract, load_contracts, packaged_root
from gateway.contracting.strict_yaml import ContractInvalid, parse_yaml
from gateway.errors import ContractRetired, ContractUnknown
from tests.unit.contracting.submissions import contract, contracts


def test_no_is_norway_and_a_version_is_text() -> None:
    """YAML's surprises are switched off: three governments must read one meaning."""
    assert parse_yaml("{a: NO, b: 1.0, c: 12, d: true, e: '12', f: 0o7, g: 2026-01-01, h: yes, i: 01}") == {
        "a": "NO",
        "b": "1.0",
        "c": 12,
        "d": True,
        "e": "12",
        "f": "0o7",
        "g": "2026-01-01",
        "h": "yes",
        "i": "01",
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "a: 1\na: 2",
        "a: &x 1",
        "a: &x 1\nb: *x",
        "<<: {a: 1}",
        "a: !!str 1",
        "a: null",
        "a:",
        "a: ~",
        "? [1]\n: 2",
        "a: 1\n---\nb: 2",
        "a: " + "[" * 40 + "]" * 40,
    ],
)
def test_what_leaves_the_closed_subset_of_yaml_is_refused(text: str) -> None:
    """Doubled keys, anchors, aliases, tags, merges, null, and several documents."""
    with pytest.raises(ValueError, match=r".+"):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("acceptance: {mode: atomic}", "acceptance: {mode: sometimes}"),
        ("measure: count\n", "measure: counts\n"),
        ("measure: count\n", "measure: count\nextra: 1\n"),
        ("version: 1.0.0", "version: 1.0.1"),
        ("special: [_Z], title: {en: Authority", "special: [_Q], title: {en: Authority"),
        ("kind: multiple_of", "kind: divides"),
        ("base: rounding_base", "base: rounding"),
        ("then: {unit: [DOC]}", "then: {unitt: [DOC]}"),
        ("then: {counterpart_country: {not: [_Z]}}", "then: {counterpart_country: {unlike: [_Z]}}"),
        ("severity: warn", "severity: quarantine"),
        ("/direction\n    severity: error", "/direction\n    severity: warn"),
        ("type: month", "type: moon"),
        ("natural_key: [provider,", "natural_key: [providers,"),
    ],
)
def test_a_contract_that_is_unclear_is_not_loaded(tmp_path: Path, old: str, new: str) -> None:
    """An unknown key, field, code or kind stops the start instead of being ignored."""
    root = tmp_path / "contracts"
    shutil.copytree(packaged_root() / "codelists", root / "codelists")
    folder = root / "flow" / "1.0.0"
    folder.mkdir(parents=True)
    text = (packaged_root() / "flow" / "1.0.0" / "contract.yaml").read_text(encoding="utf-8")
    assert text.count(old) >= 1
    (folder / "contract.yaml").write_text(text, encoding="utf-8")

    assert load_contract(folder).ref == contract("flow").ref
    (folder / "contract.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ContractInvalid):
        load_contract(folder)


def test_a_changed_code_list_changes_the_digest_of_the_contract(tmp_path: Path) -> None:
    """Who signs a contract signs its codes."""
    root = tmp_path / "contracts"
    shutil.copytree(packaged_root() / "codelists", root / "codelists")
    shutil.copytree(packaged_root() / "flow", root / "flow")
    path = root / "codelists" / "place-gtm-igm-del" / "1.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("Bethel", "Betel"), encoding="utf-8")

    assert load_contracts(root).get("flow", "1.0.0").ref.digest != contract("flow").ref.digest


def test_only_active_and_deprecated_contracts_take_submissions() -> None:
    """A draft is unknown, a retired one is gone, and a version is named in full."""
    key = ("flow", "1.0.0")

    assert contracts().get(*key).ref.product == "flow"
    assert contracts().with_states({key: "deprecated"}).get(*key).ref.product == "flow"
    with pytest.raises(ContractRetired):
        contracts().with_states({key: "retired"}).get(*key)
    for state, version in (("draft", "1.0.0"), ("active", "1.0"), ("active", "9.0.0")):
        with pytest.raises(ContractUnknown):
            contracts().with_states({("flow", version): state}).get("flow", version)


def test_only_a_digest_that_every_party_approved_is_served() -> None:
    """Two of three governments are not three, and nobody is not everybody."""
    parties = frozenset({"USA", "MEX", "GTM"})
    digest = contract("flow").ref.digest

    served = approved(contracts(), {digest: parties}, parties)

    assert [entry.ref.product for entry in served.contracts] == ["flow"]
    assert approved(contracts(), {digest: {"USA", "MEX"}}, parties).contracts == ()
    assert approved(contracts(), {digest: parties}, frozenset()).contracts == ()


def test_the_columns_keep_their_order() -> None:
    """Tables stand in databases: required fields first, then what may be absent."""
    for product in ("flow", "border-event"):
        shape = contract(product).shape
        required = [column.required for column in shape.columns]

        assert required == sorted(required, reverse=True)
        assert shape.columns[0].name == shape.id_column
    assert contract("flow").shape.table_name == "flow_1"
    assert contract("border-event").shape.retention_column == "retention_until"
