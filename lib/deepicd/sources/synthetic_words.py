"""Words by chance: a portable random stream, and what a note says, in words."""

import re

from deepicd.sources.synthetic_knowledge import Knowledge, Variable

_MASK = (1 << 64) - 1
_CHOICE = re.compile(r"<([^<>]*)>")


class Draw:
    """A small counter-free random stream: fast, and equal on every platform.

    Examples
    --------
    >>> draw = Draw(7)
    >>> draw.pick("abc") == Draw(7).pick("abc")
    True
    """

    __slots__ = ("state",)

    def __init__(self, seed: int):
        self.state = (int(seed) * 2 + 1) & _MASK

    def below(self, n: int) -> int:
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & _MASK
        return ((self.state >> 33) * n) >> 31

    def pick(self, options):
        return options[self.below(len(options))]

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent

    def say(self, options) -> str:
        """Pick a phrasing and resolve its <a|b> choices."""
        text = self.pick(options)
        if "<" in text:
            text = _CHOICE.sub(lambda m: self.pick(m.group(1).split("|")), text)
        return text


class Said:
    """What one note says, grouped for the writers of the sections."""

    def __init__(self, knowledge: Knowledge, columns, draw: Draw, sex: str):
        self.draw, self.sex = draw, sex
        self.yes: dict[str, list[str]] = {}
        self.no: dict[str, list[str]] = {}
        self.drugs: list[str] = []
        self.codes: list[str] = []
        self.event = self.planned = False
        for variable, option in columns:
            self._add(knowledge.variables[variable], option)

    def _add(self, variable: Variable, option: int) -> None:
        if option < 0:
            self.no.setdefault(variable.section, []).append(self.draw.say(variable.no))
            return
        if variable.key == "onset":
            self.planned = variable.names[option] == "planned"
        if variable.key == "complaint":
            self.event = variable.names[option] in variable.events
        phrase = self.draw.say(variable.options[option])
        self.yes.setdefault(variable.section, []).append(phrase)
        if variable.drugs and self.draw.chance(85):
            drug = self.draw.pick(variable.drugs)
            if not any(drug.split()[0] == d.split()[0] for d in self.drugs):
                self.drugs.append(drug)
        if variable.code:
            self.codes.append(variable.code)

    def one(self, section: str) -> str:
        return self.yes[section][0]


def joined(items: list[str], last: str = "and") -> str:
    """Join as English does.

    Examples
    --------
    >>> joined(["fever", "chills", "cough"])
    'fever, chills and cough'
    """
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def capital(text: str) -> str:
    """Make the first letter upper case and leave the rest.

    Examples
    --------
    >>> capital("no DVT")
    'No DVT'
    """
    return text[:1].upper() + text[1:]
