"""What can be wrong with the input of `aurea ingest` before anything is written. No message holds a value."""


class IngestInputError(Exception):
    """The command cannot start: the message says what to change. Nothing was written."""


class MappingError(IngestInputError):
    """The mapping is unreadable, names something unknown, or does not fit the file or `--channel`."""


class InputFileError(IngestInputError):
    """The input file cannot be read as CSV, JSON Lines or Parquet."""
