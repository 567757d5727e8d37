"""The pace of each host, with a clock of the test's own."""

import pytest

from unified_indexer.backfill import pace
from unified_indexer.backfill.pace import Outcome, Paces, Parked
from unified_indexer.backfill.rates import Rate, read_rate
from unified_indexer.backfill.retries import DAY, pause

HOST, OTHER = "https://one.test", "https://two.test"


def fetched(paces: Paces, outcome: Outcome, now: float, rate: Rate | None = None, host: str = HOST) -> None:
    paces.begin(host, now)
    paces.heard(host, outcome, now, rate)
    paces.end(host)


def most(paces: Paces, now: float = 0.0, host: str = HOST) -> int:
    return paces.room(host, now)


def test_ten_at_a_host_and_sixty_four_in_all() -> None:
    paces = Paces()
    for number in range(10):
        assert paces.room(HOST, 0.0) == 10 - number
        paces.begin(HOST, 0.0)
    assert paces.room(HOST, 0.0) == 0
    for number in range(54):
        assert paces.room(f"https://{number}.test", 0.0)
        paces.begin(f"https://{number}.test", 0.0)
    assert paces.in_flight == 64
    assert paces.room(OTHER, 0.0) == 0
    paces.end(HOST)
    assert paces.room(OTHER, 0.0) == 1


def test_two_overloads_in_a_row_halve_and_fifty_good_ones_add_one() -> None:
    paces = Paces()
    found: list[int] = []
    for _ in range(6):
        fetched(paces, Outcome.OVERLOADED, 0.0)
        found.append(most(paces))
    assert found == [10, 5, 5, 2, 2, 1]
    fetched(paces, Outcome.OVERLOADED, 0.0)
    fetched(paces, Outcome.ANSWERED, 0.0)
    fetched(paces, Outcome.OVERLOADED, 0.0)
    assert most(paces) == 1
    assert paces.states(0.0) == {"free": 0, "slowed": 1, "parked": 0}
    assert not paces.parked(HOST, 0.0), "no two in a row"
    fetched(paces, Outcome.ANSWERED, 0.0)
    for number in range(49):
        assert most(paces) == 1, number
        fetched(paces, Outcome.ANSWERED, 0.0)
    assert most(paces) == 2
    for _ in range(50 * 20):
        fetched(paces, Outcome.ANSWERED, 0.0)
    assert most(paces) == 10, "never more than at first"
    assert most(paces, host=OTHER) == 10


def test_a_host_that_fails_with_one_at_once_is_left_alone_for_longer_each_time() -> None:
    paces = Paces(most_at_a_host=1)
    now, found = 0.0, list[float]()
    for _ in range(9):
        fetched(paces, Outcome.OVERLOADED, now)
        fetched(paces, Outcome.OVERLOADED, now)
        found.append(paces.parked(HOST, now))
        assert paces.room(HOST, now) == 0
        now += found[-1]
        assert paces.room(HOST, now) == 1
    assert found == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert paces.parked_hosts(now - 1) == {HOST: Parked(1.0, "overloaded")}


def test_a_limit_parks_the_host_and_says_nothing_of_its_health() -> None:
    paces = Paces()
    fetched(paces, Outcome.LIMITED, 100.0, Rate(wait=20.0))
    assert paces.parked(HOST, 100.0) == 20.0
    assert paces.parked_hosts(100.0) == {HOST: Parked(20.0, "limited")}
    assert paces.states(100.0) == {"free": 0, "slowed": 0, "parked": 1}
    assert paces.states(120.0) == {"free": 1, "slowed": 0, "parked": 0}
    assert paces.room(HOST, 119.9) == 0
    assert paces.room(HOST, 120.0) == 10
    assert paces.choose([HOST, OTHER], 110.0) == OTHER


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [
        (Rate(), 60.0),
        (Rate(wait=0.0), 1.0),
        (Rate(wait=5.0), 5.0),
        (Rate(reset=30.0), 30.0),
        (Rate(wait=5.0, reset=30.0), 5.0),
        (Rate(wait=7200.0), 330.0),
    ],
)
def test_how_long_it_is_parked(rate: Rate, seconds: float) -> None:
    paces = Paces()
    fetched(paces, Outcome.LIMITED, 0.0, rate)
    assert paces.parked(HOST, 0.0) == seconds


def test_a_host_that_asks_for_hours_is_tried_ever_more_seldom_but_once_an_hour() -> None:
    paces = Paces()
    now, found = 0.0, list[float]()
    for _ in range(7):
        fetched(paces, Outcome.LIMITED, now, Rate(wait=50_000.0))
        found.append(paces.parked(HOST, now))
        now += found[-1]
    assert found == [330, 660, 1320, 2640, 3600, 3600, 3600]
    fetched(paces, Outcome.ANSWERED, now)
    fetched(paces, Outcome.LIMITED, now, Rate(wait=50_000.0))
    assert paces.parked(HOST, now) == 330


def test_those_that_were_under_way_do_not_park_it_for_longer() -> None:
    paces = Paces()
    for _ in range(5):
        paces.begin(HOST, 0.0)
    for _ in range(5):
        paces.heard(HOST, Outcome.LIMITED, 1.0, Rate(wait=10.0))
        paces.end(HOST)
    assert paces.parked(HOST, 1.0) == 10.0
    fetched(paces, Outcome.LIMITED, 20.0)
    assert paces.parked(HOST, 20.0) == 120.0, "the second time in a row, without a word of how long"


def test_starts_are_spread() -> None:
    paces = Paces()
    now, starts = 0.0, list[float]()
    while len(starts) < 9:
        if paces.choose([HOST], now) == HOST:
            paces.begin(HOST, now)
            paces.end(HOST)
            starts.append(now)
        else:
            seconds = paces.soonest([HOST], now)
            assert seconds is not None
            now += seconds
    assert starts == pytest.approx([number / pace.STARTS_A_SECOND for number in range(9)])


@pytest.mark.parametrize("sharers", [1, 2, 3])
def test_workers_that_share_the_repairs_ask_a_host_no_more_than_one_would(sharers: int) -> None:
    """Together: at once, and a second; also where a host has many names."""
    paces, names = Paces(12, sharers=sharers), [f"https://{number}.one.test" for number in range(40)]
    assert paces.room(HOST, 0.0) * sharers == 12
    paces.begin(HOST, 0.0)
    assert paces.soonest([HOST], 0.0) == pytest.approx(sharers / pace.STARTS_A_SECOND)
    for name in names:
        paces.lies_at(name, "192.0.2.1")
    paces.begin(names[0], 0.0)
    assert paces.soonest([names[1]], 0.0) == pytest.approx(sharers / pace.STARTS_AT_AN_ADDRESS)
    now = 0.0
    while (name := paces.choose(names[1:], now)) is not None or paces.soonest(names[1:], now) is not None:
        if name is not None:
            paces.begin(name, now)
        now += 0.01
    assert sum(paces.room(name, now) for name in names) == 0
    assert paces.in_flight == 1 + pace.MOST_AT_AN_ADDRESS // sharers


def test_few_requests_that_are_left_are_spread_until_there_are_more() -> None:
    paces = Paces()
    fetched(paces, Outcome.ANSWERED, 0.0, Rate(limit=6000, left=5000, reset=300.0))
    assert paces.soonest([HOST], 0.0) == pytest.approx(1 / pace.STARTS_A_SECOND)
    fetched(paces, Outcome.ANSWERED, 1.0, Rate(limit=6000, left=599, reset=300.0))
    assert paces.soonest([HOST], 1.0) == pytest.approx(0.5)
    fetched(paces, Outcome.ANSWERED, 2.0, Rate(limit=6000, left=0, reset=30.0))
    assert paces.soonest([HOST], 2.0) == pytest.approx(30.0)
    assert paces.choose([HOST], 31.9) is None
    assert paces.choose([HOST], 32.1) == HOST


@pytest.mark.long
def test_a_thousand_names_of_one_server_are_asked_as_one() -> None:
    """Who has a domain can name as many hosts as he likes."""
    paces = Paces()
    names = [f"https://{number}.one.test" for number in range(1_000)]
    for name in (*names, OTHER):
        paces.lies_at(name, "192.0.2.1" if name != OTHER else "192.0.2.2")
    now, begun = 0.0, 0
    while paces.choose(names, now) is not None or paces.soonest(names, now) is not None:
        if (name := paces.choose(names, now)) is not None:
            paces.begin(name, now)
            begun += 1
        now += 0.001
    assert begun == pace.MOST_AT_AN_ADDRESS
    assert now == pytest.approx(begun / pace.STARTS_AT_AN_ADDRESS, rel=0.1), "and one after the other"
    assert paces.choose([*names, OTHER], now) == OTHER
    paces.end(names[0])
    assert paces.room(names[500], now) == 1


def test_a_host_whose_address_comes_late_gives_its_turns_back_where_it_took_them() -> None:
    paces = Paces()
    paces.begin(HOST, 0.0)
    paces.lies_at(HOST, "192.0.2.1")
    assert not paces.is_located(HOST), "while it is asked nothing moves"
    paces.end(HOST)
    paces.lies_at(HOST, "192.0.2.1")
    paces.lies_at(OTHER, "192.0.2.1")
    for number in range(20):
        paces.begin((HOST, OTHER)[number % 2], 0.0)
    assert (paces.room(HOST, 0.0), paces.room(OTHER, 0.0)) == (0, 0)


def test_hosts_take_turns() -> None:
    paces = Paces()
    hosts = [f"https://{number}.test" for number in range(4)]
    order: list[str] = []
    now = 0.0
    for _ in range(12):
        host = paces.choose(hosts, now)
        assert host is not None
        paces.begin(host, now)
        order.append(host)
        now += 0.2
    assert order == hosts * 3


def test_a_slow_host_holds_nobody_else() -> None:
    """Its ten are under way for ever; the others go on."""
    paces = Paces()
    now = 0.0
    for _ in range(10):
        paces.begin(HOST, now)
    for _ in range(500):
        now += 0.2
        assert paces.choose([HOST, OTHER], now) == OTHER
        fetched(paces, Outcome.ANSWERED, now, host=OTHER)


def test_hosts_that_are_not_asked_any_more_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "MOST_HOSTS", 100)
    paces = Paces()
    paces.begin(HOST, 0.0)
    for number in range(1000):
        fetched(paces, Outcome.ANSWERED, 0.0, host=f"https://{number}.test")
    assert paces.room(HOST, 0.0) == 9
    assert len(paces.__dict__["_hosts"]) <= 100


NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("headers", "rate"),
    [
        ({}, Rate()),
        ({"RateLimit-Limit": "6000", "RateLimit-Remaining": "12", "RateLimit-Reset": "1790000030"}, Rate(6000, 12, 30.0)),
        ({"RateLimit-Reset": "45"}, Rate(reset=45.0)),
        ({"RateLimit-Reset": "1789999000"}, Rate(reset=0.0)),
        ({"Retry-After": "7"}, Rate(wait=7.0)),
        ({"Retry-After": "Mon, 21 Sep 2026 14:14:00 GMT"}, Rate(wait=40.0)),
        ({"Retry-After": "Mon, 21 Sep 2026 14:14:00 -0000"}, Rate(wait=40.0)),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, Rate(wait=0.0)),
        ({"Retry-After": "soon"}, Rate()),
        ({"Retry-After": "-3"}, Rate()),
        ({"RateLimit-Remaining": "many", "RateLimit-Reset": "1e9", "RateLimit-Limit": "9" * 40}, Rate()),
    ],
)
def test_what_headers_say(headers: dict[str, str], rate: Rate) -> None:
    assert read_rate(headers, NOW) == rate


def test_a_repo_is_tried_again_ever_later_and_then_daily() -> None:
    found = [pause(failures, 0.5) for failures in range(1, 15)]
    assert found == [60, 120, 240, 480, 960, 1920, *[3600] * 5, DAY, DAY, DAY]
    assert (pause(1, 0.0), pause(1, 1.0)) == pytest.approx((54, 66))
    assert [pause(failures, 0.5, incomplete=True) for failures in range(1, 6)] == [60, 600, 3600, DAY, DAY]
    assert pause(10**6, 0.5) == DAY
