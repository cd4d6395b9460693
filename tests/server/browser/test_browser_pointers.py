"""Fingers and the mouse on the drawing."""

from __future__ import annotations

import pytest
from browser_pages import Visit, model
from playwright.sync_api import CDPSession, Page

FRAME = ".mother-tree-frame"
Point = tuple[float, float]


class Fingers:
    """Fingers on a touch screen."""

    def __init__(self, page: Page) -> None:
        self.session: CDPSession = page.context.new_cdp_session(page)
        self.page = page

    def send(self, kind: str, *points: Point) -> None:
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
        self.page.wait_for_timeout(30)

    def move(self, *ways: tuple[Point, Point]) -> None:
        """Each finger from a point to another."""
        self.send("touchStart", *(begin for begin, _ in ways))
        for step in range(1, 6):
            part = step / 5
            self.send("touchMove", *((a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])) for a, b in ways))
        self.send("touchEnd")


def test_fingers_tap_then_pan_then_pinch(visit: Visit) -> None:
    page = visit(model("foundation", 12), has_touch=True)
    frame = page.locator(FRAME)
    box = frame.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = Fingers(page)

    def now() -> tuple[float, float]:
        at, percent = frame.evaluate("one => one.scrollLeft"), page.locator(".mother-tree-tools").inner_text()
        return at, float(percent.split("%")[0].split()[-1])

    frame.evaluate("one => one.scrollTo(300, 100)")
    _, scale = now()
    fingers.send("touchStart", (x, y))
    fingers.send("touchEnd")
    assert now() == (300, scale)
    fingers.move(((x, y), (x - 120, y)))
    page.wait_for_timeout(300)
    at, unchanged = now()
    assert unchanged == scale
    assert at > 350
    fingers.move(((x - 40, y), (x - 120, y)), ((x + 40, y), (x + 120, y)))
    assert now()[1] == pytest.approx(min(250, 3 * scale), rel=0.1)
    fingers.move(((x - 120, y), (x - 40, y)), ((x + 120, y), (x + 40, y)))
    assert now()[1] == pytest.approx(min(250, 3 * scale) / 3, rel=0.1)


def test_a_scroll_bar_is_no_handle_of_the_drawing(visit: Visit) -> None:
    """Some browsers let a page hear of a press on a scroll bar. A headless one has no bar: it is made up."""
    page = visit(model("foundation", 12))
    frame = page.locator(FRAME)
    frame.evaluate("one => Object.defineProperty(one, 'clientHeight', { get: () => one.offsetHeight - 16 })")
    frame.evaluate("one => one.scrollTo(100, 0)")
    scrolled = []
    for above in (8, 100):  # the bar, the drawing
        frame.evaluate(DRAG, above)
        scrolled.append(frame.evaluate("one => one.scrollLeft"))
    assert scrolled == [100, 60]


DRAG = """(frame, above) => {
    const edge = frame.getBoundingClientRect();
    const at = { clientX: edge.left + 30, clientY: edge.bottom - above, button: 0, bubbles: true };
    frame.dispatchEvent(new PointerEvent("pointerdown", at));
    frame.dispatchEvent(new PointerEvent("pointermove", { ...at, clientX: at.clientX + 40 }));
    frame.dispatchEvent(new PointerEvent("pointerup", at));
}"""
