"""What templates may do to values."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.rooms.rendering_world import filling

NOON = datetime(2026, 10, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("'aSHA' | capitalize", "Asha"),
        ("'a' | append('.js')", "a.js"),
        ("'ab' | upcase", "AB"),
        ("'AB' | downcase", "ab"),
        ("'abcdef' | truncate(5)", "ab..."),
        ("'abcde' | truncate(5)", "abcde"),
        ("'abcdef' | truncate(4, '…')", "abc…"),
        ("'one two three' | truncatewords(2)", "one two..."),
        ("'one two' | truncatewords(2)", "one two"),
        ("nothing | default('x')", "x"),
        ("payload.nothing | default('x')", "x"),
        ("none | default('x')", "x"),
        ("'' | default('x')", "x"),
        ("false | default('x')", "x"),
        ("0 | default('x')", "0"),
        ("3 | pluralize('comment')", "3 comments"),
        ("1 | pluralize('comment')", "1 comment"),
        ("24.0 | pluralize('hour')", "24 hours"),
        ("1.5 | pluralize('hour')", "1.5 hours"),
        ("[1, 2] | pluralize('box')", "2 boxes"),
        ("2 | pluralize('reply')", "2 replies"),
        ("2 | pluralize('day')", "2 days"),
        ("2 | pluralize('person', 'people')", "2 people"),
        ("['Ana'] | to_sentence", "Ana"),
        ("['Ana', 'Ben', 'Cy'] | to_sentence", "Ana, Ben and Cy"),
        ("['Ana', 'Ben', 'Cy'] | to_sentence(2)", "Ana, Ben and 1 other"),
        ("['Ana', 'Ben', 'Cy', 'Di'] | toSentence(2)", "Ana, Ben and 2 others"),
        ("[] | to_sentence", ""),
        ("'a,b' | split(',') | join(' / ')", "a / b"),
        ("'ab' | split('') | join", "a b"),
        ("'a-b-c' | replace('-', '+')", "a+b+c"),
        ("noon | date('%-d %b %H:%M', subscriber.timezone)", "2 Oct 17:30"),
        ("noon | date('%H:%M')", "12:00"),
        ("noon | date('%H:%M', 'Not/AZone')", "12:00"),
        ("'2026-10-02T14:00:00+02:00' | date('%H:%M')", "12:00"),
        ("0 | date('%Y')", "1970"),
        ("none | date('%Y')", ""),
        ("noon | when(subscriber.timezone)", "Friday 2 October, 17:30"),
        ("noon | when", "Friday 2 October, 12:00 UTC"),
        ("none | when", ""),
        ("'9999-12-31T23:59:59-05:00' | when(subscriber.timezone)", "Friday 31 December, 23:59"),
        ("'9999-12-31T23:59:59-05:00' | date('%-d %b')", "31 Dec"),
        ("'a/b c' | urlencode", "a%2Fb%20c"),
    ],
)
def test_filters_do_what_their_names_say_in_liquid(tmp_path: Path, expression: str, result: str) -> None:
    assert filling(tmp_path)(f"{{{{ {expression} }}}}", noon=NOON, payload={}).body == result
