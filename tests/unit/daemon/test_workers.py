"""Threads for blocking plugins: bounded, and nobody waits for them."""

import threading
import time

from varpd.daemon.workers import Workers

PATIENCE = 20.0


def wait_for(event: threading.Event) -> None:
    assert event.wait(PATIENCE)


def test_jobs_run_in_daemon_threads() -> None:
    workers = Workers("probe")
    done = threading.Event()
    seen: list[threading.Thread] = []

    def job() -> None:
        seen.append(threading.current_thread())
        done.set()

    assert workers.submit(job)
    wait_for(done)
    assert seen[0].daemon
    assert seen[0].name.startswith("probe-")
    workers.end()


def test_at_most_so_many_run_at_once_and_the_rest_waits() -> None:
    workers = Workers("probe", threads=2, waiting=3)
    release = threading.Event()
    started = threading.Semaphore(0)
    count = 0
    finished = threading.Event()
    lock = threading.Lock()

    def job() -> None:
        nonlocal count
        started.release()
        wait_for(release)
        with lock:
            count += 1
            if count == 5:
                finished.set()

    for _ in range(2):
        assert workers.submit(job)
        assert started.acquire(timeout=PATIENCE)
    for _ in range(3):
        assert workers.submit(job)
    assert not workers.submit(job)
    assert not started.acquire(blocking=False)
    release.set()
    wait_for(finished)
    workers.end()


def test_one_thread_is_enough_for_one_job_at_a_time() -> None:
    workers = Workers("probe")
    names: set[str] = set()
    deadline = time.monotonic() + PATIENCE
    for _ in range(20):
        done = threading.Event()

        def job(done: threading.Event = done) -> None:
            names.add(threading.current_thread().name)
            done.set()

        assert workers.submit(job)
        wait_for(done)
        assert time.monotonic() < deadline
    assert len(names) < 8
    workers.end()


def test_after_the_end_what_waits_is_still_done_and_nothing_more_is_taken() -> None:
    workers = Workers("probe", threads=1)
    release, first, last = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        first.set()
        wait_for(release)

    workers.submit(hold)
    wait_for(first)
    workers.submit(last.set)
    workers.end()
    assert not workers.submit(first.set)
    release.set()
    wait_for(last)
