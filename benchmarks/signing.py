"""What a signature costs on the way of an order, and what is left of it when it was made before."""

from __future__ import annotations

from typing import Final

from benchmarks.figures import Figure, paced, tight
from processes.adapters.kalshi.auth.credentials import Algorithm, new_credentials
from processes.adapters.kalshi.auth.signing import SignaturePool, Signer

__all__ = ["run"]

CREATE: Final = ("POST", "/trade-api/v2/portfolio/events/orders")
CALLS: Final = 500  # of the tight loop; so many signatures are young at the same time
SAMPLES: Final = 150  # paced; all of them are made before and used within their life


def _filled(signer: Signer, number: int) -> SignaturePool:
    pool = SignaturePool(signer)
    pool.want(*CREATE, number=number)
    while pool.refill():
        pass
    return pool


def _of(algorithm: Algorithm) -> list[Figure]:
    signer = Signer(new_credentials("benchmark", algorithm))
    name = f"{algorithm}, on the spot"
    found = [tight(name, lambda: signer.headers(*CREATE), CALLS)]
    found += paced(name, lambda: signer.headers(*CREATE), SAMPLES)
    name, warm = f"{algorithm}, made before", _filled(signer, CALLS)
    found.append(tight(name, lambda: warm.headers(*CREATE), CALLS))
    cold = _filled(signer, SAMPLES)
    found += paced(name, lambda: cold.headers(*CREATE), SAMPLES)
    if warm.misses or cold.misses:
        raise RuntimeError("a signature was made on the spot")
    return found


def run() -> list[Figure]:
    """The three headers of a create, signed on the spot and taken from the pool."""
    return [figure for algorithm in Algorithm for figure in _of(algorithm)]
