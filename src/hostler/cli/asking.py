"""Commands that ask a running server's models. Imports what a command needs inside it."""

import json
from typing import Annotated

import typer

from hostler.cli.failures import reports_errors
from hostler.cli.models import DEFAULT_URL, ApiKey, AsJson, Url

app = typer.Typer(rich_markup_mode=None)

AskedModel = Annotated[
    str | None, typer.Option("--model", help="Id or Hugging Face name.  [default: the server's usual one]")
]


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
    seed: Annotated[int | None, typer.Option(help="Same request, same draws.")] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Ask several models the same, and print their answers and how long they took."""
    from hostler.cli import explaining
    from hostler.client import Hostler, SamplingOptions

    options = SamplingOptions(max_new_tokens=max_new_tokens)
    if temperature is not None:
        options["temperature"] = temperature
    if seed is not None:
        options["seed"] = seed
    with Hostler(url, api_key=api_key) as server:
        answers = (
            server.compare(models, message=prompt, **options)
            if is_message
            else server.compare(models, prompt, **options)
        )
    typer.echo(explaining.to_json(answers) if as_json else "\n\n".join(map(explaining.compared_lines, answers)))
