"""Plant faults in good traces, to measure what the checks catch."""

import random
import re

import pandas as pd

from deepicd.common.progress import counted
from deepicd.tasks import quotes as reading
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.traces.check_counts import failures
from deepicd.traces.claims import lexicon
from deepicd.traces.distil import build_traces
from deepicd.traces.judging import LABEL_ONLY
from deepicd.traces.teachers.records import Answer
from deepicd.traces.teachers.replay import ReplayTeacher

_GIVEN = (
    "The given code fits well. ",
    "As provided, the answer is consistent with this. ",
    "I was told the diagnosis, and the note agrees. ",
    "According to the instructions, the correct code explains this. ",
)
_CLAIMS = (
    'Then there is "{}". ',
    "The patient also has {}. ",
    "On examination, {} is noted. ",
    "The presence of {} supports this. ",
    "Labs and imaging show {}, which fits. ",
    "The note describes {} as well. ",
)
_FINDINGS = (
    "copious hemoptysis",
    "melena since yesterday",
    "a generalized seizure",
    "jaundice with pruritus",
    "a petechial rash",
    "hematuria",
    "papilledema",
    "tracheal deviation",
    "nuchal rigidity",
    "an amputated toe",
)


class _Planter:
    """Faulty versions of one accepted trace."""

    def __init__(self, trace, note, gold, other, tree, rng, clinical):
        self.trace, self.note, self.gold = trace, note, gold
        self.other_trace, self.other_note, self.other_code = other
        self.tree, self.rng, self.clinical = tree, rng, clinical

    def no_fault(self):
        return self.trace, self.gold, None

    def wrong_code(self):
        return self._recode(self.other_code)

    def sibling_code(self):
        near = []
        for level in self.tree.levels[-2:-4:-1]:  # the two above: category, block
            leaves = self.tree.leaves(self.tree.at(self.gold, level))
            near = near or [c for c in leaves if c != self.gold]
        return self._recode(self.rng.choice(near or [self.other_code]))

    def _recode(self, code):
        return self.trace.replace(self.gold, code), code, None

    def invented_finding(self):
        claim = self.rng.choice(_CLAIMS).format(self._foreign_phrase())
        return self._before_end(claim), self.gold, None

    def altered_quote(self):
        quotes = reading.quotes(self.trace)
        if not quotes:
            return self.invented_finding()
        quote = self.rng.choice(quotes)
        words = quote.text.split()
        place = self.rng.randrange(len(words))
        for word in reading.words(self.other_note):
            words[place] = word
            if len(word) > 3 and not reading.stands_in(" ".join(words), self.note):
                break
        text = self.trace[: quote.start] + " ".join(words) + self.trace[quote.end :]
        return text, self.gold, None

    def early_answer(self):
        start = self.rng.choice(("This is {}. ", "{}: ", "The code must be {}. "))
        return start.format(self.gold) + self.trace, self.gold, None

    def as_given(self):
        return self._before_end(self.rng.choice(_GIVEN)), self.gold, None

    def truncated(self):
        cut = int(len(self.trace) * self.rng.uniform(0.3, 0.8))
        text = re.sub(r"[^\w]+$", "", self.trace[:cut])
        if self.rng.random() < 0.5:
            return text, None, "think not closed"
        return text, self.gold, None

    def copied_note(self):
        words = " ".join(self.note.split()[: self.rng.randint(40, 80)])
        return f"{words}. So {self.gold}.".replace('"', ""), self.gold, None

    def _foreign_phrase(self) -> str:
        """A finding that another trace quotes, or a made-up one; not in this note."""
        body = reading.padded(self.note)
        quoted = [quote.text for quote in reading.quotes(self.other_trace)]
        made_up = list(_FINDINGS)
        self.rng.shuffle(made_up)
        for phrase in [*quoted, *made_up]:
            words = [w for w in reading.words(phrase) if w in self.clinical]
            if words and all(f" {w} " not in body for w in words):
                return phrase
        return made_up[0]

    def _before_end(self, text: str) -> str:
        start = reading.sentences(self.trace)[-1].start
        return self.trace[:start] + text + self.trace[start:]


FAULTS = (
    "wrong_code",
    "sibling_code",
    "invented_finding",
    "altered_quote",
    "early_answer",
    "as_given",
    "truncated",
    "copied_note",
)


def plant(
    good: pd.DataFrame, notes: dict[str, str], tree, kind: str, seed: int
) -> list[Answer]:
    """Make a faulty version of each accepted trace.

    Parameters
    ----------
    good : pandas.DataFrame
        Accepted rows of `build_traces`; at least two different codes.
    notes : dict of str to str
        Note of each note_id.
    tree : deepicd.icd.IcdTree
    kind : str
        One of `FAULTS`, or "no fault" for the trace as it is.
    seed : int

    Returns
    -------
    list of Answer
        In the order of the rows.
    """
    rng = random.Random(f"{seed}|{kind}")
    rows = good[["note_id", "label", "trace"]].to_numpy().tolist()
    clinical, answers = lexicon([], tree), []
    for note_id, gold, trace in rows:
        others = [row for row in rows if row[1] != gold] or rows
        other_id, other_code, other_trace = rng.choice(others)
        other = other_trace, notes[other_id], other_code
        planter = _Planter(trace, notes[note_id], gold, other, tree, rng, clinical)
        text, answer, problem = getattr(planter, kind.replace(" ", "_"))()
        answers.append(Answer(note_id, 0, text, answer, problem))
    return answers


def catch_rates(
    traces: pd.DataFrame,
    admissions: pd.DataFrame,
    tree,
    n: int = 50,
    seed: int = 0,
    task: Task = PRINCIPAL_DIAGNOSIS,
) -> pd.DataFrame:
    """Plant every kind of fault in accepted traces and count what is caught.

    Every kind gets its own traces; a ninth group and all traces that are left over
    stay as they are and show how many good ones are rejected wrongly.

    Parameters
    ----------
    traces, admissions
        As `build_traces` and notebook 01 give them.
    tree : deepicd.icd.IcdTree
    n : int
        Traces of each kind; fewer where there are not nine times as many.
    seed : int
    task : Task
        Whose labels are explained; `tree` is its space.

    Returns
    -------
    pandas.DataFrame
        Columns fault, n, caught, share, then one column a check: how many of the n
        it rejects. The row "none" holds the traces without a fault.
    """
    notes = dict(zip(admissions["note_id"], admissions["note"], strict=True))
    good = traces[traces["accepted"]].sample(frac=1, random_state=seed)
    n = min(n, len(good) // (len(FAULTS) + 1))
    if n == 0:
        return _count(good.head(0).assign(fault=""), task)
    kinds, answers = {}, []
    for i, kind in enumerate(counted(FAULTS, "planting faults of each kind")):
        for answer in plant(good.iloc[i * n : (i + 1) * n], notes, tree, kind, seed):
            kinds[answer.note_id] = kind
            answers.append(answer)
    rest = ReplayTeacher.from_frame(good.iloc[len(FAULTS) * n :].assign(attempt=0))
    teacher = ReplayTeacher([*answers, *rest.stored()])
    asked = admissions["note_id"].isin([a.note_id for a in teacher.stored()])
    asked = admissions[asked | (admissions["split"] != "train")]
    judged = build_traces(asked, tree, teacher, seed, attempts=1, task=task)
    judged = judged[judged["reasons"] != LABEL_ONLY]
    judged = judged.assign(fault=judged["note_id"].map(kinds).fillna("none"))
    return _count(judged, task)


def _count(judged: pd.DataFrame, task: Task) -> pd.DataFrame:
    rows = []
    for kind in (*FAULTS, "none"):
        group = judged[judged["fault"] == kind]
        caught = int((~group["accepted"]).sum())
        total = {"fault": kind, "n": len(group), "caught": caught}
        total["share"] = caught / max(1, len(group))
        rows.append(total | failures(group, task))
    return pd.DataFrame(rows)
