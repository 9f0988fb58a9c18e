"""The check of a mapping against a whole file, before a line is appended.

The header of CSV and the schema of Parquet decide at once which columns are missing. The rest is read from rows, and
reading stops at the first row by which every column was seen filled, and every count as a number: usually within the
first rows. A column that is missing or empty is looked for in the whole file, at most once, in bounded memory: at about
the speed at which the file is parsed. Where nothing but emptiness is open, it stops after ``MAX_EMPTY_ROWS``.
"""

from pathlib import Path

from ingest.files.rows import read_column_names, read_rows
from ingest.intake.privacy import replace_text_secrets
from ingest.intake.rejection import Rejection
from ingest.mapping.sheet import Sheet
from ingest.mapping.survey import MAX_LISTED_NAMES, Survey
from ledger.errors import TallyError

MAX_EMPTY_ROWS = 1_000_000
MAX_NAME_LENGTH = 64


def check_mapping(path: Path, mapping: Path, sheet: Sheet) -> list[str]:
    """Check a mapping against a file and return warnings. TallyError names every key and column that does not fit, the
    nearest names of the file, and what to do."""
    survey = Survey(sheet)
    with path.open("rb") as file:
        names = read_column_names(file, sheet.format, sheet.delimiter)
        if names is not None:
            survey.add_names(names)
            _refuse(path, mapping, survey, survey.find_absent_columns())
            file.seek(0)
        for _, _, row in read_rows(file, sheet.format, sheet.delimiter):
            if not isinstance(row, Rejection):
                survey.add(row)
            if survey.is_complete or (survey.rows >= MAX_EMPTY_ROWS and survey.is_importable):
                break
    _refuse(path, mapping, survey, survey.find_errors())
    rows = f"the first {survey.rows:,} rows" if survey.rows >= MAX_EMPTY_ROWS else "every row"
    return [f"{warning} in {rows} of {path}" for warning in survey.find_warnings()] if survey.rows else []


def _refuse(path: Path, mapping: Path, survey: Survey, errors: list[str]) -> None:
    if errors:
        names = [name for name in survey.names if _is_printable(name)][:MAX_LISTED_NAMES]
        raise TallyError(
            f"the mapping {mapping} does not fit {path}, and nothing was imported. {'. '.join(errors)}. "
            f"The file has {', '.join(map(repr, names))}{' and more' if len(names) < len(survey.names) else ''}. "
            "Correct the mapping; name a column that only some files have under `optional`"
        )


def _is_printable(name: str) -> bool:
    """Tell whether a name may be shown: where a file has no header, its first cells stand for names."""
    return len(name) <= MAX_NAME_LENGTH and name.isprintable() and replace_text_secrets(name, lambda _: "") == name
