"""Our lib means what nixpkgs' means."""

from harness import OURS, evaluate, nixpkgs_lib


def every_promise_of_our_lib_holds() -> None:
    _check(OURS)


def nixpkgs_own_lib_promises_the_same() -> None:
    _check(nixpkgs_lib())


def _check(lib) -> None:
    cases = evaluate("lib-cases.nix", lib=str(lib))
    assert len(cases) > 50
    wrong = [f"{name}: {case['actual']} and not {case['expected']}" for name, case in cases.items() if not case["ok"]]
    assert not wrong, "\n".join(wrong)
