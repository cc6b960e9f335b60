# SPDX-License-Identifier: Apache-2.0
"""Which more numbers must be withheld; this file is about complementary suppression, decided once and stored. Pure.

A cell is a box: one set of atoms (the finest codes met) in each breakdown. Cells whose boxes add up to another's are
equations between their numbers, in every state that a table ever had. A number that must not be known is safe as
long as the equations do not determine it, and as long as what they say of it with others is no small count either.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import product
from typing import TypeVar

TOTAL = "_T"
FIRST = "citizenship"
ATOMS_MAX = 100_000
# Codes that are made of others of their list.
_PARTS = {"Y_LT18": frozenset({"Y_LT12", "Y12T17"})}
# Whole numbers as long as they divide: nearly all factors are 1 or -1, and a Fraction costs ten times as much.
Factor = int | Fraction
Equation = dict[str, Factor]
K = TypeVar("K", int, str)


@dataclass(frozen=True, slots=True)
class Number:
    """One version of a number: its code in each breakdown (places as `scheme:code`), and what it may be used for.

    `value` is None when it was never sent. `fresh` was shown to nobody yet, `free` is public at its source.
    """

    id: str
    codes: Mapping[str, str]
    value: int | None
    fresh: bool
    free: bool


def complements(
    states: Iterable[Sequence[Number]], *, hidden: Collection[str], protected: Collection[str], floor: int
) -> set[str]:
    """Return what must be withheld beside `hidden`, so that nothing `protected` (all of it hidden) can be computed.

    `states` are the numbers that stood together, for every time that they changed.
    """
    numbers: dict[str, Number] = {}
    equations: list[Equation] = []
    more: set[str] = set()
    for state in states:
        numbers |= {number.id: number for number in state}
        for component in _components(state, hidden):
            found = _equations(component)
            if found is None:
                # Too large to solve: nothing that overlaps a protected number is shown.
                more |= {number.id for number in component if number.fresh and number.id not in hidden}
            else:
                equations += [each for each in found if _holds(each, numbers, floor)]
    unknown = {*hidden, *more}
    while exposed := _exposed(equations, numbers, unknown, protected, floor):
        chosen = {_victim(equation, numbers, unknown) for equation in exposed} - {None}
        if not chosen:
            break
        added = {name for name in chosen if name is not None}
        more |= added
        unknown |= added
    return more


def disjoint(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Say whether two cells count nothing in common: in some breakdown their codes exclude each other."""
    for name, code in one.items():
        opposite = other.get(name, TOTAL)
        # Asked of every pair of a table: what is equal or a total is told without a look at its parts.
        if code != opposite and TOTAL not in {code, opposite} and not _share(code, opposite):
            return True
    return False


def within(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Say whether a cell counts only what another counts as well, and less."""
    pairs = [(one.get(name, TOTAL), other.get(name, TOTAL)) for name in {*one, *other}]
    inside = all(outer in {code, TOTAL} or code in _PARTS.get(outer, ()) for code, outer in pairs)
    return inside and any(code != outer for code, outer in pairs)


def _share(one: str, other: str) -> bool:
    return other in _PARTS.get(one, ()) or one in _PARTS.get(other, ())


def _components(state: Sequence[Number], hidden: Collection[str]) -> Iterable[Sequence[Number]]:
    """Yield the numbers that hang together with a hidden one through overlaps, where there are any.

    With any hidden one: what one state tells of a complement, an earlier one may turn against what it protects.
    """
    # By one breakdown, because most pairs of a table already differ there.
    left: dict[str, dict[str, Number]] = defaultdict(dict)
    for number in state:
        left[number.codes[FIRST]][number.id] = number
    for start in state:
        if start.id not in hidden or start.id not in left[start.codes[FIRST]]:
            continue
        found, queue = [], [left[start.codes[FIRST]].pop(start.id)]
        while queue:
            one = queue.pop()
            found.append(one)
            code = one.codes[FIRST]
            shelves = [*left.values()] if code == TOTAL else [left[code], left[TOTAL]]
            for shelf in shelves:
                near = [other for other in shelf.values() if not disjoint(one.codes, other.codes)]
                queue += [shelf.pop(other.id) for other in near]
        if len(found) > 1:
            yield found


def _equations(numbers: Sequence[Number]) -> list[Equation] | None:
    """Return a basis of the equations between numbers, or None when there are too many atoms.

    Small boxes go first, so that a total is expressed by its parts.
    """
    atoms = _atoms(numbers)
    boxes = {n.id: [atoms[name][n.codes.get(name, TOTAL)] for name in atoms] for n in numbers}
    sizes = {name: _volume(box) for name, box in boxes.items()}
    if sum(sizes.values()) > ATOMS_MAX:
        return None
    covering: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, box in boxes.items():
        for atom in product(*box):
            covering[atom].append(name)
    # What only cells with parts cover is empty: agencies send no zeros, and nobody is an adult unaccompanied minor.
    finest = {n.id for n in numbers if not any(within(other.codes, n.codes) for other in numbers)}
    covering = {atom: names for atom, names in covering.items() if not finest.isdisjoint(names)}
    # Atoms that the same numbers cover cannot be told apart: they are one.
    rows: dict[str, dict[int, Factor]] = {name: {} for name in boxes}
    for place, names in enumerate({tuple(names) for names in covering.values()}):
        for name in names:
            rows[name][place] = 1
    return _dependencies(rows, sorted(boxes, key=lambda name: (sizes[name], name)))


def _volume(box: Sequence[Collection[str]]) -> int:
    volume = 1
    for side in box:
        volume *= len(side)
    return volume


def _atoms(numbers: Sequence[Number]) -> dict[str, dict[str, frozenset[str]]]:
    """Return by breakdown and code what atoms the code is made of."""
    atoms: dict[str, dict[str, frozenset[str]]] = {}
    for name in sorted({name for number in numbers for name in number.codes}):
        codes = {number.codes.get(name, TOTAL) for number in numbers} | {TOTAL}
        of: dict[str, frozenset[str]] = {}
        for code in codes - {TOTAL}:
            parts = _PARTS.get(code, frozenset()) & codes
            of[code] = parts if parts and parts == _PARTS.get(code) else parts | {code}
        of[TOTAL] = frozenset().union(*of.values()) or frozenset({TOTAL})
        atoms[name] = of
    return atoms


def _dependencies(rows: Mapping[str, dict[int, Factor]], order: Sequence[str]) -> list[Equation]:
    """Eliminate rows in this order, and return those that come out empty as what was added up to empty them."""
    pivots: dict[int, tuple[dict[int, Factor], Equation]] = {}
    found: list[Equation] = []
    for name in order:
        row: dict[int, Factor] = dict(rows[name])
        sums: Equation = {name: 1}
        while row:
            place = min(row)
            if place not in pivots:
                pivots[place] = (row, sums)
                break
            other, its = pivots[place]
            factor = _over(row[place], other[place])
            _subtract(row, other, factor)
            _subtract(sums, its, factor)
        else:
            found.append(sums)
    return found


def _over(one: Factor, other: Factor) -> Factor:
    if isinstance(one, int) and isinstance(other, int) and not one % other:
        return one // other
    return Fraction(one) / other


def _subtract(row: dict[K, Factor], other: Mapping[K, Factor], factor: Factor) -> None:
    for place, value in other.items():
        left = row.get(place, 0) - factor * value
        if left:
            row[place] = left
        else:
            row.pop(place, None)


def _holds(equation: Equation, numbers: Mapping[str, Number], floor: int) -> bool:
    """Say whether an equation tells something true: parts that fall short of their total by far determine nothing."""
    residue: Factor = 0
    for name, factor in equation.items():
        value = numbers[name].value
        if value is None:
            return True
        residue += factor * value
    return -floor < residue < floor


def _exposed(
    equations: Sequence[Equation],
    numbers: Mapping[str, Number],
    unknown: Collection[str],
    protected: Collection[str],
    floor: int,
) -> list[Equation]:
    """Return an equation for each protected number that is determined, or is told to be small together with others."""
    rest = [{name: f for name, f in equation.items() if name in unknown} for equation in equations]
    determined = {next(iter(row)) for row in _reduced(rest) if len(row) == 1} & set(protected)
    exposed = []
    for name in sorted(determined):
        near = [equations[place] for place in _linked(rest, name)]
        open_ones = [whole for whole in near if any(each not in unknown for each in whole)]
        exposed += sorted(open_ones, key=partial(_choice, numbers, unknown, name))[:1]
    for whole, row in zip(equations, rest, strict=True):
        values = [numbers[name].value for name in row]
        one_sided = len(set(row.values())) == 1 and all(value is not None for value in values)
        small = one_sided and sum(value or 0 for value in values) < floor
        if small and 1 < len(row) < len(whole) and any(name in protected for name in row):
            exposed.append(whole)
    return exposed


def _linked(rest: Sequence[Equation], name: str) -> list[int]:
    """Return which equations have to do with a number, through whatever unknown they share."""
    found, reached = set[int](), {name}
    while new := {place for place, row in enumerate(rest) if place not in found and not reached.isdisjoint(row)}:
        found |= new
        reached |= {each for place in new for each in rest[place]}
    return sorted(found)


def _choice(
    numbers: Mapping[str, Number], unknown: Collection[str], name: str, whole: Equation
) -> tuple[bool, bool, int, int]:
    """Rank the equations that give a number away: with something nobody saw yet, with the number, the shortest."""
    seen = not any(numbers[each].fresh for each in whole if each not in unknown)
    return seen, name not in whole, sum(each in unknown for each in whole), len(whole)


def _reduced(rows: Iterable[Equation]) -> list[Equation]:
    """Return the reduced echelon form: a number that the rows determine stands alone in one of them."""
    pivots: dict[str, Equation] = {}
    for each in rows:
        row = dict(each)
        for name in [name for name in row if name in pivots]:
            if name in row:
                _subtract(row, pivots[name], _over(row[name], pivots[name][name]))
        if not row:
            continue
        pivot = min(row)
        for other in pivots.values():
            if pivot in other:
                _subtract(other, row, _over(other[pivot], row[pivot]))
        pivots[pivot] = row
    return list(pivots.values())


def _victim(equation: Equation, numbers: Mapping[str, Number], unknown: Collection[str]) -> str | None:
    """Choose what to withhold: what nobody saw yet and no source publishes, then the smallest that is not zero."""
    open_ones = [numbers[name] for name in equation if name not in unknown]
    chosen = min(open_ones, key=lambda n: (not n.fresh, n.free, not n.value, n.value or 0, n.id), default=None)
    return chosen.id if chosen else None
