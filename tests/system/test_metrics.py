"""/metrics, /healthz and /readyz of real processes."""

import re
import unittest
import urllib.error
import urllib.request

from federation import Federation


def get(url):
    """Status and text."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def values(url):
    """{"name{label=...}": value}"""
    status, text = get(url + "/metrics")
    assert status == 200, text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


class MetricsTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)
        self.federation.prepare()

    def page(self, name):
        self.federation.wait_for(lambda: "metrics on http" in self.federation.log(name), "the metrics page", name)
        return re.search(r"metrics on (http://127\.0\.0\.1:[1-9]\d*)/metrics", self.federation.log(name)).group(1)

    def start(self, *overrides):
        self.federation.start_coordinator(["federation.rounds=100000", "federation.lost_after=1s", *overrides], more='metrics: {listen: "127.0.0.1:0"}')
        self.federation.make_sites()
        site = self.federation.dir / "sites/site-1/client.yaml"
        site.write_text(site.read_text() + 'metrics: {listen: "127.0.0.1:0"}\n')

    def test_a_live_run_shows_itself_on_both_sides(self):
        self.start()
        coordinator = self.page("coordinator")
        self.assertEqual(get(coordinator + "/healthz"), (200, "ok\n"))
        self.assertEqual(get(coordinator + "/readyz"), (200, "ok\n"))
        before = values(coordinator)
        self.assertEqual(before['fedmeta_run_state{state="running"}'], 1)
        self.assertEqual(before['fedmeta_rounds_committed_total{leg="maml"}'], 0)
        for number in (1, 2, 3):
            self.federation.start_site(number)
        client = self.page("site-1")
        self.federation.wait_for(lambda: values(coordinator)['fedmeta_rounds_committed_total{leg="maml"}'] > 5, "rounds", "coordinator")
        self.assertEqual(get(client + "/readyz"), (200, "ok\n"))
        now = values(coordinator)
        self.assertEqual(now['fedmeta_clients{role="train"}'], 3)
        self.assertEqual(now['fedmeta_joins_total{code="ok"}'], 3)
        self.assertGreaterEqual(now['fedmeta_uploads_total{code="ok"}'], 3 * 5)
        self.assertGreater(now["fedmeta_upload_bytes_total"], 0)
        self.assertGreater(now["fedmeta_round"], 5)
        self.assertEqual(now["fedmeta_round_seconds_count"], now['fedmeta_rounds_committed_total{leg="maml"}'])
        self.assertGreater(now["fedmeta_certificate_expiry_timestamp_seconds"], now["process_start_time_seconds"] + 86400)
        for folder in ("out", "store"):
            self.assertGreater(now[f'fedmeta_disk_free_bytes{{folder="{folder}"}}'], 0)
        self.assertGreater(now["fedmeta_store_seconds_count"], 5)
        self.assertEqual(now["fedmeta_store_errors_total"], 0)
        site = values(client)
        self.assertEqual(site["fedmeta_client_connected"], 1)
        self.assertEqual(site["fedmeta_client_reconnects_total"], 0)
        self.assertGreater(site['fedmeta_client_rounds_total{outcome="counted"}'], 0)
        self.assertGreater(site["fedmeta_client_training_seconds_count"], 0)

        # A lost site, and then too few.
        self.federation.kill("site-3")
        self.federation.wait_for(lambda: values(coordinator)['fedmeta_dropped_clients_total{phase="lost"}'] > 0 or
                                 values(coordinator)['fedmeta_clients{role="train"}'] == 2, "the loss", "coordinator")
        self.federation.kill("coordinator")
        self.federation.wait_for(lambda: values(client)["fedmeta_client_connected"] == 0, "the loss of the coordinator", "site-1")
        self.assertEqual(get(client + "/readyz"), (503, "coordinator: not reached\n"))

    def test_a_stranger_is_counted(self):
        self.federation.start_coordinator(members="spiffe://shapes/client/site-2", more='metrics: {listen: "127.0.0.1:0"}')
        self.federation.make_sites()
        page = self.page("coordinator")
        self.federation.start_site(1)
        self.federation.wait_for(lambda: values(page)['fedmeta_calls_refused_total{code="permission_denied"}'] > 0, "the refusal", "coordinator")
        self.assertEqual(values(page)['fedmeta_joins_total{code="ok"}'], 0)

    def test_an_address_in_use_is_refused_beforehand(self):
        self.start()
        address = self.page("coordinator").removeprefix("http://")
        second = (self.federation.dir / "coordinator.yaml").read_text().replace('metrics: {listen: "127.0.0.1:0"}', f'metrics: {{listen: "{address}"}}')
        self.federation.write("second.yaml", second.replace("out: live", "out: live-2") + "store: memory\n")
        for command in ("check", "coordinator"):
            result = self.federation.run(command, "second.yaml", check=False)
            self.assertEqual(result.returncode, 1, result.stdout)
            self.assertIn("metrics.listen: cannot listen on " + address, result.stderr)


if __name__ == "__main__":
    unittest.main()
