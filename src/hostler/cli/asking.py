"""Commands that ask a running server's models. Imports what a command needs inside it."""

import sys
from collections import deque
from typing import TYPE_CHECKING, Annotated

import typer

from hostler.cli.completing import complete_model
from hostler.cli.failures import EXIT_FAILED, reports_errors
from hostler.cli.json_output import to_json, to_json_line
from hostler.cli.options import DEFAULT_URL, ApiKey, AsJson, Url

if TYPE_CHECKING:
    from hostler.client import SamplingOptions

app = typer.Typer(rich_markup_mode=None)

AskedModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Id or Hugging Face name.  [default: the server's usual one]",
        autocompletion=complete_model,
    ),
]

Temperature = Annotated[float | None, typer.Option(help="0 is greedy.  [default: what the model suggests]")]
TextTemperature = Annotated[float | None, typer.Option("--temperature", help="0 is greedy.  [default: 0.7]")]
Seed = Annotated[int | None, typer.Option(help="Same request, same draws.")]


@app.command()
@reports_errors
def generate(
    prompt: Annotated[str, typer.Argument(help="A text to continue; - reads it from the standard input.")],
    model: AskedModel = None,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens at most.")] = 100,
    temperature: TextTemperature = None,
    seed: Seed = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Continue a text, and print it as it comes."""
    from hostler.cli.chatting import print_pieces
    from hostler.cli.servers import connect
    from hostler.cli.waiting import WaitLine

    options = sampling_options(max_new_tokens, temperature, seed)
    text = sys.stdin.read() if prompt == "-" else prompt
    with connect(url, api_key) as server, WaitLine() as line, server.stream(text, model=model, **options) as stream:
        stream.on_wait = line.tell
        if as_json:
            deque(stream, maxlen=0)
            typer.echo(to_json(stream.answer))
            return
        print_pieces((piece["text"] for piece in stream), line)


@app.command()
@reports_errors
def chat(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Id or Hugging Face name.  [default: the first conversational one]", autocompletion=complete_model
        ),
    ] = None,
    system: Annotated[str | None, typer.Option(help="How the model is to answer.")] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with a conversation that /save wrote to this file.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Tokens of an answer at most.")] = None,
    temperature: Temperature = None,
    seed: Seed = None,
    no_history: Annotated[bool, typer.Option("--no-history", help="Keep nothing of what is typed.")] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; for a message that is piped in.")] = False,
) -> None:
    """Talk with a model; what is piped in is one message."""
    from hostler.cli import chatting, line_editing
    from hostler.cli.chat_session import ChatSession
    from hostler.cli.servers import connect, conversational_model
    from hostler.cli.waiting import WaitLine

    options = sampling_options(max_new_tokens, temperature, seed)
    with connect(url, api_key) as server, WaitLine() as line:
        is_typed = sys.stdin.isatty() and not as_json
        if model is not None or (is_typed and resume is None):
            # Whoever types is to know before the first message whether somebody listens, and who.
            model = conversational_model(server, model)
        conversation = server.conversation(model, system=system, path=resume, **options)
        if as_json:
            with conversation.stream(sys.stdin.read().strip()) as stream:
                stream.on_wait = line.tell
                deque(stream, maxlen=0)
            content = {"model": stream.answer["model_id"], "messages": conversation.messages}
            typer.echo(to_json(content))
            return
        session = ChatSession(server, conversation, line.tell)
        if is_typed:
            chatting.talk(session, line, None if no_history else line_editing.usual_history())
        else:
            chatting.answer_once(session, line)


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
    from hostler.cli.servers import connect

    with connect(url, api_key) as server:
        answer = server.tokenize(text, model=model, add_special_tokens=not no_special_tokens)
    typer.echo(to_json_line(answer) if as_json else " ".join(map(str, answer["tokens"])))


@app.command()
@reports_errors
def detokenize(
    tokens: Annotated[list[int], typer.Argument(help="Token ids.")],
    model: AskedModel = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Print the text that token ids spell."""
    from hostler.cli.servers import connect

    with connect(url, api_key) as server:
        answer = server.detokenize(tokens, model=model)
    typer.echo(to_json_line(answer) if as_json else answer["prompt"])


@app.command()
@reports_errors
def compare(
    prompt: Annotated[str, typer.Argument(help="A text to continue.")],
    models: Annotated[
        list[str],
        typer.Option(
            "--model",
            help="Id or Hugging Face name; one for each model to ask.",
            autocompletion=complete_model,
        ),
    ],
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
    """Ask several models the same; their answers side by side, with how long each took."""
    from hostler.cli import comparing
    from hostler.cli.consoles import plain_console
    from hostler.cli.servers import connect
    from hostler.cli.waiting import WaitLine

    options = sampling_options(max_new_tokens, temperature, seed)
    text, message = (None, prompt) if is_message else (prompt, None)
    with (
        connect(url, api_key) as server,
        WaitLine() as line,
        server.stream_compare(models, text, message=message, **options) as stream,
    ):
        if as_json:
            typer.echo(to_json(comparing.read_all(stream, models, line)))
        else:
            comparing.show(stream, models, plain_console(), line)


@app.command()
@reports_errors
def bench(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Id or Hugging Face name.  [default: the first conversational one]", autocompletion=complete_model
        ),
    ] = None,
    streams: Annotated[
        list[int] | None,
        typer.Option("--streams", "-c", min=1, help="Requests at once; may be given again.  [default: 1, 4, 8]"),
    ] = None,
    requests: Annotated[int, typer.Option(min=1, help="In all, at each number of streams.")] = 16,
    prompt_words: Annotated[int, typer.Option(min=1, help="Words of each prompt; about its tokens.")] = 53,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens of each answer.")] = 64,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Put a small load on a model, and say what came of it: tokens a second, and how long clients wait.

    The exit status is 1 where a request failed.
    """
    from hostler.cli import benching
    from hostler.cli.consoles import plain_console
    from hostler.cli.servers import connect, conversational_model
    from hostler.cli.waiting import WaitLine

    with connect(url, api_key) as server:
        model_id = conversational_model(server, model)
    if model_id is None:
        raise typer.BadParameter("this key may not look at the models: name one")
    test = benching.Bench(url, api_key, model_id, streams or (1, 4, 8), requests, prompt_words, max_new_tokens)
    with WaitLine() as line:
        measurements = test.run(line)
    if as_json:
        typer.echo(to_json(benching.record(test, measurements)))
    else:
        benching.print_report(test, measurements, plain_console())
    if any(measurement.errors for measurement in measurements):
        raise typer.Exit(EXIT_FAILED)


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
