from pydantic import BaseModel

from hostler.protocol.native import ChatRequest, GenerateRequest
from hostler.protocol.openai_chat import ChatCompletionRequest
from hostler.protocol.responses import ResponsesRequest
from tests.server.conftest import Served
from tests.server.openapi_document import DOCUMENT, references

CONTRACT = {
    ("/", "get"),
    ("/health", "get"),
    ("/system", "get"),
    ("/models", "get"),
    ("/models/loaded", "get"),
    ("/models/types/{model_type}", "get"),
    ("/models/gated", "get"),
    ("/models/{model_id}/info", "get"),
    ("/models/{model_id}/load", "post"),
    ("/models/{model_id}/unload", "post"),
    ("/models/{model_id}/generate", "post"),
    ("/models/{model_id}/chat", "post"),
    ("/generate", "post"),
    ("/chat", "post"),
    ("/auth/status", "get"),
    ("/admin/reload-config", "post"),
    ("/admin/clear-gpu-memory", "post"),
    ("/admin/unload-all", "post"),
    ("/v1/models", "get"),
    ("/v1/models/{model_id}", "get"),
    ("/v1/chat/completions", "post"),
    ("/v1/completions", "post"),
}


async def test_the_document_has_every_path_of_the_contract(served: Served) -> None:
    document = (await served.client.get("/openapi.json")).json()
    documented = {(path, method) for path, operations in document["paths"].items() for method in operations}
    assert documented >= CONTRACT


async def test_every_reference_leads_somewhere(served: Served) -> None:
    document = (await served.client.get("/openapi.json")).json()
    targets = {f"#/components/{kind}/{name}" for kind, named in document["components"].items() for name in named}
    assert references(document) <= targets


async def test_bodies_are_documented_field_by_field(served: Served) -> None:
    document = (await served.client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    models: list[type[BaseModel]] = [GenerateRequest, ChatRequest, ChatCompletionRequest, ResponsesRequest]
    for model in models:
        assert set(schemas[model.__name__]["properties"]) == set(model.model_fields)


async def test_errors_are_documented_with_the_body_of_their_interface(served: Served) -> None:
    paths = (await served.client.get("/openapi.json")).json()["paths"]
    native = paths["/generate"]["post"]["responses"]
    openai = paths["/v1/completions"]["post"]["responses"]
    assert set(native) - set(openai) == {"422"}
    assert references(native["400"]["content"]) == {"#/components/schemas/NativeErrorBody"}
    assert references(openai["400"]["content"]) == {"#/components/schemas/ErrorBody"}


async def test_what_explains_the_stable_is_documented_with_its_answers_and_queries(served: Served) -> None:
    document = (await served.client.get("/openapi.json")).json()
    paths, schemas = document["paths"], document["components"]["schemas"]
    assert {"PlanAnswer", "PlanVictim", "FootprintParts", "EventsPage", "ModelEvent", "ModelHealth"} <= set(schemas)
    for path in ("/events", "/models/{model_id}/events"):
        operation = paths[path]["get"]
        queries = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"}
        assert queries == {"after", "limit", "stream"}
        assert set(operation["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
        assert "422" in operation["responses"]
    assert "503" in paths["/models/{model_id}/health"]["get"]["responses"]


def test_bounds_are_spelled_as_json_schema_has_them() -> None:
    count = DOCUMENT["components"]["schemas"]["ChatCompletionRequest"]["properties"]["n"]["anyOf"][0]
    assert count == {"type": "integer", "minimum": 1, "maximum": 128}


async def test_the_document_says_which_headers_come_with_every_answer(served: Served) -> None:
    response = await served.client.get("/models")
    documented = DOCUMENT["paths"]["/models"]["get"]["responses"]["200"]["headers"]
    assert set(documented) == {"x-request-id", "openai-processing-ms"}
    assert set(documented) <= set(response.headers)
