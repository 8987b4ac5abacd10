from server.wire.http2.lifetime import ConnectionLimits, Lifetime, Step

LIMITS = ConnectionLimits(age_secs=100, grace_secs=20, silence_secs=10, answer_secs=5)


def steps(lifetime: Lifetime, *times: float) -> list[Step]:
    return [lifetime.step(now) for now in times]


def test_a_silent_peer_is_asked_and_then_given_up() -> None:
    assert steps(Lifetime(LIMITS, 0), 1, 10, 11, 12, 15, 16) == [
        *(Step.NOTHING, Step.NOTHING, Step.PING),
        *(Step.NOTHING, Step.NOTHING, Step.ABORT),
    ]


def test_a_peer_that_answers_is_asked_again_after_the_next_silence() -> None:
    lifetime = Lifetime(LIMITS, 0)
    assert steps(lifetime, 0, 10) == [Step.NOTHING, Step.PING]
    lifetime.heard = True
    assert steps(lifetime, 11, 20, 21) == [Step.NOTHING, Step.NOTHING, Step.PING]


def test_an_old_connection_leaves_in_three_steps() -> None:
    lifetime = Lifetime(LIMITS, 0)

    def step(now: float) -> Step:
        lifetime.heard = True
        return lifetime.step(now)

    assert [step(99), step(100)] == [Step.NOTHING, Step.LEAVE]
    assert not lifetime.leaving
    lifetime.leave(100)
    assert lifetime.leaving
    assert [step(101), step(119), step(120)] == [Step.LEAVE_NOW, Step.LEAVE_NOW, Step.CLOSE]


def test_one_that_doesnt_greet_is_cut_off_whatever_it_sends() -> None:
    lifetime = Lifetime(ConnectionLimits(greeting_secs=3, age_secs=100), 0)

    def step(now: float, *, greeted: bool) -> Step:
        lifetime.heard = True
        return lifetime.step(now, greeted=greeted)

    assert [step(2, greeted=False), step(3, greeted=False)] == [Step.NOTHING, Step.ABORT]
    assert step(3, greeted=True) == Step.NOTHING
