"""Coordinator, sites and simulations killed with SIGKILL at many instants: what was learned is the same to the last bit.

FEDMETA_KILLS=N kills N times instead of the few that fit into every test run."""

import json
import os
import random
import re
import signal
import subprocess
import time
import unittest

from federation import BIN, Federation

KILLS = int(os.environ.get("FEDMETA_KILLS", "0"))


def tensors(path):
    """A safetensors file without its metadata: the names, shapes and values."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    return header, data[8 + length:]


class ResumeTest(unittest.TestCase):
    names = ("final", "best", "baseline-fedavg")

    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)
        self.dir = self.federation.dir

    def assert_same_models(self, one, other):
        for name in self.names:
            self.assertEqual(tensors(self.dir / one / "checkpoints" / f"{name}.safetensors"),
                             tensors(self.dir / other / "checkpoints" / f"{name}.safetensors"), name)

    def rounds_of(self, out):
        lines = [json.loads(line) for line in (self.dir / out / "rounds.jsonl").read_text().splitlines()]
        return [{key: line[key] for key in ("leg", "round", "reported", "query_loss", "bytes_up")} for line in lines if line["committed"]]


class SimulationTest(ResumeTest):
    def simulate(self, out, *more, kill_after=None):
        """A run, or one that is killed after so many lines of progress."""
        process = subprocess.Popen([BIN / "fedmeta", "run", "experiment.yaml", "federation.rounds=60", "--out", out, *more], cwd=self.dir,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        lines = []
        for line in process.stdout:
            lines.append(line)
            if kill_after is not None and len(lines) >= kill_after:
                os.killpg(process.pid, signal.SIGKILL)
                break
        process.stdout.close()
        return process.wait(), "".join(lines)

    def test_a_killed_simulation_goes_on_to_the_same_model(self):
        code, text = self.simulate("whole")
        self.assertEqual(code, 0, text)
        rng = random.Random(1)
        code, resume = None, ()
        for _ in range(KILLS or 6):
            code, text = self.simulate("cut", *resume, kill_after=rng.randrange(4, 40))
            resume = ("--resume",) if (self.dir / "cut/store.db").exists() else ()
            if code == 0:
                break
        code, text = self.simulate("cut", "--resume")
        self.assertEqual(code, 0, text)
        self.assertIn("resumed after", text)
        self.assert_same_models("whole", "cut")
        self.assertEqual(self.rounds_of("whole"), self.rounds_of("cut"))
        for file in ("evaluation.jsonl",):
            self.assertEqual((self.dir / "whole" / file).read_text(), (self.dir / "cut" / file).read_text())
        self.assertEqual(json.loads((self.dir / "cut/summary.json").read_text())["status"], "completed")

    def test_the_run_folder_is_rebuilt_from_the_store(self):
        code, text = self.simulate("whole")
        self.assertEqual(code, 0, text)
        files = ["rounds.jsonl", "evaluation.jsonl", "metrics.csv", *(f"checkpoints/{name}.safetensors" for name in self.names)]
        before = {file: (self.dir / "whole" / file).read_bytes() for file in files}
        for file in files:
            (self.dir / "whole" / file).unlink()
        code, text = self.simulate("whole", "--resume")
        self.assertEqual(code, 0, text)
        self.assertEqual({file: (self.dir / "whole" / file).read_bytes() for file in files}, before)

    def test_another_experiment_is_refused_with_what_differs(self):
        self.simulate("whole", kill_after=10)
        result = self.federation.run("run", "experiment.yaml", "federation.rounds=60", "seed=4", "federation.cohort=2", "--out", "whole", "--resume", check=False)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("seed: was 3, now 4", result.stderr)
        self.assertIn("federation.cohort: was 3, now 2", result.stderr)
        fewer = self.federation.run("run", "experiment.yaml", "federation.rounds=10", "--out", "whole", "--resume", check=False)
        self.assertEqual(fewer.returncode, 2)
        self.assertIn("federation.rounds: was 60, now 10 (only more)", fewer.stderr)

    def test_resume_without_a_run_says_so(self):
        for arguments in (("--resume",), ("--resume", "--out", "nothing")):
            result = self.federation.run("run", "experiment.yaml", *arguments, check=False)
            self.assertEqual(result.returncode, 2)
            self.assertIn("--resume", result.stderr)
        self.assertFalse((self.dir / "nothing").exists())

    def test_a_second_process_on_one_run_is_refused(self):
        first = subprocess.Popen([BIN / "fedmeta", "run", "experiment.yaml", "federation.rounds=1000000", "--out", "whole"], cwd=self.dir,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            self.federation.wait_for(lambda: (self.dir / "whole/rounds.jsonl").exists(), "the first round")
            second = self.federation.run("run", "experiment.yaml", "federation.rounds=1000000", "--out", "whole", "--resume", check=False)
            self.assertEqual(second.returncode, 1, second.stderr)
            self.assertIn("process", second.stderr)
        finally:
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()


class LiveTest(ResumeTest):
    # Long enough for a restarted process to be back in time: the cohort stays whole.
    patience = ["federation.lost_after=20s", "federation.report_deadline=60s", "federation.rounds=24"]

    def start(self):
        self.federation.run("run", "experiment.yaml", "federation.rounds=24", "--out", "simulated")
        self.federation.prepare()
        self.federation.start_coordinator(self.patience)
        self.federation.make_sites()
        for number in (1, 2, 3):
            self.federation.start_site(number)

    def restart_coordinator(self):
        self.federation.start_coordinator(self.patience, listen=self.federation.address)

    def journal_length(self):
        return len(self.federation.rounds())

    def test_a_coordinator_killed_again_and_again_learns_the_same(self):
        self.start()
        rng = random.Random(2)
        kills = 0
        for _ in range(KILLS or 10):
            seen = self.journal_length()
            try:  # some rounds further, then anywhere within a round
                self.federation.wait_for(lambda: self.journal_length() > seen + 1, "progress", "coordinator")
            except AssertionError:
                break  # it has ended
            time.sleep(rng.random() * 0.05)
            if self.federation.processes["coordinator"].poll() is not None:
                break
            self.federation.kill("coordinator")
            kills += 1
            self.restart_coordinator()
        self.assertGreater(kills, 3)
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))
        for number in (1, 2, 3):
            self.assertEqual(self.federation.wait_end(f"site-{number}"), 0, self.federation.log(f"site-{number}"))
        self.assert_same_models("simulated", "live")
        lines = self.federation.rounds()
        committed = [(line["leg"], line["round"]) for line in lines if line["committed"]]
        self.assertEqual(committed, [(leg, number) for leg in ("maml", "fedavg") for number in range(1, 25)])
        attempts = [(line["leg"], line["round"], line["attempt"]) for line in lines]
        self.assertEqual(len(attempts), len(set(attempts)))

    def test_a_site_killed_again_and_again_costs_nothing_that_the_cohort_does_not_allow(self):
        self.start()
        rng = random.Random(3)
        for _ in range(KILLS or 4):
            number = rng.randrange(1, 4)
            seen = self.journal_length()
            try:
                self.federation.wait_for(lambda: self.journal_length() > seen + 1, "progress", "coordinator")
            except AssertionError:
                break
            time.sleep(rng.random() * 0.05)
            if self.federation.processes[f"site-{number}"].poll() is not None:
                break
            self.federation.kill(f"site-{number}")
            self.federation.start_site(number)
        self.assertEqual(self.federation.wait_end("coordinator"), 0, self.federation.log("coordinator"))
        lines = [line for line in self.federation.rounds() if line["committed"]]
        everyone = [f"site-{number}" for number in (1, 2, 3)]
        missing = [line for line in lines if line["reported"] != everyone]
        if missing:  # then the record says who, and the sum is theirs alone
            for line in missing:
                self.assertEqual(sorted(line["reported"] + [one["client"] for one in line["dropped"]]), line["cohort"])
        else:
            self.assert_same_models("simulated", "live")


class LocalStatisticsTest(ResumeTest):
    """Running means and variances that never leave a site, over the death of either side."""
    names = ("final", "baseline-fedavg")
    patience = ["federation.lost_after=60s", "federation.report_deadline=120s"]
    sites = (1, 2, 3)

    def federate(self, kill):
        """A live run, `kill` being called at some of its rounds; the folder's Federation."""
        federation = Federation()
        self.addCleanup(federation.close)
        text = (federation.dir / "experiment.yaml").read_text()
        for old, new in (("{name: mlp, hidden: [16]}", "{name: conv4, filters: 4, downsample: stride, normalization: local}"),
                         ("rounds: 12", "rounds: 8"), ("every: 6", "every: 4"), ("{name: local}, ", "")):
            self.assertIn(old, text)
            text = text.replace(old, new)
        federation.write("experiment.yaml", text)
        federation.prepare()
        federation.start_coordinator(self.patience)
        federation.make_sites()
        for number in self.sites:
            federation.start_site(number)
        kill(federation)
        for name in ("coordinator", *(f"site-{number}" for number in self.sites)):
            self.assertEqual(federation.wait_end(name), 0, federation.log(name))
        return federation

    def kept(self, federation, number):
        """What a site keeps of each leg after the last round in which it was counted."""
        newest = {}
        for path in (federation.dir / f"sites/site-{number}/state").rglob("*-*.*"):
            attempt = re.fullmatch(r"(?:current|staged)-(\d+)\.(\d+)", path.name)
            if attempt:
                key = (int(attempt[1]), int(attempt[2]))
                newest[path.parent.name] = max(newest.get(path.parent.name, ((0, 0), b"")), (key, path.read_bytes()))
        return {leg: (key[0], content) for leg, (key, content) in newest.items()}

    def test_either_side_killed_and_back_keeps_every_sites_own_statistics(self):
        whole = self.federate(lambda federation: None)
        rng = random.Random(4)
        killed = []

        def kill(federation):
            for name in ("site-2", "coordinator", "site-1", "coordinator", "site-2"):
                seen = len(federation.rounds())
                federation.wait_for(lambda: len(federation.rounds()) > seen + 1, "progress", "coordinator")
                time.sleep(rng.random() * 0.05)
                federation.kill(name)
                if name == "coordinator":
                    federation.start_coordinator(self.patience, listen=federation.address)
                else:
                    federation.start_site(int(name[-1]))
                killed.append(name)

        cut = self.federate(kill)
        self.assertEqual(len(killed), 5)
        for name in self.names:
            one, other = (tensors(federation.dir / "live/checkpoints" / f"{name}.safetensors") for federation in (whole, cut))
            self.assertEqual(one, other, name)
            self.assertNotIn("blocks.0.norm.running_mean", one[0], "statistics are no part of the common model")
        self.assertEqual((whole.dir / "live/evaluation.jsonl").read_text(), (cut.dir / "live/evaluation.jsonl").read_text())
        of_sites = [self.kept(whole, number) for number in self.sites]
        self.assertEqual(of_sites, [self.kept(cut, number) for number in self.sites])
        for kept in of_sites:
            self.assertEqual([number for number, _ in kept.values()], [8, 8], "of maml and of fedavg")
        for leg in of_sites[0]:
            self.assertEqual(len({kept[leg][1] for kept in of_sites}), 3, "each site has its own")


if __name__ == "__main__":
    unittest.main()
