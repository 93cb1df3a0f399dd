"""Answers that are kept for a while."""

from varpd.plugins.svp.memory import Memory


def test_an_answer_is_fresh_for_a_time_and_then_still_there() -> None:
    memory: Memory[str, int] = Memory()
    memory.put("a", 1, now=10)
    assert memory.get("a", 14.9, 5) == 1
    assert memory.get("a", 15, 5) is None
    assert memory.get("a", 1_000) == 1
    assert memory.get("b", 10) is None


def test_with_an_age_of_0_nothing_is_fresh() -> None:
    memory: Memory[str, int] = Memory()
    memory.put("a", 1, now=10)
    assert memory.get("a", 10, 0) is None


def test_the_oldest_go_when_there_is_no_room() -> None:
    memory: Memory[str, int] = Memory(2)
    for number, key in enumerate("abab"):
        memory.put(key, number, number)
    memory.put("c", 4, 4)
    assert (len(memory), memory.get("a", 4), memory.get("b", 4)) == (2, None, 3)


def test_what_is_forgotten_is_told() -> None:
    memory: Memory[str, int] = Memory()
    memory.put("a", 1, 0)
    assert (memory.forget("a"), memory.forget("a")) == (1, None)
    memory.put("a", 1, 0)
    memory.clear()
    assert len(memory) == 0
