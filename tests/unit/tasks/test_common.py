"""How an error is told: always, whatever the help about it does."""

from __future__ import annotations

import pytest
from invoke.exceptions import Exit

from kbootstrap.errors import ApplyError, ConnectError, KbError
from kbootstrap.tasks import _common


@pytest.mark.parametrize("other", [ValueError("invalid literal"), ConnectError("m1 is down"), OSError("no space")])
def test_a_failed_autopsy_is_a_line_and_the_error_is_told(other: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def look(error: KbError, command: str) -> None:
        raise other

    def body() -> None:
        raise ApplyError("2 changes failed", hint="Run the same command again.")

    token = _common._LOOK.set(look)
    try:
        with pytest.raises(Exit) as ended:
            _common._explained(body, "cluster.up")
    finally:
        _common._LOOK.reset(token)
    assert ended.value.code == ApplyError.exit_code
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith("no autopsy: ")
    assert str(other) in first
    assert rest == ["error: 2 changes failed", "  Run the same command again."]
