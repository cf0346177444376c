"""What the console does for its pages, and what it refuses to do for anybody else's."""

from __future__ import annotations

import httpx
import pytest

from springtide.scaler.core.vocabulary import FunctionRef
from tests.console.served import world

KEY = "greet.openfaas-fn"
GREET = FunctionRef("openfaas-fn", "greet")
ACTS = (
    ("POST", "/ui/api/functions"),
    ("PUT", "/ui/api/functions"),
    ("DELETE", f"/ui/api/functions/{KEY}"),
    ("POST", f"/ui/api/functions/{KEY}/scale"),
    ("POST", f"/ui/api/functions/{KEY}/invoke"),
    ("POST", f"/ui/api/functions/{KEY}/rollback"),
    ("POST", f"/ui/api/functions/{KEY}/schedules/pause"),
)


async def test_deploy_form_becomes_a_function() -> None:
    async with world() as here:
        form = {
            "name": "greet", "image": "any", "env": "A=1\nB=x=y\n", "labels": "team=blue", "max": "5",
            "zero": True, "secrets": "", "memory": "64Mi", "annotations": "topic=orders",
        }  # fmt: skip
        answer = await here.http.post("/ui/api/functions", json=form, headers=await here.token())
        assert (answer.status_code, answer.json()) == (202, {"key": KEY})
        spec = (await here.provider.status(GREET)).spec
        assert spec.env_vars == {"A": "1", "B": "x=y"}
        assert {name: value for name, value in spec.labels.items() if name != "faas_function"} == {
            "team": "blue",
            "com.openfaas.scale.max": "5",
            "com.openfaas.scale.zero": "true",
        }
        assert (spec.limits, spec.annotations) == ({"memory": "64Mi"}, {"topic": "orders"})


async def test_form_for_a_new_function_does_not_overwrite_one_that_is_there() -> None:
    async with world() as here:
        await here.deploy("greet", team="blue")
        for namespace in ("", "openfaas-fn"):
            form = {"name": "greet", "image": "other", "namespace": namespace}
            answer = await here.http.post("/ui/api/functions", json=form, headers=await here.token())
            assert answer.status_code == 409
            assert answer.text.startswith(f"name: there is a function {KEY} already; ")
        assert (await here.provider.status(GREET)).spec.image == "any"


async def test_form_without_a_namespace_means_that_of_the_provider() -> None:
    async with world(namespace="prod") as here:
        form, headers = {"name": "greet", "image": "any"}, await here.token()
        made = await here.http.post("/ui/api/functions", json=form, headers=headers)
        assert (made.status_code, made.json()["key"]) == (202, "greet.prod")
        taken = await here.http.post("/ui/api/functions", json=form, headers=headers)
        assert taken.status_code == 409
        assert taken.text.startswith("name: there is a function greet.prod already; ")


async def test_change_keeps_what_the_form_shows() -> None:
    async with world() as here:
        await here.deploy("greet", **{"com.openfaas.scale.max": "5"})
        form = {"name": "greet", "image": "newer", "max": "7"}
        answer = await here.http.put("/ui/api/functions", json=form, headers=await here.token())
        assert answer.status_code == 202
        spec = (await here.provider.status(GREET)).spec
        assert (spec.image, spec.labels["com.openfaas.scale.max"]) == ("newer", "7")


@pytest.mark.parametrize(
    ("form", "problems"),
    [
        pytest.param(
            {"labels": "nothing", "env": "\nA"},
            [
                "name: missing; lower-case letters, digits and '-'",
                "image: missing; name an image, a command, or the folder of a Python handler",
                "labels, line 1: not of the form KEY=VALUE",
                "env, line 2: not of the form KEY=VALUE",
            ],
            id="the form's own",
        ),
        pytest.param(
            {"name": "Greet", "image": "any", "max": "many"},
            ["service 'Greet' is not a valid name", "com.openfaas.scale.max='many': write a whole number"],
            id="the provider's",
        ),
    ],
)
async def test_every_problem_of_a_form_is_told_at_once(form: dict[str, str], problems: list[str]) -> None:
    async with world() as here:
        answer = await here.http.post("/ui/api/functions", json=form, headers=await here.token())
        assert answer.status_code == 400
        lines = answer.text.splitlines()
        assert all(any(line.startswith(problem) for line in lines) for problem in problems), lines


async def test_scale_and_remove() -> None:
    async with world() as here:
        await here.deploy("greet")
        token = await here.token()
        scaled = await here.http.post(f"/ui/api/functions/{KEY}/scale", json={"replicas": 3}, headers=token)
        assert (scaled.status_code, scaled.json()) == (202, {"warning": ""})
        assert (await here.provider.read(GREET)).scale.desired == 3
        wrong = await here.http.post(f"/ui/api/functions/{KEY}/scale", json={"replicas": -1}, headers=token)
        assert (wrong.status_code, wrong.text) == (400, "replicas: write a whole number, zero or more")
        removed = await here.http.delete(f"/ui/api/functions/{KEY}", headers=token)
        assert removed.status_code == 202
        again = await here.http.delete(f"/ui/api/functions/{KEY}", headers=token)
        assert again.status_code == 404


async def test_invocation_shows_answer_time_and_whether_it_was_cold() -> None:
    async with world() as here:
        await here.deploy("greet")
        token, url = await here.token(), f"/ui/api/functions/{KEY}/invoke"
        await here.http.post(f"/ui/api/functions/{KEY}/scale", json={"replicas": 0}, headers=token)
        await here.until(lambda text: '"state": "asleep"' in text, f"/ui/functions/{KEY}")
        call = {"method": "PUT", "path": "/a b?c=d", "headers": "X-Test: yes\n", "body": "said"}
        cold = (await here.http.post(url, json=call, headers=token)).json()
        warm = (await here.http.post(url, json=call, headers=token)).json()
        assert (cold["status"], cold["text"]) == (200, "PUT /a%20b?c=d yes None said")
        assert [part["part"] for part in cold["cold"]["parts"]] == ["decided", "accepted", "ready", "first_byte"]
        assert 0 < cold["cold"]["seconds"] <= cold["seconds"]
        assert warm["cold"] is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/fail", {"status": 500, "refused": False}, id="a failure is an answer, and the function's"),
        pytest.param("/big", {"status": 200, "whole": False, "bytes": 256 * 1024}, id="a large body is cut"),
        pytest.param("/bytes", {"status": 200, "whole": True, "bytes": 3, "text": None}, id="a body that is no text"),
        pytest.param(
            "/stalls",
            {
                "whole": False,
                "text": "POST /stalls None None ",
                "broken": "It has not ended in time; this is what had come until then.",
            },
            id="an answer without an end",
        ),
        pytest.param("/breaks", {"whole": False, "text": "POST /breaks None None "}, id="an answer that breaks off"),
    ],
)
async def test_invocation_of_any_kind_of_answer(path: str, expected: dict[str, object]) -> None:
    async with world(invoke_deadline_s=2.0) as here:
        await here.deploy("greet")
        url = f"/ui/api/functions/{KEY}/invoke"
        answer = await here.http.post(url, json={"path": path}, headers=await here.token())
        assert {name: answer.json()[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        pytest.param({"method": "BREW"}, "method: 'BREW' is none of", id="a method"),
        pytest.param({"headers": "no colon"}, "headers: 'no colon' is not of the form", id="a header"),
        pytest.param({"headers": "Host: elsewhere"}, "headers: Host is set by the console", id="a header of ours"),
        pytest.param({"body": "x" * 1_100_000}, "body: has more than", id="a body"),
        pytest.param([], "the call must be a JSON object", id="no object"),
    ],
)
async def test_call_that_cannot_be_made_names_the_field(call: object, problem: str) -> None:
    async with world() as here:
        await here.deploy("greet")
        url = f"/ui/api/functions/{KEY}/invoke"
        answer = await here.http.post(url, json=call, headers=await here.token())
        assert (answer.status_code, answer.text.startswith(problem)) == (400, True), answer.text


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"origin": "http://elsewhere"}, "does not come from a page of this console", id="another origin"),
        pytest.param({"origin": None}, "does not come from a page of this console", id="no origin"),
        pytest.param({"sec-fetch-site": "cross-site"}, "comes from another site", id="another site"),
        pytest.param({"sec-fetch-site": "same-site"}, "comes from another site", id="a sibling of the site"),
        pytest.param({"x-console-token": None}, "this page is out of date", id="no token"),
        pytest.param({"x-console-token": "0" * 64}, "this page is out of date", id="a wrong token"),
        pytest.param({"cookie": "springtide-console=another"}, "this page is out of date", id="another's cookie"),
        pytest.param(
            {"origin": "http://elsewhere", "x-forwarded-host": "elsewhere"},
            "does not come from a page of this console",
            id="a host made up by the caller",
        ),
    ],
)
async def test_act_that_no_page_of_ours_sent_is_refused(change: dict[str, str | None], why: str) -> None:
    async with world() as here:
        headers = {**await here.token(), **change}
        sent = {name: value for name, value in headers.items() if value is not None}
        body = {"replicas": 9, "name": "greet", "image": "any"}
        for method, path in ACTS:
            answer = await here.http.request(method, path, json=body, headers=sent)
            assert (answer.status_code, why in answer.text) == (403, True), (path, answer.text)
        assert await here.provider.list_functions() == []


async def test_each_browser_has_a_cookie_of_its_own() -> None:
    async with world() as here:
        async with httpx.AsyncClient(base_url=here.http.base_url, auth=here.http.auth) as other:
            pages = [await here.http.get("/ui/"), await other.get("/ui/"), await other.get("/ui/")]
            cookies = [page.cookies.get("springtide-console") for page in pages]
        assert cookies[0]
        assert cookies[1]
        assert cookies[0] != cookies[1]
        assert cookies[2] is None
        set_cookie = pages[0].headers["set-cookie"].lower()
        assert all(word in set_cookie for word in ("httponly", "samesite=strict", "path=/ui/"))


async def test_without_authentication_acts_still_need_a_page_of_ours() -> None:
    async with world(credentials=None) as here:
        form = {"name": "greet", "image": "any"}
        refused = await here.http.post("/ui/api/functions", json=form)
        taken = await here.http.post("/ui/api/functions", json=form, headers=await here.token())
        assert (refused.status_code, taken.status_code) == (403, 202)
