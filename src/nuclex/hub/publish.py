"""Put a bundle on the Hugging Face hub, whole and checked, with a complete card; what would leave can be seen before.

The user's token is taken from where ``hf auth login`` or ``HF_TOKEN`` puts it; it is no argument, and in no message.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from nuclex.bundle import Bundle, load
from nuclex.bundle.published import MAIN, endpoint, token
from nuclex.bundle.rights import front_licence
from nuclex.core.config import Config
from nuclex.core.errors import InputError, NuclexError, OutsideError, missing_extra, one_line, shown
from nuclex.core.progress import say
from nuclex.hub.demonstration import kind_of
from nuclex.hub.space import write_space
from nuclex.hub.staged import stage, told_before

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_SECRET = re.compile(r"hf_[A-Za-z0-9]+|Bearer\s+\S+")


class PublishConfig(Config):
    """Where exactly a bundle goes on the hub, and what is said with it."""

    revision: str = Field(default=MAIN, min_length=1, description="the branch; made where it is missing")
    message: str = Field(default="A bundle of nuclex", min_length=1, description="of the commit")
    licence: str | None = Field(default=None, description="of the weights; else what the bundle's record says")
    dry_run: bool = Field(default=False, description="only say what would be uploaded")


def publish(
    bundle: Bundle | str | Path,
    repository: str,
    config: PublishConfig | None = None,
    *,
    private: bool = False,
    space: bool = False,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Upload a bundle as the model ``repository`` (``org/name``), and with ``space`` a page that runs it, of that name.

    The bundle is opened, and so checked, before and after its card is written for its new place (``hub.staged``).
    ``out`` is a new folder that keeps what is uploaded, as ``bundle/`` and ``space/``; with ``config.dry_run`` nothing
    leaves this machine. Returned are the files with their sizes, and the commit with its address. InputError for a
    name or a licence that cannot be, or without a token; OutsideError where the hub refuses or cannot be reached.
    """
    config = config or PublishConfig()
    if not _REPOSITORY.fullmatch(repository):
        raise InputError(f"repository: found {shown(repository)}; a name on the hub is needed: ORG/NAME or USER/NAME")
    opened = bundle if isinstance(bundle, Bundle) else load(bundle)
    if space:
        kind_of(opened)
    with _folder(out) as home:
        staged = stage(opened, home / "bundle", repository, config.licence)
        for sentence in told_before(staged.record):
            say(f"{repository}: {sentence}")
        told: dict[str, Any] = {
            "repository": repository,
            "revision": config.revision,
            "private": private,
            **{key.replace("license", "licence"): said for key, said in front_licence(staged.record).items()},
            "files": _files(staged.path),
        }
        if config.dry_run:
            if space:
                write_space(home / "space", staged, repository, config.revision)
                told["space_files"] = _files(home / "space")
            say("dry run: nothing was uploaded")
            return told
        hub = _Hub(repository, private)
        commit, url = hub.upload(staged.path, "model", config)
        told |= {"commit": commit, "url": url}
        if space:
            write_space(home / "space", staged, repository, commit)
            _, told["space_url"] = hub.upload(home / "space", "space", config.model_copy(update={"revision": MAIN}))
        say(f"{repository}: commit {commit}; nuclex.load('{repository}@{commit}') opens it")
        return told


@contextlib.contextmanager
def _folder(out: str | Path | None) -> Iterator[Path]:
    """A folder for what is uploaded: ``out``, which stays, or one that goes."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="nuclex-publish-") as name:
            yield Path(name)
        return
    if Path(out).exists():
        raise InputError(f"{out}: exists already; give another --out or remove it first")
    yield Path(out)


def _files(folder: Path) -> list[dict[str, Any]]:
    return [{"file": path.name, "bytes": path.stat().st_size} for path in sorted(folder.iterdir())]


class _Hub:
    """A repository's owner's way to the hub; every failure is one sentence without the token."""

    def __init__(self, repository: str, private: bool) -> None:
        try:
            from huggingface_hub import HfApi
        except ModuleNotFoundError:
            raise missing_extra("huggingface_hub", "hub", "publish") from None
        self._repository, self._private, self._token = repository, private, token()
        if self._token is None:
            raise InputError("publish: needs a token that may write: `hf auth login`, or the variable HF_TOKEN")
        self._api: HfApi = HfApi(endpoint=endpoint(), token=self._token)

    def upload(self, folder: Path, kind: str, config: PublishConfig) -> tuple[str, str]:
        """Commit a folder's files to a branch; the commit and its address."""
        from huggingface_hub import CommitOperationAdd

        with self._failures():
            self._create(kind)
            if config.revision != MAIN:
                self._api.create_branch(self._repository, branch=config.revision, repo_type=kind, exist_ok=True)
            done = self._api.create_commit(
                self._repository,
                [CommitOperationAdd(path.name, path) for path in sorted(folder.iterdir())],
                repo_type=kind,
                revision=config.revision,
                commit_message=config.message,
            )
            return str(done.oid), str(done.commit_url)

    def _create(self, kind: str) -> None:
        """Make the repository, or see that the one that is there is as private as it is to be."""
        sdk = "gradio" if kind == "space" else None
        name, private = self._repository, self._private
        self._api.create_repo(name, private=private, repo_type=kind, space_sdk=sdk, exist_ok=True)
        if private and not self._api.repo_info(name, repo_type=kind).private:
            raise InputError(f"{name}: is there already and public; nothing was uploaded (make it private on the hub)")

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        from huggingface_hub.errors import HfHubHTTPError
        from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

        shown_before = not are_progress_bars_disabled()
        disable_progress_bars()
        try:
            yield
        except HfHubHTTPError as error:
            raise self._refused(error.response.status_code, error.server_message) from None
        except NuclexError:
            raise
        except Exception as error:  # the client's network library is its own choice, and can fail in any way
            cause = error.__cause__ or error
            if isinstance(cause, HfHubHTTPError):
                raise self._refused(cause.response.status_code, cause.server_message) from None
            why = self._clean(f"{type(cause).__name__}: {cause}")
            raise OutsideError(f"{self._repository}: the upload to {endpoint()} failed: {why}") from None
        finally:
            if shown_before:
                enable_progress_bars()

    def _refused(self, status: int, message: str | None) -> OutsideError:
        said = f" ({self._clean(message)})" if message else ""
        if status in (401, 403):
            return OutsideError(
                f"{self._repository}: the hub refuses with {status}{said}; the token must be one that may write to "
                f"{self._repository.partition('/')[0]}: make one at {endpoint()}/settings/tokens, then `hf auth login`"
            )
        return OutsideError(f"{self._repository}: the hub, {endpoint()}, answered {status}{said}")

    def _clean(self, text: str) -> str:
        return one_line(_SECRET.sub("***", text.replace(self._token or "\0", "***")))
