"""What was coded in a patient's earlier stays, as a last section of the note.

A stay is earlier where it had ended before this one began, by the times of the source:
never this stay, a later one, one that overlaps, or one whose times are not known.
Codes are given some days after the discharge; no source says when, so a stay that
follows another within days may read codes that were not yet written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.files import write_parquet
from deepicd.common.parameters import choice
from deepicd.data.sections.names import EARLIER
from deepicd.data.sources.raw_tables import RawTables
from deepicd.icd.editions import read_versions
from deepicd.icd.load import load_tree
from deepicd.icd.name_table import as_written

NONE, CODES, TITLES = FORMS = ("none", "codes", "titles")
LIMIT = 20  # codes
FILE = "history.parquet"
OLD = " (ICD-9)"
_DAY = pd.Timedelta(days=1, seconds=-1)
_STAY = ["subject_id", "hadm_id", "admittime", "dischtime"]
_CODE = ["hadm_id", "seq_num", "icd_code", "icd_version"]
_PAIR = ["hadm_id", "earlier", "days"]
_TITLE = ["icd_code", "icd_version", "long_title"]


@dataclass(frozen=True)
class Past:
    """Earlier stays of some admissions.

    Attributes
    ----------
    visits : dict of str to list of (int, list of str)
        By admission, the latest first: days from the end of the earlier stay to the
        beginning of this one, and what was coded, first-listed code first. At most
        `limit` codes in all. Admissions without an earlier stay are left out.
    cut : int
        Admissions of which more was coded.
    undated : int
        Admissions whose own beginning is not known, hence nothing earlier.
    title : callable
        From a code as it stands in `visits` to its title.
    form : {"codes", "titles"}
        In which notes tell it.
    limit : int
    """

    visits: dict[str, list[tuple[int, list[str]]]]
    cut: int
    undated: int
    title: Callable[[str], str]
    form: str = CODES
    limit: int = LIMIT

    def section(self, hadm_id: str, form: str) -> str:
        """The section of an admission, header included; empty where nothing is.

        Examples
        --------
        >>> past = Past({"7": [(0, ["I50.9", "I10"]), (41, ["J18.9"])]}, 0, 0, str)
        >>> print(past.section("7", "codes"))
        EARLIER ADMISSIONS: same day: I50.9; I10
        41 days before: J18.9
        """
        write = self._titled if form == TITLES else _coded
        told = [_ago(d) + write(codes) for d, codes in self.visits.get(hadm_id, ())]
        return f"{EARLIER}: " + "\n".join(told) if told else ""

    def _titled(self, codes: list[str]) -> str:
        return f": {'; '.join(map(self.title, codes))}"


def _coded(codes: list[str]) -> str:
    """Say once that all codes are of ICD-9, as all those of a stay are.

    Examples
    --------
    >>> _coded(["410.71 (ICD-9)", "V45.02 (ICD-9)"]), _coded(["I10"])
    (' in ICD-9: 410.71; V45.02', ': I10')
    """
    bare = [code.removesuffix(OLD) for code in codes]
    if all(code.endswith(OLD) for code in codes):
        return f" in ICD-9: {'; '.join(bare)}"
    return f": {'; '.join(codes)}"


def _ago(days: int) -> str:
    """Say how long ago, coarser the longer.

    Examples
    --------
    >>> [_ago(days) for days in (0, 1, 59, 60, 729, 730)]
    ['same day', '1 day before', '59 days before', '2 months before', \
'24 months before', '2 years before']
    """
    if days == 0:
        return "same day"
    units = ((730, 365, "year"), (60, 30, "month"), (1, 1, "day"))
    size, name = next((size, name) for least, size, name in units if days >= least)
    return f"{days // size} {name}{'s' * (days > size)} before"


def read_past(raw: RawTables, hadm_ids, limit: int = LIMIT, form: str = CODES) -> Past:
    """Find what was coded in the stays before each of some admissions.

    Parameters
    ----------
    raw : RawTables
        A source that knows when stays began and ended: MIMIC-IV, synthetic.
    hadm_ids : iterable of str
        The admissions.
    limit : int
        Codes of an admission at most, the latest stays first. A stay's first-listed
        code always counts; another one that a later stay has named is not repeated.
    form : {"codes", "titles"}
        In which notes tell it.

    Returns
    -------
    Past

    Raises
    ------
    UserError
        For a source without times, a limit below 1, and another form.

    Examples
    --------
    >>> from deepicd.data.sources.raw_tables import RawTables
    >>> tables = {
    ...     "admissions": [["1", "7", "2150-01-01 08:00:00", "2150-01-05 12:00:00"],
    ...                    ["1", "8", "2150-02-01 08:00:00", "2150-02-02 12:00:00"]],
    ...     "diagnoses_icd": [["7", "1", "I214", "10"], ["8", "1", "I509", "10"]],
    ... }
    >>> def read(name, columns):
    ...     rows = tables.get(name)
    ...     return None if rows is None else pd.DataFrame(rows, columns=columns)
    >>> raw = RawTables(None, None, None, "discharge", False, open_table=read)
    >>> read_past(raw, ["7", "8"]).visits
    {'8': [(26, ['I21.4'])]}
    """
    choice("history", form, FORMS[1:])
    if raw.undated:
        raise UserError(
            found=f"history asked of {raw.undated}",
            expected="a source that knows when each stay of a patient began and ended",
            do="take --data mimic or synthetic, or leave history at none",
        )
    if limit < 1:
        raise UserError(
            found=f"history_limit {limit}",
            expected="one code or more",
            do="set history to none to leave earlier admissions out",
        )
    stays = _stays(raw)
    wanted = stays["hadm_id"].isin(set(hadm_ids))
    pairs = _pairs(stays[wanted], stays)
    codes = _codes(raw, set(pairs["earlier"]))
    told: dict[str, list] = {}
    for hadm_id, old, days in zip(*(pairs[c] for c in _PAIR), strict=True):
        if old in codes:
            told.setdefault(hadm_id, []).append((days, codes[old]))
    visits = {hadm_id: _latest(all_of, limit) for hadm_id, all_of in told.items()}
    cut = sum(more for _, more in visits.values())
    undated = int(stays.loc[wanted, "start"].isna().sum())
    title = _titles(raw, {code for own in codes.values() for code in own})
    visits = {hadm_id: kept for hadm_id, (kept, _) in visits.items()}
    return Past(visits, cut, undated, title, form, limit)


def _stays(raw: RawTables) -> pd.DataFrame:
    """Give when stays begin and end; a stay of nobody's is left out."""
    frame = raw.table("admissions", _STAY).drop_duplicates("hadm_id")
    frame = frame[frame["subject_id"].fillna("").astype(str).str.strip() != ""]
    start, end = (_times(frame[name]) for name in _STAY[2:])
    # A day without an hour may mean any: a stay has ended when its day has.
    whole = frame["dischtime"].astype(str).str.strip().str.len() <= len("2150-01-01")
    end = end.mask(whole, end + _DAY)
    end = end.where(end >= start, start.where(end.notna()))
    return frame[["subject_id", "hadm_id"]].assign(start=start, end=end)


def _times(texts: pd.Series) -> pd.Series:
    return pd.to_datetime(texts, errors="coerce", format="ISO8601")


def _pairs(stays: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Pair stays with earlier ones of the patient: `hadm_id, earlier, days`."""
    before = others.dropna(subset=["start", "end"])
    before = before[["subject_id", "hadm_id", "end"]].rename(
        columns={"hadm_id": "earlier"}
    )
    pairs = stays[["subject_id", "hadm_id", "start"]].merge(before, on="subject_id")
    pairs = pairs[(pairs["end"] < pairs["start"]) & pairs["start"].notna()]
    pairs = pairs[pairs["hadm_id"] != pairs["earlier"]]
    pairs = pairs.sort_values(["hadm_id", "end", "earlier"], ascending=False)
    return pairs.assign(days=(pairs["start"] - pairs["end"]).dt.days)[_PAIR]


def _codes(raw: RawTables, hadm_ids: set[str]) -> dict[str, list[str]]:
    """Codes of stays in their order, each once, ICD-9 marked as such."""
    frame = raw.table("diagnoses_icd", _CODE)
    frame = frame[frame["hadm_id"].isin(hadm_ids)].dropna(subset=["icd_code"])
    version = read_versions(frame["icd_version"])
    order = pd.to_numeric(frame["seq_num"], errors="coerce")
    pairs = zip(frame["icd_code"], version.eq(9).fillna(False), strict=True)
    frame = frame.assign(order=order, code=[_spelled(c, old) for c, old in pairs])
    frame = frame.sort_values(["hadm_id", "order"]).drop_duplicates(["hadm_id", "code"])
    return frame.groupby("hadm_id")["code"].agg(list).to_dict()


def _spelled(code: str, old: bool) -> str:
    """Write a code with its dot.

    Examples
    --------
    >>> _spelled("I2111 ", False), _spelled("41071", True), _spelled("E8810", True)
    ('I21.11', '410.71 (ICD-9)', 'E881.0 (ICD-9)')
    """
    code = code.strip().upper()
    if not old:
        return as_written(code) or code
    code, place = code.replace(".", ""), 4 if code.startswith("E") else 3
    return f"{code[:place]}.{code[place:]}".rstrip(".") + OLD


def _latest(told: list[tuple[int, list[str]]], limit: int):
    """Keep so many codes, the latest stays first; gives them, and whether any went."""
    kept, seen, cut = [], set(), False
    for days, (first, *others) in told:
        new = [first, *(c for c in others if c not in seen)]
        room = limit - sum(len(codes) for _, codes in kept)
        cut |= len(new) > room
        if room > 0:
            kept.append((days, new[:room]))
        seen |= set(new)
    return kept, cut


def _titles(raw: RawTables, used: set[str]) -> Callable[[str], str]:
    """Title of a code: the source's, else the official one, else the code itself."""
    frame = raw.table("d_icd_diagnoses", _TITLE, needed=False)
    known: dict[str, str] = {}
    if frame is not None:
        bare = {code.removesuffix(OLD).replace(".", "") for code in used}
        frame = frame[frame["icd_code"].str.strip().isin(bare)].dropna()
        old = read_versions(frame["icd_version"]).eq(9)
        rows = zip(frame["icd_code"], old, frame["long_title"], strict=True)
        known = {_spelled(code, nine): title for code, nine, title in rows}
    tree = load_tree()

    def title(code: str) -> str:
        return known.get(code) or (tree.title(code) if code in tree else code)

    return title


def with_history(frame: pd.DataFrame, past: Past, form: str) -> pd.DataFrame:
    """Put the section behind each note that has earlier stays.

    Parameters
    ----------
    frame : DataFrame
        Columns hadm_id, note.
    past : Past
    form : {"none", "codes", "titles"}
    """
    choice("history", form, FORMS)
    if form == NONE:
        return frame
    told = [past.section(hadm_id, form) for hadm_id in frame["hadm_id"]]
    return _ended_with(frame, frame["note"], told)


def _ended_with(frame: pd.DataFrame, notes, told) -> pd.DataFrame:
    """Notes, each with what is told behind it; nothing where that is empty."""
    pairs = zip(notes, told, strict=True)
    return frame.assign(note=["\n\n".join(filter(None, pair)) for pair in pairs])


def save_forms(past: Past | None, admissions: pd.DataFrame, folder: Path) -> None:
    """Write every form of each note's section to `FILE`, where a run has history.

    Runs of one study then compare them (`without`, `with_form`).
    """
    if past is None:
        return
    told = {
        one: [past.section(hadm_id, one) for hadm_id in admissions["hadm_id"]]
        for one in (CODES, TITLES)
    }
    write_parquet(admissions[["note_id"]].assign(**told), folder / FILE)


def without(note: str) -> str:
    """A note without its history.

    Examples
    --------
    >>> without("CHIEF COMPLAINT: Cough\\n\\nEARLIER ADMISSIONS: same day: I10")
    'CHIEF COMPLAINT: Cough'
    """
    head, found, _ = note.rpartition(f"{EARLIER}: ")
    return head.rstrip() if found else note


def with_form(notes: pd.DataFrame, forms: pd.DataFrame, form: str) -> pd.DataFrame:
    """Notes with another form of their history.

    Parameters
    ----------
    notes : DataFrame
        Columns note_id, note.
    forms : DataFrame
        Of `save_forms`.
    form : {"none", "codes", "titles"}
    """
    bare = notes["note"].map(without)
    if form == NONE:
        return notes.assign(note=bare)
    told = notes["note_id"].map(forms.set_index("note_id")[form]).fillna("")
    return _ended_with(notes, bare, told)


def in_words(frame: pd.DataFrame, past: Past) -> str:
    """What the flow of a cohort says of its notes' history."""
    mine = [past.visits[i] for i in frame["hadm_id"] if i in past.visits]
    said = f"{len(mine):,} notes name codes of {sum(map(len, mine)):,} earlier stays"
    if past.cut:
        said += (
            f"; {past.cut:,} admissions had more than {past.limit} codes, latest kept"
        )
    if past.undated:
        said += f"; {past.undated:,} admissions without a time of their own have none"
    return said


def told_history(history: str, limit: int) -> dict:
    """What a run says of the history in its notes; nothing where there is none.

    Examples
    --------
    >>> told_history("codes", 20), told_history("none", 20)
    ({'history': 'codes', 'history_limit': 20}, {})
    """
    told = {"history": history, "history_limit": limit}
    return {} if history == NONE else told
