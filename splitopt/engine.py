"""Mapping a function over independent work: on this machine, or on an engine that already runs.

All of it goes through joblib. The function and the items must be importable or picklable where
the engine has other processes (``loky``, ``dask``, ``ray``).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from splitopt.documents.checks import is_whole
from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, WorkerError, shown

T = TypeVar("T")
R = TypeVar("R")

ENGINES = ("loky", "threads", "sequential", "dask", "ray")
_PACKAGES = {"dask": "distributed", "ray": "ray"}
_CONNECT_S = 10
_RETRIES = 2
_DEATHS = {"BrokenProcessPool", "KilledWorker", "RayActorError", "WorkerCrashedError"}
"""Classes of errors, or bases of them, that say that a worker died (loky, dask, ray)."""


@dataclass(frozen=True)
class Engine:
    """Where independent work runs.

    Parameters
    ----------
    name
        ``"loky"`` (processes), ``"threads"``, ``"sequential"``, ``"dask"`` or ``"ray"``.
    workers
        How many items are worked on at once; dask and ray use at most what their cluster has.
    address
        Of the running cluster, for dask (``"tcp://host:8786"``) and ray (``"auto"`` or
        ``"ray://host:10001"``).

    Raises
    ------
    InputError
        An unknown engine, one that is not installed, or an address that is missing or not used.
    """

    name: str = "loky"
    workers: int = 1
    address: str | None = None

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise InputError.at(
                "engine",
                f"is {shown(self.name)}, known are {', '.join(ENGINES)}"
                f"{did_you_mean(self.name, ENGINES)}",
            )
        if not is_whole(self.workers, 1):
            raise InputError.at(
                "workers", f"is {shown(self.workers)}, it must be a whole number >= 1"
            )
        package = _PACKAGES.get(self.name)
        if package is None and self.address is not None:
            raise InputError.at("engine", f"{self.name!r} runs here, it takes no address")
        if package is not None and importlib.util.find_spec(package) is None:
            raise InputError.at(
                "engine", f"{self.name!r} needs the package {package!r}, which is not installed"
            )
        if package is not None and self.address is None:
            raise InputError.at("engine", f"{self.name!r} needs the address of a running cluster")

    @classmethod
    def parse(cls, text: str, workers: int = 1) -> Engine:
        """Read ``NAME`` or ``NAME=ADDRESS``, such as ``dask=tcp://10.0.0.1:8786``."""
        name, equals, address = text.partition("=")
        return cls(name, workers, address if equals else None)

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Return the results in the order of the items."""
        found = dict(self.as_completed(function, items))
        return [found[index] for index in range(len(items))]

    def as_completed(
        self, function: Callable[[T], R], items: Sequence[T]
    ) -> Iterator[tuple[int, R]]:
        """Return (index, result) as they become ready, see `Session.as_completed`."""
        with self.session() as session:
            yield from session.as_completed(function, items)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Stay connected for several maps.

        Raises
        ------
        InputError
            The cluster at the address does not answer.
        """
        from joblib import parallel_config

        with ExitStack() as stack:
            # joblib finds the backend of dask only by way of a configuration
            stack.enter_context(parallel_config(backend=self._connect(stack)))
            yield Session(self)

    def _connect(self, stack: ExitStack) -> str:
        """Connect where there is something to connect to, and name joblib's backend."""
        if self.name not in _PACKAGES:
            return {"threads": "threading"}.get(self.name, self.name)
        try:
            if self.name == "dask":
                distributed = importlib.import_module("distributed")
                stack.callback(distributed.Client(self.address, timeout=_CONNECT_S).close)
            else:
                importlib.import_module("ray").init(address=self.address, ignore_reinit_error=True)
                importlib.import_module("ray.util.joblib").register_ray()
        except (OSError, TimeoutError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError.at(
                "engine", f"{self.name!r} at {self.address} cannot be reached ({reason})"
            ) from None
        return self.name


@dataclass(frozen=True)
class Session:
    """An engine that is connected."""

    engine: Engine

    def as_completed(
        self, function: Callable[[T], R], items: Sequence[T]
    ) -> Iterator[tuple[int, R]]:
        """Return (index, result) as they become ready; ray gives them in blocks.

        The work of a worker that dies is given to another one. An exception of the function ends
        the iteration and is raised.

        Raises
        ------
        WorkerError
            Workers died several times in a row without any result in between.
        """
        left = dict(enumerate(items))
        deaths = 0
        while left:
            try:
                for index, result in self._run(_Numbered(function), left):
                    del left[index]
                    deaths = 0
                    yield index, result
            except Exception as error:
                if not _is_death(error):
                    raise
                deaths += 1
                if deaths > _RETRIES:
                    raise WorkerError(
                        f"workers of the engine {self.engine.name!r} died {deaths} times on the "
                        f"same work ({type(error).__name__}); give them more memory, or smaller "
                        "pieces of work"
                    ) from None

    def _run(self, numbered: _Numbered[T, R], items: Mapping[int, T]) -> Iterator[tuple[int, R]]:
        from joblib import Parallel, delayed

        workers, pairs = self.engine.workers, list(items.items())
        options = {"n_jobs": workers, "batch_size": 1}
        if self.engine.name == "ray":  # its joblib backend gives results only as a whole
            parallel = Parallel(**options)
            for start in range(0, len(pairs), workers):
                yield from parallel(delayed(numbered)(p) for p in pairs[start : start + workers])
            return
        parallel = Parallel(**options, return_as="generator_unordered")
        with closing(parallel(delayed(numbered)(pair) for pair in pairs)) as results:
            yield from results


def _is_death(error: BaseException) -> bool:
    """Whether an error says that a worker is gone; the engines' packages need not be there."""
    return any(kind.__name__ in _DEATHS for kind in type(error).__mro__)


@dataclass(frozen=True)
class _Numbered(Generic[T, R]):
    """The function with the number of its item carried along."""

    function: Callable[[T], R]

    def __call__(self, pair: tuple[int, T]) -> tuple[int, R]:
        return pair[0], self.function(pair[1])
