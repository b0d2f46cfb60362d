from dataclasses import dataclass

import pytest

from objstore.config.factories import APP_GROUP, FILTER_GROUP, Factories, our_egg
from objstore.config.inifile import read_ini
from objstore.config.report import check, pipeline
from objstore.config.settings import Problem, Settings, number, setting, text

GOOD = """\
[DEFAULT]
bind_port = 8080
log_level = info

[pipeline:main]
pipeline = tempauth proxy-server

[filter:tempauth]
use = egg:swift#tempauth
user_admin_admin = secret .admin

[app:proxy-server]
use = egg:objstore#proxy
"""


@dataclass(frozen=True)
class AuthSettings(Settings):
    WILDCARDS = ("user_",)
    token_life: int = setting("86400", number(1), "Seconds.")


@dataclass(frozen=True)
class ProxySettings(Settings):
    node_timeout: int = setting("10", number(1), "Seconds.")
    client_chunk: str = setting("", text, "Text.")


@dataclass(frozen=True)
class DirectorySettings(Settings):
    url: str = setting("", text, "Where.")
    timeout: int = setting("10", number(1), "Seconds.")

    @classmethod
    def from_pairs(cls, pairs, *, ignore=frozenset()):
        settings, problems = super().from_pairs(pairs, ignore=ignore)
        return settings, problems + ([] if settings.url else [Problem("url", "", "an address")])


class Point:
    def __init__(self, settings_class):
        self.settings_class = settings_class

    def load(self):
        return self


FACTORIES = Factories(
    {
        FILTER_GROUP: {
            "tempauth": Point(AuthSettings),
            "authtoken": Point(AuthSettings),
            "directory": Point(DirectorySettings),
        },
        APP_GROUP: {"proxy": Point(ProxySettings)},
    }
)


@pytest.fixture
def report(tmp_path):
    def of(text):
        path = tmp_path / "proxy.conf"
        path.write_text(text)
        found = check(read_ini(path), FACTORIES)
        return [str(item).replace(f"{path}", "F") for item in (*found.problems, *found.notes)]

    return of


def test_a_good_file_has_no_problem_and_no_note(report):
    assert report(GOOD) == []


def test_problems_of_all_sections_come_in_one_report(report):
    text = GOOD.replace("bind_port = 8080", "bind_prot = 8080\nworkers = many").replace(
        "use = egg:objstore#proxy", "use = egg:objstore#proxy\nnode_timeuot = 3\nclient_chunk = a\nset node_timeout = 0"
    )
    assert report(text + "[fliter:cache]\nx = 1\n") == [
        "F:15: [app:proxy-server] node_timeuot = '3': expected a known setting (did you mean 'node_timeout'?)",
        "F:17: [app:proxy-server] node_timeout = '0': expected a whole number, 1 or more (0 is out of range)",
        "F:2: [DEFAULT] bind_prot = '8080': expected a known setting (did you mean 'bind_port'?)",
        "F:3: [DEFAULT] workers = 'many': expected auto, or a whole number",
        "F: [fliter:cache] expected [DEFAULT], [pipeline:main], [app:…] or [filter:…] (did you mean 'filter'?)",
    ]


def test_a_misspelt_key_of_an_auth_filter_does_not_show_its_value(report):
    (line,) = report(GOOD.replace("user_admin_admin", "usr_admin_admin"))
    assert "secret" not in line
    assert "usr_admin_admin = '***'" in line


def test_an_unknown_factory_names_those_there_are(report):
    (line,) = report(GOOD.replace("swift#tempauth", "swift#tempaut"))
    assert line == (
        "F:9: [filter:tempauth] use = 'egg:swift#tempaut': expected one of egg:objstore#authtoken, "
        "egg:objstore#directory, egg:objstore#tempauth (did you mean 'tempauth'?)"
    )


def test_a_name_of_the_pipeline_without_a_section_is_a_problem(report):
    (line,) = report(GOOD.replace("= tempauth proxy-server", "= tempuath proxy-server"))
    assert line.endswith(
        "pipeline = 'tempuath': expected a section [filter:tempuath] in this file (did you mean 'filter:tempauth'?)"
    )


def test_a_shadowed_key_is_noted_with_what_to_write(report):
    (line,) = report(GOOD.replace("[app:proxy-server]", "[app:proxy-server]\nlog_level = debug"))
    assert "log_level has no effect, because [DEFAULT] has it too (line 3): write `set log_level = …`" in line


def test_a_foreign_factory_is_noted_and_not_checked(report):
    (line,) = report(GOOD.replace("egg:swift#tempauth", "egg:acme#auth"))
    assert "[filter:tempauth]: its factory is not part of objstore" in line


def test_a_setting_that_a_filter_cannot_do_without_is_missed_in_its_section_alone(report):
    text = GOOD.replace("egg:swift#tempauth\nuser_admin_admin = secret .admin", "egg:objstore#directory")
    assert report(text) == ["F: [filter:tempauth] url = '': expected an address"]
    assert report(text.replace("log_level = info", "timeout = 5")) == [
        "F: [filter:tempauth] url = '': expected an address"
    ]
    assert report(text.replace("egg:objstore#directory", "egg:objstore#directory\nurl = x")) == []
    assert report(text.replace("log_level = info", "url = x")) == []


def test_keystones_own_filter_means_ours(report):
    named = "paste.filter_factory = keystonemiddleware.auth_token:filter_factory\ntoken_life = 0"
    (line,) = report(GOOD.replace("use = egg:swift#tempauth\nuser_admin_admin = secret .admin", named))
    assert "token_life = '0': expected a whole number, 1 or more" in line


def test_keys_of_swift_without_effect_are_noted_and_its_daemons_are_accepted(report):
    text = GOOD.replace("bind_port", "log_statsd_label_mode = x\nbind_port")
    assert report(text + "[object-replicator]\nconcurrency = 1\n[proxy-server:policy:1]\nx = 1\n") == [
        "F:2: [DEFAULT] log_statsd_label_mode is a setting of Swift that has no effect here",
    ]


def test_the_pipeline_of_a_file_with_an_app_alone_is_that_app(tmp_path):
    (tmp_path / "a.conf").write_text("[app:main]\nuse = egg:objstore#proxy\n")
    assert pipeline(read_ini(tmp_path / "a.conf")) == ("main",)


def test_swift_eggs_are_ours():
    assert our_egg("egg:swift#proxy") == "egg:objstore#proxy"
    assert our_egg("egg:acme#proxy") == "egg:acme#proxy"
