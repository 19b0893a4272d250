"""GET /v1/ledger/...: checkpoints and proofs of the consent ledger. They tell nothing of anyone."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from api import proofs
from api.auth import Caller
from api.dependencies import ServicesOf, permit
from api.schemas import CheckpointOut, ConsistencyProof, EntryProof, problems

router = APIRouter(tags=["ledger"])
Reader = Annotated[Caller, Depends(permit("read proofs"))]
Size = Annotated[int, Query(ge=0, lt=2**62)]


@router.get("/v1/ledger/checkpoint", responses=problems(401, 403))
def checkpoint(_caller: Reader, services: ServicesOf) -> CheckpointOut:
    """Sign the ledger as it is; keep the note elsewhere to catch a rollback or a fork later."""
    return proofs.checkpoint(services)


@router.get("/v1/ledger/entries/{n}/proof", responses=problems(401, 403, 404, 422))
def entry_proof(n: Annotated[int, Path(ge=0, lt=2**62)], _caller: Reader, services: ServicesOf) -> EntryProof:
    """Prove that entry `n` is in the ledger as now signed."""
    return proofs.entry_proof(services, n)


@router.get("/v1/ledger/consistency", responses=problems(401, 403, 404, 422))
def consistency(first: Size, second: Size, _caller: Reader, services: ServicesOf) -> ConsistencyProof:
    """Prove that the ledger of `second` entries extends that of `first`."""
    return proofs.consistency_proof(services, first, second)
