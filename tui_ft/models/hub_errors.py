"""What a failed request to the model hub means for the user, in one sentence with the way out.

No message holds what the server or the client library said, so none can hold a token.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from tui_ft.errors import EnvironmentProblem, InputError, TuiFtError
from tui_ft.files import disk_problem
from tui_ft.settings import hub_cache
from tui_ft.text import nearest


class HubUnreachable(EnvironmentProblem):
    """No answer from the hub, and the model is not on this machine."""

    def __init__(self, model_id: str) -> None:
        super().__init__(
            "the model is not on this machine, and the hub cannot be reached",
            where=model_id,
            fix="Check the network, or name a folder that holds the model. `tui-ft demo` needs no hub.",
        )


def endpoint() -> str:
    """Address of the hub, from HF_ENDPOINT."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def explain(error: Exception, model_id: str, *, known: Sequence[str] = ()) -> TuiFtError:
    """What a failed request means for the user: three kinds of locked doors, no such model, no network.

    Told apart by the class huggingface_hub chose, the HTTP status, and whether a token was sent.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RevisionNotFoundError

    cause = next((link for link in _chain(error) if isinstance(link, HfHubHTTPError)), None)
    if cause is None:
        return _without_answer(error, model_id)
    status = cause.response.status_code
    page = f"{endpoint()}/{model_id}"
    has_token = get_token() is not None
    if isinstance(cause, RevisionNotFoundError):
        return InputError(
            "the model has no such revision",
            where=model_id,
            fix="A revision is a branch, a tag or a commit; leave it out for the newest.",
        )
    if isinstance(cause, GatedRepoError):
        return _gated(status, page, model_id, has_token, cause.server_message or "")
    if status == 401 and has_token and cause.response.headers.get("X-Error-Code") != "RepoNotFound":
        return EnvironmentProblem(
            "the hub does not accept your access token",
            where=model_id,
            fix="It may be expired: make a new one and run `hf auth login`, or set HF_TOKEN.",
        )
    if status in (401, 404):
        return no_such_model(model_id, known, logged_in=has_token)
    if status == 403:
        return EnvironmentProblem(
            "your access token may not read this model",
            where=model_id,
            fix="Ask its owner for access, or use a token of an account that has it.",
        )
    if status == 429:
        return EnvironmentProblem(
            "the hub asks to slow down: too many requests from this address",
            where=model_id,
            fix="Wait a few minutes; logging in with `hf auth login` raises the limit.",
        )
    return EnvironmentProblem(
        f"the hub answered with an error (HTTP {status})", where=model_id, fix="Try again in a few minutes."
    )


def _without_answer(error: Exception, model_id: str) -> TuiFtError:
    """Nothing was answered, or the answer made no sense."""
    kinds = {kind.__name__ for link in _chain(error) for kind in type(link).__mro__}
    if kinds & {"TransportError", "OfflineModeIsEnabled", "LocalEntryNotFoundError"}:
        return HubUnreachable(model_id)
    if isinstance(error, OSError):
        return disk_problem(error, hub_cache())
    if "SafetensorsParsingError" in kinds:
        return InputError(
            "the weights on the hub are damaged", where=model_id, fix="Choose another revision."
        )
    return EnvironmentProblem(
        f"the hub's answer could not be used ({type(error).__name__})",
        where=model_id,
        fix="Try again in a few minutes; `pip install -U huggingface-hub` if it stays so.",
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__


def _gated(status: int, page: str, model_id: str, has_token: bool, said: str) -> EnvironmentProblem:
    """A model whose licence must be accepted: by whom, and in which order."""
    if not has_token:
        return EnvironmentProblem(
            "this model is gated: its licence must be accepted, and you are not logged in",
            where=model_id,
            fix=f"1. Accept the licence at {page}  2. Run `hf auth login`, or set HF_TOKEN.",
        )
    if status == 401:
        return EnvironmentProblem(
            "this model is gated, and the hub does not accept your access token",
            where=model_id,
            fix="It may be expired: make a new one and run `hf auth login`, or set HF_TOKEN.",
        )
    if "fine-grained" in said.lower():
        return EnvironmentProblem(
            "this model is gated, and your fine-grained token may not read gated models",
            where=model_id,
            fix="Allow it in the token's settings: read access to public gated repositories.",
        )
    return EnvironmentProblem(
        "this model is gated: you are logged in, but this account has not been let in yet",
        where=model_id,
        fix=f"Accept the licence at {page} and wait until access is granted; some owners do so by hand.",
    )


def no_such_model(model_id: str, known: Sequence[str], *, logged_in: bool) -> InputError:
    """The hub doesn't know the id, or doesn't tell whom it doesn't know."""
    close = nearest(model_id, known)
    private = (
        "If it is private, your account has no access to it."
        if logged_in
        else "If it is private, run `hf auth login` first."
    )
    return InputError(
        "the hub has no model of this name",
        where=model_id,
        fix=f"Did you mean {' or '.join(close)}? {private}" if close else f"Check the spelling. {private}",
    )
