"""Where the patient goes from the emergency department: intensive care or a ward, then
the unit; or, as another reading, the first service that takes the patient over."""

import re

import pandas as pd

from deepicd.tasks.named_outcomes import Names
from deepicd.tasks.task import Labels, Task, outcome_words, sort_out

#: Places of MIMIC-IV's transfers where nobody is routed to: the emergency department
#: itself, beds between two units, and what could not be read.
PASSED = (
    "Emergency Department",
    "Emergency Department Observation",
    "Discharge Lounge",
    "PACU",
    "Unknown",
)
STEP_DOWN = "Step-down unit"
_INTENSIVE = re.compile(r"ICU\b|CCU\b|Intensive Care|Coronary Care")
_SHORT = re.compile(r"\(([^()]+)\)$")
#: How a note says where the patient went or is to go.
TELLS = re.compile(
    r"\b(?:[CMNST]{0,2}S?ICU|CCU|CVICU|TSICU|intensive care|critical care unit|"
    r"(?:step-?\s?down|intermediate care) unit|"
    r"(?:admit\w*|transfer\w*|sent|taken|brought|going|moved|called out) (?:\w+ ){0,3}?"
    r"(?:to|onto) (?:\w+ ){0,3}?(?:floors?|wards?|unit|service|medicine|cardiology|"
    r"neurology|surgery|oncology|orthopedics|psychiatry))\b",
    re.IGNORECASE,
)


class Units(Names):
    """Units of the data: intensive care or ward, then the unit.

    Examples
    --------
    >>> space = Units(["Medical Intensive Care Unit (MICU)", "Med/Surg", "Neuro ICU"])
    >>> space.path(space.normalise("micu"))
    ('intensive care', 'Medical Intensive Care Unit (MICU)')
    >>> space.path("Med/Surg"), space.at("Neuro ICU", "care")
    (('ward', 'Med/Surg'), 'intensive care')
    """

    tag = "unit"
    levels = shown = ("care", "unit")

    def __init__(self, names=None):
        super().__init__(names)
        short = {
            found[1].lower(): n for n in self.labels if (found := _SHORT.search(n))
        }
        self._known = short | self._known

    def path(self, label: str) -> tuple[str, ...]:
        """Intensive care or ward, by the name of the unit, and the unit."""
        care = "intensive care" if _INTENSIVE.search(label) else "ward"
        return (care, label) if label in self.labels else ()


class Services(Names):
    """Services of the data, by their abbreviations."""

    tag = "service"
    levels = shown = ("service",)


_ELSEWHERE, _NOWHERE, _NONE = (
    "not through the emergency department",
    "no unit after the emergency department",
    "no unit charted",
)


def first_units(raw) -> tuple[pd.DataFrame, dict[str, str]]:
    """First unit of each stay, None where there is none, and the steps of the flow.

    Of MIMIC-IV's transfers the first unit at or after the first row of the emergency
    department counts that is not one of `PASSED`; of eICU the type of the unit.
    """
    units = raw.table("patient", _EICU, needed=False)
    if units is not None:
        down = units["unitstaytype"].eq("stepdown/other")
        unit = units["unittype"].mask(down, STEP_DOWN)
        found = pd.DataFrame({"hadm_id": units["patientunitstayid"], "unit": unit})
        return found.drop_duplicates("hadm_id"), {_NONE: "unittype is empty"}
    rows = raw.table("transfers", ["hadm_id", "eventtype", "careunit", "intime"])
    rows = rows.dropna(subset=["hadm_id", "intime"]).sort_values(
        "intime", kind="stable"
    )
    unit = rows["careunit"].fillna("").str.strip()
    emergency = rows["eventtype"].eq("ED") | unit.eq(PASSED[0])
    since = rows["intime"].where(emergency).groupby(rows["hadm_id"]).transform("min")
    after = (rows["intime"] >= since) & ~emergency & unit.ne("") & ~unit.isin(PASSED)
    first = rows[after].assign(unit=unit[after]).drop_duplicates("hadm_id")
    came = rows.loc[since.notna(), ["hadm_id"]].drop_duplicates()
    steps = {
        _ELSEWHERE: "no row of it in transfers",
        _NOWHERE: f"only {', '.join(PASSED[1:])}, or none",
    }
    return came.merge(first[["hadm_id", "unit"]], on="hadm_id", how="left"), steps


_EICU = ["patientunitstayid", "unittype", "unitstaytype"]


def first_services(raw) -> tuple[pd.DataFrame, dict[str, str]]:
    """First service of each stay, and the step of the flow."""
    rows = raw.table("services", ["hadm_id", "transfertime", "curr_service"])
    rows = rows.dropna(subset=["hadm_id"]).sort_values("transfertime", kind="stable")
    first = rows.drop_duplicates("hadm_id")
    found = first[["hadm_id"]].assign(unit=first["curr_service"])
    return found, {"no service": "no row in services"}


def _labels(raw, space, read) -> Labels:
    """Labels of what a reader of the tables found; the last step counts the empty."""
    found, steps = read(raw)
    label = found["unit"].map(space.normalise, na_action="ignore")
    return sort_out(found["hadm_id"], label, {list(steps)[-1]: label.isna()}, steps)


def _named(raw, read) -> dict[str, str]:
    return {name: name for name in sorted(set(read(raw)[0]["unit"].dropna()))}


ROUTING = Task(
    name="routing",
    about="first unit after the emergency department",
    kind=Units,
    labels=lambda raw, space: _labels(raw, space, first_units),
    own=lambda raw: _named(raw, first_units),
    instructions=outcome_words(
        "predict which unit the patient goes to from the emergency department",
        "the unit",
        "the name of one unit, such as Medicine or Medical Intensive Care Unit (MICU),",
        Units.tag,
    ),
    tells=TELLS,
    hides="unit",
)
SERVICE = Task(
    name="routing-service",
    about="first service that takes the patient over",
    kind=Services,
    labels=lambda raw, space: _labels(raw, space, first_services),
    own=lambda raw: _named(raw, first_services),
    instructions=outcome_words(
        "predict which service takes the patient over",
        "the service",
        "the abbreviation of one service, such as MED or NSURG,",
        Services.tag,
    ),
    tells=TELLS,
)
