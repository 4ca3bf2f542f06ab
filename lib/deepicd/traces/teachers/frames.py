"""How a rule-written trace sounds: short names of the tree, frames, connectives."""

CHAPTERS = {
    "1": "infectious",
    "2": "neoplasm",
    "3": "blood or immune",
    "4": "endocrine",
    "5": "mental",
    "6": "nervous system",
    "7": "eye",
    "8": "ear",
    "9": "circulatory",
    "10": "respiratory",
    "11": "digestive",
    "12": "skin",
    "13": "musculoskeletal",
    "14": "genitourinary",
    "15": "pregnancy",
    "16": "perinatal",
    "17": "congenital",
    "18": "symptom",
    "19": "injury",
    "20": "external cause",
    "21": "health status",
    "22": "special purpose",
}


def as_noun(detail: str) -> str:
    """Make a detail that starts with a preposition a noun phrase."""
    small = detail.split(" ", 1)[0] in {"with", "without", "due", "not"}
    return f"the form {detail}" if small else detail


# One wording each: a small student that has seen two ways to say the same learns which
# of them was drawn, and every such draw is noise in what reinforcement learning pays.
SHORT = {
    "open": ("{evidence}: {chapter} ({number}).",),
    "category": ("{code3}, {category}",),
    "single": ("{Category}",),
    "sibling": ("; {quote}: {detail}.",),
    "missing": ("; no {missing}, so {detail}.",),
    "detail": ("; {detail}.",),
    "close": ("Code {code}.",),
}
LONG = {
    "open": (
        "The findings that carry weight are {evidence}. They belong to chapter "
        "{number}, {chapter_title}.",
        "Reading the note, {evidence} stand out. Together they place the problem in "
        "chapter {number}, {chapter_title}.",
        "What brings the patient in is told by {evidence}; that is the territory of "
        "chapter {number}, {chapter_title}.",
        "Chapter {number}, {chapter_title}, is where {evidence} lead.",
    ),
    "category": (
        " Within it, block {block} ({block_title}) narrows the search, and the picture"
        " is that of {code3}, {category_title}.",
        " Among its blocks {block} ({block_title}) fits best. The category is {code3}:"
        " {category_title}.",
    ),
    "single": (
        " Within it, block {block} ({block_title}) holds the answer, {category_title},"
        " which is not divided further.",
    ),
    "sibling": (
        " What separates the codes of this category here is {quote}: in notes like"
        " this one it goes with {detail_noun} rather than {other}.",
        " {other_upper} would be the alternative, but {quote} speaks for"
        " {detail_noun}.",
    ),
    "missing": (
        " {other_upper} would be the alternative, yet there is no {missing} in the"
        " note, which leaves {detail_noun}.",
        " Nothing such as {missing} is mentioned, so {detail_noun} is more likely than"
        " {other}.",
    ),
    "detail": (" The description that fits is {detail_noun}.",),
    "close": (
        " The first-listed diagnosis is therefore {code}.",
        " This leads to {code}.",
        " All in all the code is {code}.",
    ),
}
FRAMES = {"short": SHORT, "long": LONG}
