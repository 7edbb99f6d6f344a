"""Whose turn a ticket is: every status with every action."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from models.enums import Author, TicketStatus
from schema.tickets import ALLOWED, TicketAction, TicketState, answered_by
from tests.rows import a_ticket

S = TicketStatus


@pytest.mark.parametrize("status", S)
def test_a_reply_of_staff_answers_whatever_the_status_and_reopens_a_closed_ticket(status: TicketStatus) -> None:
    assert answered_by(a_ticket(status), Author.STAFF) == a_ticket(S.ANSWERED)


@pytest.mark.parametrize("status", S)
def test_a_reply_of_the_client_waits_for_staff_and_reopens_a_closed_ticket(status: TicketStatus) -> None:
    assert answered_by(a_ticket(status), Author.CLIENT) == a_ticket(S.CUSTOMER_REPLY)


@pytest.mark.parametrize("status", S)
def test_what_may_be_done_is_everything_but_closing_what_is_closed(status: TicketStatus) -> None:
    expected = set(TicketAction) - ({TicketAction.CLOSE} if status is S.CLOSED else set())
    assert set(ALLOWED[status]) == expected


def test_statuses_set_by_hand_are_statuses_that_no_reply_gives() -> None:
    by_hand = {TicketStatus(state.value) for state in TicketState}
    assert by_hand == {S.OPEN, S.ON_HOLD}
    assert by_hand & {answered_by(a_ticket(), author).status for author in Author} == set()


@given(st.lists(st.sampled_from([Author.CLIENT, Author.STAFF]), min_size=1))
def test_the_last_reply_says_whose_turn_it_is(authors: list[Author]) -> None:
    row = a_ticket()
    for author in authors:
        row = answered_by(row, author)
    assert row.status is (S.CUSTOMER_REPLY if authors[-1] is Author.CLIENT else S.ANSWERED)


class Conversation(RuleBasedStateMachine):
    """Replies, closings and holds in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.row = a_ticket()
        self.expected = S.OPEN

    @rule(author=st.sampled_from([Author.CLIENT, Author.STAFF]))
    def reply(self, author: Author) -> None:
        self.row = answered_by(self.row, author)
        self.expected = S.CUSTOMER_REPLY if author is Author.CLIENT else S.ANSWERED

    @rule(status=st.sampled_from([S.OPEN, S.ON_HOLD, S.CLOSED]))
    def set(self, status: TicketStatus) -> None:
        self.row = self.row._replace(status=status)
        self.expected = status

    @invariant()
    def the_status_is_what_was_last_done(self) -> None:
        assert self.row == a_ticket(self.expected)
        assert TicketAction.REPLY in ALLOWED[self.row.status]


TestConversation = Conversation.TestCase
