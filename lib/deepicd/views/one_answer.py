"""One answer with its sources, as text and as HTML: what `deepicd.predict` prints."""

from html import escape

from deepicd.icd.official import KINDS
from deepicd.views.marked import marked, marks_in_trace

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:46em;margin:2em auto;"
    "padding:0 1em}h2{margin-top:2em}li{margin:.2em 0}.doubt{border-left:4px solid "
    "#a4350f;padding-left:.6em}.notice{color:#a4350f}"
)


def as_text(record: dict) -> str:
    """A record of `deepicd.predict` for a person to read.

    Examples
    --------
    >>> print(as_text({"note": "a.txt", "code": None, "why": "no sample", "samples": 8,
    ...     "notice": "Research only."}))
    a.txt
      no code: no sample
      Research only.
    """
    lines = [record["note"], f"  {_answer(record)}"]
    if record.get("reasoning"):
        lines += ["  Reasoning", *_indented([record["reasoning"]])]
        lines += _indented(_evidence(record))
    for title, items in _parts(record):
        lines += [f"  {title}", *_indented(items)]
    return "\n".join([*lines, f"  {record['notice']}"])


def as_html(records: list[dict], notes: dict[str, str]) -> str:
    """A page of records; quotes that stand in the note are green, others orange.

    Parameters
    ----------
    notes : dict of str to str
        Text of each note, in which quotes are looked for.

    Examples
    --------
    >>> page = as_html([{"note": "a<b", "code": None, "why": "no sample", "samples": 8,
    ...     "notice": "Research only."}], {"a<b": ""})
    >>> "a&lt;b" in page and "Research only." in page
    True
    """
    body = "".join(_section(record, notes[record["note"]]) for record in records)
    head = f"<meta charset='utf-8'><title>Answers</title><style>{STYLE}</style>"
    return (
        f"<!doctype html><html lang='en'><head>{head}</head><body>{body}</body></html>"
    )


def _section(record: dict, note: str) -> str:
    found = [
        f"<h2>{escape(record['note'])}</h2><p><b>{escape(_answer(record))}</b></p>"
    ]
    if said := record.get("reasoning"):
        found.append(f"<p>{marked(said, marks_in_trace(said, note))}</p>")
    for title, items in _parts(record):
        kind = " class='doubt'" if title.startswith("Doubt") else ""
        told = "".join(f"<li>{escape(item)}</li>" for item in items)
        found.append(f"<div{kind}><h3>{escape(title)}</h3><ul>{told}</ul></div>")
    return "".join([*found, f"<p class='notice'>{escape(record['notice'])}</p>"])


def _answer(record: dict) -> str:
    """The code, and whether the model stands by it."""
    if record["code"] is None:
        return f"no code: {record['why']}"
    text = f"{record['code']} {record['title']}"
    return f"{text} (abstains: {record['why']})" if record.get("why") else text


def _evidence(record: dict) -> list[str]:
    missing = [e["quote"] for e in record["evidence"] if not e["in_note"]]
    return [f'not in the note: "{quote}"' for quote in missing]


def _parts(record: dict) -> list[tuple[str, list[str]]]:
    """Headings with their lines; what a record does not hold is left out."""
    found = [("Warning", [record["warning"]])] if "warning" in record else []
    if doubt := record.get("doubts"):
        said = f"{doubt['step']}, {doubt['probability']:.2f}: {doubt['text']}"
        if not doubt["agrees"]:
            said += " (at odds with the note or with the answer)"
        found.append(("Doubted step (probability that it is right)", [said]))
    for node in record.get("official", ()):
        told = [
            f"{KINDS[kind]}: {'; '.join(items)}"
            for kind, items in node["notes"].items()
        ]
        found.append((f"{node['code']} {node['title']}", told))
    if cases := record.get("nearest"):
        told = [
            f"{case['note_id']}: {case['label']} {case['title']} "
            f"(similarity {case['similarity']:.2f})"
            for case in cases
        ]
        found.append(("Nearest training cases", told))
    return found


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for text in lines for line in text.splitlines()]
