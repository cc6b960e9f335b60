# SPDX-License-Identifier: Apache-2.0
"""A contract as a page for people; this file is about one HTML page in English and one in Spanish, without scripts."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Literal

from gateway.contracting.contract import CodeList, Contract, Field, Text
from gateway.contracting.load import FORBIDDEN_NAMES
from gateway.contracting.schema import allowed_codes

Language = Literal["en", "es"]

_WORDS: dict[str, Text] = {
    "contract": Text("Data contract", "Contrato de datos"),
    "fields": Text("Fields", "Campos"),
    "rules": Text("Rules", "Reglas"),
    "codes": Text("Code lists", "Listas de códigos"),
    "field": Text("Field", "Campo"),
    "type": Text("Type", "Tipo"),
    "required": Text("Required", "Obligatorio"),
    "class": Text("Class", "Clase"),
    "meaning": Text("Meaning", "Significado"),
    "values": Text("Values", "Valores"),
    "rule": Text("Rule", "Regla"),
    "at": Text("At", "En"),
    "severity": Text("Severity", "Gravedad"),
    "code": Text("Code", "Código"),
    "yes": Text("yes", "sí"),
    "no": Text("no", "no"),
    "until": Text("until", "hasta"),
    "digest": Text("Digest (SHA-256 of contract.json)", "Resumen (SHA-256 de contract.json)"),
    "atomic": Text(
        "A submission is accepted whole or not at all.",
        "Un envío se acepta completo o no se acepta.",
    ),
    "partial": Text(
        "A submission is accepted when at least one record is right and the refused ones are at most one, or {} %.",
        "Un envío se acepta si al menos un registro es correcto y los rechazados son como máximo uno, o el {} %.",
    ),
    "lines": Text(
        "A body has one record a line; each line is its own canonical JSON (RFC 8785), without fractions and null: "
        "an optional field without a value is left out.",
        "Un cuerpo tiene un registro por línea; cada línea es su propio JSON canónico (RFC 8785), sin fracciones ni "
        "null: un campo opcional sin valor se omite.",
    ),
    "formats": Text(
        "The JSON Schema needs a validator that asserts formats.",
        "El JSON Schema necesita un validador que compruebe los formatos.",
    ),
    "forbidden": Text(
        "A property with one of these words in its name refuses the whole submission:",
        "Una propiedad con una de estas palabras en su nombre rechaza todo el envío:",
    ),
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border:1px solid #999;padding:.3rem .5rem;text-align:left;"
    "vertical-align:top}code{word-break:break-word}"
)


def page_of(contract: Contract, language: Language) -> str:
    """Return the page of a contract version in a language."""
    ref = contract.ref
    title = f"{_said(contract.title, language)} · {ref.product} {ref.version}"
    mode = _word(contract.acceptance.mode, language).format(contract.acceptance.refused_percent_max)
    parts = [
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>",
        f"<h1>{_word('contract', language)}: {escape(title)}</h1>",
        f"<p>{escape(_said(contract.description, language))}</p>",
        f"<p>{_word('digest', language)}: <code>{ref.digest}</code></p>",
        f"<p>{mode} {_word('lines', language)} {_word('formats', language)}</p>",
        f"<h2>{_word('fields', language)}</h2>",
        _table(("field", "type", "required", "class", "meaning", "values"), _field_rows(contract, language), language),
        f"<h2>{_word('rules', language)}</h2>",
        _table(("rule", "at", "severity", "meaning"), _rule_rows(contract, language), language),
        f"<h2>{_word('codes', language)}</h2>",
        *(_code_list(code_list, language) for ref, code_list in sorted(contract.code_lists.items())),
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _field_rows(contract: Contract, language: Language) -> Iterable[tuple[str, ...]]:
    for field in contract.fields:
        yield (
            f"<code>{field.name}</code>",
            field.type,
            _word("yes" if field.required else "no", language),
            field.sensitivity,
            escape(_said(field.title, language)),
            _values(field, contract),
        )


def _values(field: Field, contract: Contract) -> str:
    if field.code_list:
        codes = allowed_codes(field, contract.code_lists[field.code_list], sandbox=False)
        link = f'<a href="#{field.code_list}">{field.code_list}</a>'
        return link if len(codes) > 12 else f"{link}: {', '.join(codes)}"  # noqa: PLR2004  (what fits a cell)
    if field.values:
        return ", ".join(str(value) for value in field.values)
    if field.type == "integer":
        return f"{field.minimum} … {field.maximum}"
    return f"<code>{escape(field.pattern)}</code>" if field.pattern else ""


def _rule_rows(contract: Contract, language: Language) -> Iterable[tuple[str, ...]]:
    for rule in contract.rules:
        message = escape(_said(rule.message, language))
        yield f"<code>rule:{rule.id}</code>", f"<code>{escape(rule.pointer)}</code>", rule.severity, message


def _code_list(code_list: CodeList, language: Language) -> str:
    heading = f'<h3 id="{code_list.ref}">{escape(_said(code_list.title, language))} ({code_list.ref})</h3>'
    if code_list.ref == FORBIDDEN_NAMES:
        return f"{heading}\n<p>{_word('forbidden', language)} {', '.join(code_list.codes)}.</p>"
    rows = (
        (f"<code>{escape(code.code)}</code>", escape(_said(code.text, language)) + _ended(code.valid_to, language))
        for code in code_list.codes.values()
    )
    return f"{heading}\n{_table(('code', 'meaning'), rows, language)}"


def _ended(valid_to: str, language: Language) -> str:
    return f" ({_word('until', language)} {valid_to})" if valid_to else ""


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], language: Language) -> str:
    head = "".join(f'<th scope="col">{_word(name, language)}</th>' for name in heads)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>"


def _word(name: str, language: Language) -> str:
    return _said(_WORDS[name], language)


def _said(text: Text, language: Language) -> str:
    return text.es if language == "es" else text.en
