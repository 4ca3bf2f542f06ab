"""Words for eICU's numbers: vital signs and the first day's physiology.

A value outside its usual range is marked `high` or `low`, as on a laboratory sheet.
"""

import pandas as pd

STAY = "patientunitstayid"
VITALS = ("Constitutional/Vital Sign and Physiological Data/", "Constitutional/Hemo")
# column: words, lowest and highest usual value
APS = {
    "temperature": ("temperature {:g} C", 36, 38),
    "heartrate": ("HR {:g}", 60, 100),
    "respiratoryrate": ("RR {:g}", 12, 20),
    "meanbp": ("mean BP {:g}", 65, 110),
    "wbc": ("WBC {:g}", 4, 11),
    "hematocrit": ("hematocrit {:g}", 36, 50),
    "sodium": ("sodium {:g}", 135, 145),
    "bun": ("BUN {:g}", 7, 20),
    "creatinine": ("creatinine {:g}", 0.5, 1.3),
    "glucose": ("glucose {:g}", 70, 180),
    "bilirubin": ("bilirubin {:g}", 0, 1.2),
    "albumin": ("albumin {:g}", 3.4, 5.4),
    "ph": ("pH {:g}", 7.35, 7.45),
    "pao2": ("PaO2 {:g}", 75, 500),
    "pco2": ("pCO2 {:g}", 35, 45),
    "fio2": ("FiO2 {:g}%", 0, 100),
    "urine": ("urine {:.0f} ml", 500, 4000),
}
SUPPORT = {
    "intubated": "intubated",
    "vent": "mechanically ventilated",
    "dialysis": "on chronic dialysis",
}
_SIGNS = {
    "BP (systolic)": ("BP", 95, 150),
    "HR": ("HR", 60, 100),
    "Resp": ("RR", 12, 20),
    "O2 Sat%": ("SpO2", 93, 100),
}
_OTHER_SIGNS = {"FiO2%": "FiO2 {}%", "PEEP": "PEEP {}", "CVP": "CVP {}"}


def mark(value: float, low: float, high: float) -> str:
    """Give ` high`, ` low` or nothing.

    Examples
    --------
    >>> mark(21.9, 4, 11), mark(7.0, 4, 11)
    (' high', '')
    """
    return " high" if value > high else " low" if value < low else ""


def physiology(rows: pd.DataFrame) -> dict[str, str]:
    """Write the worst values of the first day; -1 means not measured."""
    names = [*APS, *SUPPORT]
    numbers = rows[names].apply(pd.to_numeric, errors="coerce")
    out = {}
    for stay, *values in zip(rows[STAY], *[numbers[c] for c in names], strict=True):
        given = dict(zip(names, values, strict=True))
        measured = {
            name: value
            for name, value in given.items()
            if name in APS and not pd.isna(value) and value != -1
        }
        said = [APS[n][0].format(v) + mark(v, *APS[n][1:]) for n, v in measured.items()]
        said += [words for name, words in SUPPORT.items() if given[name] == 1]
        if said:
            out[stay] = f"Worst values of the first day: {', '.join(said)}."
    return out


def vital_signs(rows: pd.DataFrame, said: dict[str, list[str]]) -> dict[str, str]:
    """Write the first vital signs with their range, then rhythm and breathing."""
    rows = rows.assign(leaf=rows["path"].str.split("/").str[-1])
    columns = [rows[STAY], rows["leaf"], rows["physicalexamtext"]]
    charted: dict[str, dict[str, str]] = {}
    for stay, leaf, value in zip(*columns, strict=True):
        charted.setdefault(stay, {})[leaf] = value
    out = {}
    for stay, values in charted.items():
        phrases = [*_signs(values), *dict.fromkeys(said.get(stay, []))]
        if phrases:
            out[stay] = f"Vital signs: {', '.join(phrases)}."
    return out


def _signs(values: dict[str, str]) -> list[str]:
    """Write one stay's vital signs.

    Examples
    --------
    >>> _signs({"HR Current": "118", "HR Lowest": "96", "HR Highest": "121"})
    ['HR 118 high (96 to 121)']
    """
    phrases = []
    for name, (words, low, high) in _SIGNS.items():
        now = _number(values.get(f"{name} Current"))
        if now is None:
            continue
        ends = [_number(values.get(f"{name} {end}")) for end in ("Lowest", "Highest")]
        spread = None not in ends and ends[0] < ends[1]
        around = f" ({ends[0]:g} to {ends[1]:g})" if spread else ""
        under = _number(values.get("BP (diastolic) Current")) if words == "BP" else None
        below = f"/{under:g}" if under is not None else ""
        phrases.append(f"{words} {now:g}{below}{mark(now, low, high)}{around}")
    others = [w.format(values[k]) for k, w in _OTHER_SIGNS.items() if values.get(k)]
    return phrases + others


def _number(text) -> float | None:
    value = pd.to_numeric(text, errors="coerce") if text else None
    return None if value is None or pd.isna(value) else float(value)
