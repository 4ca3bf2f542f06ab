"""What the knowledge base of the synthetic corpus is made of."""

from dataclasses import dataclass, field

from deepicd.common.errors import UserError

BANDS = ((18, 44), (45, 64), (65, 95))
SAID = ("said",)


@dataclass(frozen=True)
class Variable:
    """One thing a note can say: a finding (yes/no) or an attribute (one of many).

    `options` holds the phrasings of each option; a finding has one option. `no`
    holds the phrasings of the denial. `background` gives, per option and age band
    (18-44, 45-64, 65+), the probability for codes that do not list the variable.
    `hush` names, per option, findings that are neither said nor denied once the
    option has been said ("pleuritic chest pain. Denies chest pain").
    """

    key: str
    section: str
    names: tuple[str, ...]
    options: tuple[tuple[str, ...], ...]
    no: tuple[str, ...] = ()
    deny: float = 0.0
    background: tuple[tuple[float, float, float], ...] = ()
    sex: str = ""
    drugs: tuple[str, ...] = ()
    code: str = ""
    always: bool = False
    rest: str = ""
    hush: tuple[tuple[str, ...], ...] = ()
    events: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Entry:
    """One principal diagnosis with everything the generator knows about it."""

    code: str
    title: str
    category: str
    block: str
    chapter: str
    weight: float
    female: float
    age: tuple[int, int, int]
    service: str
    admission: str
    drg: tuple[str, str]
    listed: dict
    telling: frozenset = frozenset()
    scope: frozenset = frozenset()
    secondary: dict = field(default_factory=dict)
    course: tuple[str, ...] = ()
    treatment: tuple[str, ...] = ()
    procedure: tuple[str, str] | None = None


@dataclass(frozen=True, eq=False)
class Knowledge:
    """All entries (sorted by code), variables (in file order) and code titles.

    `complications` grades the secondary diagnoses that make a stay a graver one: 1 for
    a complication or comorbidity (CC), 2 for a major one (MCC). `related` gathers
    categories that lead to one another, by line of illness.
    """

    entries: tuple[Entry, ...]
    variables: tuple[Variable, ...]
    titles: dict
    icd9: dict = field(default_factory=dict)
    complications: dict = field(default_factory=dict)
    related: dict = field(default_factory=dict)


def phrases(text) -> tuple[str, ...]:
    """Split "a; b; c" into its phrasings.

    Examples
    --------
    >>> phrases("fever; chills; rigors")
    ('fever', 'chills', 'rigors')
    """
    parts = text if isinstance(text, list) else str(text).split(";")
    return tuple(part.strip() for part in parts if part.strip())


def spread(value, names: tuple[str, ...], rest: str) -> dict[str, float]:
    """Give the probability of each option from the short form in a file.

    A single name means that option for sure; what a mapping leaves to one goes
    to the option named by `rest`, where there is one.

    Examples
    --------
    >>> spread({"fever": 0.25}, ("normal", "fever"), "normal")
    {'fever': 0.25, 'normal': 0.75}
    """
    shares = {value: 1.0} if isinstance(value, str) else dict(value)
    unknown = set(shares) - set(names)
    if unknown:
        raise UserError(
            found=f"option {sorted(unknown)[0]!r}",
            expected=f"one of {names}",
            do="mend the knowledge file",
        )
    if rest and rest not in shares:
        shares[rest] = max(0.0, 1.0 - sum(shares.values()))
    return shares
