"""A worker that had much to do is as small afterwards as before."""

from __future__ import annotations

import ctypes

import psutil
import pytest

from notify.engine import memory

MEGABYTE = 2**20


def _resident() -> float:
    return psutil.Process().memory_info().rss / MEGABYTE


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not the C library of GNU")
def test_what_is_free_between_what_stays_goes_to_the_system() -> None:
    texts = [bytes(4000) for _ in range(20_000)]
    stays = texts[::500]
    full = _resident()
    del texts
    memory.give_back()

    assert len(stays) == 40
    assert _resident() < full - 40


def test_a_c_library_without_them_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())

    memory.few_arenas()
    memory.give_back()
