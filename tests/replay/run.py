"""Runs a case against a target: sends its steps in order and collects what differs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tests.replay.cases import Case, Exchange, Expected, Request, Settle, Sleep
from tests.replay.client import Answer, Outgoing, chunked, exchange, head_bytes
from tests.replay.compare import body_bytes, differences, without_counts
from tests.replay.placeholders import UnknownPlaceholder, Values, to_bytes
from tests.replay.scope import Quirk, Scope
from tests.replay.world import Target, TargetError

SETTLE_S = 20.0
_READS = ("GET", "HEAD", "OPTIONS")
SETTLE_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class StepResult:
    """One exchange: what was asked, what came, and how that differs from the record."""

    index: int
    line: str
    answer: Answer
    differences: list[str]


@dataclass(slots=True)
class Result:
    """The outcome of a case. skipped: the reason, when it was not run. error: why it could not be run to its end."""

    case: Case
    steps: list[StepResult] = field(default_factory=list)
    skipped: str = ""
    error: str = ""
    quirk: str = ""

    @property
    def passed(self) -> bool:
        return not self.skipped and not self.error and not any(step.differences for step in self.steps)

    def report(self) -> str:
        """Everything that differs, step by step, for a reader who does not have the case before them."""
        lines = [f"{self.case.area}: {self.case.id} (row {self.case.row})"]
        for step in self.steps:
            if step.differences:
                lines.append(f"  step {step.index}: {step.line} -> {step.answer.status}")
                lines += [f"    {text}" for text in step.differences]
        if self.error:
            lines.append(f"  {self.error}")
        return "\n".join(lines)


def run_case(case: Case, target: Target, scope: Scope) -> Result:
    """Empty the accounts, run every step, and go on after a difference (later steps often explain the first).

    Never raises for what the target does; OSErrors and failed preparations stand in Result.error.
    """
    if reason := scope.skips(case):
        return Result(case, skipped=reason)
    quirk = scope.quirks.get(case.id)
    result = Result(case, quirk=quirk.why if quirk else "")
    try:
        target.empty("tester")
        target.empty("other")
        _Conversation(case, target, scope, quirk).run(result)
    except (OSError, TargetError, UnknownPlaceholder, ValueError) as error:
        result.error = f"{type(error).__name__}: {error}"
    return result


class _Conversation:
    def __init__(self, case: Case, target: Target, scope: Scope, quirk: Quirk | None) -> None:
        self._case = case
        self._target = target
        self._scope = scope
        self._has_counts = False
        self._instead: Mapping[int, int] = quirk.instead if quirk else {}
        self._values = Values(
            target.accounts(),
            token=target.token,
            fresh=lambda number: target.fresh_account(case.id, number),
            now=int(time.time()),
        )

    def run(self, result: Result) -> None:
        settles = is_settled = False
        for index, step in enumerate(self._case.steps):
            if isinstance(step, Sleep):
                time.sleep(step.seconds)
            elif isinstance(step, Settle):
                self._target.settle(SETTLE_S, SETTLE_POLL_S)
                settles = is_settled = True
            else:
                self._has_counts = is_settled
                result.steps.append(self._exchange(index, step, deadline_s=SETTLE_S if settles else 0.0))
                settles = False
                is_settled = is_settled and step.request.method in _READS

    def _exchange(self, index: int, step: Exchange, *, deadline_s: float) -> StepResult:
        for name, sign in step.sign.items():
            self._values.sign(name, sign["alg"], sign["key"], sign["message"])
        outgoing = build(step.request, self._values, self._target.host, self._target.token)
        end = time.monotonic() + deadline_s
        while True:
            answer = exchange(self._target.address, outgoing)
            for name, header in step.capture.items():
                self._values.captured[name] = answer.header(header)
            found = differences(
                self._expected(index, step, answer), answer, self._values, is_head=step.request.method == "HEAD"
            )
            if not found or time.monotonic() >= end or step.request.method not in ("GET", "HEAD"):
                return StepResult(index, f"{step.request.method} {step.request.target[:200]}", answer, found)
            time.sleep(SETTLE_POLL_S)

    def _expected(self, index: int, step: Exchange, answer: Answer) -> Expected:
        expected = step.expected
        if not self._has_counts:
            expected = without_counts(expected, answer)
        if index in self._instead:
            return replace(expected, status=self._instead[index], headers=None)
        if index in self._scope.status_only.get(self._case.id, {}):
            return replace(expected, headers=None)
        if isinstance(expected.body, str) and step.request.target == "/info" and expected.body and answer.body:
            return replace(expected, body=self._scope.expected_info(expected.body, answer.body))
        return expected


def build(request: Request, values: Values, host: str, token: Callable[[str], str]) -> Outgoing:
    """The bytes of a recorded request, with the headers that records leave out (README.md beside the cases)."""
    headers = [
        (to_bytes(values.expand(name)), to_bytes(values.expand(item)))
        for name, value in request.headers.items()
        for item in (value if isinstance(value, list) else [value])
    ]
    names = {name.lower() for name, _ in headers}
    if request.adds_host and b"host" not in names:
        headers.insert(0, (b"Host", to_bytes(host)))
    if request.user is not None and b"x-auth-token" not in names:
        headers.append((b"X-Auth-Token", to_bytes(token(request.user))))
    body = body_bytes(request.body, values)
    coding = next((value for name, value in headers if name.lower() == b"transfer-encoding"), b"").lower()
    if coding.endswith(b"chunked"):
        body = chunked(body)
    elif _needs_length(request, names, body):
        headers.append((b"Content-Length", b"%d" % len(body)))
    return Outgoing(
        head=head_bytes(
            to_bytes(request.method),
            to_bytes(values.expand(request.target)),
            b"HTTP/1.0" if request.is_http10 else b"HTTP/1.1",
            headers,
        ),
        body=body,
        waits=any(name.lower() == b"expect" for name, _ in headers),
        is_head=request.method == "HEAD",
    )


def _needs_length(request: Request, names: set[bytes], body: bytes) -> bool:
    if not request.adds_length or names & {b"content-length", b"transfer-encoding"}:
        return False
    return bool(body) or request.method in ("PUT", "POST", "COPY")
