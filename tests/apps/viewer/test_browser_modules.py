"""The page's modules by themselves, in a real browser: whose age counts, how clocks are compared, what a line bears."""

from __future__ import annotations

from typing import Any

import pytest
from page_browser import DESK, tab
from shown_page import Camera, Shown

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = Shown(tmp_path_factory.mktemp("page"), [Camera(every_s=0.2)])
    with made.running(), tab(browser, f"http://127.0.0.1:{made.port}/", **DESK) as seen:
        yield seen.page


VIEW = """async (drawn) => {
    const { View } = await import("/view.js");
    const jpeg = await new Promise((done) => {
        const canvas = Object.assign(document.createElement("canvas"), { width: 4, height: 2 });
        canvas.getContext("2d").fillRect(0, 0, 4, 2);
        canvas.toBlob(done, "image/jpeg");
    });
    const header = (number) => ({ lane: 0, number, index: number, source: "x", size_hw: [2, 4], result: {} });
    const taken = [], painted = [];
    const hooks = { taken: (told) => taken.push(told.number),
                    painted: (view, at, isTimely) => painted.push([view.number, isTimely]) };
    const view = new View(0, "x", false, hooks);
    document.querySelector("#views").append(view.figure);
    const seen = (count) => new Promise((done) => {
        const look = () => (painted.length >= count ? done() : setTimeout(look, 5));
        look();
    });
    view.take(header(1), jpeg);
    await seen(1);
    if (drawn) view.stroke = { from: [0, 0], to: [1, 1], pointer: 1 };
    view.take(header(2), jpeg);
    if (drawn) {
        await new Promise((done) => setTimeout(done, 100));
        taken.push("still " + view.number);
        view.leave();
    }
    await seen(2);
    view.close();
    return [taken, painted];
}"""


def test_a_picture_that_waited_while_a_box_was_drawn_is_shown_but_its_age_is_not_counted(page: Any) -> None:
    assert page.evaluate(VIEW, False) == [[1, 2], [[1, True], [2, True]]]
    assert page.evaluate(VIEW, True) == [[1, "still 1", 2], [[1, True], [2, False]]]


def test_the_shortest_way_there_and_back_says_how_far_the_clocks_are_apart(page: Any) -> None:
    apart, after_a_slow_one, unknown = page.evaluate(
        """async () => {
            const { Clock } = await import("/ages.js");
            const clock = new Clock(), now = performance.now(), none = clock.age(now, 0);
            clock.hear({ t: performance.now(), server_ms: performance.now() + 1000 });
            const first = clock.age(now, now + 900);
            clock.hear({ t: performance.now() - 500, server_ms: performance.now() + 7000 });
            return [first, clock.age(now, now + 900), none];
        }"""
    )
    assert unknown is None
    assert apart == after_a_slow_one
    assert abs(apart - 100) < 50


def test_ages_are_told_by_the_second_and_forgotten_after_a_minute(page: Any) -> None:
    seconds, lately = page.evaluate(
        """async () => {
            const { Ages } = await import("/ages.js");
            const ages = new Ages(), now = performance.now() + 200_000;
            ages.begin([]);
            ages.show(now - 100_000, 999);
            for (let n = 0; n < 20; n++) ages.show(now - 2500 + n, 10 + n);
            ages.show(now - 10, 50);
            ages.show(now - 5, 40);
            return [ages.shown(now).map(({ p50, p95 }) => [p50, p95]), ages.lately(now)];
        }"""
    )
    assert seconds == [[20, 29], [50, 50]]
    assert lately == [40, 50]
