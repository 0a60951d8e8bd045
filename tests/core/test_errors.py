from __future__ import annotations

import pytest

from nuclex.core import errors
from nuclex.core.errors import InputError, NuclexError, StoppedError, at, missing_extra


def test_the_exit_codes_are_those_of_the_design() -> None:
    codes = {name: cls.exit_code for name, cls in vars(errors).items() if name.endswith("Error")}
    assert codes == {
        "NuclexError": 1,
        "InputError": 2,
        "OutsideError": 3,
        "CorruptError": 4,
        "DiskError": 5,
        "NonFiniteError": 6,
        "StoppedError": 1,  # until a signal is known
    }
    assert (StoppedError("stopped", 2).exit_code, StoppedError("stopped", 15).exit_code) == (130, 143)
    assert StoppedError.exit_code == 1, "an instance must not change its class"


def test_at_names_file_and_line() -> None:
    assert (at("a/b.fa"), at("a/b.fa", 7), at("a/b.fa", 0)) == ("a/b.fa", "a/b.fa:7", "a/b.fa:0")


def test_a_missing_extra_says_what_to_install() -> None:
    error = missing_extra("matplotlib", "plots", "a picture")
    assert isinstance(error, InputError)
    assert isinstance(error, NuclexError)
    assert str(error) == (
        "a picture needs the package 'matplotlib', which is not installed; pip install 'nuclex[plots]'"
    )
    with pytest.raises(InputError):
        raise error
