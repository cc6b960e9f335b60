# SPDX-License-Identifier: Apache-2.0
"""Looking for input that breaks a parser; this file is about running the targets under atheris, guided by coverage.

`python -m tests.fuzz --seconds 60 [TARGET ...]` works on each target for so long and keeps what it found in
build/fuzz; `--runs` and `--seed` make a run that can be had again. Each target has a process of its own, because
libFuzzer never returns.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

FOUND = Path(__file__).parents[2] / "build" / "fuzz"
INPUT_BYTES_MAX = 4096
INPUT_SECONDS_MAX = 10
MEMORY_MIB_MAX = 2048
PROCESSES = 2
_DONE = re.compile(r"^Done (\d+) runs in (\d+) second", re.MULTILINE)
_COVERED = re.compile(r"cov: (\d+)")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one target: no defect when `text` is empty."""

    target: str
    runs: int
    edges: int
    text: str


def fuzz(target: str, *options: str, found: Path = FOUND) -> Outcome:
    """Work on one target in a process of its own; what reaches new code joins its corpus."""
    corpus = found / target
    corpus.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_len={INPUT_BYTES_MAX}", f"-timeout={INPUT_SECONDS_MAX}", f"-rss_limit_mb={MEMORY_MIB_MAX}"]
    limits += [f"-artifact_prefix={found}/{target}-", "-print_final_stats=1"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--child", target, str(corpus), *limits, *options],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    finished = _DONE.search(done.stderr)
    runs = int(finished[1]) if finished else 0
    edges = int(covered[-1]) if (covered := _COVERED.findall(done.stderr)) else 0
    return Outcome(target, runs, edges, "" if done.returncode == 0 and runs else (done.stdout + done.stderr)[-4000:])


def child(target: str, corpus: Path, options: Sequence[str]) -> None:
    """Never return: feed one target until libFuzzer has enough, or found a defect."""
    import atheris

    with atheris.instrument_imports(include=["gateway", "http_sf"]):
        from tests.fuzz.targets import TARGETS
    for seed in TARGETS[target].seeds:
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    atheris.Setup([sys.argv[0], str(corpus), *options], TARGETS[target].accepts)
    atheris.Fuzz()


def main() -> int:
    """Work on all targets or the named ones, and say how many inputs each took."""
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="tests.fuzz")
    parser.add_argument("targets", nargs="*", default=list(TARGETS), metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    options = [f"-seed={asked.seed}"] if asked.seed else []
    options.append(f"-runs={asked.runs}" if asked.runs else f"-max_total_time={asked.seconds or 60}")
    with ThreadPoolExecutor(PROCESSES) as pool:
        outcomes = []
        for outcome in pool.map(lambda target: fuzz(target, *options), asked.targets):
            print(f"{outcome.target:16} {outcome.runs:>10,} inputs {outcome.edges:>6,} edges", flush=True)
            if outcome.text:
                print(outcome.text, flush=True)
            outcomes.append(outcome)
    defects = [outcome.target for outcome in outcomes if outcome.text]
    print(f"{sum(outcome.runs for outcome in outcomes):,} inputs, defects: {', '.join(defects) or 'none'}")
    return 1 if defects else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
    sys.exit(main())
