"""Sign and end contracts: the document first, then the record that names it, in the order of its organization."""

from typing import NamedTuple

from ingest.controls.append import append_control
from ingest.controls.decisions import find_decisions
from ingest.intake.privacy import replace_text_secrets
from ledger.errors import LogDamaged, TallyError
from ledger.log import Log, Position
from ledger.log.documents import load_document, store_document
from ledger.pricing.contract import Contract, list_texts, pack_contract, unpack_document
from ledger.settings import Settings
from tallystick.vocabulary.controls.contracts import ContractEnded, ContractSigned

_TYPES = (ContractSigned.control_type, ContractEnded.control_type)


class Signing(NamedTuple):
    """A contract in force: its name, its document, and the position of its signing."""

    name: str
    document: str
    position: Position


class SigningResult(NamedTuple):
    """A signing. ``new`` is False for a contract that is in force as it is, and is not signed again."""

    signing: Signing
    new: bool


def sign_contract(
    log: Log, settings: Settings, organization: str, contract: Contract, reason: str | None = None
) -> SigningResult:
    """Price the organization's calls by this contract from here on. TallyError where a name in it is a secret."""
    for name in list_texts(contract):
        if replace_text_secrets(name, lambda address: "") != name:
            raise TallyError(f"the name {name!r} in the contract is a key or an e-mail address: give another `name`")
    document, packed = pack_contract(contract)
    in_force = find_contracts(log, organization).get(contract.name)
    if in_force is not None and in_force.document == document:
        return SigningResult(in_force, new=False)
    store_document(log, document, packed)
    body = {"name": contract.name, "document": document}
    position = append_control(
        log, settings, ContractSigned.control_type, body, organization=organization, reason=reason
    )
    return SigningResult(Signing(contract.name, document, position), new=True)


def end_contract(log: Log, settings: Settings, organization: str, name: str, reason: str | None = None) -> Position:
    """End a contract for what comes from here on. TallyError where no contract of this name is in force."""
    find_contract(log, organization, name)
    return append_control(
        log, settings, ContractEnded.control_type, {"name": name}, organization=organization, reason=reason
    )


def find_contracts(log: Log, organization: str) -> dict[str, Signing]:
    """Return the contracts of an organization that are in force, in the order of their first signing."""
    in_force: dict[str, Signing | None] = {}
    for position, body in find_decisions(log, organization, _TYPES):
        document = body.get("document")
        in_force[body["name"]] = None if document is None else Signing(body["name"], document, position)
    return {name: signing for name, signing in in_force.items() if signing is not None}


def find_contract(log: Log, organization: str, name: str) -> Signing:
    """Return the contract of a name. TallyError where none of this name is in force."""
    in_force = find_contracts(log, organization)
    if name not in in_force:
        names = ", ".join(in_force) or "none"
        raise TallyError(f"no contract {name!r} is in force in organization {organization}; in force: {names}")
    return in_force[name]


def load_contract(log: Log, signing: Signing) -> Contract:
    """Read the contract of a signing from the log. LogDamaged where the log does not hold it."""
    packed = load_document(log, signing.document)
    if packed is None:
        raise LogDamaged(
            f"the document {signing.document} of the contract {signing.name!r} is missing: restore the log"
        )
    document = unpack_document(signing.document, packed)
    if not isinstance(document, Contract):
        raise LogDamaged(f"the document {signing.document} was signed and is no contract: restore the log from a copy")
    return document
