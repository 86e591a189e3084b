"""The filters table, duration and usd as Jinja calls them."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.experiments.spot.plugins.filter import duration, table, usd


def call(module, name, *args, **kwargs):
    return module.FilterModule().filters()[name](*args, **kwargs)


def test_values():
    assert call(duration, "duration", 65) == "1m 05s"
    assert call(duration, "duration", "65.2") == "1m 05s"
    assert call(usd, "usd", 0.0104) == "$0.0104"
    assert call(table, "table", [{"a": 1}], ["a"], width=80) == "a\n1"


def test_nothing_is_unknown():
    assert call(duration, "duration", None) == "unknown"
    assert call(usd, "usd", None) == "unknown"


@pytest.mark.parametrize(
    ("module", "name", "args", "text"),
    [
        (duration, "duration", ["soon"], "'soon' is no number of seconds"),
        (usd, "usd", ["much"], "'much' is no amount"),
        (table, "table", ["abc", ["a"]], "wants a list of dictionaries, not str"),
        (table, "table", [[1], ["a"]], "wants a list of dictionaries, not int"),
        (table, "table", [[{"a": 1}], [["a", "a", "euro"]]], "unknown format 'euro'"),
        (table, "table", [[{"a": "x"}], [["a", "a", "usd"]]], "could not convert"),
    ],
)
def test_wrong_input_is_one_clear_error(module, name, args, text):
    with pytest.raises(AnsibleFilterError, match=text):
        call(module, name, *args)
