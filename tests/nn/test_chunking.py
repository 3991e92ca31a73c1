"""Protects that batches cover everything once and in order, and shrink when memory runs out."""

import gc
import logging
import weakref

import pytest
import torch

from worldline.nn.chunking import in_batches


def test_batches_cover_all_in_order():
    parts = [(part.start, part.stop) for part, _ in in_batches(lambda part: None, 7, 3)]
    assert parts == [(0, 3), (3, 6), (6, 7)]
    assert list(in_batches(lambda part: None, 0, 3)) == []


def gpu_with_room_for(items: int):
    def work(part: slice) -> int:
        if part.stop - part.start > items:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return part.stop - part.start

    return work


def test_out_of_memory_halves_this_batch_and_the_following(caplog):
    with caplog.at_level(logging.WARNING):
        sizes = [size for _, size in in_batches(gpu_with_room_for(2), 13, 8, "pairs")]
    assert sizes == [2, 2, 2, 2, 2, 2, 1]
    assert [record.message for record in caplog.records] == [
        "Out of memory: from here on 4 pairs at once.",
        "Out of memory: from here on 2 pairs at once.",
    ]


def test_a_last_batch_that_is_shorter_is_halved_too():
    sizes = [size for _, size in in_batches(gpu_with_room_for(2), 3, 8)]
    assert sizes == [1, 1, 1]


def test_memory_of_the_system_counts_too():
    def work(part: slice) -> int:
        if part.stop - part.start > 1:
            torch.empty(1 << 60, dtype=torch.uint8)
        return 1

    assert sum(result for _, result in in_batches(work, 4, 4)) == 4


def test_a_single_item_that_does_not_fit_is_an_error():
    with pytest.raises(torch.OutOfMemoryError):
        list(in_batches(gpu_with_room_for(0), 4, 4))


def test_other_errors_pass_and_nothing_is_tried_again():
    calls = []

    def work(part: slice) -> None:
        calls.append(part)
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        list(in_batches(work, 4, 4))
    assert len(calls) == 1


def test_what_failed_work_held_is_free_before_it_is_tried_again():
    held: list[weakref.ref] = []

    def work(part: slice) -> None:
        assert all(reference() is None for reference in held)
        if part.stop - part.start > 1:
            tensor = torch.zeros(8)
            held.append(weakref.ref(tensor))
            raise torch.OutOfMemoryError("CUDA out of memory.")

    gc.disable()
    try:
        list(in_batches(work, 4, 4))
    finally:
        gc.enable()
    assert len(held) == 2


def test_a_batch_needs_a_size():
    with pytest.raises(ValueError, match="at least one of pairs"):
        list(in_batches(lambda part: None, 4, 0, "pairs"))
