"""Unit tests of table.py: python3 -m unittest tests.bench.test_table"""
import unittest

from tests.bench import table
from tests.bench.table import Goal, Missing, Row


class Ratios(unittest.TestCase):
    def test_a_ratio_is_the_median_of_the_ratios_of_its_rounds(self):
        row = table.compare("W0", "x", "s", [1, 2, 90], "ext4", [2, 2, 100])
        self.assertEqual(row.ratio, 0.9)
        self.assertEqual(row.ours, "2.00 s")
        self.assertEqual(row.yardstick, "ext4: 2.00 s")

    def test_a_goal_is_met_at_its_limit(self):
        for sense in (">=", "<="):
            row = table.compare("W0", "x", "s", [1], "y", [2],
                                Goal(sense, 0.5))
            self.assertEqual(row.verdict, "met")

    def test_a_goal_is_missed_beyond_its_limit(self):
        self.assertFalse(Goal(">=", 0.75).is_met(0.7499))
        self.assertFalse(Goal("<=", 1.5).is_met(1.5001))
        self.assertFalse(Goal(">", 1).is_met(1))

    def test_a_verdict_does_not_come_from_rounded_figures(self):
        row = table.compare("W0", "x", "s", [0.7499], "y", [1],
                            Goal(">=", 0.75))
        self.assertEqual((row.cells()[4], row.verdict), ("0.750", "missed"))

    def test_a_peer_that_is_missing_is_named_with_the_reason(self):
        row = table.compare("W0", "x", "s", [1], "rclone",
                            Missing("not installed"), Goal(">", 1))
        self.assertEqual(row.verdict, "missing")
        self.assertEqual(row.yardstick, "rclone: not installed")

    def test_without_a_goal_there_is_no_verdict(self):
        row = table.compare("W0", "x", "s", [1], "y", [1])
        self.assertEqual((row.goal, row.verdict), ("–", "–"))

    def test_a_value_without_yardstick_has_a_goal_with_a_unit(self):
        row = table.absolute("W0", "x", "MiB", [30, 41, 50], Goal("<=", 40))
        self.assertEqual((row.goal, row.verdict), ("≤ 40.00 MiB", "missed"))


class Rounds(unittest.TestCase):
    def test_the_least_and_the_most_are_told(self):
        once = table.absolute("W0", "x", "", [1], Goal("<=", 1))
        three = table.compare("W0", "x", "s", [1] * 3, "y", [1] * 3)
        five = table.compare("W0", "x", "s", [1] * 5, "y", [1] * 5)
        self.assertEqual(table.rounds([once]), "1")
        self.assertEqual(table.rounds([once, five]), "5")
        self.assertEqual(table.rounds([five, once, three]), "3 to 5")

    def test_rows_stand_as_the_workloads_do(self):
        rows = [Row("W9", "a"), Row("W10", "b"), Row("W1", "c"),
                Row("W9", "d")]
        self.assertEqual([r.workload for r in table.in_order(
            rows, ["W1", "W9", "W10"])], ["c", "a", "d", "b"])


class Tables(unittest.TestCase):
    rows = [Row("W1", "a | b", "1 s", "2 s", 0.5, "≤ 1", "met"),
            Row("W2", "longer than that", verdict="missing")]

    def test_columns_are_aligned(self):
        lines = table.plain(self.rows).split("\n")
        self.assertEqual(len(lines), 3)
        at = lines[0].index("datamount")
        self.assertEqual(lines[1][at:at + 3], "1 s")

    def test_a_bar_in_a_cell_does_not_end_it_in_markdown(self):
        self.assertIn("a \\| b", table.markdown(self.rows))

    def test_json_gives_the_rows_back(self):
        machine, rows = table.from_json(table.to_json({"cpu": "x"}, self.rows))
        self.assertEqual((machine, rows), ({"cpu": "x"}, self.rows))

    def test_the_readme_keeps_what_is_around_the_block(self):
        old = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
        new = table.into_readme(old, {"cpu": "x\\1"}, self.rows)
        self.assertTrue(new.startswith(f"before\n{table.BEGIN}\n"))
        self.assertTrue(new.endswith(f"{table.END}\nafter\n"))
        self.assertNotIn("old", new)
        self.assertEqual(new, table.into_readme(new, {"cpu": "x\\1"},
                                                self.rows))

    def test_a_readme_without_markers_is_left_alone(self):
        with self.assertRaises(ValueError):
            table.into_readme("text", {}, self.rows)


if __name__ == "__main__":
    unittest.main()
