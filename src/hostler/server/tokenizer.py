"""Native routes that ask a model's tokenizer. They load the model, since the tokenizer is where the model is."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from hostler.engine_client import EngineClient
from hostler.keys import Scope
from hostler.protocol.model_answers import DetokenizeAnswer, TokenizeAnswer, TokenizerInfo
from hostler.protocol.tokenizer import DetokenizeRequest, TokenizeRequest
from hostler.registry import ModelSpec
from hostler.server.auth import needs
from hostler.server.direct_route import DirectRoute
from hostler.server.json_body import JsonBody
from hostler.server.leased import ask_leased
from hostler.server.openapi import body_of
from hostler.server.rate_limits import count_request
from hostler.server.request_context import current
from hostler.server.services import PathModel, Services, ServicesDep, resolve_or_usual

router = APIRouter(
    tags=["tokenizer"], dependencies=[needs(Scope.INFERENCE), Depends(count_request)], route_class=DirectRoute
)
TokenizeBody = Annotated[TokenizeRequest, Depends(JsonBody(TokenizeRequest))]
DetokenizeBody = Annotated[DetokenizeRequest, Depends(JsonBody(DetokenizeRequest))]

_tokenize: dict[str, Any] = {"response_model": TokenizeAnswer, "openapi_extra": body_of(TokenizeRequest)}
_detokenize: dict[str, Any] = {"response_model": DetokenizeAnswer, "openapi_extra": body_of(DetokenizeRequest)}
_info: dict[str, Any] = {"response_model": TokenizerInfo}


@router.post("/models/{model_id:model}/tokenize", **_tokenize)
async def tokenize_with(spec: PathModel, services: ServicesDep, body: TokenizeBody) -> Response:
    """The token ids of a text or a conversation. Nothing is generated."""
    return _tokenized(services, spec, body)


@router.post("/tokenize", **_tokenize)
async def tokenize(request: Request, services: ServicesDep, body: TokenizeBody) -> Response:
    """The same with the model that the body names, or the usual one."""
    return _tokenized(services, await resolve_or_usual(request, body.model), body)


@router.post("/models/{model_id:model}/detokenize", **_detokenize)
async def detokenize_with(spec: PathModel, services: ServicesDep, body: DetokenizeBody) -> Response:
    """The text that token ids spell."""
    return _detokenized(services, spec, body)


@router.post("/detokenize", **_detokenize)
async def detokenize(request: Request, services: ServicesDep, body: DetokenizeBody) -> Response:
    """The same with the model that the body names, or the usual one."""
    return _detokenized(services, await resolve_or_usual(request, body.model), body)


@router.get("/models/{model_id:model}/tokenizer_info", **_info)
async def tokenizer_info_of(spec: PathModel, services: ServicesDep) -> Response:
    """Special tokens, chat template and size of a model's vocabulary."""
    return _described(services, spec)


@router.get("/tokenizer_info", **_info)
async def tokenizer_info(request: Request, services: ServicesDep) -> Response:
    """The same of the usual model."""
    return _described(services, await resolve_or_usual(request, None))


def _tokenized(services: Services, spec: ModelSpec, body: TokenizeRequest) -> Response:
    prompt = body.as_prompt()

    async def ask(engine: EngineClient) -> TokenizeAnswer:
        tokens = await engine.tokenize(
            prompt, add_special_tokens=body.add_special_tokens is not False, caller=current().caller
        )
        return TokenizeAnswer(
            tokens=tokens, count=len(tokens), max_model_len=engine.facts.max_model_len, model_id=spec.id
        )

    return ask_leased(services, spec, ask, body.keep_alive)


def _detokenized(services: Services, spec: ModelSpec, body: DetokenizeRequest) -> Response:
    async def ask(engine: EngineClient) -> DetokenizeAnswer:
        return DetokenizeAnswer(prompt=await engine.detokenize(body.tokens, caller=current().caller), model_id=spec.id)

    return ask_leased(services, spec, ask, body.keep_alive)


def _described(services: Services, spec: ModelSpec) -> Response:
    async def ask(engine: EngineClient) -> TokenizerInfo:
        facts = await engine.tokenizer_facts(caller=current().caller)
        return TokenizerInfo(
            model_id=spec.id,
            eos_token=facts.eos_token,
            bos_token=facts.bos_token,
            pad_token=facts.pad_token,
            chat_template=facts.chat_template,
            vocab_size=facts.vocab_size,
            max_model_len=engine.facts.max_model_len,
        )

    return ask_leased(services, spec, ask, None)
