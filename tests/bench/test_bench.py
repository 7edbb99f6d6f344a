"""The benchmark's own arithmetic, and that the yardsticks still do what the product does."""

import importlib.util
from pathlib import Path

import pytest

from bench import figures
from bench.__main__ import read
from bench.load import length_of
from bench.measuring import Cell, Round
from bench.plot import Group, bars
from bench.report import PAGE, between, number, ratio, table
from tests.databases import POSTGRES_URL, absent, reach

PARTS = ("main", "sizes", "pages", "workers", "subscribers")


def process(proc: Path, pid: int, parent: int, user: int, system: int, kilobytes: int) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    before = " ".join(["0"] * 9)
    (folder / "stat").write_text(f"{pid} (a (strange) name) S {parent} {before} {user} {system} 3 4 20 0 1 0 0\n")
    (folder / "status").write_text(f"Name:\tx\nVmHWM:\t 9 kB\nVmRSS:\t {kilobytes} kB\n")


def test_the_cpu_and_memory_of_a_process_and_of_all_below_it_are_read(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, 100, 50, 1024)
    process(tmp_path, 11, 10, 10, 0, 2048)
    process(tmp_path, 12, 11, 1, 0, 1024)
    process(tmp_path, 20, 1, 999, 999, 9999)
    family = figures.family(10, tmp_path)
    assert family == [10, 11, 12]
    assert figures.cpu(family, tmp_path) == pytest.approx((150 + 10 + 1 + 3 * 7) / figures.TICK)
    assert figures.megabytes(family, tmp_path) == 4
    assert figures.cpu([10, 99], tmp_path) == pytest.approx(157 / figures.TICK), "what has ended counts nothing"


def test_the_median_of_the_rounds_counts_in_requests_for_each_second_of_cpu() -> None:
    cell = Cell([Round(100, 1, 0.1, 0.2), Round(100, 1, 0.2, 0.1), Round(100, 2, 5.0, 0.3)], [0.003, 0.001, 0.002])
    assert cell.rate == 500
    assert cell.database_ms == 2
    assert cell.wall_rate == 100
    assert [cell.wait_ms(part) for part in (0.5, 0.99)] == [2, 3]


def test_ratios_and_numbers_have_three_digits_that_mean_something() -> None:
    assert [ratio(1, 2), ratio(20, 2), ratio(1, 0)] == ["0.50", "10.0", "-"]
    assert [number(one) for one in (12345.6, 99.96, 12.34, 0.123)] == ["12,346", "100.0", "12.3", "0.12"]


def test_a_table_is_aligned_markdown() -> None:
    assert table(["", "P0"], [["W1 get", "1"], ["W2", "1,000"]]).splitlines() == [
        "|        |    P0 |",
        "|--------|------:|",
        "| W1 get |     1 |",
        "| W2     | 1,000 |",
    ]


def test_results_replace_what_stood_between_their_marks() -> None:
    text = "a\n<!-- bench:main -->\nold\n<!-- /bench:main -->\nb\n"
    assert between(text, "main", "new") == "a\n<!-- bench:main -->\n\nnew\n<!-- /bench:main -->\nb\n"
    with pytest.raises(ValueError, match="no place for pages"):
        between(text, "pages", "new")


@pytest.mark.parametrize("part", PARTS)
def test_the_page_has_a_place_for_every_part(part: str) -> None:
    assert between(PAGE.read_text(), part, "x")
    assert read([part])[0] == part


def test_the_chart_says_what_it_shows() -> None:
    drawing = bars([Group("W1 <SQLite>", {"P1": 0.1, "REST": 1.25})])
    assert drawing.startswith("<svg ")
    assert "W1 &lt;SQLite&gt;" in drawing
    assert ">1.25<" in drawing


def test_the_length_of_an_answer_is_read_from_its_head() -> None:
    assert length_of(b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\nx: y") == 17


@pytest.mark.skipif(not importlib.util.find_spec("fastapi"), reason="the yardsticks' packages come with ./run bench")
@pytest.mark.anyio
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_yardsticks_and_product_do_the_same(engine: str, tmp_path: Path) -> None:
    from bench.__main__ import run

    if engine == "postgres":
        try:
            await reach(POSTGRES_URL)
        except OSError as error:
            absent("PostgreSQL", error)
    words = ["--quick", "--engine", engine, "--rounds", "1", "--seconds", "0.05", "--rows", "200"]
    part, options, _ = read(words)
    report = await run(part, options)  # raises where any answer or any row is another
    cells = report.figures[engine]["workloads"]
    assert len(cells) == 5 * 4
    assert all(cell["requests_per_cpu_second"] > 0 for cell in cells.values())
