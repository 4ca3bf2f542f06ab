"""The rule teacher of labels without a tabular list: quotes, then levels in words."""

from deepicd.traces.teachers.rule import RuleTeacher

FRAMES = {
    "short": {  # one wording each, as in `frames.SHORT`
        "open": ("{evidence}: this {tells}.",),
        "sibling": (" {quote} decides between the rest.",),
        "close": (" So the answer is {label}.",),
    },
    "long": {
        "open": (
            "What carries weight is {evidence}. This {tells}.",
            "Reading the note, one finds {evidence}. The picture {tells}.",
        ),
        "sibling": (
            " What separates the answers that are left is {quote}: in notes like this"
            " one it goes with the one below.",
            " Among the answers that are left, {quote} decides.",
        ),
        "close": (
            " All in all the answer is {label}.",
            " This leads to {label}.",
        ),
    },
}


class LevelTeacher(RuleTeacher):
    """Write reasoning that quotes the note and names the levels above the label.

    It needs of a space what every space has: paths and titles. Parameters as those of
    `RuleTeacher`.

    Examples
    --------
    >>> import pandas as pd
    >>> from deepicd.tasks import get_task
    >>> train = pd.DataFrame({
    ...     "note": ["Septic shock today."] * 4 + ["Mild cough today."] * 4,
    ...     "label": ["over 14 days"] * 4 + ["up to 3 days"] * 4})
    >>> space = get_task("length_of_stay").space(None)
    >>> trace = LevelTeacher(space).fit(train).write(train.head(1))[0]
    >>> print(trace.replace(". ", ".\\n"))
    "Septic shock": this speaks for more than 7 days.
    So the answer is over 14 days.
    >>> said = LevelTeacher(space).lead("over 14 days", ["septic shock"])
    >>> print(said.replace(". ", ".\\n"))
    "septic shock": this speaks for more than 7 days.
    So the answer is over 14 days.
    """

    def _compose(self, code, items, rng, attempt) -> str:
        evidence, telling = self._evidence(items, rng, attempt)
        return self._said(code, evidence, f'"{telling.text}"' if telling else "", rng)

    def _said(self, code, evidence: str, telling: str, rng) -> str:
        frames = FRAMES[self.length]
        facts = {
            "evidence": evidence,
            "tells": self._tells(code),
            "quote": telling,
            "label": code,
        }
        parts = ["open", "sibling", "close"] if telling else ["open", "close"]
        return "".join(rng.choice(frames[p]).format(**facts) for p in parts)

    def _tells(self, label: str) -> str:
        """What the quotes do: they speak for the nodes above a label."""
        above = ", ".join(_each_once(map(self.tree.title, self.tree.path(label)[:-1])))
        return f"speaks for {above}" if above else "decides the matter"


def _each_once(titles) -> list[str]:
    """Titles from coarse to fine, each without the one that it begins with.

    Those in capitals are said in small letters: a tokenizer cuts capitals to pieces.

    Examples
    --------
    >>> _each_once(["heart", "heart", "heart, medical", "heart (A1)", "HEART FAILURE"])
    ['heart', 'medical', 'A1', 'heart failure']
    """
    said, added = [""], []
    for title in titles:
        title = title.lower() if " " in title and title.isupper() else title
        known = max((t for t in said if _begins(title, t)), key=len)
        added.append(title.removeprefix(known).strip(" ,()"))
        said.append(title)
    return [text for text in added if text]


def _begins(title: str, start: str) -> bool:
    return title == start or not start or title.startswith((f"{start}, ", f"{start} ("))
