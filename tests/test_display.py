"""The display package draws and never computes: HTML that cannot run, figures that touch nothing global."""

import subprocess
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopskit.display.figure import MAX_BARS, bars
from mlopskit.display.html import MAX_ROWS, page
from mlopskit.errors import MissingExtra


class Reader(HTMLParser):
    """Collects the tags, the attributes and the visible text of a fragment."""

    def __init__(self, fragment):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.cells, self.words = [], set(), [], []
        self.feed(fragment)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_data(self, data):
        self.words.append(data)
        if self.tags and self.tags[-1] in {"td", "th"} and data.strip():
            self.cells[-1] += data


KNOWN_TAGS = {"div", "p", "pre", "table", "tr", "th", "td"}


@given(
    st.text(),
    st.text(),
    st.lists(st.dictionaries(st.text(), st.text() | st.floats() | st.none(), max_size=3), max_size=4),
)
def test_page_never_lets_text_become_a_tag(title, text, table):
    """Whatever the words are, the fragment holds only the page's own tags and no attribute but style."""
    reader = Reader(page(title, text, table))
    assert set(reader.tags) <= KNOWN_TAGS
    assert reader.attributes <= {"style"}


def test_page_shows_words_and_rows_as_they_are():
    """Title, text and cells come back unescaped when the HTML is read again; a missing key leaves an empty cell."""
    reader = Reader(page("A & B", "1 < 2\n  kept", [{"group": "<script>x</script>", "gap": 0.5}, {"group": "b"}]))
    assert "A & B" in reader.words
    assert "1 < 2\n  kept" in reader.words
    assert reader.cells == ["group", "gap", "<script>x</script>", "0.5", "b", ""]


def test_page_without_rows_has_no_table():
    """An empty table is left out."""
    assert "table" not in Reader(page("t", "x", [])).tags


def test_page_caps_long_tables_and_says_so():
    """After MAX_ROWS rows the page says how many more there are."""
    reader = Reader(page("t", "x", [{"n": i} for i in range(MAX_ROWS + 7)]))
    assert reader.tags.count("tr") == MAX_ROWS + 1
    assert "7 more rows: see to_frame()" in reader.words


def test_bars_draw_the_values_and_the_limit():
    """One bar of the right width for each label, first on top, and a vertical line at the limit."""
    ax = bars(title="Gaps", labels=["EWR", "JFK"], values=[0.1, -0.2], xlabel="gap", limit=0.05)
    assert [p.get_width() for p in ax.patches] == [0.1, -0.2]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["EWR", "JFK"]
    assert ax.yaxis_inverted()
    assert list(ax.lines[0].get_xdata()) == [0.05, 0.05]
    assert ax.get_xlabel() == "gap"


def test_bars_write_out_what_is_not_finite(tmp_path):
    """None, NaN and -inf get no bar but a word, and the figure can be saved."""
    ax = bars(title="t", labels=["a", "b", "c", "$d"], values=[None, float("nan"), float("-inf"), 1.0], xlabel="$x")
    assert [p.get_width() for p in ax.patches] == [0.0, 0.0, 0.0, 1.0]
    assert [t.get_text() for t in ax.texts] == ["no value", "no value", "-inf"]
    assert not ax.lines
    ax.figure.savefig(tmp_path / "bars.png")
    assert (tmp_path / "bars.png").stat().st_size > 1000


def test_bars_draw_on_the_axes_they_are_given():
    """With ax= nothing new is made."""
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert bars(title="t", labels=["a"], values=[1.0], xlabel="x", ax=ax) is ax


def test_bars_cap_long_lists_and_say_so():
    """After MAX_BARS bars the title says how many more there are; no bars at all is a picture too."""
    n = MAX_BARS + 3
    ax = bars(title="t", labels=[str(i) for i in range(n)], values=[1.0] * n, xlabel="x")
    assert len(ax.patches) == MAX_BARS
    assert ax.get_title() == "t (3 more not shown)"
    assert not bars(title="t", labels=[], values=[], xlabel="x").patches


def test_bars_leave_matplotlib_as_it_was():
    """Drawing loads no pyplot (checked in a fresh process) and changes no global setting."""
    code = """
import sys
from mlopskit.display.figure import bars
bars(title="t", labels=["a"], values=[1.0], xlabel="x", limit=0.5)
assert "matplotlib.pyplot" not in sys.modules
import matplotlib
before = dict(matplotlib.rcParams)
bars(title="t", labels=["a"], values=[1.0], xlabel="x", limit=0.5)
assert dict(matplotlib.rcParams) == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bars_name_the_extra_when_matplotlib_is_absent(monkeypatch):
    """Without matplotlib the error says what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"mlopskit\[plot\]"):
        bars(title="t", labels=["a"], values=[1.0], xlabel="x")


def test_display_modules_import_without_matplotlib():
    """Importing the display modules loads no matplotlib (checked in a fresh process)."""
    code = "import sys, mlopskit.display.figure, mlopskit.display.html; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
