"""The knowledge base of the synthetic corpus: YAML files to typed entries.

One file per ICD-10-CM chapter plus `common.yaml`. A chapter file refers only to
what it defines itself or what `common.yaml` defines, so that a subset of the
chapters can be loaded alone. The README beside the files explains the format.
"""

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import yaml

from deepicd.common.errors import UserError
from deepicd.data.synthetic.entries import (
    BANDS,
    SAID,
    Entry,
    Knowledge,
    Variable,
    phrases,
    spread,
)

__all__ = [
    "BANDS",
    "Entry",
    "Knowledge",
    "Variable",
    "core",
    "load_knowledge",
    "phrases",
    "spread",
]

DATA_FILES = ("knowledge_base/*.yaml",)
FOLDER = Path(__file__).with_name("knowledge_base")
_FINDING_KEYS = {
    "say",
    "denied",
    "deny",
    "background",
    "sex",
    "drugs",
    "code",
    "hush",
}
DENIABLE = ("hpi",)  # sections where "denies X" needs no phrase of its own


def _triple(value) -> tuple[float, float, float]:
    return tuple(value) if isinstance(value, list) else (float(value),) * 3


def _finding(key: str, section: str, spec) -> Variable:
    spec = {"say": spec} if isinstance(spec, str) else spec
    if foreign := set(spec) - _FINDING_KEYS:
        raise UserError(
            found=f"{key} with {sorted(map(str, foreign))}",
            expected=f"only {', '.join(sorted(_FINDING_KEYS))}",
            do="mend the knowledge file (YAML reads a bare `no` or `on` as a boolean)",
        )
    say = phrases(spec["say"])
    no = spec.get("denied", say[0] if section in DENIABLE else "")
    return Variable(
        key,
        section,
        SAID,
        (say,),
        no=phrases(no) if no else (),
        deny=spec.get("deny", 0.0),
        background=(_triple(spec.get("background", 0.0)),),
        sex=spec.get("sex", ""),
        drugs=phrases(spec.get("drugs", "")),
        code=spec.get("code", ""),
        hush=(phrases(spec.get("hush", "")),),
    )


def _attribute(key: str, section: str, spec: dict) -> Variable:
    spec = dict(spec)
    background = spec.pop("background", {})
    rest, always = spec.pop("rest", ""), spec.pop("always", False)
    hush = phrases(spec.pop("hush", ""))
    names = tuple(spec)
    shares = spread(background, names, rest) if background else {}
    return Variable(
        key,
        section,
        names,
        tuple(phrases(spec[name]) for name in names),
        background=tuple(_triple(shares.get(name, 0.0)) for name in names),
        always=always,
        rest=rest,
        hush=(hush,) * len(names) if hush else (),
    )


def _variables(document: dict) -> list[Variable]:
    found = [
        _finding(key, section, spec)
        for section, group in document.get("findings", {}).items()
        for key, spec in group.items()
    ]
    found += [
        _attribute(key, section, spec)
        for section, group in document.get("attributes", {}).items()
        for key, spec in group.items()
    ]
    return found


def _whole(key: str, options: dict, hushes: dict, events=()) -> Variable:
    """Chief complaint and onset: one attribute over the options of all files.

    A complaint hushes the finding of its own name and those in `hushes`.
    """
    texts = tuple(phrases(text) for text in options.values())
    hush = tuple((name, *phrases(hushes.get(name, ""))) for name in options)
    return Variable(
        key, key, tuple(options), texts, always=True, hush=hush, events=tuple(events)
    )


def _entry(document: dict, category: str, group: dict, code: str, own: dict) -> Entry:
    def pick(name, default=None):
        return own.get(name, group.get(name, default))

    shared = group.get("findings", {})
    siblings = [spec.get("findings", {}) for spec in group["codes"].values()]
    telling = frozenset(key for spec in siblings for key in spec)
    calm = document["planned"] if set(pick("onset")) == {"planned"} else {}
    listed = {**calm, **document.get("shared", {}), **shared, **own.get("findings", {})}
    listed["complaint"], listed["onset"] = pick("complaints"), pick("onset")
    return Entry(
        code,
        own["title"],
        category,
        group["block"],
        str(document["chapter"]),
        weight=float(group.get("weight", 1)) * float(own.get("weight", 1)),
        female=float(pick("female", 0.5)),
        age=tuple(pick("age", [60, 20, 90])),
        service=pick("service", "MED"),
        admission=pick("admission", "EW EMER."),
        drg=tuple(str(part) for part in pick("drg", ["", ""])),
        listed=listed,
        telling=telling,
        scope=frozenset(shared) | telling,
        secondary={**group.get("secondary", {}), **own.get("secondary", {})},
        course=phrases(pick("course", "")),
        treatment=phrases(pick("treatment", "")),
        procedure=tuple(pick("procedure")) if pick("procedure") else None,
    )


def _read(name: str) -> dict:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = FOLDER.joinpath(name).read_text("utf-8")
    return yaml.load(text, Loader=loader)


def chapter_files() -> tuple[str, ...]:
    """Name the chapter files, in chapter order."""
    names = [p.name for p in FOLDER.iterdir() if re.match(r"chapter_\d+", p.name)]
    return tuple(sorted(names))


@lru_cache(maxsize=4)
def load_knowledge(files: tuple[str, ...] | None = None) -> Knowledge:
    """Read the knowledge base.

    Parameters
    ----------
    files : tuple of str, optional
        Chapter files to read; all of them by default.

    Returns
    -------
    Knowledge
        Entries sorted by code.

    Raises
    ------
    UserError
        When an entry names a finding that no file defines.

    Examples
    --------
    >>> base = load_knowledge()
    >>> len(base.entries) >= 60
    True
    """
    common = _read("common.yaml")
    documents = [common]
    documents += [_read(name) for name in (files or chapter_files())]
    merged: dict[str, dict] = {
        "complaints": {},
        "onsets": {},
        "secondary": {},
        "hushes": {},
    }
    for document in documents:
        for part, options in merged.items():
            options.update(document.get(part, {}))
    events = [e for doc in documents for e in phrases(doc.get("events", ""))]
    variables = [
        _whole("complaint", merged["complaints"], merged["hushes"], events),
        _whole("onset", merged["onsets"], {}),
        *(one for document in documents for one in _variables(document)),
    ]
    entries = [
        _entry({**common, **document}, category, group, code, own)
        for document in documents[1:]
        for category, group in document["categories"].items()
        for code, own in group["codes"].items()
    ]
    entries.sort(key=lambda entry: entry.code)
    _check(entries, variables)
    titles = {**merged["secondary"], **{e.code: e.title for e in entries}}
    graded = {c: 1 + i for i, k in enumerate(("CC", "MCC")) for c in common[k]}
    related = {line: phrases(text) for line, text in common["related"].items()}
    return Knowledge(
        tuple(entries), tuple(variables), titles, common["icd9"], graded, related
    )


@lru_cache(maxsize=8)
def core(knowledge: Knowledge, codes: int | None) -> Knowledge:
    """Keep the most common codes; each chapter keeps some.

    A category comes in with its two most common codes, so that siblings stay
    confusable; its further codes come in by their own weight. Findings that no
    kept code lists and that have no background rate go.

    Parameters
    ----------
    knowledge : Knowledge
        Everything.
    codes : int or None
        How many codes, at least two a chapter; None keeps all.

    Examples
    --------
    >>> small = core(load_knowledge(), 60)
    >>> len(small.entries), len({entry.chapter for entry in small.entries})
    (60, 19)
    """
    if codes is None or codes >= len(knowledge.entries):
        return knowledge
    members: dict[str, list[Entry]] = {}
    for entry in sorted(knowledge.entries, key=lambda e: (-e.weight, e.code)):
        members.setdefault(entry.category, []).append(entry)
    units = [own[:2] for own in members.values()]
    units += [[entry] for own in members.values() for entry in own[2:]]
    units.sort(key=lambda unit: (-unit[0].weight, unit[0].code))
    first = {unit[0].chapter: unit for unit in reversed(units)}
    leading = [unit for unit in units if unit is first[unit[0].chapter]]
    others = [unit for unit in units if unit is not first[unit[0].chapter]]
    kept = [entry for unit in [*leading, *others] for entry in unit][:codes]
    kept.sort(key=lambda entry: entry.code)
    listed = {key for entry in kept for key in entry.listed}
    variables = tuple(
        v
        for v in knowledge.variables
        if v.key in listed or any(any(rates) for rates in v.background)
    )
    return replace(knowledge, entries=tuple(kept), variables=variables)


def _check(entries: list[Entry], variables: list[Variable]) -> None:
    keys = [variable.key for variable in variables]
    twice = {key for key in keys if keys.count(key) > 1}
    unknown = {key for entry in entries for key in entry.listed} - set(keys)
    sources = {v.key for v in variables if any(v.hush) and v.key != "complaint"}
    targets = {key for v in variables for group in v.hush for key in group}
    for problem, names in (
        ("defined twice", twice),
        ("undefined", unknown),
        ("both hushing and hushed", sources & targets),
    ):
        if names:
            raise UserError(
                found=f"{problem}: {', '.join(sorted(names))}",
                expected="each finding defined once",
                do="mend the knowledge files",
            )
