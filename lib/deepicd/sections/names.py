"""The sections of a discharge summary, their order, and how their headers are named."""

# The usual order of a MIMIC-IV discharge summary. Medications on Admission comes
# after the hospital course.
ORDER = (
    "preamble", "admission_date", "date_of_birth", "service", "allergies", "attending",
    "chief_complaint", "major_procedure", "history_of_present_illness",
    "past_medical_history", "social_history", "family_history", "physical_exam",
    "discharge_exam", "pertinent_results", "brief_hospital_course",
    "medications_on_admission", "discharge_medications", "discharge_disposition",
    "facility", "discharge_diagnosis", "discharge_condition",
    "discharge_instructions", "followup_instructions", "addendum",
)  # fmt: skip
RANK = {name: rank for rank, name in enumerate(ORDER)}

# Known at admission, in the order of the assembled note.
KEPT = (
    "chief_complaint", "history_of_present_illness", "past_medical_history",
    "medications_on_admission", "allergies", "physical_exam", "family_history",
    "social_history",
)  # fmt: skip

# Full names. Gaps and slips of the pen are recognised for these.
FULL = {
    "admission_date": ["admission date", "discharge date"],
    "date_of_birth": ["date of birth"],
    "service": ["service"],
    "allergies": ["allergies", "allergies adverse reactions",
                  "allergies adverse drug reactions", "drug allergies",
                  "allergies adrs on file", "allergies adrs"],
    "attending": ["attending"],
    "chief_complaint": ["chief complaint", "reason for admission",
                        "presenting complaint", "chief complaints"],
    "major_procedure": ["major surgical or invasive procedure"],
    "history_of_present_illness": [
        "history of present illness", "history of the present illness",
        "history of presenting illness", "history of the presenting illness",
        "present illness",
    ],
    "past_medical_history": [
        "past medical history", "past surgical history",
        "past medical and surgical history", "past medical surgical history",
        "past history", "medical history", "past psychiatric history",
        "past oncologic history", "past oncological history",
        "past medical problems", "surgical history",
    ],
    "social_history": ["social history"],
    "family_history": ["family history", "family medical history"],
    "physical_exam": [
        "physical exam", "physical examination", "physical exam on admission",
        "physical examination on admission", "admission physical exam",
        "admission physical examination", "exam on admission", "admission exam",
        "initial physical exam", "physical exam at admission", "admitting exam",
        "physical exam upon admission",
    ],
    "discharge_exam": [
        "discharge physical exam", "discharge physical examination",
        "physical exam on discharge", "physical examination on discharge",
        "discharge exam", "exam on discharge", "physical exam at discharge",
        "physical exam upon discharge", "discharge examination",
    ],
    "pertinent_results": [
        "pertinent results", "pertinent studies", "pertinent lab results",
        "pertinent laboratory results", "pertinent labs",
    ],
    "brief_hospital_course": [
        "brief hospital course", "hospital course", "hospital course by problem",
        "brief hospital course by problem", "hospital course by system",
        "hospital course by issue", "summary of hospital course",
        "brief hospital summary", "concise summary of hospital course",
        "hospital course summary", "transitional issues", "hospital course by systems",
    ],
    "medications_on_admission": [
        "medications on admission", "medications prior to admission",
        "medications at admission", "medications upon admission",
        "admission medications", "preadmission medications",
    ],
    "discharge_medications": [
        "discharge medications", "medications on discharge",
        "medications at discharge", "medications upon discharge",
    ],
    "discharge_disposition": ["discharge disposition"],
    "facility": ["facility"],
    "discharge_diagnosis": [
        "discharge diagnosis", "discharge diagnoses", "final diagnosis",
        "final diagnoses", "primary discharge diagnosis", "principal diagnosis",
        "secondary discharge diagnosis", "diagnosis at discharge",
    ],
    "discharge_condition": ["discharge condition", "condition on discharge",
                            "condition at discharge"],
    "discharge_instructions": ["discharge instructions"],
    "followup_instructions": ["followup instructions", "follow up instructions",
                              "followup appointments", "follow up appointments",
                              "recommended follow up", "recommended followup"],
}  # fmt: skip

# Short or everyday names. They count only where the note has no full name of the
# same section, and not once the summary has reached the results.
WEAK = {
    "chief_complaint": ["cc", "complaint", "reason for consult"],
    "history_of_present_illness": ["hpi", "history", "interval history"],
    "past_medical_history": ["pmh", "pmhx", "psh", "pshx", "pmh psh", "pmhx pshx",
                             "pmh and psh", "past med hx", "past medical hx",
                             "pmhx psh",
                             "oncologic history", "psychiatric history",
                             "past ob history", "past gyn history"],
    "social_history": ["sh", "shx", "soc hx", "social hx", "social"],
    "family_history": ["fh", "fhx", "fam hx", "family hx", "family"],
    "physical_exam": ["pe", "exam", "examination", "admission pe", "pe on admission",
                      "physical", "admit exam", "admit physical exam"],
    "medications_on_admission": [
        "home medications", "home meds", "meds on admission", "medications at home",
        "outpatient medications", "meds at home", "admission meds", "meds",
        "medications", "current medications", "medications on transfer",
        "medications prior to transfer", "home medication list", "preadmission meds",
    ],
}  # fmt: skip

# Headers of results and of what follows, believed only from the exam on: in the
# history of present illness the same words report what the emergency room found.
FROM_EXAM_ON = {
    "pertinent_results": [
        "labs", "labs on admission", "admission labs", "laboratory data", "laboratory",
        "laboratories", "lab results", "results", "imaging", "studies", "microbiology",
        "micro", "radiology", "discharge labs", "labs on discharge", "ekg", "ecg",
        "pathology", "admission laboratory data", "laboratory results", "data",
        "relevant labs", "lab data", "imaging studies", "diagnostics",
    ],
    "brief_hospital_course": [
        "course", "assessment and plan", "assessment", "a p", "impression",
        "active issues", "acute issues", "chronic issues", "micu course", "icu course",
        "floor course", "issues", "summary", "assessment plan", "active problems",
        "acute medical issues", "acute problems", "hospital summary",
    ],
    "discharge_medications": ["discharge meds", "meds on discharge", "d c meds",
                              "medications on d c", "new medications"],
    "discharge_disposition": ["disposition", "dispo"],
    "discharge_diagnosis": ["diagnosis", "diagnoses", "primary diagnosis",
                            "secondary diagnosis", "primary diagnoses",
                            "secondary diagnoses"],
    "discharge_instructions": ["instructions"],
    "addendum": ["addendum"],
}  # fmt: skip

# Believed only inside the exam.
IN_EXAM = {"physical_exam": ["on admission", "admission", "at admission", "admit",
                             "upon admission", "on arrival", "admission vs",
                             "admission vitals", "vitals on admission"]}  # fmt: skip

# Names in which a de-identified gap is believed; in others it is too ambiguous.
GAPPED = {
    "chief complaint", "major surgical or invasive procedure",
    "history of present illness", "history of the present illness",
    "past medical history", "past surgical history", "social history",
    "family history", "physical exam", "physical examination",
    "physical exam on admission", "physical exam on discharge",
    "admission physical exam", "discharge physical exam", "discharge exam",
    "pertinent results", "brief hospital course", "hospital course by problem",
    "medications on admission", "medications on discharge", "discharge medications",
    "discharge disposition", "discharge diagnosis", "discharge diagnoses",
    "discharge condition", "discharge instructions", "followup instructions",
    "follow up instructions", "date of birth",
}  # fmt: skip
