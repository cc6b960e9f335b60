# SPDX-License-Identifier: Apache-2.0
"""The same contract as anyone would write it; this file is about border events on FastAPI, pydantic and SQLModel.

Run by stock uvicorn, with the database in `BENCH_DATABASE_URL`. It judges the same fields, codes and rules and keeps
the same columns. It has no TLS, no signature, no answer that proves anything, no audit log, no own totals, no repeats
(a known id refuses the whole list), no partial acceptance, no rules of access and no look for forbidden content.
"""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import yaml
from fastapi import Depends, FastAPI
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlmodel import Field as Column
from sqlmodel import Session, SQLModel, create_engine

CODE_LISTS = Path(__file__).resolve().parents[2] / "contracts" / "codelists"
DATABASE_URL = os.environ["BENCH_DATABASE_URL"]


def entries(ref: str) -> dict[str, dict[str, Any]]:
    document = yaml.load((CODE_LISTS / f"{ref}.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return {entry["code"]: entry.get("attributes", {}) for entry in document["codes"]}


def one_of(ref: str) -> Any:
    return Literal[tuple(entries(ref))]


COUNTRY = one_of("country/1")
SCHEMES = entries("place-scheme/1")
PLACES = {
    scheme: {code: place["country"] for code, place in entries(attributes["list"]).items()}
    for scheme, attributes in SCHEMES.items()
    if "list" in attributes
}
BASES = {code: attributes.get("country") for code, attributes in entries("legal-basis/1").items()}


class BorderEventIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    event_id: UUID
    provider: str = Field(pattern=r"^[A-Z]{3}(\.[A-Z0-9]{2,12}){1,4}$", max_length=64)
    provider_system: str = Field(pattern=r"^[A-Z0-9][A-Z0-9._-]{0,31}$")
    event_type: one_of("event-type/1")
    occurred_on: date
    tz: one_of("time-zone/1")
    reported_at: datetime
    reporting_country: COUNTRY
    counterpart_country: COUNTRY
    border_segment: one_of("border-segment/1")
    place_scheme: one_of("place-scheme/1")
    place_code: str = Field(pattern=r"^[A-Z0-9_][A-Z0-9.-]{0,31}$")
    direction: Literal["IN", "OUT", "_U"]
    person_count: int = Field(ge=1, le=500)
    minors: int = Field(ge=0, le=500)
    citizenship: COUNTRY
    legal_basis: one_of("legal-basis/1")
    retention_until: date
    purpose: one_of("purpose/1")
    occurred_hour: int | None = Field(default=None, ge=0, le=23)
    transport_mode: one_of("transport-mode/1") | None = None
    group_kind: one_of("group-kind/1") | None = None
    minors_unaccompanied: int | None = Field(default=None, ge=0, le=500)
    sex: Literal["F", "M", "_U", "_X"] | None = None
    age_band: one_of("age-band/1") | None = None
    outcome: one_of("outcome/1") | None = None
    action: one_of("action/1") | None = None
    supersedes: UUID | None = None

    @model_validator(mode="after")
    def people(self) -> Self:
        if (self.person_count >= 2 or self.minors >= 1) and (self.sex or self.age_band):
            raise ValueError("sex and age band are given only for one adult")
        if self.event_type in {"HANDOVER_SENT", "HANDOVER_RECEIVED"} and (
            self.counterpart_country == "_X" or self.citizenship == "_U"
        ):
            raise ValueError("a handover names the other country and the nationality")
        if self.event_type == "DEATH" and (self.citizenship != "_U" or self.person_count > 1):
            raise ValueError("a death is one person of nationality _U")
        if self.citizenship == "_X" and self.person_count < 2:
            raise ValueError("a mixed group has at least two people")
        if self.minors > self.person_count or (self.minors_unaccompanied or 0) > self.minors:
            raise ValueError("the minors are among the people of the act")
        return self

    @model_validator(mode="after")
    def times(self) -> Self:
        now = datetime.now(UTC)
        if self.occurred_on > now.date() or self.reported_at > now:
            raise ValueError("the act is not in the future")
        if self.occurred_on > self.reported_at.date():
            raise ValueError("an act is reported on its day or later")
        if self.occurred_on < now.date() - timedelta(days=1827):
            raise ValueError("the act is at most five years old")
        if not now.date() < self.retention_until <= self.occurred_on + timedelta(days=180):
            raise ValueError("a row is kept at most 180 days after the act")
        return self

    @model_validator(mode="after")
    def places(self) -> Self:
        if self.provider[:3] != self.reporting_country:
            raise ValueError("an agency reports for its own country")
        if (places := PLACES.get(self.place_scheme)) is None:
            if self.place_code != self.place_scheme:
                raise ValueError("the place is one of its scheme")
        elif places.get(self.place_code) != self.reporting_country:
            raise ValueError("the place is one of its scheme and of the reporting country")
        if BASES[self.legal_basis] not in {None, self.reporting_country}:
            raise ValueError("the authority is the reporting country's")
        if (self.action in {"amend", "retract"}) != (self.supersedes is not None):
            raise ValueError("an amendment or retraction names the record that it supersedes")
        return self


class BorderEvent(SQLModel, table=True):
    event_id: UUID = Column(primary_key=True)
    provider: str
    provider_system: str
    event_type: str
    occurred_on: date
    tz: str
    reported_at: datetime
    reporting_country: str
    counterpart_country: str
    border_segment: str
    place_scheme: str
    place_code: str
    direction: str
    person_count: int
    minors: int
    citizenship: str
    legal_basis: str
    retention_until: date
    purpose: str
    occurred_hour: int | None = None
    transport_mode: str | None = None
    group_kind: str | None = None
    minors_unaccompanied: int | None = None
    sex: str | None = None
    age_band: str | None = None
    outcome: str | None = None
    action: str | None = None
    supersedes: UUID | None = None


# Sixty-four callers at once would else be told that the database is locked.
engine = create_engine(DATABASE_URL, connect_args={"timeout": 60} if DATABASE_URL.startswith("sqlite") else {})
SQLModel.metadata.create_all(engine)
app = FastAPI()


def session() -> Iterator[Session]:
    with Session(engine) as opened:
        yield opened


@app.post("/border-events", status_code=201)
def submit(events: list[BorderEventIn], session: Annotated[Session, Depends(session)]) -> dict[str, int]:
    session.add_all([BorderEvent(**event.model_dump()) for event in events])
    session.commit()
    return {"accepted": len(events)}


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}
