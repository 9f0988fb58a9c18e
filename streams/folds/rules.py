"""Rules of detectors, which people adopt as documents. No detector reads them yet, and each adoption is answered so."""

from streams.folds.emit import Emit
from streams.folds.entry import Documents
from streams.folds.event import Event
from streams.folds.fold import Fold
from streams.folds.state import State
from tallystick.vocabulary.controls.alerts import RulesAdopted

REASON = "no detector reads adopted rules yet: each has its own"


def answer_adoption(event: Event, state: State, documents: Documents, emit: Emit) -> None:
    """Answer ``rules.adopted``: it stands on the log, and has no effect yet."""
    emit.decision(
        event.organization, "control.ineffective", control_type=RulesAdopted.control_type, reason=REASON,
        event_source=event.source, event_id=event.id,
    )  # fmt: skip


FOLD = Fold("rules", on_control={RulesAdopted.control_type: answer_adoption})
