"""Check of `genai doctor` of the children that read files, and of what reads text in pictures."""

from genai_app.adapters.documents.examination import examine_reading
from genai_app.services.doctor.findings import (
    CheckName,
    DoctorCause,
    FactName,
    Finding,
    Skip,
    skipped,
    warned,
    well,
)

TESSERACT = "Tesseract"


async def check_files() -> list[Finding]:
    """Warns if a child keeps rights that it does not need; says if scans cannot be read."""
    check = CheckName.FILES
    abilities = await examine_reading()
    facts = {FactName.DETAIL: abilities.system}
    if not abilities.network_closed:
        reading = warned(check, DoctorCause.READER_ONLINE, facts=facts)
    elif not abilities.files_closed:
        reading = warned(check, DoctorCause.READER_OPEN, facts=facts)
    else:
        reading = well(check)
    ocr = well(check, TESSERACT) if abilities.ocr else skipped(check, Skip.NO_TESSERACT)
    return [reading, ocr]
