"""Whether the patient dies in hospital."""

from deepicd.tasks.named_outcomes import Names
from deepicd.tasks.task import Labels, Task, outcome_words, sort_out

SURVIVES, DIES = "survives", "dies"
_NONE = "no word on survival"
_STEPS = {_NONE: "neither alive nor dead at discharge"}
_SAID = {"0": SURVIVES, "1": DIES, "alive": SURVIVES, "expired": DIES}
_SAID |= {SURVIVES: SURVIVES, DIES: DIES}
_EICU = ["patientunitstayid", "hospitaldischargestatus"]


class Survival(Names):
    """Survives or dies, in this order.

    Examples
    --------
    >>> Survival().path("dies")
    ('dies',)
    """

    tag = "outcome"
    levels = shown = ("outcome",)
    order = (SURVIVES, DIES)

    def __init__(self, own=None):
        super().__init__(self.order)


def labels(raw, space) -> Labels:
    """Give the state at discharge from hospital of each stay."""
    found = raw.table("patient", _EICU, needed=False)
    if found is None:
        found = raw.table("admissions", ["hadm_id", "hospital_expire_flag"])
    found = found.set_axis(["hadm_id", "said"], axis=1)
    label = found["said"].str.strip().str.lower().map(_SAID)
    return sort_out(found["hadm_id"], label, {_NONE: label.isna()}, _STEPS)


MORTALITY = Task(
    name="mortality",
    about="death in hospital",
    kind=Survival,
    labels=labels,
    instructions=outcome_words(
        "predict whether the patient survives the hospital stay",
        "the outcome",
        f"{SURVIVES} or {DIES}",
        Survival.tag,
    ),
    reward="ordered",
)
