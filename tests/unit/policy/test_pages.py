# SPDX-License-Identifier: Apache-2.0
"""Agreements for people; this file is about pages that are what their agreement says, in both languages."""

from __future__ import annotations

import shutil
from pathlib import Path

from gateway.contracting.strict_yaml import read_yaml
from gateway.policy.load import newest_of
from gateway.policy.pages import pages_of, write_pages

ROOT = Path(__file__).parents[3] / "contracts"


def test_no_page_has_drifted_from_its_agreement() -> None:
    """Made again with `gateway policy pages`."""
    assert {path: path.read_text("utf-8") for path in pages_of(ROOT, read_yaml)} == pages_of(ROOT, read_yaml)


def test_a_changed_agreement_is_noticed_and_its_pages_are_made_again(tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "contracts")
    changed = tmp_path / "contracts" / "agreements" / "mex-usa" / "1.yaml"
    changed.write_text(changed.read_text("utf-8").replace("floor: 10", "floor: 25", 1), "utf-8")

    first, again = (write_pages(tmp_path / "contracts", read_yaml) for _ in range(2))

    assert [path.name for path in first] == ["page.en.html", "page.es.html"]
    assert "<dd>25</dd>" in first[0].read_text("utf-8")
    assert again == []


def test_a_page_says_everything_that_binds() -> None:
    for agreement in newest_of(ROOT, read_yaml):
        page = (ROOT / "agreements" / agreement.id / "generated" / "page.es.html").read_text("utf-8")
        wanted = [agreement.digest, agreement.suspension.es, agreement.legal_basis.es, str(agreement.valid_until)]
        for clause in agreement.clauses:
            wanted += [clause.policy_id, clause.text.es, *clause.purposes, *clause.dimensions]
        wanted += [record.record.es for record in agreement.protection]
        assert [one for one in wanted if one not in page] == []
