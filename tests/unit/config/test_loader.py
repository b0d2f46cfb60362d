"""config/loader.py: an ini file becomes a pipeline, and its application may put services in front of the filters."""

import pytest

from objstore.config.inifile import read_ini
from objstore.config.loader import load_app
from objstore.http.environ import INFO
from objstore.http.response import Response
from tests.support.pipeline import send

HERE = "tests.unit.config.test_loader"
INI = f"""\
[pipeline:main]
pipeline = outer inner app

[filter:outer]
paste.filter_factory = {HERE}:mark_factory
mark = outer

[filter:inner]
paste.filter_factory = {HERE}:mark_factory
mark = inner

[app:app]
paste.app_factory = {HERE}:app_factory
"""


class WithServices:
    def at_the_edge(self, pipeline):
        def enter(environ, start_response):
            environ[INFO] = "the service"
            return pipeline(environ, start_response)

        return enter

    def __call__(self, environ, start_response):
        return Response(200, {}, ",".join(environ["marks"]).encode())(environ, start_response)


def app_factory(global_conf):
    return WithServices()


def plain_factory(global_conf):
    return lambda environ, start_response: Response(200, {}, b"plain")(environ, start_response)


def mark_factory(global_conf, mark):
    def around(app):
        def call(environ, start_response):
            environ.setdefault("marks", []).append(f"{mark} knows {environ.get(INFO)}")
            return app(environ, start_response)

        return call

    return around


@pytest.fixture
def load(tmp_path):
    def load(text):
        (tmp_path / "x.conf").write_text(text)
        return load_app(read_ini(tmp_path / "x.conf"))

    return load


def test_filters_are_called_in_order_and_see_the_services_of_the_application(load):
    assert send(load(INI)).body == b"outer knows the service,inner knows the service"


def test_an_application_without_services_is_only_wrapped(load):
    assert (
        send(load(INI.replace("app_factory = " + HERE + ":app", "app_factory = " + HERE + ":plain"))).body == b"plain"
    )


def test_an_application_without_a_pipeline(load):
    assert send(load(f"[app:main]\npaste.app_factory = {HERE}:plain_factory\n")).body == b"plain"


def test_keystones_own_filter_is_replaced_by_ours(load):
    """It would wait in sockets that stop a whole worker."""
    options = "auth_url = http://127.0.0.1:5000\nusername = swift\npassword = x\n"
    text = INI.replace("pipeline = outer inner app", "pipeline = authtoken outer app") + (
        f"[filter:authtoken]\npaste.filter_factory = keystonemiddleware.auth_token:filter_factory\n{options}"
    )
    assert send(load(text)).status == 401
    assert send(load(text + "delay_auth_decision = yes\n")).body == b"outer knows the service"
