"""What can go wrong on the privacy side. No message ever holds a value of a person."""


class ConsentError(Exception):
    """Base of every error of this package."""


class VaultError(ConsentError):
    """A sealed value failed to open: wrong key, wrong context or altered bytes. Nothing is returned."""


class KeyUnavailableError(VaultError):
    """The key is destroyed, or its epoch is not in the keyring."""


class KeyringError(ConsentError):
    """The keyring is missing, unreadable, readable by others, or does not belong to these stores."""


class EpochClosedError(KeyUnavailableError):
    """A new key is wrapped under an epoch that takes no more keys; wrapped again it will be taken."""


class DestructionIncompleteError(ConsentError):
    """Deleted key bytes are still in the write-ahead log; the destruction is to be repeated."""


class PolicyError(ConsentError):
    """`purposes.toml` is unreadable or inconsistent; the message names the purpose and the setting."""


class UnknownPurposeError(ConsentError):
    """The named purpose is not in the policy."""


class UnknownSubjectError(ConsentError):
    """No such golden ID, record or contact point."""


class NotPermittedError(ConsentError):
    """The person does not permit this purpose. To consumers this must look like an unknown person."""


class LedgerCorruptError(ConsentError):
    """The consent ledger does not verify; the message names the first index at fault."""


class CheckpointError(ConsentError):
    """A checkpoint is malformed, of another ledger, or not signed by this ledger's key."""


class ReceiptError(ConsentError):
    """A receipt is malformed, altered, or of another ledger; the message says which check failed."""


class AccessLogError(ConsentError):
    """The access log could not be written, so no data may leave."""


class BackupError(ConsentError):
    """A backup cannot be made, or restored; the message says why and what to do."""


class ErasureLogError(ConsentError):
    """The erasure log could not be written, so the erasure is not finished; it is resumed."""


class UnknownRequestError(ConsentError):
    """There is no data-subject request of that id."""


class RequestStateError(ConsentError):
    """A data-subject request is not in a state for that step; the message says which step is possible."""


class RequestConflictError(ConsentError):
    """The person has an active request of the same type; the message names it by its id."""


class RequestBlockedError(ConsentError):
    """A request cannot be fulfilled as it stands; the message says what is missing, never a value."""


class RecordHeldError(ConsentError):
    """The law has a record kept; the message names the hold by its number."""


class UnknownHoldError(ConsentError):
    """There is no such hold, or it is over."""


class RecordRejectedError(ConsentError):
    """A record breaks the input contract; `column` and `reason` say where and why, never the value."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"{column}: {reason}")
        self.column = column
        self.reason = reason
