from tui_ft.errors import EnvironmentProblem, ExitCode, InputError, Problem, RunFailed


def test_an_error_says_what_where_and_what_to_do() -> None:
    error = InputError("not valid JSON", where="data.jsonl:7", fix="Mend or delete the line.")
    assert str(error) == "data.jsonl:7: not valid JSON\n  Mend or delete the line."
    assert (error.what, error.fix) == ("not valid JSON", "Mend or delete the line.")


def test_all_problems_are_kept() -> None:
    error = InputError([Problem("a"), Problem("b", "file:2")])
    assert str(error) == "a\nfile:2: b"


def test_each_kind_has_its_exit_code() -> None:
    codes = [kind("x").exit_code for kind in (InputError, EnvironmentProblem, RunFailed)]
    assert codes == [ExitCode.BAD_INPUT, ExitCode.CANNOT_HERE, ExitCode.RUN_FAILED]
