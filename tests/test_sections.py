"""Sections: nothing known later stays in, nothing known at admission is lost."""

import random
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepicd.data.sections import admission_note, split_sections
from deepicd.data.sections.lines import find_headers
from deepicd.data.sections.names import FULL, KEPT
from deepicd.data.sections.vocabulary import EXACT, classify, words

# name -> headers as they are written; the first is the usual one.
HEADERS = {
    "service": ["Service:", "SERVICE:"],
    "allergies": [
        "Allergies:",
        "ALLERGIES:",
        "Allergies/ADRs on File:",
        "Allergeis:",
        "Allergies / Adverse Reactions:",
    ],
    "attending": ["Attending:", "ATTENDING:"],
    "chief_complaint": [
        "Chief Complaint:",
        "___ Complaint:",
        "CHIEF COMPLAINT:",
        "CC:",
        "chief complaint:",
        "Chief ___:",
        "Cheif Complaint:",
    ],
    "major_procedure": [
        "Major Surgical or Invasive Procedure:",
        "___ Surgical or Invasive Procedure:",
        "MAJOR SURGICAL OR INVASIVE PROCEDURE:",
    ],
    "history_of_present_illness": [
        "History of Present Illness:",
        "HPI:",
        "___ of Present Illness:",
        "History ___ Present Illness:",
        "History of Present ___:",
        "HISTORY OF THE PRESENTING ILLNESS:",
        "HISTORY OF PRESENT ILLNESS",
        "History of present illness:",
        "Histroy of Present Illness:",
        "History of the Present Illness:",
    ],
    "past_medical_history": [
        "Past Medical History:",
        "PMH:",
        "PMH/PSH:",
        "___ Medical History:",
        "Past ___ History:",
        "PAST MEDICAL HISTORY:",
        "Past Medical History",
        "Past Medcial History:",
        "past medical history:",
        "# Past Medical History:",
        "II. PMH:",
        "(1) Past Medical History:",
        "IV) Past Medical History",
    ],
    "social_history": [
        "Social History:",
        "SH:",
        "___ History:",
        "SOCIAL HISTORY:",
        "Social ___:",
        "Social Hisotry:",
    ],
    "family_history": [
        "Family History:",
        "FH:",
        "___ History:",
        "FAMILY HISTORY:",
        "Family ___:",
        "family history:",
    ],
    "physical_exam": [
        "Physical Exam:",
        "PE:",
        "ADMISSION PHYSICAL EXAM:",
        "PHYSICAL EXAM ON ADMISSION:",
        "Physical Examination:",
        "Physical ___:",
        "___ Exam:",
        "Physical Exam",
        "PHYSICAL EXAM:\nADMISSION EXAM:",
        "Physical Exam:\nPhysical Exam:",
        "Physcial Exam:",
        "Admission exam:",
        "Physical Exam:\nOn admission:",
        "PHYSICAL EXAM ON ___:",
        "Physical Exam (admission):",
        "Physical Exam (Admission)",
        "Exam on HD#1:",
    ],
    "discharge_exam": [
        "DISCHARGE PHYSICAL EXAM:",
        "PHYSICAL EXAM ON DISCHARGE:",
        "DISCHARGE EXAM (___):",
        "On discharge:",
        "Discharge:",
        "DISCHARGE ___:",
        "Discharge PE",
        "DISCHARGE EXAM",
        "At discharge:",
        "Exam on discharge:",
        "___ Exam:",
        "Physical ___:",
        "Upon discharge:",
        "Discharge exam -",
        "DISCHARGE VITALS:",
        "D/C exam:",
        "Physical Exam on discharge ___:",
        "Dicharge Physical Exam:",
        "DAY OF DISCHARGE EXAM:",
        "Discharge Exam 3/14:",
        "PHYSICAL EXAM:",
        "Vitals on discharge:",
        "=== DISCHARGE EXAM ===",
        "Physical Exam (Discharge)",
        "EXAM (DISCHARGE)",
        "Exam on HD#3:",
        "PHYSICAL EXAM HOSPITAL DAY 4:",
        "Repeat exam:",
    ],
    "pertinent_results": [
        "Pertinent Results:",
        "Pertinent ___:",
        "___ Results:",
        "PERTINENT RESULTS:",
        "ADMISSION LABS:",
        "Pertinant Results:",
        "LABS:",
        "Pertinent Results",
    ],
    "brief_hospital_course": [
        "Brief Hospital Course:",
        "___ Hospital Course:",
        "Brief ___ Course:",
        "Brief Hospital ___:",
        "___RIEF HOSPITAL COURSE",
        "Hospital Course by Problem:",
        "BRIEF HOSPITAL COURSE:",
        "Breif Hospital Course:",
        "HOSPITAL COURSE:",
        "V. Brief Hospital Course:",
    ],
    "medications_on_admission": [
        "Medications on Admission:",
        "Medications ___ Admission:",
        "Medications on ___:",
        "___ on Admission:",
        "MEDICATIONS ON ADMISSION:",
        "Medications on admission:",
        "Medcations on Admission:",
        "Home Medications:",
        "Admission Medications:",
        "Medication on Admission:",
    ],
    "discharge_medications": [
        "Discharge Medications:",
        "___ Medications:",
        "DISCHARGE MEDICATIONS:",
        "Discharge ___:",
        "ischarge Medications:",
        "Medications on Discharge:",
        "Dishcarge Medications:",
        "Discharge Meds:",
    ],
    "discharge_disposition": [
        "Discharge Disposition:",
        "___ischarge Disposition:",
        "___ Disposition:",
    ],
    "facility": ["Facility:"],
    "discharge_diagnosis": [
        "Discharge Diagnosis:",
        "___ Diagnosis:",
        "ischarge Diagnosis:",
        "Discharge Diagnoses:",
        "DISCHARGE DIAGNOSIS:",
        "Discharge ___:",
        "Final Dx:",
    ],
    "discharge_condition": ["Discharge Condition:", "___ Condition:"],
    "discharge_instructions": ["Discharge Instructions:", "___ Instructions:"],
    "followup_instructions": [
        "Followup Instructions:",
        "Follow-up Instructions:",
        "___ Instructions:",
    ],
}
TRAPS = {  # text in a section that looks like a header of another
    "history_of_present_illness": "Man with past medical history: hypertension, "
    "allergies: none known.\n \n"
    "In the ED, initial vitals were: 98.6 80 120/80. Labs: WBC 12.\n"
    "He was told of a discharge from the left ear. {}\nNo fevers.",
    "physical_exam": "VS: 98.6\nHEENT: no discharge, eyes clear of discharge\n{}\n"
    "EXT: warm",
    "pertinent_results": "___ 07:00AM BLOOD WBC-9\nSKIN BIOPSY\n"
    "___ DIAGNOSIS: lentigo {}\n"
    "CLINICAL HISTORY: {}\n___ HISTORY: {}\nDISCHARGE ___: {}\nHISTORY: {}\n"
    "PAST MEDICAL HISTORY: {}",
    "brief_hospital_course": "HPI: {}\nPhysical Exam: {}\nALLERGIES: {}\n"
    "Home medications: {} held.\n# Pain",
    "discharge_medications": "1. x {}\n2. y\nAllergies: {}",
    "discharge_instructions": "Dear ___,\nPhysical exam: {}\nChief complaint: {} it",
    "medications_on_admission": "The Preadmission Medication list is accurate and "
    "complete.\n1. a {}\n2. b",
}


def canary(name: str) -> str:
    return "qx" + name.replace("_", "")


def summary(chosen: dict[str, str], gap: str = "\n\n", skip: set[str] = frozenset()):
    parts = [" \nName:  ___                     Unit No:   ___\n \nSex:   F"]
    for name in HEADERS:
        if name in skip:
            continue
        body = TRAPS.get(name, "{} was noted").replace("{}", canary(name))
        parts.append(f"{chosen.get(name, HEADERS[name][0])}\n{body}")
    return gap.join(parts)


def leaked(text: str, mode: str = "robust") -> set[str]:
    note = admission_note(text, mode).text
    return {name for name in HEADERS if name not in KEPT and canary(name) in note}


def lost(text: str) -> set[str]:
    note = admission_note(text).text
    return {name for name in KEPT if canary(name) not in note}


ONE_BY_ONE = [(name, header) for name, all_ in HEADERS.items() for header in all_]


@pytest.mark.parametrize("gap", ["\n\n", "\n", "\n \n", "\n\n\n \n\n"])
@pytest.mark.parametrize(("name", "header"), ONE_BY_ONE)
def test_every_variant_of_every_header(name, header, gap):
    text = summary({name: header}, gap)
    assert not leaked(text)
    assert not lost(text)


def test_random_combinations_leak_nothing_and_lose_almost_nothing():
    draw = random.Random(0)
    losses, total = 0, 0
    for _ in range(1500):
        chosen = {name: draw.choice(all_) for name, all_ in HEADERS.items()}
        text = summary(chosen, draw.choice(["\n\n", "\n", "\n \n"]))
        assert not leaked(text), chosen
        losses += len(lost(text))
        total += len(KEPT)
    assert losses / total <= 0.005


def test_sections_are_spans_that_cover_the_text():
    text = summary({})
    sections = split_sections(text)
    assert "".join(s.text for s in sections) == text
    assert all(text[s.start : s.end] == s.text for s in sections)


@pytest.mark.parametrize(("name", "header"), ONE_BY_ONE)
def test_headers_are_given_their_canonical_name(name, header):
    sections = split_sections(summary({name: header}))
    holders = [s.name for s in sections if canary(name) in s.text]
    expected = "pertinent_results" if header == "LABS:" else name
    assert holders[0] == expected


def test_without_hospital_course_header_the_lists_are_still_told_apart():
    text = summary({}, skip={"brief_hospital_course"})
    assert not leaked(text) and not lost(text)
    assert "no_hospital_course_header" in admission_note(text).flags


def test_only_a_discharge_exam_gives_no_exam():
    text = (
        "Chief Complaint:\nCough\n\nPhysical Exam:\nOn discharge:\nT 98, qxlate\n\n"
        "Pertinent Results:\nnone\n"
    )
    note = admission_note(text)
    assert "qxlate" not in note.text
    assert "discharge_exam_only_left_out" in note.flags


def test_social_history_gap_and_family_history_on_the_next_line():
    text = "Past Medical History:\nHTN\n\nSocial History:\n___\nFamily History:\nNone\n"
    names = [s.name for s in split_sections(text)]
    assert names == ["past_medical_history", "social_history", "family_history"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            "Social History: ___ Family History: none",
            ["social_history", "family_history"],
        ),
        ("Sex:   M  Service: SURGERY", ["preamble", "service"]),
        ("Exam: clear.Pertinent Results: WBC", ["physical_exam", "pertinent_results"]),
        ("PE: no edemaPertinent Results: x", ["physical_exam", "pertinent_results"]),
        ("Family History:___Physical Exam:VS", ["family_history", "physical_exam"]),
        ("FH: none\tPhysical Exam: VS", ["family_history", "physical_exam"]),
        ("FH: see Social History: above", ["family_history"]),
    ],
)
def test_glued_headers(text, names):
    assert [s.name for s in split_sections(text)] == names


def test_a_second_list_without_header_is_left_out():
    text = (
        "Chief Complaint: x\nBrief Hospital Course: y\nMedications on Admission:\n"
        "1. aspirin\n2. qxhome\n\n1. qxnew\n2. x\nDischarge Disposition: home"
    )
    note = admission_note(text).text
    assert "qxhome" in note and "qxnew" not in note


def test_second_exam_after_a_history_is_the_admission_exam():
    text = (
        "HPI: ill\nPhysical Exam: in the ED qxone\nPast Medical History: HTN\n"
        "Physical Exam: qxtwo\nPhysical Exam: qxthree\nPertinent Results: none"
    )
    note = admission_note(text).text
    assert "qxone" in note and "qxtwo" in note and "qxthree" not in note


@pytest.mark.parametrize(
    "header",
    [
        "A&P:",
        "Plan:",
        "Impression/Plan:",
        "Final Dx:",
        "Hospital Problems:",
        "Consults:",
        "Cause of Death:",
    ],
)
def test_a_late_section_that_follows_the_exam_ends_it(header):
    text = f"Chief Complaint: x\nPhysical Exam:\nGEN: NAD\n{header}\nqxlate"
    assert "qxlate" not in admission_note(text).text


@pytest.mark.parametrize("opening", ["Principal Diagnosis: {}", "Final Dx:\n{}"])
@pytest.mark.parametrize("history", ["History of Present Illness:", "HPI:"])
def test_a_summary_that_opens_with_its_diagnosis(opening, history):
    text = (
        f"{opening.format('qxlate')}\n\n{history} qxhistory\nPMH: qxpast\n"
        "Physical Exam: qxexam\nBrief Hospital Course: qxlate\nHPI: qxlate"
    )
    note = admission_note(text).text
    assert "qxlate" not in note
    assert all(word in note for word in ("qxhistory", "qxpast", "qxexam"))


def test_a_tag_may_be_the_only_line_break():
    text = summary({}, "\n").replace("\n", "<br/>")
    assert not leaked(text) and not lost(text)
    assert "".join(s.text for s in split_sections(text)) == text


# What a header is, as one reads it. The search in `lines` looks at four letters of
# every piece of many notes at once; it must find the same.
NAMES = "|".join(
    key.replace(" ", r"[^\w\n:]+") for key in sorted(EXACT, key=len, reverse=True)
)
SPECIFICATION = re.compile(
    rf"""^[ \t\#*=.>()\[\]-]*        # decoration
    (?P<name>{NAMES})[.)\]]*         # a name, whatever stands between its words
    (?:(?P<colon>[ \t.()\]*-]*:)     # and a colon,
    |[ .=*\#-]*$)                    # or nothing else on the line""",
    re.I | re.M | re.X,
)


def specified(text: str) -> set[tuple[int, str]]:
    """Where the headers of a text end, and their sections."""
    found = set()
    for match in SPECIFICATION.finditer(text):
        header = EXACT[words(match["name"])]
        name = match["name"]
        alone = header.kind == "full" and len(name) >= 8 and not name[0].islower()
        if match["colon"] or alone:
            found.add((match.end(), header.name))
    return found


def test_the_fast_search_finds_what_the_specification_says():
    draw, compared = random.Random(3), 0
    for _ in range(300):
        chosen = {name: draw.choice(all_) for name, all_ in HEADERS.items()}
        header = draw.choice(list(EXACT)).title()
        end = draw.choice([":", " :", ":  x", "", " ==="])
        left = draw.choice(["", "# ", "  ", "=== ", "** ", "> "])
        text = summary(chosen, "\n").replace("was noted", f"\n{left}{header}{end}\n")
        lines = text.split("\n")
        lines = [line for line in lines if "_" not in line and len(line) < 60]
        text = "\n".join(lines)
        plain = [c for c in find_headers(text) if c.header.undoubted and c.line_start]
        exact = [c for c in plain if words(text[c.start : c.body]) in EXACT]
        fast = {(c.body, c.header.name) for c in exact}
        said = {(len(text[:end].rstrip(" =")), name) for end, name in specified(text)}
        fast = {(len(text[:end].rstrip(" =")), name) for end, name in fast}
        assert fast == said, [text[a - 40 : a + 5] for a, _ in fast ^ said]
        compared += len(said)
    assert compared > 3_000


LONG = [n for names in FULL.values() for n in names if len(n.replace(" ", "")) > 9]


@pytest.mark.parametrize("name", LONG)
def test_a_slip_of_the_pen_anywhere_in_a_long_name(name):
    for at in range(1, len(name)):
        slip = name[:at] + name[at + 1 :]
        for text in (f"{slip.title()}:\nx", f"\n{slip.title()}\nx"):
            assert find_headers(text), text


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("On discharge, patient is well qxlate", False),
        ("GEN: NAD. On discharge: qxlate", False),
        ("Discharge weight: 80 qxlate", False),
        ("VITALS AT DISCHARGE 98 qxlate", False),
        ("Exam on transfer to floor: qxlate", False),
        ("EYES: no discharge qxlate", True),
        ("Wound: purulent discharge: qxlate", True),
        ("Ears without\ndischarge. qxlate", True),
        ("posterior oropharynx qxlate", True),
    ],
)
def test_what_turns_an_exam_to_the_discharge(line, kept):
    text = f"Chief Complaint: x\nPhysical Exam:\nGEN: NAD\n{line}\nPertinent Results: y"
    assert ("qxlate" in admission_note(text).text) is kept


def test_lab_lines_end_an_exam_without_results_header():
    text = (
        "Chief Complaint: x\nPhysical Exam:\nGEN: NAD\n\n"
        "___ 07:00AM BLOOD WBC-9 qxlab\n\nBrief Hospital Course: y"
    )
    assert "qxlab" not in admission_note(text).text


def test_cop_leaks_what_its_authors_rule_leaks():
    text = summary({"discharge_exam": "DISCHARGE EXAM (___):"}, "\n")
    assert "discharge_exam" in leaked(text, "cop")
    assert (
        "qxhistory"
        not in admission_note(
            summary({"history_of_present_illness": "HPI:"}), "cop"
        ).text
    )


def test_unknown_mode_names_the_modes():
    with pytest.raises(ValueError, match="robust, cop"):
        admission_note("x", "other")


@pytest.mark.parametrize(
    "raw",
    [
        "WBC",
        "In the ED, initial vitals were",
        "GENERAL",
        "Labs were notable for",
        "Clinical History",
        "___",
    ],
)
def test_what_is_no_header(raw):
    assert classify(raw) is None


@pytest.mark.parametrize("mode", ["robust", "cop"])
@pytest.mark.parametrize(
    "unit",
    [
        "\n",
        " \n",
        "\n\n",
        " ",
        "___ ",
        "Physical Exam:\n",
        "no discharge\n",
        "x: ",
        "Home Medications:\n",
        "___ History:\n",
        "discharge ",
        "1. a\n",
    ],
)
def test_time_is_linear_in_repetitions(mode, unit):
    text = f"Chief Complaint: x\nPhysical Exam: 7 AM {unit * 8_000}\nMeds: y\n{unit}"
    start = time.process_time()
    admission_note(text, mode)
    assert time.process_time() - start < 3.0  # far below what quadratic time takes


WORDS = st.sampled_from(
    [h for all_ in HEADERS.values() for h in all_]
    + [
        "___",
        "\n",
        "\n\n",
        " ",
        ":",
        "On discharge:",
        "text",
        "1. x",
        "\r\n",
        "İ",
        "ß",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS | st.text(max_size=8), max_size=40))
def test_any_text_is_split_without_error(pieces):
    text = "".join(pieces)
    for mode in ("robust", "cop"):
        admission_note(text, mode)
    assert "".join(s.text for s in split_sections(text)) == text


def test_mutated_summaries_keep_the_secret():
    draw = random.Random(1)
    for _ in range(400):
        chosen = {name: draw.choice(all_) for name, all_ in HEADERS.items()}
        lines = summary(chosen).split("\n")
        for _ in range(draw.randrange(4)):
            at = draw.randrange(len(lines))
            lines.insert(at, draw.choice(["", " ", "___", lines[at]]))
        admission_note("\n".join(lines))
