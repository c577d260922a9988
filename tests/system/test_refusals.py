"""Certificates that do not count, and their effect on an honest round: none."""

import subprocess
import unittest

from federation import BIN, Federation


class RefusalsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.federation = Federation()
        cls.addClassCleanup(cls.federation.close)
        cls.federation.prepare()
        cls.federation.authority("other", "shapes")
        cls.federation.identity("forger", authority="other")
        cls.federation.identity("lea", role="researcher")
        cls.federation.identity("outsider")
        cls.federation.start_coordinator(["federation.rounds=100000", "federation.join_deadline=10m"], members="spiffe://shapes/client/site-*")
        cls.federation.make_sites()
        for number in (1, 2, 3):
            cls.federation.start_site(number)
        cls.federation.wait_for(lambda: len(cls.federation.rounds()) > 1, "a first round", "coordinator")

    def client_as(self, name, certificate=None, key=None, trust="../pki/authority/authority.pem"):
        text = (self.federation.dir / "sites/site-1/client.yaml").read_text()
        certificate = certificate or f"../pki/{name}/{name}.pem"
        key = key or f"../pki/{name}/{name}.key"
        lines = [line for line in text.splitlines() if not line.lstrip().startswith(("certificate", "key:", "trust", "revocation_list", "identity"))]
        lines.append(f"identity: {{certificate: {certificate}, key: {key}, trust: {trust}}}")
        path = self.federation.write(f"sites/{name}.yaml", "\n".join(lines).replace('path: "."', 'path: "site-1"').replace("path: .", "path: site-1") + "\n")
        return subprocess.run([BIN / "fedmeta", "client", path], cwd=self.federation.dir, text=True, capture_output=True, timeout=60)

    def expect_refused(self, result, word):
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(word, (result.stderr + result.stdout + self.federation.log("coordinator")).lower())
        before = len(self.federation.rounds())
        self.federation.wait_for(lambda: len(self.federation.rounds()) > before, "the next round of the honest sites", "coordinator")

    def test_a_member_pattern_excludes(self):
        self.expect_refused(self.client_as("outsider"), "member")

    def test_a_researcher_is_no_client(self):
        self.expect_refused(self.client_as("lea"), "a client's certificate is needed")

    def test_another_authority_does_not_count(self):
        self.expect_refused(self.client_as("forger", trust="../pki/other/authority.pem"), "authority")

    def test_a_key_of_another_party_does_not_match(self):
        self.expect_refused(self.client_as("outsider", key="../pki/lea/lea.key"), "key")


if __name__ == "__main__":
    unittest.main()
