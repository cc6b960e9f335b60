# SPDX-License-Identifier: Apache-2.0
"""SDMX-CSV as other tables; this file is about data frames, Excel and Parquet, and whether they say the same.

The libraries come with `gateway[data]` and are imported when one is needed.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, Final

from gateway.client.failures import InputUnusable

CSV, EXCEL, PARQUET = ".csv", ".xlsx", ".parquet"
EXCEL_ROWS_MAX: Final = 1_048_576
TIME: Final = "TIME_PERIOD"
_VALUE: Final = "OBS_VALUE"
_NUMBERS: Final = frozenset({_VALUE, "REVISION", "ROUNDING", "UNIT_MULT"})
_INSTANTS: Final = frozenset({"VINTAGE", "CONTESTED", "VALID_FROM", "VALID_TO"})
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,14}")  # Excel keeps fifteen digits.
_MONTH: Final = r"[0-9]{4}-[0-9]{2}"
_NEEDS: Final = {CSV: (), EXCEL: ("openpyxl",), PARQUET: ("pandas", "pyarrow")}


def library(name: str) -> Any:
    """Return a library of `gateway[data]`, or raise InputUnusable that says how to have it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise InputUnusable(
            f"{name} is not installed: pip install 'gateway[data]'",
            f"{name} no está instalado: pip install 'gateway[data]'",
        ) from error


def check_form(output: Path) -> None:
    """Refuse, before anything is asked, a file that could not be written: InputUnusable."""
    if output.suffix not in _NEEDS:
        raise InputUnusable(
            f"{output}: the name ends in {CSV}, {EXCEL} or {PARQUET}",
            f"{output}: el nombre termina en {CSV}, {EXCEL} o {PARQUET}",
        )
    for name in _NEEDS[output.suffix]:
        library(name)


def count_rows(path: Path) -> int:
    """Return how many observations a CSV has."""
    return max(0, sum(1 for _ in _rows(path)) - 1)


def frame_of(source: Path | IO[bytes]) -> Any:
    """Return SDMX-CSV as a pandas data frame.

    Codes are categories, `OBS_VALUE` and other numbers Int64, where what is missing or suppressed is NA and never 0;
    months are periods, dates and instants datetimes.
    """
    pandas = library("pandas")
    frame = _coded(pandas, source)
    for name in _INSTANTS & set(frame):
        with suppress(ValueError):  # A vintage may be named otherwise than by its day.
            instants = pandas.to_datetime(frame[name].astype("str"), format="ISO8601", utc=True)
            frame[name] = instants.dt.as_unit("us")
    if TIME in frame and (months := frame[TIME].cat).categories.str.fullmatch(_MONTH).all():
        frame[TIME] = pandas.PeriodIndex(months.categories, freq="M").take(months.codes)
    return frame


def write_table(source: Path, output: Path) -> None:
    """Write SDMX-CSV as the form that a file's name says; it appears when it is whole.

    Raises:
        InputUnusable: when it does not fit into that form.
    """
    partial = output.with_name(f"{output.name}.partial")
    try:
        if output.suffix == PARQUET:
            # A period would be a number to every reader but pandas; the text is what the standard writes.
            _coded(library("pandas"), source).to_parquet(partial, index=False)
        else:
            _write_excel(source, partial)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


def same_table(source: Path, output: Path) -> bool:
    """Say whether a table has exactly the cells of an SDMX-CSV."""
    check_form(output)
    try:
        if output.suffix == PARQUET:
            pandas = library("pandas")
            there, here = (one.astype("string") for one in (pandas.read_parquet(output), _coded(pandas, source)))
            return bool(list(there) == list(here) and there.equals(here))
        return all(_filled(a) == _filled(b) for a, b in zip_longest(_rows(source), _excel_rows(output), fillvalue=()))
    except (ValueError, OSError, KeyError) as error:
        raise InputUnusable(f"{output}: {error}") from error


def _coded(pandas: Any, source: Path | IO[bytes]) -> Any:
    types: defaultdict[str, str] = defaultdict(lambda: "category", dict.fromkeys(_NUMBERS, "Int64"))
    # Of all words for nothing only the empty one is none: `NA` may be a code.
    return pandas.read_csv(source, dtype=types, keep_default_na=False, na_values=[""])


def _rows(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.reader(file)


def _write_excel(source: Path, output: Path) -> None:
    if count_rows(source) >= EXCEL_ROWS_MAX:
        raise InputUnusable(
            f"Excel takes {EXCEL_ROWS_MAX} rows; ask for fewer, or for {PARQUET}",
            f"Excel admite {EXCEL_ROWS_MAX} filas; pida menos, o {PARQUET}",
        )
    openpyxl = library("openpyxl")
    rows = _rows(source)
    names = next(rows, [])
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("data")
    sheet.freeze_panes = "A2"
    sheet.append(names)
    for row in rows:
        sheet.append([_cell(openpyxl, sheet, name, text) for name, text in zip(names, row, strict=False)])
    book.save(output)


def _cell(openpyxl: Any, sheet: Any, name: str, text: str) -> Any:
    if name in _NUMBERS and _WHOLE.fullmatch(text):
        return int(text)
    if not text.startswith("="):
        return text or None
    # Others' words never become a formula.
    cell = openpyxl.cell.WriteOnlyCell(sheet, text)
    cell.data_type = "s"
    return cell


def _excel_rows(path: Path) -> Iterator[list[str]]:
    book = library("openpyxl").load_workbook(path, read_only=True)
    try:
        for row in book["data"].iter_rows(values_only=True):
            yield ["" if cell is None else str(cell) for cell in row]
    finally:
        book.close()


def _filled(row: list[str] | tuple[()]) -> list[str]:
    """Return a row without the empty cells at its end, which a sheet does not keep."""
    filled = list(row)
    while filled and not filled[-1]:
        filled.pop()
    return filled
