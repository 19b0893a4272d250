"""What can go wrong in identity resolution. No message ever holds a value of a person."""


class IdentityError(Exception):
    """Base of every error of this package."""


class StoreBusyError(IdentityError):
    """Another process held the write lock for longer than the busy timeout."""


class RunInProgressError(IdentityError):
    """Another linkage run holds the lease."""


class RunLostError(IdentityError):
    """This run's lease ran out and another took over; nothing of it was published."""


class StaleScoresError(IdentityError):
    """A record changed between its scoring and the write that would use the scores; score it again."""


class CursorError(IdentityError):
    """A cursor that the change feed never gave."""


class NoModelError(IdentityError):
    """Records cannot be scored before a model was trained by `aurea link`."""


class EngineError(IdentityError):
    """The linkage engine cannot be opened locked down; nothing was loaded into it."""
