"""The trained models, named by the runs that published with them. Frequencies are keyed hashes: no values.

A run keeps the frequencies that it scored with, whether it trained the model or used it again: the online
path scores as the last published run did.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from identity.model import Model
from identity.statements import LIST_LIMIT, Reading, Statement

Frequency = tuple[str, bytes, float]
"""Column, keyed hash of a value, relative frequency among the records that have one."""

_LAST_RUN: Final = """
    FROM runs r JOIN models m ON m.model_version = r.model_version
    WHERE r.status = 'published'
    ORDER BY r.version DESC, r.finished_at DESC
    LIMIT 1
"""

_CURRENT: Final = Statement(f"SELECT r.run_id, m.model_version, m.model {_LAST_RUN}")

_NAMES: Final = Statement(f"SELECT r.run_id, m.model_version {_LAST_RUN}")

_INSERT: Final = Statement("""
    INSERT INTO models (model_version, created_at, model) VALUES (:model_version, :now, :model)
    ON CONFLICT (model_version) DO NOTHING
""")

_INSERT_FREQUENCY: Final = Statement("""
    INSERT INTO model_frequencies (run_id, column_name, token, frequency)
    VALUES (:run_id, :column_name, :token, :frequency)
    ON CONFLICT (run_id, column_name, token) DO UPDATE SET frequency = excluded.frequency
""")

_FREQUENCIES: Final = Statement("""
    SELECT column_name, token, frequency FROM model_frequencies WHERE run_id = :run_id
""")

_SUPERSEDED: Final = Statement("""
    SELECT f.run_id, f.column_name, f.token
    FROM model_frequencies f
    WHERE f.run_id <> :run_id
""")

_DELETE_FREQUENCY: Final = Statement("""
    DELETE FROM model_frequencies
    WHERE run_id = :run_id AND column_name = :column_name AND token = :token
""")

_WITH_FREQUENCIES: Final = Statement("""
    SELECT r.run_id FROM runs r
    WHERE EXISTS (SELECT 1 FROM model_frequencies f WHERE f.run_id = r.run_id)
""")

_KEPT: Final = Statement("""
    SELECT run_id, column_name, token FROM model_frequencies
    WHERE run_id = :run_id AND column_name = :column_name AND token IN :tokens
""")


def version_of(model: Model) -> str:
    """Return the name of a model: equal models have equal names."""
    return "model_" + hashlib.sha256(model.to_json().encode()).hexdigest()[:16]


def load_current(conn: Reading) -> tuple[str, str, Model] | None:
    """Return the last published run's ID, its model's name and the model.

    None if there is no such run or another release made the model.
    """
    rows = _CURRENT.rows(conn)
    if not rows:
        return None
    try:
        return rows[0][0], rows[0][1], Model.from_json(rows[0][2])
    except ValueError:
        return None


def current_version(conn: Reading) -> str | None:
    """Return the name of the model of the last published run."""
    rows = _NAMES.rows(conn)
    return rows[0][1] if rows else None


def current_run(conn: Reading) -> str | None:
    """Return the ID of the last published run that has a model."""
    rows = _NAMES.rows(conn)
    return rows[0][0] if rows else None


def frequencies(conn: Reading, run_id: str) -> dict[tuple[str, bytes], float]:
    """Return (column, keyed hash) -> frequency, for the online scorer."""
    rows = _FREQUENCIES.rows(conn, run_id=run_id)
    return {(column, bytes(token)): frequency for column, token, frequency in rows}


def save(conn: Connection, model: Model, now: int) -> None:
    """Store a model under its own name. Nothing uses it until a run is published that names it."""
    _INSERT.run(conn, model_version=version_of(model), now=now, model=model.to_json())


def save_frequencies(conn: Connection, rows: Sequence[tuple[str, str, bytes, float]]) -> None:
    """Store frequencies, each row with its run's ID first."""
    _INSERT_FREQUENCY.many(conn, rows)


def superseded_frequencies(conn: Connection, run_id: str) -> list[tuple[str, str, bytes]]:
    """Return the keys of frequencies that any other run left behind: no score uses them any more."""
    return _SUPERSEDED.rows(conn, run_id=run_id)


def delete_frequencies(conn: Connection, keys: Sequence[tuple[str, str, bytes]]) -> None:
    """Delete frequencies by the keys that `superseded_frequencies` gave."""
    _DELETE_FREQUENCY.many(conn, keys)


def keeps_any(conn: Connection) -> bool:
    """Whether any run keeps frequencies."""
    return bool(_WITH_FREQUENCIES.rows(conn))


def kept(conn: Connection, column: str, tokens: Sequence[bytes]) -> list[tuple[str, str, bytes]]:
    """Return the keys of the frequencies that any run keeps under `tokens` of a column."""
    found: list[tuple[str, str, bytes]] = []
    for (run_id,) in _WITH_FREQUENCIES.rows(conn):
        for at in range(0, len(tokens), LIST_LIMIT):
            part = list(tokens[at : at + LIST_LIMIT])
            rows = _KEPT.rows(conn, run_id=run_id, column_name=column, tokens=part)
            found += [(version, name, bytes(token)) for version, name, token in rows]
    return found
