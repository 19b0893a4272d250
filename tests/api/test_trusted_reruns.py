"""`aurea link` as people meet it: dry runs, comparisons, gates and planted people, on the whole service."""

import json

import pytest
from sqlalchemy import text

from api.disclosure_risk import disclosure_risk
from api.linkage import LinkRequest, compare_model, run_link
from api.memberships import rows
from identity import scoring
from identity.errors import ModelFileError, RunStoppedError
from tests.world import a_world, record, row

VOWELS, LETTERS = "aeiou", "bdfgklmnprst"
CROWD = sorted({
    LETTERS[n % 12].upper() + VOWELS[n % 5] + LETTERS[n * 5 % 11] + VOWELS[n // 7 % 5] + LETTERS[n // 9 % 12]
    for n in range(220)
})  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with a_world(tmp_path_factory.mktemp("town")) as made:
        made.services.clients.create("shop", "consumer", ("personalization", "advertising"))
        made.services.clients.create("lab", "consumer", ("analytics",))
        made.settle()
        yield made


def report_of(world, run_id):
    return json.loads((world.settings.runs_dir / f"{run_id}.json").read_text())


def test_a_dry_run_tells_what_would_change_and_what_wrong_merges_would_disclose(tmp_path):
    with a_world(tmp_path) as own:
        own.services.clients.create("shop", "consumer", ("personalization", "advertising"))
        own.services.clients.create("lab", "consumer", ("analytics",))
        own.settle()
        own.ingest(row("left", "1", "Zacarias"), grants=("personalization",))  # alone: linking not permitted
        own.link()
        own.send(record("right", "1", "Zacarias"))
        own.ingest(row("left", "1", "Zacarias"))
        before = rows(own.services)
        found = own.answer("link", "--dry-run")
        assert rows(own.services) == before
        assert own.link()["merged"] == found["merged"] == 1
    assert (found["run_id"], found["split"], found["created"]) == ("dry_run", 0, 0)
    assert found["kept"] == len({each.golden_id for each in before}) - 1
    assert (found["risk"]["merges"], found["risk"]["exposed"]) == (1, 1)


def test_what_a_wrong_merge_opens_is_counted_by_purpose_and_by_consumer(world):
    found = disclosure_risk(world.services, [((1, 2), (3, 4)), ((5, 6), (7, 8))])
    assert (found["merges"], found["exposed"]) == (2, 2)
    # the file granted personalization; advertising nobody
    assert found["purposes"]["personalization"] == 2
    assert "advertising" not in found["purposes"]
    assert (found["consumers"], found["most_consumers"]) == (2, 2)
    assert found["most_purposes"] == len(found["purposes"])


def test_a_merge_whose_parts_no_purpose_may_read_opens_nothing(world):
    world.ingest(row("quiet", "1", "Delia"), row("quiet", "2", "Elena"), grants=("identity_linking",))
    newest = max(number for number, _ in world.services.linkable.live())
    found = disclosure_risk(world.services, [((newest - 1,), (newest,))])
    assert "personalization" not in found["purposes"]


@pytest.mark.slow
def test_another_model_is_compared_by_run_and_by_file(world, tmp_path):
    run_id = world.link(retrain=True, seed=2)["run_id"]
    by_run = world.answer("link", "--compare", run_id)
    assert (by_run["merged"], by_run["split"], by_run["disagreeing_pairs"]) == (0, 0, 0)
    assert by_run["kept"] == by_run["golden_ids"]
    by_report = compare_model(world.services, str(world.settings.runs_dir / f"{run_id}.json"), LinkRequest())
    assert by_report["model_version"] == by_run["model_version"] == by_run["published_model"]
    model = report_of(world, run_id)["model"]
    model["prior"] -= 60.0
    file = tmp_path / "shy.json"
    file.write_text(json.dumps(model))
    shy = world.answer("link", "--compare", str(file))
    assert shy["split"] > 0
    assert shy["disagreeing_pairs"] > 0
    assert shy["canaries"]["recall"] < by_run["canaries"]["recall"]


def test_an_unknown_model_is_a_sentence_and_not_a_traceback(world):
    done = world.command("link", "--compare", "run_of_nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no run, model or file of that name" in done.stderr
    with pytest.raises(ModelFileError):
        compare_model(world.services, str(world.settings.runs_dir), LinkRequest())


@pytest.mark.parametrize(
    "options", [("--compare", "x", "--dry-run"), ("--compare", "x", "--retrain"), ("--force", "  "),
                ("--force", "why " * 200), ("--force", "ann@example.com asked"),
                ("--force", "for 612 345 678")],
)  # fmt: skip
def test_options_that_do_not_go_together_are_wrong_usage(world, options):
    assert world.command("link", *options).returncode == 2


def test_a_run_with_a_broken_model_is_stopped_until_somebody_says_why_it_should_not_be(tmp_path):
    with a_world(tmp_path) as own:
        own.ingest(*(row(channel, name, name) for name in CROWD for channel in ("a", "b")))
        own.link()
        before = rows(own.services)
        with own.services.db.write() as conn:  # as if training had gone wrong
            (content,) = conn.execute(text("SELECT model FROM models")).one()
            model = json.loads(content)
            broken = json.dumps(model | {"prior": model["prior"] - 60.0})
            conn.execute(text("UPDATE models SET model = :model"), {"model": broken})
        with pytest.raises(RunStoppedError, match="would be parted"):
            run_link(own.services, LinkRequest())
        stopped = own.command("link")
        assert stopped.returncode == 1
        assert "the last good state goes on serving" in stopped.stderr
        assert "--force REASON" in stopped.stderr
        assert rows(own.services) == before
        assert "would be stopped" in own.command("link", "--dry-run").stderr
        forced = own.answer("link", "--force", "trying\nit out")
        assert forced["forced"] == "trying it out"
        assert forced["golden_ids"] == forced["records"] == 2 * len(CROWD)
        report = report_of(own, forced["run_id"])
        assert report["forced"] == "trying it out"
        assert report["gates"] == forced["gates"] != []


def test_every_run_tells_how_it_did_on_planted_people(world):
    summary = world.link()
    assert 0 < summary["canaries"]["records"] <= 200
    assert 0 <= summary["canaries"]["precision"] <= 1
    assert report_of(world, summary["run_id"])["canaries"] == summary["canaries"]
    with world.services.db.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM records WHERE record_no < 0")).scalar() == 0
        assert conn.execute(text("SELECT count(*) FROM memberships WHERE record_no < 0")).scalar() == 0
        assert conn.execute(text("SELECT count(*) FROM links WHERE record_no < 0")).scalar() == 0


def test_nobody_and_no_model_notices_planted_people(tmp_path, monkeypatch):
    found = {}
    for planted in (True, False):
        with a_world(tmp_path / str(planted)) as own:
            if not planted:
                monkeypatch.setattr(scoring, "measure", lambda *_: None)
            own.settle()
            groups: dict[str, list] = {}
            for channel, source_id, golden_id, confidence in rows(own.services):
                groups.setdefault(golden_id, []).append((channel, source_id, confidence))
            with own.services.db.read() as conn:
                models = conn.execute(text("SELECT model_version FROM models")).scalars().all()
                links = conn.execute(
                    text("SELECT record_no, other_no, weight FROM links ORDER BY 1, 2")
                ).all()
            found[planted] = (sorted(map(sorted, groups.values())), models, [tuple(link) for link in links])
    assert found[True] == found[False]
