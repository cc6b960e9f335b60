# SPDX-License-Identifier: Apache-2.0
"""Which logs and witnesses are believed; this file is about the policy of a reader of proofs (C2SP tlog-policy)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.wire.digests import sha256
from gateway.wire.note import TYPE_COSIGNATURE, TYPE_ED25519, Verifier, format_vkey, parse_vkey

NO_QUORUM: Final = "none"
POLICY_CHARS_MAX: Final = 65_536
_ITEMS_MAX: Final = 32
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class PolicyInvalid(ValueError):
    """A policy file that is malformed."""


class QuorumMissing(Exception):
    """Fewer witnesses cosigned than the policy asks for."""


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """A log or witness: its key, and where it is reached, if that is told."""

    verifier: Verifier
    url: str = ""


@dataclass(frozen=True, slots=True)
class WitnessGroup:
    """A group that has witnessed when `threshold` of its members have."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogPolicy:
    """The logs that are believed, and which witnesses must have cosigned; `quorum` is a name, or `none`."""

    logs: tuple[PolicyKey, ...]
    witnesses: Mapping[str, PolicyKey] = field(default_factory=dict)
    groups: Mapping[str, WitnessGroup] = field(default_factory=dict)
    quorum: str = NO_QUORUM

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """Return every key of the policy."""
        return tuple(key.verifier for key in (*self.logs, *self.witnesses.values()))

    @property
    def digest(self) -> str:
        """Return the SHA-256, hex, of the policy as `format_policy` writes it."""
        return sha256(format_policy(self).encode()).hex()

    def require_quorum(self, cosigners: Collection[Verifier]) -> None:
        """Check that enough witnesses cosigned; QuorumMissing when they did not."""
        witnessed = {NO_QUORUM} | {name for name, key in self.witnesses.items() if key.verifier in cosigners}
        for name, group in self.groups.items():  # A group names only what stands before it.
            if len(witnessed.intersection(group.members)) >= group.threshold:
                witnessed.add(name)
        if self.quorum not in witnessed:
            raise QuorumMissing(self.quorum)


def parse_policy(text: str) -> LogPolicy:
    """Read a policy file; PolicyInvalid when it is malformed."""
    if len(text) > POLICY_CHARS_MAX or _FORBIDDEN.search(text):
        raise PolicyInvalid("too long, or with control characters")
    draft = _Draft()
    for number, line in enumerate(text.split("\n"), 1):
        words = [word for word in re.split(r"[ \t]+", line) if word]
        if not words or words[0].startswith("#"):
            continue
        try:
            draft.add(words)
        except ValueError as error:
            raise PolicyInvalid(f"line {number}: {error}") from error
    if draft.quorum is None:
        raise PolicyInvalid("no quorum line")
    return LogPolicy(tuple(draft.logs), draft.witnesses, draft.groups, draft.quorum)


def format_policy(policy: LogPolicy) -> str:
    """Write a policy file."""
    lines = [f"log {format_vkey(log.verifier)} {log.url}" for log in policy.logs]
    lines += [f"witness {name} {format_vkey(key.verifier)} {key.url}" for name, key in policy.witnesses.items()]
    lines += [f"group {name} {group.threshold} {' '.join(group.members)}" for name, group in policy.groups.items()]
    return "".join(f"{line.rstrip()}\n" for line in [*lines, f"quorum {policy.quorum}"])


class _Draft:
    """A policy while its lines are read."""

    def __init__(self) -> None:
        self.logs: list[PolicyKey] = []
        self.witnesses: dict[str, PolicyKey] = {}
        self.groups: dict[str, WitnessGroup] = {}
        self.quorum: str | None = None
        self._members: set[str] = set()

    def add(self, words: list[str]) -> None:
        match words:
            case ["log", *key]:
                self._log(_policy_key(key, TYPE_ED25519))
            case ["witness", name, *key]:
                self._witness(name, _policy_key(key, TYPE_COSIGNATURE))
            case ["group", name, threshold, *members] if members:
                self._group(name, threshold, tuple(members))
            case ["quorum", name] if self.quorum is None and name in {NO_QUORUM, *self.witnesses, *self.groups}:
                self.quorum = name
            case _:
                raise ValueError("unknown keyword, wrong number of words, or a quorum that is not defined before")

    def _log(self, key: PolicyKey) -> None:
        if len(self.logs) >= _ITEMS_MAX or key.verifier.public in {log.verifier.public for log in self.logs}:
            raise ValueError("too many logs, or one key twice")
        self.logs.append(key)

    def _witness(self, name: str, key: PolicyKey) -> None:
        if key.verifier.public in {witness.verifier.public for witness in self.witnesses.values()}:
            raise ValueError("one witness key twice")
        self._require_new(name, len(self.witnesses))
        self.witnesses[name] = key

    def _group(self, name: str, threshold: str, members: tuple[str, ...]) -> None:
        self._require_new(name, len(self.groups))
        known = self.witnesses.keys() | self.groups.keys()
        # Each name may be a member once, so that a witness counts once.
        if not known.issuperset(members) or len({*members}) != len(members) or self._members.intersection(members):
            raise ValueError("a member is unknown or already a member")
        if not re.fullmatch(r"any|all|[1-9][0-9]{0,3}", threshold):
            raise ValueError("not a threshold")
        number = {"any": 1, "all": len(members)}.get(threshold) or int(threshold)
        if number > len(members):
            raise ValueError("a threshold is from 1 to the number of members")
        self._members.update(members)
        self.groups[name] = WitnessGroup(number, members)

    def _require_new(self, name: str, count: int) -> None:
        if name == NO_QUORUM or name in self.witnesses or name in self.groups or count >= _ITEMS_MAX:
            raise ValueError("a name is reserved or taken, or there are too many")


def _policy_key(words: list[str], kind: int) -> PolicyKey:
    if len(words) not in {1, 2}:
        raise ValueError("a key, and perhaps a URL")
    verifier = parse_vkey(words[0])
    if verifier.type != kind:
        raise ValueError("a key of the wrong type")
    return PolicyKey(verifier, *words[1:])
