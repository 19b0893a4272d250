"""What can go wrong in identity resolution. No message ever holds a value of a person."""


class IdentityError(Exception):
    """Base of every error of this package."""


class StoreBusyError(IdentityError):
    """Another process held the write lock for longer than the busy timeout."""


class StoreUnreachableError(IdentityError):
    """The database server cannot be reached, refuses, or broke the connection off; or a file is not there."""


class StoreFullError(IdentityError):
    """The disk under a store is full; nothing of the transaction was kept."""


class StoreDamagedError(IdentityError):
    """A store's file cannot be read, or is not what was written: nothing of it may be served."""


class RunInProgressError(IdentityError):
    """Another linkage run holds the lease."""


class RunLostError(IdentityError):
    """This run's lease ran out and another took over; nothing of it was published."""


class RunStoppedError(IdentityError):
    """A publishing gate closed: the run published nothing, and the last good state goes on serving."""


class WritersTooBusyError(IdentityError):
    """Records changed faster than a run could catch up with; it published nothing."""


class StaleScoresError(IdentityError):
    """A record changed between its scoring and the write that would use the scores; score it again."""


class CursorError(IdentityError):
    """A cursor that the change feed never gave."""


class NoModelError(IdentityError):
    """Records cannot be scored before a model was trained by `aurea link`."""


class ModelFileError(IdentityError):
    """A model was named that does not exist here, or that may not be let into the engine."""


class EngineError(IdentityError):
    """The linkage engine cannot be opened locked down; nothing was loaded into it."""


class ContradictionError(IdentityError):
    """A judgement that cannot stand beside others; `judgements` are the numbers of those."""

    def __init__(self, message: str, judgements: tuple[int, ...]) -> None:
        super().__init__(message)
        self.judgements = judgements


class NotJudgeableError(IdentityError):
    """A judgement about something that is not a pair of two live records, or that is not the newest one."""
