"""Portions of a dataset looked at in several processes at once, their results in order.

The processes are plain children that speak over pipes: multiprocessing must not be used inside the running
interface. They end when their stdin does, so none outlives the one that started them.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Self

from tui_ft.data.gather import Gathered
from tui_ft.data.portions import Mapper, Portion
from tui_ft.errors import EnvironmentProblem, RunFailed, TuiFtError
from tui_ft.text import excerpt

_LOOK_EVERY_S = 0.2
# One thread each: there are as many processes as there is work for.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
_ENVIRONMENT = {**_ONE_THREAD, "TOKENIZERS_PARALLELISM": "false"}


class CheckCancelled(RunFailed):
    """The user stopped the check; nothing was written."""

    def __init__(self) -> None:
        super().__init__("the check was stopped", fix="Start it again to see the whole report.")


class Crew:
    """Processes that map portions; use it in a `with` block, which ends them."""

    def __init__(self, mapper: Mapper, size: int, cancelled: Callable[[], bool] = lambda: False) -> None:
        self._cancelled = cancelled
        self._size = size
        self._task = pickle.dumps(mapper, pickle.HIGHEST_PROTOCOL)
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by _end
        self._told: set[int] = set()  # the processes that were given their mapper
        self._workers: list[subprocess.Popen[bytes]] = []
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._threads = ThreadPoolExecutor(size, "check")

    def __enter__(self) -> Self:
        try:
            for _ in range(self._size):
                self._idle.put(self._start())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def pids(self) -> list[int]:
        """The ids of the processes."""
        return [worker.pid for worker in self._workers]

    def map(self, portions: Iterable[Portion]) -> Iterator[tuple[Portion, Gathered]]:
        """The portions with what was gathered of each, in order; only a few are under way at a time.

        Raises what a process raised, EnvironmentProblem when one dies, CheckCancelled when asked to stop.
        """
        under_way: deque[tuple[Portion, Future[Gathered]]] = deque()
        for portion in portions:
            under_way.append((portion, self._threads.submit(self._map, portion)))
            if len(under_way) > 2 * self._size:
                yield self._first(under_way)
        while under_way:
            yield self._first(under_way)

    def _first(self, under_way: deque[tuple[Portion, Future[Gathered]]]) -> tuple[Portion, Gathered]:
        portion, future = under_way.popleft()
        while not wait((future,), _LOOK_EVERY_S).done:
            if self._cancelled():
                raise CheckCancelled
        if self._cancelled():
            raise CheckCancelled
        return portion, future.result()

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            worker = subprocess.Popen(
                [sys.executable, "-P", "-m", "tui_ft.data.mapper"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**os.environ, **_ENVIRONMENT},
            )
        except OSError as error:
            raise EnvironmentProblem(
                f"no process can be started: {error.strerror or error}", where=sys.executable
            ) from error
        self._workers.append(worker)
        return worker

    def _map(self, portion: Portion) -> Gathered:
        worker = self._idle.get()
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            if worker.pid not in self._told:
                self._told.add(worker.pid)
                worker.stdin.write(self._task)
            pickle.dump(portion, worker.stdin, pickle.HIGHEST_PROTOCOL)
            worker.stdin.flush()
            answer: Gathered | TuiFtError = pickle.load(worker.stdout)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            raise self._died(worker) from None
        finally:
            # A dead one too: whoever waits for it would wait for ever.
            self._idle.put(worker)
        if isinstance(answer, TuiFtError):
            raise answer
        return answer

    def _died(self, worker: subprocess.Popen[bytes]) -> EnvironmentProblem:
        code = worker.wait()
        self._log.seek(0)
        said = self._log.read().decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
        words = f": {excerpt(said, 200)}" if said else ""
        return EnvironmentProblem(
            f"a process that reads the data ended unexpectedly (exit code {code}){words}",
            fix="Often the memory is full. Close other programs and start the check again.",
        )

    def _end(self) -> None:
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.wait()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    _close(pipe)
        self._log.close()


def _close(pipe: IO[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):
        pipe.close()
