"""Commands and their exit codes, as a user types them."""

import json
import re
import subprocess
import unittest

from federation import BIN, Federation


class CommandsTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)

    def refused(self, *arguments):
        result = self.federation.run(*arguments, check=False)
        self.assertEqual(result.returncode, 2, result.stderr)
        return result.stderr

    def test_every_problem_of_a_file_is_reported_with_its_place(self):
        text = (self.federation.dir / "experiment.yaml").read_text()
        self.federation.write("bad.yaml", text.replace("ways: 2", "ways: 9").replace("rounds: 12", "ronds: 12").replace("0.1,", "-1,", 1))
        message = self.refused("run", "bad.yaml", "--out", "out")
        for part in (r"bad\.yaml:\d+:\d+", "ronds", "rounds", "ways", "Nothing was started"):
            self.assertRegex(message, part)
        self.assertFalse((self.federation.dir / "out").exists())

    def test_an_override_is_named_by_its_place(self):
        self.assertIn("argument", self.refused("run", "experiment.yaml", "federation.cohort=0", "--out", "out"))

    def test_truncated_data_is_refused_before_a_folder_is_made(self):
        import gzip
        images = self.federation.dir / "data/train-images-idx3-ubyte.gz"
        content = gzip.decompress(images.read_bytes())
        images.write_bytes(gzip.compress(content[:-10]))
        message = self.refused("run", "experiment.yaml", "--out", "out")
        self.assertIn("data: the images: truncated", message)  # no file below a data root is named
        self.assertFalse((self.federation.dir / "out").exists())

    def test_a_run_folder_is_not_overwritten(self):
        self.federation.run("run", "experiment.yaml", "--out", "out", "federation.rounds=1")
        self.assertIn("out", self.refused("run", "experiment.yaml", "--out", "out"))

    def test_a_folder_that_cannot_be_written_is_said(self):
        result = self.federation.run("run", "experiment.yaml", "--out", "/proc/nowhere/out", check=False)
        self.assertIn(result.returncode, (1, 2))
        self.assertIn("/proc/nowhere", result.stderr)

    def test_unknown_commands_and_options_name_the_nearest(self):
        self.assertIn("'report'", self.refused("reprot"))
        self.refused("run")

    def test_check_and_explain_answer(self):
        self.assertIn("maml", self.federation.run("check", "experiment.yaml").stdout)
        self.assertIn("inner_learning_rate", self.federation.run("explain", "maml").stdout)
        self.assertIn("inner_learning_rate", self.refused("explain", "maml.inner_learning_rat"))

    def test_json_summaries_are_json(self):
        result = json.loads(self.federation.run("run", "experiment.yaml", "--out", "out", "--json").stdout)
        self.assertEqual(result["status"], "completed")
        self.assertEqual(result["main"]["method"], "maml")

    def test_ctrl_c_saves_what_was_learned(self):
        import signal
        process = self.federation.start("run", BIN / "fedmeta", "run", "experiment.yaml", "--out", "out", "federation.rounds=1000000")
        self.federation.wait_for(lambda: len(self.federation.rounds("out")) > 3, "a few rounds", "run")
        process.send_signal(signal.SIGINT)
        self.assertEqual(self.federation.wait_end("run", 60), 130)
        self.assertEqual(self.federation.summary("out")["status"], "interrupted")

    def test_adapt_writes_a_model_and_honest_figures(self):
        self.federation.run("run", "experiment.yaml", "--out", "out", "federation.rounds=40")
        self.federation.make_sites()
        result = json.loads(self.federation.run("adapt", "--model", "out", "--data", "sites/site-4/client.yaml", "--out", "adapted",
                                                "--episodes", "20", "--json").stdout)
        self.assertEqual(result["method"], "maml")
        self.assertEqual({c["method"] for c in result["comparison"]}, {"local", "fedavg"})
        self.assertEqual([f["steps"] for f in result["figures"]][:2], [0, 1])
        self.assertLessEqual(result["chosen"]["accuracy_low"], result["chosen"]["accuracy"])
        for name in ("state_dict.safetensors", "load.py", "adapt.json"):
            self.assertTrue((self.federation.dir / "adapted" / name).exists(), name)

    def test_an_unreadable_checkpoint_is_refused(self):
        self.federation.make_sites()
        self.federation.write("broken.safetensors", "not a checkpoint")
        message = self.refused("adapt", "--model", "broken.safetensors", "--data", "sites/site-4/client.yaml", "--out", "adapted")
        self.assertIn("broken.safetensors", message)

    def test_help_shows_an_example_everywhere(self):
        for command in ("run", "init", "partition", "coordinator", "client", "adapt", "report", "pki", "check", "explain"):
            self.assertRegex(self.federation.run(command, "--help").stdout, r"Example:\s+fedmeta", command)


if __name__ == "__main__":
    unittest.main()
