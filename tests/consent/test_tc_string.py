"""The core of a TC string is read as the IAB's own tools read it, and what is none is refused."""

import pytest

from consent.tc_string import TcStringError, read_tc_string
from tests.consent.tc_strings import tc_string

# The example of "Consent string and vendor list formats v2", and two of the IAB Tech Lab's iabtcf-java, with
# what that library's tests state of them.
SPECIFICATION = (
    "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBAA"
    "AAAAAGBAAgAAAAAAAFAAECAAAgAAQARAEQAAAAAJAAIAAgAAAYQEAAAQmAgBC3ZAYzUw"
)
ONE_TREATMENT = "COtybn4PA_zT4KjACBENAPCIAEBAAECAAIAAAAAAAAAA"
SEVEN_PURPOSES = "COrEAV4OrXx94ACABBENAHCIAD-AAAAAAACAAxAAAAgAIAwgAgAAAAEAgQAAAAAEAYQAQAAAACAAAABAAA"


def test_the_specifications_example() -> None:
    said = read_tc_string(SPECIFICATION)
    assert (said.created, said.last_updated) == (1_582_243_059_300, 1_582_243_059_300)
    assert (said.cmp_id, said.vendor_list_version) == (27, 15)
    assert (said.consents, said.legitimate_interests) == ({1, 2, 3}, set())


def test_the_examples_of_the_iabs_library() -> None:
    said = read_tc_string(ONE_TREATMENT)
    assert (said.created, said.last_updated) == (1_580_058_060_000, 1_612_285_260_000)
    assert (said.cmp_id, said.vendor_list_version, said.purpose_one_treatment) == (675, 15, True)
    assert (said.consents, said.legitimate_interests) == ({2, 10}, {2, 9})
    assert read_tc_string(SEVEN_PURPOSES).consents == {3, 4, 5, 6, 7, 8, 9}


def test_what_is_written_is_read() -> None:
    said = read_tc_string(tc_string({1, 24}, interests={2}, created=1_700_000_000_000))
    assert (said.consents, said.legitimate_interests) == ({1, 24}, {2})
    assert said.created == 1_700_000_000_000


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "segments"),
        (
            "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA",
            "version 2",
        ),  # the first version, as its specification has it
        (ONE_TREATMENT[:20], "cut short"),
        (ONE_TREATMENT + ".", "segments"),
        (ONE_TREATMENT.replace("_", "/"), "segments"),
        (ONE_TREATMENT + "=", "segments"),
        (ONE_TREATMENT + "A", "base64url"),
        ("C" * 5000, "segments"),
        (tc_string(created=1_700_000_000_000, updated=1_600_000_000_000), "before it was created"),
        (tc_string(cmp_id=0), "no consent management platform"),
        (tc_string(version=3), "version 2"),
    ],
)
def test_what_is_no_tc_string_of_version_2_is_refused_without_repeating_it(text: str, why: str) -> None:
    with pytest.raises(TcStringError, match=why) as refused:
        read_tc_string(text)
    assert not text or text not in str(refused.value)
