"""config/settings.py: every problem of a section is found, nothing stops at the first."""

from dataclasses import dataclass

from objstore.config.settings import Settings, boolean, choice, decimal, names, number, setting, text


@dataclass(frozen=True)
class Sample(Settings):
    WILDCARDS = ("user_",)

    workers: int = setting("2", number(1, 99), "Processes.")
    node_timeout: float = setting("10", decimal(0), "Seconds.")
    mount_check: bool = setting("yes", boolean, "Refuse unmounted devices.")
    sorting_method: str = setting("shuffle", choice("shuffle", "timing", "affinity"), "Order of nodes.")
    allowed: tuple[str, ...] = setting("a, b", names, "Names.")
    label: str = setting("", text, "Anything.")


def test_defaults_and_values():
    settings, problems = Sample.from_pairs({"workers": " 4 ", "mount_check": "off", "user_a_b": "key .admin"})
    assert not problems
    assert (settings.workers, settings.mount_check, settings.node_timeout) == (4, False, 10.0)
    assert settings.allowed == ("a", "b")
    assert settings.extra == {"user_a_b": "key .admin"}


def test_all_problems_in_one_report():
    settings, problems = Sample.from_pairs(
        {
            "workers": "0",
            "node_timeout": "nan",
            "mount_check": "maybe",
            "sorting_method": "x",
            "node_timeuot": "1",
            "zz": "",
        }
    )
    assert {problem.key for problem in problems} == {
        "workers",
        "node_timeout",
        "mount_check",
        "sorting_method",
        "node_timeuot",
        "zz",
    }
    assert next(problem.hint for problem in problems if problem.key == "node_timeuot") == "did you mean 'node_timeout'?"
    assert settings == Sample()


def test_keys_of_others_are_ignored():
    assert Sample.from_pairs({"use": "egg:objstore#x"}, ignore=frozenset({"use"}))[1] == []
