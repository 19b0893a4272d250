"""What a purpose may see of a person: members, view, decision."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.decisions import decide
from consent.events import ConsentEvent
from consent.lookup import Match, enters
from consent.permission import Evidence, Member, Permission, outside, permission
from consent.purposes import Purpose
from tests.consent.consent_events import DAY, NOW, contact, member, purpose, record, said

PERSONAL = purpose("personalization")
MAIL = purpose("marketing_email")


def permitted(
    *events: ConsentEvent, members: tuple[Member, ...], about: Purpose = PERSONAL, now: int = NOW
) -> Permission:
    return permission(members, Evidence(events, now), about)


def numbers(result: Permission) -> set[int]:
    return {each.record_no for each in result.view}


class TestTheView:
    def test_holds_the_records_that_are_sure_enough_and_of_a_channel_it_may_see(self) -> None:
        members = (
            member(1, channel="web", confidence=0.95),
            member(2, channel="web", confidence=0.80),
            member(3, channel="call_centre"),
        )
        about = replace(PERSONAL, minimum_confidence=0.9, channels=("web",))

        assert numbers(permitted(said(0, "granted"), members=members, about=about)) == {1}

    def test_a_correction_is_seen_by_whoever_sees_what_it_corrects_and_by_nobody_else(self) -> None:
        members = (member(1, channel="web"), member(2, channel="rectification"))
        web, app = (replace(PERSONAL, channels=(channel,)) for channel in ("web", "app"))

        assert numbers(permitted(said(0, "granted"), members=members, about=web)) == {1, 2}
        assert numbers(permitted(said(0, "granted"), members=members, about=app)) == set()

    def test_a_grant_of_an_uncertain_member_grants_nothing_and_its_denial_denies(self) -> None:
        members = (member(1, confidence=1.0), member(2, confidence=0.5))
        about = replace(PERSONAL, minimum_confidence=0.9)

        grant = permitted(said(0, "granted", by=record(2)), members=members, about=about)
        denial = permitted(
            said(0, "granted"), said(1, "withdrawn", by=record(2)), members=members, about=about
        )
        assert not grant.decision.allowed
        assert not denial.decision.allowed

    def test_where_nothing_lies_in_it_nothing_is_permitted_even_by_contract(self) -> None:
        about = replace(purpose("service"), channels=("app",))

        assert not permitted(members=(member(1),), about=about).decision.allowed
        assert not permitted(members=(), about=purpose("service")).decision.allowed

    def test_a_denial_on_a_contact_point_counts_for_the_person(self) -> None:
        members = (member(1), member(2, contacts=frozenset({7})))

        result = permitted(said(0, "granted"), said(1, "objected", by=contact(7)), members=members)
        assert result.decision.state == "objected"


class TestVerifiedEntry:
    ABOUT = replace(PERSONAL, entry="verified")
    VICTIM = member(1, channel="crm", verified=frozenset({"user_id"}))
    STRANGER = member(2, channel="web")

    def test_a_record_that_verified_nothing_grants_for_its_own_channel_only(self) -> None:
        grant = said(0, "granted", by=record(2))

        result = permitted(grant, members=(self.VICTIM, self.STRANGER), about=self.ABOUT)
        assert numbers(result) == {2}
        assert result.decision.allowed

    def test_a_verified_record_grants_for_the_person(self) -> None:
        grant = said(0, "granted", by=record(1))

        result = permitted(grant, members=(self.VICTIM, self.STRANGER), about=self.ABOUT)
        assert numbers(result) == {1, 2}

    def test_where_entry_is_open_anybody_in_the_view_grants(self) -> None:
        grant = said(0, "granted", by=record(2))

        assert numbers(permitted(grant, members=(self.VICTIM, self.STRANGER))) == {1, 2}

    def test_a_denial_of_the_victim_still_denies_the_strangers_own_channel(self) -> None:
        events = (said(0, "granted", by=record(2)), said(1, "refused", by=record(1)))

        result = permitted(*events, members=(self.VICTIM, self.STRANGER), about=self.ABOUT)
        assert not result.decision.allowed


class TestAddresses:
    MEMBERS = (member(1, contacts=frozenset({7, 8})), member(2, contacts=frozenset({9})))

    def mail(self, *events: ConsentEvent) -> Permission:
        return permitted(
            *(replace(event, purpose="marketing_email") for event in events), members=self.MEMBERS, about=MAIL
        )

    def test_permission_for_one_address_is_none_for_another(self) -> None:
        result = self.mail(said(0, "granted", by=contact(7)))

        assert result.decision.allowed
        assert result.contacts == frozenset({7})

    def test_a_grant_of_the_record_is_not_a_grant_for_its_addresses(self) -> None:
        result = self.mail(said(0, "granted", by=record(1)))

        assert (result.decision.allowed, result.decision.state, result.contacts) == (
            False,
            "unknown",
            frozenset(),
        )

    def test_a_denial_for_one_address_leaves_the_other(self) -> None:
        result = self.mail(
            said(0, "granted", by=contact(7)),
            said(1, "granted", by=contact(9)),
            said(2, "withdrawn", by=contact(7)),
        )
        assert result.contacts == frozenset({9})

    def test_a_denial_of_any_record_covers_every_address(self) -> None:
        result = self.mail(said(0, "granted", by=contact(7)), said(1, "withdrawn", by=record(2)))

        assert (result.decision.state, result.contacts) == ("withdrawn", frozenset())

    def test_where_every_address_is_denied_the_state_says_so(self) -> None:
        assert self.mail(said(0, "refused", by=contact(8))).decision.state == "refused"

    def test_without_an_address_there_is_nothing_to_permit(self) -> None:
        decision = permission([member(1)], Evidence((), NOW), MAIL).decision

        assert not decision.allowed
        assert decision.reasons[0].text == "no address that marketing_email could use"


class TestLinking:
    def test_records_answer_for_themselves_and_together_permit_what_each_permits(self) -> None:
        linking = purpose("identity_linking")
        grants = [said(no, "granted", by=record(no), about="identity_linking") for no in (1, 2)]
        two, three = [member(1), member(2)], [member(1), member(2), member(3)]

        assert permission(two, Evidence(grants, NOW), linking).decision.allowed
        assert permission(three, Evidence(grants, NOW), linking).decision.state == "unknown"
        assert not permission([], Evidence(grants, NOW), linking).decision.allowed


class TestEntry:
    MATCH = Match("user_id", frozenset({1}))

    def test_every_identifier_must_be_carried_by_a_record_in_the_view(self) -> None:
        view = [member(1)]

        assert enters([self.MATCH], view, PERSONAL)
        assert not enters([self.MATCH, Match("email", frozenset({2}))], view, PERSONAL)

    @pytest.mark.parametrize(
        ("verified", "enters_by_it"),
        [(frozenset({"user_id"}), True), (frozenset({"email"}), False), (frozenset(), False)],
        ids=["the identifier is verified", "only another one is", "nothing is verified"],
    )
    def test_a_purpose_with_verified_entry_asks_for_a_verified_identifier(
        self, verified: frozenset[str], enters_by_it: bool
    ) -> None:
        about = replace(PERSONAL, entry="verified")

        assert enters([self.MATCH], [member(1, verified=verified)], about) == enters_by_it

    def test_a_record_key_is_as_good_as_what_its_channel_verified(self) -> None:
        about = replace(PERSONAL, entry="verified")
        match = Match("record", frozenset({1}))

        assert enters([match], [member(1, verified=frozenset({"email"}))], about)
        assert not enters([match], [member(1)], about)


members_drawn = st.lists(
    st.builds(
        Member,
        st.integers(1, 4),
        st.sampled_from(["web", "crm"]),
        st.sampled_from([0.5, 0.9, 1.0]),
        st.frozensets(st.sampled_from(["user_id", "email"])),
        st.frozensets(st.integers(7, 8)),
    ),
    unique_by=lambda each: each.record_no,
    max_size=4,
)
events_drawn = st.lists(
    st.builds(
        said,
        st.just(0),
        st.sampled_from(["granted", "granted", "refused", "withdrawn", "restricted"]),
        by=st.sampled_from([record(1), record(2), record(3), record(4), contact(7), contact(8)]),
        method=st.sampled_from(["import", "direct", "verified"]),
        at=st.integers(NOW - DAY, NOW),
        expires=st.none() | st.integers(NOW - DAY, NOW + DAY),
    ),
    max_size=6,
).map(lambda drawn: [replace(event, index=index) for index, event in enumerate(drawn)])
purposes_drawn = st.builds(
    lambda base, entry, least: replace(base, entry=entry, minimum_confidence=least),
    st.sampled_from([PERSONAL, replace(MAIL, name="personalization"), purpose("service")]),
    st.sampled_from(["any", "verified"]),
    st.sampled_from([0.0, 0.9]),
)


@given(members_drawn, events_drawn, purposes_drawn, st.permutations(range(4)))
def test_the_order_of_the_members_does_not_matter(
    members: list[Member], events: list[ConsentEvent], about: Purpose, order: list[int]
) -> None:
    shuffled = [members[place] for place in order if place < len(members)]
    one = permission(members, Evidence(events, NOW), about)
    other = permission(shuffled, Evidence(events, NOW), about)

    assert (one.decision, one.contacts, set(one.view)) == (other.decision, other.contacts, set(other.view))


@given(members_drawn, events_drawn, purposes_drawn)
def test_raising_the_minimum_confidence_never_widens_anything(
    members: list[Member], events: list[ConsentEvent], about: Purpose
) -> None:
    wide = permission(members, Evidence(events, NOW), about)
    narrow = permission(members, Evidence(events, NOW), replace(about, minimum_confidence=1.0))

    assert wide.decision.allowed or not narrow.decision.allowed
    assert set(narrow.view) <= set(wide.view)
    assert (narrow.contacts or set()) <= (wide.contacts or set())


matches_drawn = st.lists(
    st.builds(
        Match, st.sampled_from(["user_id", "email", "record"]), st.frozensets(st.integers(1, 4), min_size=1)
    ),
    min_size=1,
    max_size=2,
)


@given(members_drawn, events_drawn, purposes_drawn, matches_drawn)
def test_raising_the_minimum_confidence_lets_no_lookup_in(
    members: list[Member], events: list[ConsentEvent], about: Purpose, matches: list[Match]
) -> None:
    raised = replace(about, minimum_confidence=1.0)
    wide, narrow = (permission(members, Evidence(events, NOW), each).view for each in (about, raised))

    assert enters(matches, wide, about) or not enters(matches, narrow, raised)


@given(members_drawn, events_drawn, purposes_drawn)
def test_every_record_is_either_seen_or_outside_for_a_reason(
    members: list[Member], events: list[ConsentEvent], about: Purpose
) -> None:
    limited = replace(about, channels=("web",))
    view = permission(members, Evidence(events, NOW), limited).view
    unseen = {each.record_no: each.why for each in outside(members, view, limited)}

    assert unseen.keys() == {each.record_no for each in members} - {each.record_no for each in view}
    for each in members:
        if each.confidence < limited.minimum_confidence:
            assert unseen[each.record_no] == "confidence"
        elif each.channel == "crm":
            assert unseen[each.record_no] == "channel"
        else:
            assert unseen.get(each.record_no, "entry") == "entry"


@given(members_drawn, events_drawn, purposes_drawn)
def test_what_a_split_denies_a_merge_denies_too(
    members: list[Member], events: list[ConsentEvent], about: Purpose
) -> None:
    spoken = [replace(event, method="direct") if event.method == "verified" else event for event in events]
    for part in (members[:1], members[1:]):
        apart = permission(part, Evidence(spoken, NOW), replace(about, binds="person", entry="any"))
        whole = permission(members, Evidence(spoken, NOW), replace(about, binds="person", entry="any"))
        if apart.decision.state in ("refused", "withdrawn", "restricted", "conflict"):
            assert not whole.decision.allowed


@given(st.data())
def test_an_address_is_decided_as_if_every_event_about_it_and_the_records_were_heard_at_once(
    data: st.DataObject,
) -> None:
    members = (member(1, contacts=frozenset({1, 2})), member(2))
    subjects = [record(1), record(2), contact(1), contact(2)]
    events = [
        said(
            index,
            data.draw(st.sampled_from(["granted", "withdrawn", "restricted"])),
            by=data.draw(st.sampled_from(subjects)),
            method=data.draw(st.sampled_from(["import", "direct", "verified"])),
            about=MAIL.name,
            at=NOW - data.draw(st.integers(0, 9)) * DAY,
            expires=NOW + data.draw(st.integers(-1, 3)) * DAY,
        )
        for index in range(data.draw(st.integers(0, 12)))
    ]
    about = replace(MAIL, regime=data.draw(st.sampled_from(["opt_in", "opt_out"])))

    found = permitted(*events, members=members, about=about)
    clock = max((NOW, *(event.recorded_at for event in events)))
    wanted = {
        no
        for no in (1, 2)
        if decide(
            events,
            in_view=frozenset({contact(no)}),
            everyone=frozenset({record(1), record(2), contact(no)}),
            purpose=about,
            now=NOW,
            ledger_time=clock,
        ).allowed
    }
    assert found.contacts == wanted
    assert found.decision.allowed == bool(wanted)
