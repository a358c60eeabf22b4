"""``examples/browser`` in a real Chromium: it plays, and what it said survives a SIGKILL."""

import contextlib
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.core.push import PUSH_TOPIC
from edge.demo.payloads import Visit
from origin_client.open import open_origin
from origin_client.origin import Outgoing
from tests.fakes_push import push_value
from tests.system.conftest import Build
from tests.system.stream.chromium import Page, browser, page, served
from tests.system.stream.sockets import BOTH, end_of, now_s, welcomed
from tests.system.world import World

FOLDER = Path(__file__).parents[3] / "examples" / "browser"
FOUND = browser()
if FOUND is None:  # the module as a whole, for that is one line: marks fold by line of test
    pytest.skip("no browser: install chromium", allow_module_level=True)
pytestmark = pytest.mark.system

STATUS = "document.getElementById('status')"
IS_OPEN = f"{STATUS}.dataset.state === 'open'"
SPIN = "game.spin.requested"
REPLACED = 4409
# Of events per player: a page that sends thirty at once must wait.
QUOTA = {"quota": 600, "window_s": 60, "burst": 12}
CELLS = "[...document.querySelectorAll('#rows tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"


@dataclass(frozen=True)
class Parlour:
    """A gateway that lets the page in, and the page.

    Attributes:
        here: The gateway.
        page: In the browser.
        visit: Who plays there.
        origin: Of the page.
    """

    here: World
    page: Page
    visit: Visit
    origin: str

    def enter(self, token: str | None = None) -> None:
        """Fill in the form, and be welcomed."""
        host, port = self.here.gateway.public
        self.page.fill("url", f"ws://{host}:{port}")
        self.page.fill("token", token or self.here.issuer.player(self.visit, scope=BOTH))
        self.page.click("connect")
        self.page.wait(IS_OPEN)

    def rows(self) -> list[list[str]]:
        """Return number, event and verdict of each, the last first."""
        rows: list[list[str]] = self.page.ask(CELLS)
        return rows

    def sent_again(self) -> int:
        """Return how often an event went out that had gone before."""
        counts = self.page.ask("document.getElementById('counts').textContent")
        return int(counts.partition(" sent, ")[2].partition(" ")[0])

    def kill(self) -> None:
        """End the gateway, and wait until the page has noticed."""
        self.here.gateway.kill()
        self.page.wait(f"!({IS_OPEN})")

    def come_back(self) -> None:
        """Start the gateway again, and wait until the page is welcomed."""
        self.here.gateway.start()
        self.page.wait(IS_OPEN)

    def settle(self, rows: int) -> None:
        """Wait until so many have their verdict."""
        waiting = f"{CELLS}.filter((row) => /^(waiting|sent)/.test(row[2])).length"
        self.page.wait(f"{CELLS}.length === {rows} && {waiting} === 0")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One browser for all, since it takes long to start."""
    assert FOUND is not None
    with page(FOUND, tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def parlour(build: Build, tab: Page) -> Iterator[Parlour]:
    """Opened, and not connected yet."""
    with served(FOLDER) as origin:
        here = build({"http": {"allowed_origins": [origin]}, "limits.player": QUOTA})
        here.gateway.start()
        tab.open(f"{origin}/index.html")
        yield Parlour(here, tab, here.visit(), origin)
        tab.open("about:blank")
        assert tab.complaints == []


def test_it_plays_shows_verdicts_and_pushes_and_resumes_after_a_sigkill(
    parlour: Parlour,
) -> None:
    here, tab = parlour.here, parlour.page
    parlour.enter()
    for button in ("spin", "bad", "moves"):
        tab.click(button)
    parlour.settle(3)
    assert parlour.rows() == [
        ["3", "telemetry.interaction.batch", "accepted"],
        ["2", SPIN, "refused schema_violation /data/stake/amount_minor"],
        ["1", SPIN, "accepted"],
    ]

    tab.click("ten")
    parlour.kill()  # perhaps before the verdicts, perhaps behind them
    tab.click("ten")
    parlour.come_back()
    parlour.settle(23)
    assert here.gateway.process is not None
    here.gateway.process.send_signal(signal.SIGSTOP)
    tab.click("ten")
    tab.wait(f"{CELLS}.filter((row) => row[2] === 'sent').length === 10")
    before = parlour.sent_again()
    parlour.kill()  # surely before
    parlour.come_back()
    parlour.settle(33)

    assert [(number, verdict) for number, _, verdict in parlour.rows()[:30]] == [
        (str(number), "accepted") for number in range(33, 3, -1)
    ]
    assert parlour.sent_again() >= before + 10
    here.wait(lambda: len(here.forwarded()) >= 32, "forwarded")
    order = [event["seq"] for event in here.forwarded() if event["type"] == SPIN]
    assert Counter(order) == Counter((1, *range(4, 34)))
    # What was in doubt went before what was new.
    assert {*order[1:11]} == {*range(4, 14)}


def test_it_heeds_a_bye(parlour: Parlour) -> None:
    parlour.enter()
    parlour.page.ask(f"""
        heard = [];
        new MutationObserver(() => heard.push({STATUS}.textContent))
            .observe({STATUS}, {{childList: true}});
    """)

    assert parlour.here.gateway.stop() == 0

    parlour.page.wait("heard.includes('waiting to come back: draining')")
    assert parlour.page.ask("heard.includes('the gateway says goodbye: draining')")


def test_a_push_is_shown(parlour: Parlour) -> None:
    parlour.enter()
    with contextlib.closing(open_origin(f"log:{parlour.here.origin}", {})) as origin:
        values = [push_value(7, "all"), push_value(8, f"player:{parlour.visit.subject}")]
        assert origin.publish(PUSH_TOPIC, [Outgoing(b"", value) for value in values]) == []

    parlour.page.wait("document.querySelectorAll('#news li').length === 2")

    news = parlour.page.ask(
        "[...document.querySelectorAll('#news li')].map((n) => n.innerText)"
    )
    assert news == [f'jackpot.pot.grown: {{"number":{number}}}' for number in (8, 7)]


def test_what_is_refused_for_now_is_sent_again_when_the_gateway_says(parlour: Parlour) -> None:
    parlour.enter()
    for _ in range(3):
        parlour.page.click("ten")

    parlour.settle(30)

    assert {verdict for _, _, verdict in parlour.rows()} == {"accepted"}
    assert parlour.sent_again() > 0


# Its first handshakes go where nobody answers; from then on they go where they should.
LOST = """
    (() => {
        const Real = window.WebSocket;
        let left = %d;
        window.WebSocket = class extends Real {
            constructor(url, protocols) {
                super(left-- > 0 ? "ws://127.0.0.1:1/" : url, protocols);
            }
        };
    })()
"""


@pytest.mark.parametrize(("lost", "excused"), [(0, 1), (1, 2), (3, 3)])
def test_a_page_whose_session_is_elsewhere_now_does_not_come_back(
    parlour: Parlour, lost: int, excused: int
) -> None:
    """Unless that may be a late handshake of its own: it was given up, or it is of a page before.

    Planted: neither excuses; both excuse for ever; more than three are remembered.
    """
    parlour.page.ask(LOST % lost)
    parlour.enter()
    for _ in range(excused):
        with welcomed(parlour.here, parlour.visit) as ghost:
            assert end_of(ghost)[1] == REPLACED, "the page has come back"
        parlour.page.wait(IS_OPEN)

    with welcomed(parlour.here, parlour.visit):
        parlour.page.wait(f"{STATUS}.textContent === 'not connected: replaced'")

    assert parlour.page.ask("document.getElementById('spin').disabled")


MINUTE_LATER = """
    (() => {
        const now = performance.now.bind(performance);
        performance.now = () => now() + 61_000;
    })()
"""


def test_a_page_that_has_been_there_for_a_minute_is_excused_nothing(parlour: Parlour) -> None:
    """Planted: what may come late may do so for ever."""
    parlour.page.ask(LOST % 1)
    parlour.enter()
    parlour.page.ask(MINUTE_LATER)

    with welcomed(parlour.here, parlour.visit):
        parlour.page.wait(f"{STATUS}.textContent === 'not connected: replaced'")


def test_a_token_that_ends_is_renewed_on_the_socket(parlour: Parlour) -> None:
    soon = parlour.here.issuer.player(parlour.visit, scope=BOTH, exp=now_s() + 6)
    parlour.enter(soon)
    parlour.page.wait("document.getElementById('hint').textContent !== ''")

    parlour.page.fill("token", parlour.here.issuer.player(parlour.visit, scope=BOTH))

    parlour.page.wait(f"{STATUS}.textContent === 'connected: the token is renewed'")
    assert parlour.page.ask("document.getElementById('hint').textContent") == ""


def test_a_page_of_another_origin_is_not_let_in(parlour: Parlour) -> None:
    elsewhere = parlour.origin.replace("127.0.0.1", "localhost")
    parlour.page.open(f"{elsewhere}/index.html")
    host, port = parlour.here.gateway.public
    parlour.page.fill("url", f"ws://{host}:{port}")
    parlour.page.fill("token", parlour.here.issuer.player(parlour.visit, scope=BOTH))
    parlour.page.click("connect")

    parlour.page.wait(f"{STATUS}.textContent.startsWith('waiting to come back')")

    parlour.here.wait(
        lambda: 'reason="origin_denied"' in parlour.here.gateway.metrics(), "denied"
    )


def test_what_is_no_token_is_said_without_a_connection(parlour: Parlour) -> None:
    parlour.page.fill("token", "nonsense")
    parlour.page.click("connect")

    parlour.page.wait(f"{STATUS}.textContent.includes('no player')")


def test_a_token_that_is_no_players_is_said_without_a_connection(parlour: Parlour) -> None:
    """Planted: the page knocks with ``k=undefined``, and is refused again and again."""
    host, port = parlour.here.gateway.public
    parlour.page.fill("url", f"ws://{host}:{port}")
    parlour.page.fill("token", parlour.here.issuer.service("games", "game"))
    parlour.page.click("connect")

    parlour.page.wait(f"{STATUS}.textContent.includes('has no sid')")

    assert 'reason="scope_missing"' not in parlour.here.gateway.metrics()
    parlour.enter()


WATCHED = """
    (async () => {
        const {EdgeClient} = await import("/edge.mjs");
        const later = window.setTimeout;
        window.setTimeout = (act, ms, ...rest) => later(act, ms === 10_000 ? 50 : ms, ...rest);
        window.asked = [];
        window.heard = [];
        const answers = [async () => "no token", () => new Promise(() => {}), async () => null];
        const client = new EdgeClient({
            url: "ws://127.0.0.1:1", k: "k",
            token: (why) => { asked.push(why); return answers.shift()?.() ?? "a.b.c"; },
        });
        client.addEventListener("state", ({detail}) => heard.push(detail.state));
        client.start();
        window.stopClient = () => client.stop();
    })()
"""


def test_what_is_no_token_and_what_does_not_come_are_asked_for_again(parlour: Parlour) -> None:
    """Planted: the error of ``new WebSocket`` is nobody's; a token may take for ever."""
    parlour.page.ask(WATCHED)

    parlour.page.wait("heard.includes('greeting')")

    parlour.page.ask("stopClient()")
    assert parlour.page.ask("asked.slice(0, 4)") == ["connect", "spent", "spent", "spent"]
    states = parlour.page.ask("heard.slice(0, heard.indexOf('greeting') + 1)")
    assert states == [*["knocking", "away"] * 3, "knocking", "greeting"]


BARRED = """
    import("/edge.mjs").then(({EdgeClient}) => {
        window.asked = [];
        window.reasons = [];
        window.WebSocket = class {
            constructor() { throw new DOMException("not from here", "SecurityError"); }
        };
        const token = async (why) => { asked.push(why); return "a.b.c"; };
        const client = new EdgeClient({url: "ws://127.0.0.1:1", k: "k", token});
        client.addEventListener("state", ({detail}) => reasons.push(detail.why));
        client.start();
        window.stopClient = () => client.stop();
    })
"""


def test_a_page_that_may_open_no_socket_blames_nobodys_token(parlour: Parlour) -> None:
    parlour.page.ask(BARRED)

    parlour.page.wait("asked.length >= 3")

    parlour.page.ask("stopClient()")
    assert set(parlour.page.ask("asked")) == {"connect"}
    assert "SecurityError" in parlour.page.ask("reasons")


@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1:1/#", " ws://127.0.0.1:1/?", "ws://127.0.0.1:1//"]
)
def test_whatever_address_is_taken_can_be_knocked_at(parlour: Parlour, url: str) -> None:
    made = f"""
        import("/edge.mjs").then(({{EdgeClient}}) => {{
            window.states = [];
            const client = new EdgeClient({{url: "{url}", k: "k", token: async () => "a.b.c"}});
            client.addEventListener("state", ({{detail}}) => states.push(detail.state));
            client.start();
            window.stopClient = () => client.stop();
        }})
    """
    parlour.page.ask(made)

    parlour.page.wait("states.includes('greeting')")

    parlour.page.ask("stopClient()")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",
        "casino.example",
        "",
        "ws://127.0.0.1:1/#x",
        "ws://127.0.0.1:1/?x=1",
    ],
)
def test_what_is_no_sockets_address_is_refused_at_once(parlour: Parlour, url: str) -> None:
    made = f"import('/edge.mjs').then(({{EdgeClient}}) => new EdgeClient({{url: '{url}', k: 'k'}}))"

    assert parlour.page.ask(f"{made}.then(() => 'made', (error) => error.name)") == "TypeError"
