"""tempauth and core/acl against recorded conversations of a reference system (tests/vectors/http), without a cluster.

A model of a proxy stands behind the filter: it keeps containers with their ACLs, objects, and account ACLs, and asks
for authorization where a proxy does. Compared are statuses and Www-Authenticate: who may, not what comes back.
"""

import json
from pathlib import Path
from urllib.parse import unquote

import pytest

from objstore.core import acl
from objstore.core.errors import BadRequest
from objstore.core.info import AccountInfo
from objstore.core.limits import Limits
from objstore.core.names import client_path
from objstore.http import environ as keys
from objstore.http.request import Request
from objstore.http.response import Response, page
from objstore.middleware.copy import Copy
from objstore.middleware.gatekeeper import Gatekeeper, GatekeeperSettings
from objstore.middleware.tempauth import Tempauth
from objstore.middleware.tempauth_settings import TempauthSettings
from tests.support.pipeline import send

VECTORS = Path(__file__).parents[2] / "vectors" / "http"
USERS = {
    "tester": ("test:tester", "testing", ".admin"),
    "tester2": ("test:tester2", "testing2", ".admin"),
    "tester3": ("test:tester3", "testing3", ""),
    "reseller": ("test:tester6", "testing6", ".reseller_admin"),
    "other": ("test2:tester2", "testing2", ".admin"),
    "service": ("test5:tester5", "testing5", "service"),
    "auditor": ("admin:auditor", "secret", ".reseller_reader"),
}
ACCOUNTS = {
    "{account}": "AUTH_test",
    "{account2}": "AUTH_test2",
    "{account5}": "AUTH_test5",
    "{service5}": "SERVICE_test5",
    "{host}": "127.0.0.1:8080",
}


class Model:
    """The proxy's part: what exists, and when authorization is asked for."""

    def __init__(self):
        self.account_acl = ""
        self.containers = {}
        self.objects = set()

    def account(self, environ, account):
        return AccountInfo(204, sysmeta={"core-access-control": self.account_acl} if account == "AUTH_test" else {})

    def __call__(self, environ, start_response):
        environ[keys.INFO] = self
        return self.respond(Request(environ))(environ, start_response)

    def respond(self, request):
        environ, path = request.environ, client_path(request.path)
        if path is None or path.account is None:
            return page(412)
        container = self.containers.get((path.account, path.container)) if path.container else None
        reads = request.method in ("GET", "HEAD")
        environ[keys.ACL] = None
        if container and (reads or path.obj):
            environ[keys.ACL] = container["read" if reads else "write"]
        if not environ.get(keys.AUTHORIZE_OVERRIDE):
            refusal = environ[keys.AUTHORIZE](request)
            if refusal is not None:
                return refusal
        if path.obj:
            return self._object(request, (path.account, path.container, path.obj), container)
        return self._container(request, path) if path.container else self._account(request)

    def _account(self, request):
        stored = request.header("x-account-sysmeta-core-access-control")
        if request.method == "POST" and stored is not None:
            self.account_acl = stored
        return page(204)

    def _container(self, request, path):
        name = (path.account, path.container)
        if request.method in ("PUT", "POST"):
            container = self.containers.get(name, {"read": None, "write": None})
            for kind in container:
                given = request.header(f"x-container-{kind}")
                if given is not None:
                    try:
                        container[kind] = acl.clean(given, for_writing=kind == "write")
                    except BadRequest as error:
                        return page(400, error.reason)
            is_new = name not in self.containers
            self.containers[name] = container
            return page(204 if request.method == "POST" else 201 if is_new else 202)
        if name not in self.containers:
            return page(404)
        if request.method == "OPTIONS":
            return page(200)
        shown = {f"x-container-{kind}": value for kind, value in self.containers[name].items() if value}
        if not request.environ[keys.OWNER]:
            shown = {}
        has_objects = any(key[:2] == name for key in self.objects)
        return Response(200 if request.method == "GET" and has_objects else 204, shown)

    def _object(self, request, name, container):
        if request.method == "OPTIONS":
            return page(200)
        if container is None:
            return page(404)
        if request.method == "PUT":
            request.body.read()
            self.objects.add(name)
            return page(201)
        if name not in self.objects:
            return page(404)
        if request.method == "DELETE":
            self.objects.discard(name)
        status = {"POST": 202, "DELETE": 204}.get(request.method, 200)
        return Response(status, {"content-type": "a/b"}, b"hello" if request.method == "GET" else b"")


def pipeline(model):
    options = {
        "reseller_prefix": "AUTH, SERVICE",
        "SERVICE_require_group": "service",
        **{f"user_{name.replace(':', '_')}": f"{key} {groups}" for name, key, groups in USERS.values()},
    }
    settings, problems = TempauthSettings.from_pairs(options)
    assert not problems
    auth = Tempauth(Copy(model, Limits()), settings, default_key=lambda: bytes(32), now=lambda: 1.8e9)
    return Gatekeeper(auth, GatekeeperSettings())


def cases(name, wanted=lambda case: True):
    lines = (VECTORS / f"{name}.jsonl").read_text().splitlines()
    return [pytest.param(case, id=case["id"]) for case in map(json.loads, lines) if wanted(case)]


class Conversation:
    def __init__(self):
        self.app = pipeline(Model())
        self.captured = {}
        self.tokens = {}
        for user, (name, key, _) in USERS.items():
            reply = send(self.app, path="/auth/v1.0", headers={"X-Auth-User": name, "X-Auth-Key": key})
            self.tokens[user] = reply.headers["x-auth-token"]

    def expand(self, text):
        replaced = {**ACCOUNTS, **{f"{{token:{user}}}": token for user, token in self.tokens.items()}, **self.captured}
        for placeholder, value in replaced.items():
            text = text.replace(placeholder, value)
        return text

    def send(self, request):
        headers = {name: self.expand(value) for name, value in request.get("headers", {}).items()}
        user = request.get("auth", "tester")
        if user:
            headers.setdefault("X-Auth-Token", self.tokens[user])
        path, _, query = self.expand(request["target"]).partition("?")
        body = request.get("body", "").encode()
        return send(
            self.app, request["method"], unquote(path, encoding="latin-1"), query=query, headers=headers, body=body
        )


def play(case):
    talk = Conversation()
    for number, step in enumerate(case["steps"]):
        reply, expected = talk.send(step["request"]), step["response"]
        where = f"step {number}: {step['request']['method']} {step['request']['target']}"
        assert reply.status == expected["status"], where
        for name in ("X-Container-Read", "X-Container-Write", "Www-Authenticate", "X-Storage-Url"):
            if name == "Www-Authenticate" or "headers" in expected:
                shown = expected.get("headers", {}).get(name)
                if step.get("setup"):
                    continue
                assert reply.headers.get(name.lower()) == (shown and talk.expand(shown)), f"{where}: {name}"
        token = expected.get("headers", {}).get("X-Auth-Token", "")
        if token.startswith("{token:"):
            assert reply.headers["x-auth-token"] == talk.expand(token), where
        for variable, header in step.get("capture", {}).items():
            talk.captured[f"{{var:{variable}}}"] = reply.headers[header.lower()]


@pytest.mark.parametrize("case", cases("acl"))
def test_acl(case):
    play(case)


@pytest.mark.parametrize("case", cases("auth"))
def test_auth(case):
    play(case)


@pytest.mark.parametrize("case", cases("accounts", lambda case: case["row"] == "A1.6"))
def test_account_acl(case):
    play(case)
