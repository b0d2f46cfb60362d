"""runtime/single_flight.py: one question for all who ask the same at once."""

import pytest

from objstore.runtime import green
from objstore.runtime.single_flight import GivenUp, SingleFlight


class Question:
    """Counts how often it is asked, and is answered when the test says so."""

    def __init__(self):
        self.count = 0
        self.answer = green.Future()

    def __call__(self):
        self.count += 1
        return self.answer.wait()


def ask_together(flight, question, key="k", count=3):
    tasks = [green.spawn(flight.run, key, question) for _ in range(count)]
    green.sleep(0)
    return tasks


def test_those_who_ask_at_once_share_one_answer():
    flight, question = SingleFlight(), Question()
    tasks = ask_together(flight, question)
    question.answer.set("yes")
    assert [task.join() for task in tasks] == ["yes"] * 3 and question.count == 1


def test_another_key_is_another_question_and_an_old_answer_is_none():
    flight, question = SingleFlight(), Question()
    question.answer.set("yes")
    assert [flight.run(key, question) for key in ("a", "b", "a")] == ["yes"] * 3
    assert question.count == 3


def test_a_failure_is_everybodys():
    flight, question = SingleFlight(), Question()
    tasks = ask_together(flight, question)
    question.answer.fail(KeyError("no"))
    for task in tasks:
        with pytest.raises(KeyError):
            task.join()


def test_whoever_is_killed_takes_nobody_along():
    flight, question = SingleFlight(), Question()
    first, *others = ask_together(flight, question)
    first.kill()
    for task in others:
        with pytest.raises(GivenUp):
            task.join()
    question.answer.set("yes")
    assert flight.run("k", question) == "yes"
