# SPDX-License-Identifier: Apache-2.0
"""Every fault planted for real; this file is about what `gateway doctor` finds at a real gateway, and what it says."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from typer.testing import CliRunner, Result

from gateway.cli.doctor_texts import DOCTOR_TEXTS
from gateway.cli.program import app
from gateway.client.doctor import FAIL, OK, WARN, examine
from gateway.clock import SystemClock, format_instant
from gateway.contracting.build import build
from gateway.contracting.load import packaged_root
from gateway.onboarding import pki
from gateway.wire.keys import FileSigner, published_jwk
from gateway.wire.note import verifier_of
from gateway.wire.policy_file import PolicyKey, format_policy, parse_policy
from tests.running import GTM, MEX, USA, Running, running

SOURCE = Path(__file__).resolve().parents[2] / "gateway/client/doctor.py"


@dataclass
class Patient:
    """A partner's set-up of its own, to be harmed: files and entries of client.toml."""

    gateway: Running
    folder: Path
    entries: dict[str, str]

    def file(self, name: str) -> Path:
        return self.folder / self.entries[name]

    def put(self, name: str, source: Path) -> None:
        self.file(name).write_bytes(source.read_bytes())

    def issue(self, country: str = "USA", *, server: bool = False, days: int = 200, start: int = -1) -> None:
        """Give it another certificate of a country's authority, with its key."""
        authority = authority_of(self.gateway, country)
        now = datetime.now(UTC)
        validity = pki.Validity(now + timedelta(days=start), now + timedelta(days=days))
        issued = (
            pki.issue_server(authority, ["x.example"], "USA", validity)
            if server
            else pki.issue_client(authority, USA, "USA", validity)
        )
        self.file("tls_cert").write_bytes(issued.certificate.public_bytes(Encoding.PEM))
        self.file("tls_key").unlink()
        pki.write_key(self.file("tls_key"), issued.key)

    @property
    def config(self) -> Path:
        path = self.folder / "client.toml"
        path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in self.entries.items()))
        return path

    def doctor(self, *more: str, language: str = "en") -> Result:
        arguments = ["--language", language, "doctor", "--config", str(self.config), *more]
        return CliRunner().invoke(app, arguments)

    def findings(self, *, contracts: Path | None = None) -> dict[str, str]:
        found = examine(self.config, clock=SystemClock(), contracts=contracts)
        return {finding.code: finding.level for finding in found}


def authority_of(gateway: Running, name: str) -> pki.Issued:
    folder = gateway.files.folder / "authorities" / name
    key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    return pki.Issued(x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()), key)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("doctor") / "sandbox") as started:
        yield started


@pytest.fixture
def patient(gateway: Running, tmp_path: Path) -> Patient:
    return patient_of(gateway, tmp_path, USA)


def patient_of(gateway: Running, folder: Path, partner: str) -> Patient:
    party, files = gateway.party(partner), gateway.files
    sources = {
        "tls_cert": party.tls_cert, "tls_key": party.tls_key, "signing_key": party.signing_key,
        "server_ca": files.server_ca, "answer_keys": files.answer_keys, "log_policy": files.log_policy,
    }  # fmt: skip
    entries = {"partner": partner, "gateway_url": files.public_origin}
    for name, source in sources.items():
        shutil.copy(source, folder / name)
        entries[name] = name
    return Patient(gateway, folder, entries)


def test_a_healthy_partner_hears_that_all_is_well(patient: Patient) -> None:
    done = patient.doctor()

    assert done.exit_code == 0, done.stdout + done.stderr
    assert "->" not in done.stdout
    assert "TLSv1.3" in done.stdout
    assert set(patient.findings()) >= {
        "config", "key-private", "key-matches", "cert-valid", "cert-use", "signing-key", "name", "port", "tls",
        "server-valid", "clock", "pinned", "signing-known", "policy", "contract", "own",
    }  # fmt: skip


def test_an_officer_s_set_up_is_examined_too(gateway: Running, tmp_path: Path) -> None:
    officer = gateway.files.officer("GTM", "security-officer")
    done = CliRunner().invoke(app, ["--language", "es", "doctor", "--config", str(officer.client)])

    assert done.exit_code == 0, done.stdout


def certificate_of_another(patient: Patient) -> None:
    patient.put("tls_cert", patient.gateway.party(GTM).tls_cert)


def specimen(name: str) -> Callable[[Patient], None]:
    def harm(patient: Patient) -> None:
        credentials = patient.gateway.credentials(name)
        patient.put("tls_cert", credentials.tls_cert)
        patient.put("tls_key", credentials.tls_key)

    harm.__name__ = name
    return harm


def upside_down_chain(patient: Patient) -> None:
    path = patient.file("tls_cert")
    other = patient.gateway.party(MEX).tls_cert
    path.write_bytes(path.read_bytes() + other.read_bytes())


def closed_port(patient: Patient) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        patient.entries["gateway_url"] = f"https://localhost:{probe.getsockname()[1]}"


def other_policy(patient: Patient) -> None:
    path = patient.file("log_policy")
    policy = parse_policy(path.read_text())
    other = FileSigner.of(ed25519.Ed25519PrivateKey.generate())
    key = PolicyKey(verifier_of(other, policy.logs[0].verifier.name))
    path.write_text(format_policy(replace(policy, logs=(key,))))


def other_answer_keys(patient: Patient) -> None:
    other = FileSigner.of(ed25519.Ed25519PrivateKey.generate())
    patient.file("answer_keys").write_text(json.dumps({"keys": [published_jwk(other)]}))


HARMS: list[tuple[str, str, Callable[[Patient], object]]] = [
    ("config-invalid", FAIL, lambda patient: patient.entries.update(tls_crt="x")),
    ("key-mode", FAIL, lambda patient: patient.file("signing_key").chmod(0o640)),
    ("file-unreadable", FAIL, lambda patient: patient.file("tls_key").write_text("no key")),
    ("file-unreadable", FAIL, lambda patient: patient.file("tls_cert").write_text("no certificate")),
    ("file-unreadable", FAIL, lambda patient: patient.file("signing_key").write_text("no key")),
    ("file-unreadable", FAIL, lambda patient: patient.file("answer_keys").write_text("{}")),
    ("file-unreadable", FAIL, lambda patient: patient.file("answer_keys").write_text('{"keys": []}')),
    ("file-unreadable", FAIL, lambda patient: patient.file("log_policy").write_text("log")),
    ("key-mismatch", FAIL, certificate_of_another),
    ("same-key", WARN, lambda patient: patient.put("signing_key", patient.file("tls_key"))),
    ("cert-expired", FAIL, specimen("expired")),
    ("cert-early", FAIL, specimen("not-yet-valid")),
    ("cert-expiring", WARN, lambda patient: patient.issue(days=29)),
    ("cert-use-missing", FAIL, lambda patient: patient.issue(server=True)),
    ("cert-chain", FAIL, upside_down_chain),
    ("cert-refused", FAIL, specimen("revoked")),
    ("cert-refused", FAIL, specimen("foreign")),
    ("not-pinned", FAIL, specimen("unpinned")),
    ("name-unknown", FAIL, lambda patient: patient.entries.update(gateway_url="https://gateway.invalid")),
    ("port-closed", FAIL, closed_port),
    ("server-untrusted", FAIL, lambda patient: patient.put("server_ca", patient.gateway.party(USA).tls_cert)),
    ("signing-unknown", FAIL, lambda patient: patient.put("signing_key", patient.gateway.party(GTM).signing_key)),
    ("answer-keys-other", FAIL, other_answer_keys),
    ("policy-differs", FAIL, other_policy),
]


@pytest.mark.parametrize(("code", "level", "harm"), HARMS)
def test_a_planted_fault_is_found_and_its_mending_said_in_both_languages(
    patient: Patient, code: str, level: str, harm: Callable[[Patient], object]
) -> None:
    harm(patient)

    found = patient.findings()
    english, spanish = patient.doctor(), patient.doctor(language="es")

    assert found[code] == level
    assert (english.exit_code, spanish.exit_code) == ((1, 1) if FAIL in found.values() else (0, 0))
    _, _, mend, mend_es = DOCTOR_TEXTS[code]
    assert f"-> {mend.partition('{')[0]}" in english.stdout
    assert f"-> {mend_es.partition('{')[0]}" in spanish.stdout


def test_what_only_the_gateway_knows_to_end_is_told(gateway: Running, tmp_path: Path) -> None:
    """A key's end is a row of the registry, which only moves nearer; the file says nothing of it."""
    patient = patient_of(gateway, tmp_path, MEX)
    for left, level in ((timedelta(days=5), WARN), (timedelta(hours=5), FAIL)):
        words = ("end-key", MEX, gateway.party(MEX).keyid, "--until", format_instant(datetime.now(UTC) + left))
        ended = CliRunner().invoke(app, ["partners", *words, "--config", str(gateway.files.settings)])

        found = patient.findings()
        assert (ended.exit_code, found.get("ends-soon")) == (0, level), (ended.output, found)
    assert f"signing-key of {MEX} ends at" in patient.doctor().stdout
    assert f"signing-key de {MEX} termina" in patient.doctor(language="es").stdout


def test_a_certificate_with_thirty_days_left_is_well(patient: Patient) -> None:
    patient.issue(days=31)

    assert patient.findings()["cert-valid"] == OK


def test_a_suspended_partner_is_told(gateway: Running, tmp_path: Path) -> None:
    assert patient_of(gateway, tmp_path, "MEX.SPECIMEN").findings()["suspended"] == FAIL


def test_a_reader_has_no_totals_and_is_well(gateway: Running, tmp_path: Path) -> None:
    done = patient_of(gateway, tmp_path, "GTM.SEGEPLAN").doctor()

    assert done.exit_code == 0, done.stdout


@dataclass
class Shifted:
    """A machine whose clock is wrong."""

    seconds: int

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.seconds)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(5, "clock"), (-5, "clock"), (20, "clock-off"), (-200, "clock-off"), (60, "clock-wrong"), (-400, "clock-wrong")],
)
def test_a_clock_that_is_off_is_found(patient: Patient, seconds: int, code: str) -> None:
    found = [finding.code for finding in examine(patient.config, clock=Shifted(seconds))]

    assert code in found


def test_a_contract_that_reads_otherwise_here_is_found(patient: Patient, tmp_path: Path) -> None:
    """Whoever changed a rule here would send what is refused there, and not know why."""
    root = tmp_path / "contracts"
    shutil.copytree(packaged_root(), root)
    text = (root / "flow/1.0.0/contract.yaml").read_text()
    (root / "flow/1.0.0/contract.yaml").write_text(text.replace("The agency that says it", "The agency"))
    build(root / "flow/1.0.0")
    shutil.rmtree(root / "border-event")

    found = patient.findings(contracts=root)

    assert (found["contract-differs"], found["contract-absent"]) == (FAIL, WARN)
    assert patient.doctor("--contracts", str(root)).exit_code == 1


def test_a_server_that_speaks_older_tls_only_is_found(patient: Patient, gateway: Running) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(gateway.files.folder / "gateway/server.pem", gateway.files.folder / "gateway/server.key")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            raw, _ = listener.accept()
            with raw, pytest.raises(ssl.SSLError):
                context.wrap_socket(raw, server_side=True)

        thread = threading.Thread(target=serve)
        thread.start()
        patient.entries["gateway_url"] = f"https://localhost:{listener.getsockname()[1]}"
        found = patient.findings()
        thread.join(10)

    assert found["tls-refused"] == FAIL


def test_a_server_whose_certificate_ends_soon_is_told(tmp_path: Path) -> None:
    def shorten(files: object) -> None:
        folder = files.folder  # type: ignore[attr-defined]
        key = load_pem_private_key((folder / "authorities/operator/ca.key").read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((folder / "authorities/operator/ca.pem").read_bytes())
        now = datetime.now(UTC)
        validity = pki.Validity(now - timedelta(days=1), now + timedelta(days=20))
        issued = pki.issue_server(pki.Issued(certificate, key), ["localhost"], "x", validity)  # type: ignore[arg-type]
        (folder / "gateway/server.key").unlink()
        pki.write_key(folder / "gateway/server.key", issued.key)
        pki.write_certificate(folder / "gateway/server.pem", issued.certificate)

    (tmp_path / "partner").mkdir()
    with running(tmp_path / "sandbox", prepare=shorten) as gateway:
        assert patient_of(gateway, tmp_path / "partner", USA).findings()["server-expiring"] == WARN


def test_every_finding_has_its_sentences_and_every_sentence_a_finding() -> None:
    source = SOURCE.read_text()
    stems = {f"{whose}-{state}" for whose in ("cert", "server") for state in ("valid", "expiring", "expired", "early")}
    names = set(re.findall(r'"([a-z]+(?:-[a-z]+)*)"', source))

    assert set(DOCTOR_TEXTS) <= names | stems
    for finding in re.findall(r'(?:Finding|_Ends)\(\s*"([a-z-]+)"', source):
        assert finding in DOCTOR_TEXTS
    for code, (english, spanish, mend, mend_es) in DOCTOR_TEXTS.items():
        assert english, code
        assert spanish, code
        assert bool(mend) == bool(mend_es), code
        assert set(re.findall(r"{(\w+)}", english)) == set(re.findall(r"{(\w+)}", spanish)), code
