# SPDX-License-Identifier: Apache-2.0
"""Before anybody signs; this file is about proving that what is proposed leaves the floor whole.

The proof asks a finite model some ten thousand questions, which takes seconds. It runs in a process of its own, so
that no request of anybody waits for it.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Collection, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path

from gateway.contracting.load import load_contracts
from gateway.contracting.strict_yaml import read_yaml
from gateway.onboarding.approvals import SubjectKind, stored_approvals
from gateway.onboarding.life import LifeRefused
from gateway.policy.load import approved_policies
from gateway.policy.proof import Violation, prove
from gateway.storage.engine import Storage


def check_proven(storage: Storage, root: Path, words: Mapping[str, str], *, parties: Collection[str]) -> None:
    """Return when the rules and agreements in force, with those that the words name, keep every invariant.

    Raises:
        LifeRefused: with the invariant that they break.
        ValueError: when they cannot be put in force at all.
    """
    if all(word.startswith(f"{SubjectKind.CONTRACT} ") for word in words):
        return
    signed = dict(storage.read(stored_approvals)) | {digest: frozenset(parties) for digest in words.values()}
    wanted = frozenset(digest for word, digest in words.items() if not word.startswith(f"{SubjectKind.CONTRACT} "))
    with _ONE:
        violations = _violations(root, tuple(sorted(signed.items())), tuple(sorted(parties)), wanted)
    if violations:
        first = violations[0]
        raise LifeRefused(f"the proof fails: {first.invariant} {first.what} {first.detail}".rstrip())


# A process for each of many proposals at once would be more than the machine has.
_ONE = threading.Lock()


# What is approved has the digests of what it is about: the same question has the same answer.
@lru_cache(maxsize=16)
def _violations(
    root: Path, signed: tuple[tuple[str, frozenset[str]], ...], parties: tuple[str, ...], wanted: frozenset[str]
) -> tuple[Violation, ...]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as aside:
        return aside.submit(prove_folder, root, dict(signed), parties, wanted).result()


def prove_folder(
    root: Path, signed: Mapping[str, Collection[str]], parties: Collection[str], wanted: Collection[str]
) -> tuple[Violation, ...]:
    """Return what is wrong with the policies of a folder that would be in force under some approvals.

    Raises:
        LookupError: when some that are wanted are not there: a proof of less would be believed.
    """
    rules, agreements = approved_policies(root, parties=parties, approved=signed, read=read_yaml)
    if missing := set(wanted) - {rules.digest, *(one.digest for one in agreements)}:
        raise LookupError(f"not in the folder, or not the newest: {', '.join(sorted(missing))}")
    products = {contract.ref.product for contract in load_contracts(root).contracts}
    return prove(rules, agreements, parties, products)
