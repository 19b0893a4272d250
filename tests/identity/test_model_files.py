"""A model from a file brings numbers, and no statement that is not known here."""

import json
from dataclasses import replace

import pytest

from identity.errors import ModelFileError
from identity.model_files import read_model
from tests.identity.labelled import labelled
from tests.identity.test_linking import run


@pytest.fixture(scope="module")
def model():
    return run(labelled("senzing_truthset")[0]).model


def test_a_models_own_json_and_a_report_that_holds_it_are_read(model):
    assert read_model(model.to_json(), []) == model
    assert read_model(json.dumps({"run_id": "run_1", "model": json.loads(model.to_json())}), []) == model


def altered(model, change):
    content = json.loads(model.to_json())
    change(content)
    return json.dumps(content)


def inject(content):
    content["comparisons"][0]["levels"][0]["condition"] = "(SELECT max(email[1]) FROM records) > 'a'"


REFUSED = {
    "no JSON": lambda _: "model",
    "JSON of something else": lambda _: "[]",
    "a model of another format": lambda m: altered(m, lambda c: c.update(format=99)),
    "a condition of its own": lambda m: altered(m, inject),
    "a comparison's name that is SQL": lambda m: altered(
        m, lambda c: c["comparisons"][0].update(name="first_name, *")
    ),
    "a blocking rule of its own": lambda m: altered(m, lambda c: c["rules"][0].update(parts=["(SELECT 1)"])),
    "a parameter that is text": lambda m: altered(
        m, lambda c: c["comparisons"][0]["levels"][0].update(m="0.5) OR (1=1")
    ),
    "a probability above 1": lambda m: altered(m, lambda c: c["comparisons"][0]["levels"][0].update(u=1.5)),
    "a prior that is text": lambda m: altered(m, lambda c: c.update(prior="1 + 1")),
    "a frequency by an unknown name": lambda m: altered(
        m, lambda c: c.update(rare_frequencies={"email) --": 0.1})
    ),
    "a label that is no text": lambda m: altered(
        m, lambda c: c["comparisons"][0]["levels"][0].update(label=["x"])
    ),
    "a rule of lists": lambda m: altered(m, lambda c: c["rules"][0].update(parts=[["email"]])),
    "nothing but brackets": lambda _: "[" * 200_000,
    "a number beyond every float": lambda m: altered(m, lambda c: c.update(prior=10**400)),
    "no prior": lambda m: altered(m, lambda c: c.update(prior=None)),
    "a list of thresholds": lambda m: altered(m, lambda c: c.update(threshold=[1.0])),
    "a seed that is no whole number": lambda m: altered(m, lambda c: c.update(seed=1.5)),
    "frequencies that are missing": lambda m: altered(m, lambda c: c.update(rare_frequencies={})),
    "a share without a finite quotient": lambda m: altered(
        m, lambda c: c["comparisons"][0]["levels"][0].update(u=5e-324)
    ),
    "a comparison twice": lambda m: altered(m, lambda c: c["comparisons"].append(c["comparisons"][0])),
    "no comparisons": lambda m: altered(m, lambda c: c.update(comparisons=[])),
}


@pytest.mark.parametrize("text_of", REFUSED.values(), ids=REFUSED)
def test_refused_is(model, text_of):
    with pytest.raises(ModelFileError):
        read_model(text_of(model), [])


def test_a_comparison_of_a_model_stored_here_is_known(model):
    first = model.comparisons[0]
    old = replace(first, levels=(replace(first.levels[0], condition="first_name_l LIKE first_name_r"),
                                 *first.levels[1:]))  # fmt: skip
    stored = replace(model, comparisons=(old, *model.comparisons[1:]))
    with pytest.raises(ModelFileError):
        read_model(stored.to_json(), [model])
    assert read_model(stored.to_json(), [stored]) == stored
