"""Commands that ask a running server's models. Imports what a command needs inside it."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hostler.cli.failures import reports_errors
from hostler.cli.models import DEFAULT_URL, ApiKey, AsJson, Url

if TYPE_CHECKING:
    from hostler.client import SamplingOptions

app = typer.Typer(rich_markup_mode=None)

AskedModel = Annotated[
    str | None, typer.Option("--model", help="Id or Hugging Face name.  [default: the server's usual one]")
]


Temperature = Annotated[float | None, typer.Option(help="0 is greedy.  [default: what the model suggests]")]
TextTemperature = Annotated[float | None, typer.Option("--temperature", help="0 is greedy.  [default: 0.7]")]
Seed = Annotated[int | None, typer.Option(help="Same request, same draws.")]


@app.command()
@reports_errors
def generate(
    prompt: Annotated[str, typer.Argument(help="A text to continue; - reads it from the standard input.")],
    model: Annotated[
        str | None, typer.Option("--model", help="Id or Hugging Face name.  [default: the first of type text]")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens at most.")] = 100,
    temperature: TextTemperature = None,
    seed: Seed = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Continue a text, and print it as it comes."""
    from hostler.cli import chatting
    from hostler.client import Hostler

    options = sampling_options(max_new_tokens, temperature, seed)
    text = sys.stdin.read() if prompt == "-" else prompt
    with Hostler(url, api_key=api_key) as server:
        if as_json:
            typer.echo(json.dumps(server.generate(text, model=model, **options), indent=2, ensure_ascii=False))
            return
        with server.stream(text, model=model, **options) as stream:
            stream.on_wait = chatting.tell_wait
            for piece in stream:
                typer.echo(piece["text"], nl=False)
    typer.echo()


@app.command()
@reports_errors
def chat(
    model: Annotated[
        str | None, typer.Argument(help="Id or Hugging Face name.  [default: the first conversational one]")
    ] = None,
    system: Annotated[str | None, typer.Option(help="How the model is to answer.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Tokens of an answer at most.")] = None,
    temperature: Temperature = None,
    seed: Seed = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Talk with a model; what is piped in is one message."""
    from hostler.cli import chatting
    from hostler.cli.chat_session import ChatSession
    from hostler.client import Hostler

    with Hostler(url, api_key=api_key) as server:
        if model is not None:
            model = server.info(model)["model_id"]
        session = ChatSession(server, model, sampling_options(max_new_tokens, temperature, seed), system)
        session.on_wait = chatting.tell_wait
        if sys.stdin.isatty():
            chatting.talk(session)
        else:
            chatting.answer_once(session)


@app.command()
@reports_errors
def tokenize(
    text: Annotated[str, typer.Argument(help="What to turn into tokens.")],
    model: AskedModel = None,
    no_special_tokens: Annotated[
        bool, typer.Option("--no-special-tokens", help="Leave out what the tokenizer puts around a text.")
    ] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Print the token ids of a text."""
    from hostler.client import Hostler

    with Hostler(url, api_key=api_key) as server:
        answer = server.tokenize(text, model=model, add_special_tokens=not no_special_tokens)
    typer.echo(json.dumps(answer) if as_json else " ".join(map(str, answer["tokens"])))


@app.command()
@reports_errors
def detokenize(
    tokens: Annotated[list[int], typer.Argument(help="Token ids.")],
    model: AskedModel = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Print the text that token ids spell."""
    from hostler.client import Hostler

    with Hostler(url, api_key=api_key) as server:
        typer.echo(server.detokenize(tokens, model=model)["prompt"])


@app.command()
@reports_errors
def compare(
    prompt: Annotated[str, typer.Argument(help="A text to continue.")],
    models: Annotated[list[str], typer.Option("--model", help="Id or Hugging Face name; one for each model to ask.")],
    is_message: Annotated[bool, typer.Option("--chat", help="The prompt is a message to answer instead.")] = False,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens of each answer at most.")] = 100,
    temperature: Annotated[
        float | None, typer.Option(help="0 is greedy.  [default: 0.7; with --chat what each model suggests]")
    ] = None,
    seed: Seed = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Ask several models the same, and print their answers and how long they took."""
    from hostler.cli import explaining
    from hostler.client import Hostler

    options = sampling_options(max_new_tokens, temperature, seed)
    with Hostler(url, api_key=api_key) as server:
        answers = (
            server.compare(models, message=prompt, **options)
            if is_message
            else server.compare(models, prompt, **options)
        )
    typer.echo(explaining.to_json(answers) if as_json else "\n\n".join(map(explaining.compared_lines, answers)))


def sampling_options(max_new_tokens: int | None, temperature: float | None, seed: int | None) -> "SamplingOptions":
    """Those that were given."""
    from hostler.client import SamplingOptions

    options = SamplingOptions()
    if max_new_tokens is not None:
        options["max_new_tokens"] = max_new_tokens
    if temperature is not None:
        options["temperature"] = temperature
    if seed is not None:
        options["seed"] = seed
    return options
