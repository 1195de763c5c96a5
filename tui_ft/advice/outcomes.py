"""Every way the checklist can end: the verdict, one plain sentence, what decided it, what to do tomorrow."""

from __future__ import annotations

from dataclasses import dataclass

from tui_ft.advice.situations import VerdictName


@dataclass(frozen=True, slots=True)
class Outcome:
    """An end of the checklist. `steps` are concrete and in order; the first can be done tomorrow."""

    id: str
    verdict: VerdictName
    clause: str  # the reason in a few words, for the line "So far leaning to …"
    headline: str
    reason: str
    guides: tuple[str, ...]
    steps: tuple[str, ...]


_SET_ASIDE = (
    "Put 50 to 100 rows aside as a test set, hard ones among them, before you "
    "do anything else. Never train on them."
)
_BASELINES = (
    "Answer the test rows with the base model: with your best prompt, and with examples in it. "
    "Keep both scores; the tuned model has to beat them clearly."
)
_CHECK = "Run `tui-ft check` on your data. It finds duplicates, empty answers and rows that are too long."
_WRITE_30 = "Collect 30 real inputs, easy and hard, and write down the answer you want for each."
_RETRY_PROMPT = (
    "Write the prompt anew: the role, the task in steps, the exact form of "
    "the answer, and what to do when unsure."
)
_SCORE = "Run the 30 through each version of the prompt and count what is right. Keep the best version."

OUTCOMES: dict[str, Outcome] = {
    outcome.id: outcome
    for outcome in (
        Outcome(
            "keep_prompt",
            "improve the prompt",
            "the answers are good enough",
            "Keep what you have: nothing here needs training.",
            "The answers are good enough without training.",
            ("A", "D"),
            (
                "Save the prompt and the model's name and version together, so that a change can be undone.",
                (
                    "Keep 30 inputs with the answers you want, and run them again "
                    "whenever model or prompt change."
                ),
                "Come back when those 30 get worse, or when time or money become a problem.",
            ),
        ),
        Outcome(
            "keep_retrieval",
            "RAG",
            "retrieval already does it",
            "Keep the retrieval you have: nothing here needs training.",
            "Looking facts up already gives answers that are good enough.",
            ("A", "D"),
            (
                "Keep 30 questions with the passage that answers each, and run them again after each change.",
                "Plan who keeps the index up to date, and how often.",
                "Come back when the facts are found but the answers still come out in the wrong form.",
            ),
        ),
        Outcome(
            "find_out",
            "improve the prompt",
            "it is not clear yet what is wrong",
            "First find out what is wrong: facts or form.",
            "Facts and form are mended in different ways, and your answers don't tell yet which it is.",
            ("A", "B", "C", "D"),
            (
                _WRITE_30,
                (
                    "Run them with a clear prompt and sort the failures: a fact was "
                    "missing, or the form was wrong."
                ),
                (
                    "Come back with the larger pile. Missing facts lead to retrieval, "
                    "wrong form to examples or training."
                ),
            ),
        ),
        Outcome(
            "start_with_prompt",
            "improve the prompt",
            "a prompt is the cheapest thing to try",
            "Write a better prompt first; it may be all you need.",
            (
                "No prompt has been tried yet. Prompting with a few examples often "
                "reaches about 80 % of the quality."
            ),
            ("A", "B", "C", "D"),
            (
                _WRITE_30,
                _RETRY_PROMPT,
                _SCORE,
                (
                    "If it falls short, put three to five good answers into the "
                    "prompt, and come back with the numbers."
                ),
            ),
        ),
        Outcome(
            "clearer",
            "improve the prompt",
            "only clearer instructions are missing",
            "Say more clearly what you want; that is the whole problem.",
            "Nothing but clearer instructions is missing.",
            ("B",),
            (
                "Give the prompt to a colleague and ask what it tells them to do. Mend what they misread.",
                _RETRY_PROMPT,
                _WRITE_30,
                _SCORE,
            ),
        ),
        Outcome(
            "stronger_model",
            "improve the prompt",
            "it still misunderstands you",
            "Try the same prompt on a stronger model before you think of training.",
            "Prompts and examples were tried, and the model still misunderstands. Training on your rows "
            "teaches form, not understanding.",
            ("B",),
            (
                "Run the same prompt through a larger or newer model and count what is right.",
                "Split the task into two calls, each with one simple instruction.",
                "Name what is wrong in what remains: format, tone, terms. Then answer the questions again.",
            ),
        ),
        Outcome(
            "add_examples",
            "few-shot",
            "examples in the prompt come before training",
            "Put a few good examples into the prompt before you train anything.",
            (
                "Examples in the prompt have not been tried. They cost an hour and "
                "often reach about 80 % of the quality."
            ),
            ("A", "B"),
            (
                "Choose three to eight inputs that differ from each other, each with the perfect answer.",
                "Put them into the prompt, the hardest case last, in exactly the form you want back.",
                "Score 30 other inputs, with and without the examples.",
                "If that is not enough, collect good answers until you have 100 or more, and come back.",
            ),
        ),
        Outcome(
            "too_unsettled",
            "improve the prompt",
            "what you want changes often",
            "Stay with prompts while the rules keep moving.",
            "What you want changes often; a tuned model would be out of date before it pays off.",
            ("A",),
            (
                (
                    "Keep the changing rules in one file that is put into the "
                    "prompt, so that others can edit it."
                ),
                (
                    "Choose the examples in the prompt by likeness to the input, from "
                    "a list that is easy to change."
                ),
                "Separate what never changes, such as the output format. That part could be trained later.",
            ),
        ),
        Outcome(
            "lighter_prompt",
            "improve the prompt",
            "no limit calls for a model of your own",
            "Make the calls you have cheaper first; no limit you named calls for training.",
            "Answers are good, and neither the volume nor the speed you need calls for a model of your own.",
            ("D", "E"),
            (
                "Work out the cost of one call, calls per day, and what share of it is the prompt.",
                "Try the same prompt on the next smaller model and score 30 inputs. Often it is good enough.",
                "Shorten the prompt, and switch on prompt caching if your provider has it.",
                "Come back with calls per day and the time an answer may take.",
            ),
        ),
        Outcome(
            "retrieve",
            "RAG",
            "facts are looked up, not trained in",
            "Look the facts up when the question comes; don't train them in.",
            "What is missing is knowledge, and fine-tuning does not add facts reliably.",
            ("A", "B", "C", "D"),
            (
                "Write down 30 real questions, and beside each the passage that answers it.",
                "If everything fits into a few pages, put it straight into the prompt and stop here.",
                (
                    "Otherwise index the documents and check how often the right "
                    "passage is among the first five."
                ),
                'Tell the model to answer from the passages only, to name them, and to say "not found" else.',
            ),
        ),
        Outcome(
            "mend_retrieval",
            "RAG",
            "facts are looked up, not trained in",
            "Improve the retrieval you have; training will not bring the facts.",
            "What is missing is knowledge. Retrieval that falls short is mended, not replaced by training.",
            ("A", "B", "C", "D"),
            (
                "Take 30 failed questions and look whether the right passage was found at all.",
                "Found but unused: improve the prompt around the passages. Not found: improve the search.",
                (
                    "For the search try, one at a time: smaller pieces, keyword "
                    "plus meaning search, a re-ranker."
                ),
                "Measure again after each change, on the same 30.",
            ),
        ),
        Outcome(
            "retrieve_first",
            "RAG",
            "the facts come first, then the form",
            "Bring in the facts by retrieval first, then see how much of the form is still wrong.",
            "Facts and form are both wrong, and there are cheaper ways left to try. Much bad form is gone "
            "once the facts are there.",
            ("A", "C"),
            (
                "Write down 30 real questions, the passage that answers each, and the answer you want.",
                "Index the documents and check how often the right passage is among the first five.",
                "Put the passages and two or three model answers into the prompt, and score the 30.",
                "Come back if the facts are right by then and the form is still wrong.",
            ),
        ),
        Outcome(
            "collect",
            "not yet (collect data)",
            "there are too few examples",
            "Training is the right tool, but there is too little to learn from yet.",
            "Fewer than 50 good examples get learned by heart instead of understood.",
            ("A", "B"),
            (
                (
                    "From tomorrow, save each real input together with the answer a "
                    "person approved or corrected."
                ),
                (
                    "Write 20 answers a day, or let a strong model draft them and correct "
                    "every one. Mind its terms of use."
                ),
                "Have a second person check ten of them: would both accept the same answer?",
                "Come back at 100 for format and style, at 500 for a whole task.",
            ),
        ),
        Outcome(
            "collect_more",
            "not yet (collect data)",
            "the examples are nearly enough",
            "A good start: double your examples, then train.",
            (
                "50 to 99 examples can teach a format or a style; a task, a field or "
                "a smaller model wants 100 to 500."
            ),
            ("A", "B", "C"),
            (
                "List the kinds of input you get, and count your examples of each. Fill the thin ones first.",
                "Save each real input together with the answer a person approved or corrected.",
                "Until then use the best five of them as examples in the prompt.",
                "Come back at 100, better at 300.",
            ),
        ),
        Outcome(
            "count_examples",
            "not yet (collect data)",
            "nobody has counted the examples",
            "Count your good examples first; everything else speaks for training.",
            "Below 50 good examples training does not work, and it is not known how many there are.",
            ("A", "B"),
            (
                "Look where good answers already lie: tickets, mails, corrected drafts, logs.",
                "Read 50 of them. Keep only those you would be content to get from the model.",
                "Estimate from the share you kept how many there are, and answer the questions again.",
            ),
        ),
        Outcome(
            "train",
            "fine-tune",
            "the form is wrong and prompts were not enough",
            "Fine-tune: the form is what is wrong, cheaper ways were tried, and you have the examples.",
            "The model knows enough but does not answer as it should, and prompting did not settle it.",
            ("A", "B", "C", "E"),
            (
                _SET_ASIDE,
                _BASELINES,
                _CHECK,
                (
                    "Run `tui-ft`, start with LoRA on a model of 1B to 8B, and read "
                    "the plan before you start it."
                ),
            ),
        ),
        Outcome(
            "train_fully",
            "fine-tune",
            "much data, much budget, form is wrong",
            "Fine-tune, and with your data and budget every weight of a large model is an option.",
            (
                "The form is what is wrong, prompting did not settle it, and there is "
                "enough data for full fine-tuning."
            ),
            ("A", "C", "E"),
            (
                _SET_ASIDE,
                _BASELINES,
                _CHECK,
                "Train LoRA first. It costs a tenth and tells you what the data is worth.",
                "Then plan the full run with `tui-ft plan`; above 1B parameters it needs several large GPUs.",
            ),
        ),
        Outcome(
            "train_small",
            "fine-tune a smaller model",
            "time or volume ask for it",
            "Fine-tune a smaller model: it can answer as well on this one task, faster and for less.",
            "Speed, prompt length or volume rule out a large model, and your examples can teach a small one.",
            ("B", "C", "D", "E"),
            (
                _SET_ASIDE,
                (
                    "Answer the test rows with a small model and a good prompt. It "
                    "may be enough without training."
                ),
                (
                    "If a large model answers well today, its checked answers are good "
                    "training rows. Mind its terms of use."
                ),
                _CHECK,
                (
                    "Run `tui-ft` with a model of 0.5B to 4B, and measure time and "
                    "cost per answer as well as quality."
                ),
            ),
        ),
        Outcome(
            "train_at_provider",
            "managed API",
            "training fits, GPUs of your own do not",
            "Fine-tune at a provider: training is right for this, and running GPUs is not for you.",
            "Training is right for this, and you prefer a provider to running GPUs.",
            ("A", "E"),
            (
                _SET_ASIDE,
                _BASELINES,
                _CHECK,
                "Compare two providers: price per million training tokens ($5 to $25), price per call of the "
                "tuned model, and whether you may take the weights with you.",
                "Work out the monthly bill at your volume, and from where on your own GPU would be cheaper.",
            ),
        ),
        Outcome(
            "train_with_retrieval",
            "fine-tune + RAG",
            "facts are missing and the form is wrong",
            "Do both: retrieval for the facts, and fine-tuning for the form on top of it.",
            "The facts have to be looked up, and prompting did not settle how the answers should come out.",
            ("A", "C"),
            (
                "Get the retrieval right first: check on 30 questions how often the right passage is found.",
                (
                    "Build training rows that look like real use: question, retrieved "
                    "passages, the answer you want."
                ),
                _SET_ASIDE,
                (
                    "Answer the test rows with retrieval and your best prompt alone. "
                    "The tuned model has to beat that."
                ),
                "Run `tui-ft check` on the rows, then `tui-ft`, and start with LoRA.",
            ),
        ),
    )
}
