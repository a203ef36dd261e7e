"""From samples to a table of ratios with verdicts, and to JSON and README."""
import dataclasses
import json
import re
import statistics

COLUMNS = ("id", "workload", "datamount", "yardstick", "ratio", "goal",
           "verdict")
BEGIN = "<!-- benchmark: written by `make bench-readme` -->"
END = "<!-- end of benchmark -->"


class Missing(Exception):
    """What cannot be measured here, and why."""


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a ratio, or a value that has no yardstick, is to be."""
    sense: str  # ">=", "<=" or ">"
    limit: float

    def is_met(self, value):
        if self.sense == ">=":
            return value >= self.limit
        if self.sense == ">":
            return value > self.limit
        return value <= self.limit

    def text(self, unit=""):
        sense = self.sense.replace(">=", "≥").replace("<=", "≤")
        if unit:
            return f"{sense} {show(self.limit, unit)}"
        return f"{sense} {self.limit:,g}"


@dataclasses.dataclass
class Row:
    """One line of the table, and the samples that it was made of."""
    id: str
    workload: str
    ours: str = ""
    yardstick: str = ""
    ratio: float = None
    goal: str = "–"
    verdict: str = "–"
    samples: dict = dataclasses.field(default_factory=dict)

    def cells(self):
        ratio = "–" if self.ratio is None else digits(self.ratio)
        return [self.id, self.workload, self.ours or "–",
                self.yardstick or "–", ratio, self.goal, self.verdict]


def digits(value):
    """Three digits that count, and no exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{2 if abs(value) >= 1 else 3}f}"


def show(value, unit):
    return f"{digits(value)} {unit}".strip()


def verdict(goal, value):
    if goal is None:
        return "–"
    return "met" if goal.is_met(value) else "missed"


# Samples are a list; or, where there are none, the Missing that says why.
def compare(row_id, workload, unit, ours, name, theirs, goal=None):
    """Ours by theirs.  The ratio is the median of the ratios of samples that
    were taken in one round: what slowed both down does not count."""
    text = goal.text() if goal else "–"
    for who, samples in (("datamount", ours), (name, theirs)):
        if isinstance(samples, Missing):
            return missing(row_id, workload, f"{who}: {samples}", text)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs))
    return Row(row_id, workload, show(statistics.median(ours), unit),
               f"{name}: {show(statistics.median(theirs), unit)}", ratio,
               text, verdict(goal, ratio),
               {"datamount": list(ours), name: list(theirs)})


def absolute(row_id, workload, unit, ours, goal, yardstick=""):
    """A value that is to be this or that by itself."""
    if isinstance(ours, Missing):
        return missing(row_id, workload, str(ours), goal.text(unit))
    value = statistics.median(ours)
    return Row(row_id, workload, show(value, unit), yardstick, None,
               goal.text(unit), verdict(goal, value),
               {"datamount": list(ours)})


def missing(row_id, workload, why, goal="–"):
    return Row(row_id, workload, yardstick=why, goal=goal, verdict="missing")


# ---- what is printed ----

def plain(rows):
    """For a terminal: columns as wide as their widest cell."""
    cells = [list(COLUMNS)] + [row.cells() for row in rows]
    widths = [max(len(line[i]) for line in cells)
              for i in range(len(COLUMNS))]
    return "\n".join("  ".join(
        cell.rjust(width) if i == 4 else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in cells)


def markdown(rows):
    def line(cells):
        return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"
    rule = "|" + "---|" * len(COLUMNS)
    return "\n".join([line(COLUMNS), rule] + [line(r.cells()) for r in rows])


def summary(rows):
    count = {v: sum(r.verdict == v for r in rows)
             for v in ("met", "missed", "missing", "failed")}
    return ", ".join(f"{n} {v}" for v, n in count.items() if n)


def in_order(rows, ids):
    """As their workloads are listed."""
    place = {name: i for i, name in enumerate(ids)}
    return sorted(rows, key=lambda row: place.get(row.id, len(place)))


def rounds(rows):
    """"5", or "3 to 5"; what is counted once is no round."""
    counts = {len(s) for row in rows for s in row.samples.values()} - {1}
    if not counts:
        return "1"
    least, most = min(counts), max(counts)
    return f"{least}" if least == most else f"{least} to {most}"


def to_json(machine, rows):
    return json.dumps({"machine": machine,
                       "rows": [dataclasses.asdict(r) for r in rows]},
                      indent=1, ensure_ascii=False)


def from_json(text):
    read = json.loads(text)
    return read["machine"], [Row(**r) for r in read["rows"]]


def replace_block(text, begin, end, block):
    """The text with what stands between the two markers made anew."""
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    if not re.search(pattern, text, re.S):
        raise ValueError(f"no block between {begin} and {end}")
    return re.sub(pattern, lambda _: f"{begin}\n{block}{end}", text,
                  flags=re.S)


def into_readme(readme, machine, rows):
    """The README with the last table in its block."""
    facts = "; ".join(f"{k}: {v}" for k, v in machine.items())
    return replace_block(readme, BEGIN, END,
                         f"\n{facts}.\n\n{markdown(rows)}\n\n")
