"""`fedmeta pki` as a user types it."""

import json
import stat
import unittest

from federation import Federation


class PkiTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)
        self.pki = self.federation.dir / "pki"

    def refused(self, *arguments):
        result = self.federation.run("pki", *arguments, check=False)
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        return result.stderr

    def show(self, file):
        return json.loads(self.federation.run("pki", "show", "--json", file).stdout)

    def request(self, identity="spiffe://shapes/client/site-1", folder="pki/site-1"):
        return self.federation.run("pki", "request", "--dir", folder, "--identity", identity)

    def test_a_site_is_signed_and_shown(self):
        self.federation.authority()
        self.assertIn("site-1.csr", self.request().stdout)
        signed = self.federation.run("pki", "sign", "--authority", "pki/authority", "--request", "pki/site-1/site-1.csr", "--out",
                                     "pki/site-1/site-1.pem", "--days", "30", "--expect", "spiffe://shapes/client/site-1")
        self.assertIn("spiffe://shapes/client/site-1, 30 days", signed.stdout)
        certificate = self.show("pki/site-1/site-1.pem")
        self.assertEqual(certificate["kind"], "certificate")
        self.assertEqual(certificate["identity"], "spiffe://shapes/client/site-1")
        self.assertAlmostEqual(certificate["days_left"], 30, delta=1)
        request = self.show("pki/site-1/site-1.csr")
        self.assertEqual((request["kind"], request["identity"]), ("request", "spiffe://shapes/client/site-1"))
        self.assertNotIn("serial", request)
        self.assertEqual(self.show("pki/authority/authority.pem")["kind"], "authority")
        text = self.federation.run("pki", "show", "pki/site-1/site-1.pem").stdout
        for part in ("spiffe://shapes/client/site-1", "days left", "usages", certificate["sha256"]):
            self.assertIn(part, text)

    def test_names_that_clients_dial_are_in_the_certificate(self):
        self.federation.authority()
        self.federation.identity("main", "coordinator", options=["--dns", "fed.example.org", "--ip", "127.0.0.1"])
        certificate = self.show("pki/main/main.pem")
        self.assertEqual((certificate["dns_names"], certificate["ip_addresses"]), (["fed.example.org"], ["127.0.0.1"]))

    def test_keys_are_readable_by_their_owner_alone(self):
        self.federation.authority()
        self.request()
        for key in (self.pki / "authority/authority.key", self.pki / "site-1/site-1.key"):
            self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600, key)

    def test_an_existing_authority_is_kept(self):
        self.federation.authority()
        before = (self.pki / "authority/authority.key").read_bytes()
        self.assertIn("authority", self.refused("init", "--dir", "pki/authority", "--federation", "shapes"))
        self.assertEqual((self.pki / "authority/authority.key").read_bytes(), before)

    def test_an_existing_key_is_kept(self):
        self.request()
        before = (self.pki / "site-1/site-1.key").read_bytes()
        self.assertIn("site-1.key", self.refused("request", "--dir", "pki/site-1", "--identity", "spiffe://shapes/client/site-1"))
        self.assertEqual((self.pki / "site-1/site-1.key").read_bytes(), before)

    def sign_refused(self, *options):
        message = self.refused("sign", "--authority", "pki/authority", "--request", "pki/site-1/site-1.csr", "--out", "pki/site-1/site-1.pem", *options)
        self.assertFalse((self.pki / "site-1/site-1.pem").exists())
        return message

    def test_a_request_for_another_federation_is_not_signed(self):
        self.federation.authority()
        self.request("spiffe://elsewhere/client/site-1")
        message = self.sign_refused()
        self.assertIn("elsewhere", message)
        self.assertIn("shapes", message)

    def test_a_request_for_another_identity_than_expected_is_not_signed(self):
        self.federation.authority()
        self.request()
        self.assertIn("spiffe://shapes/client/site-2", self.sign_refused("--expect", "spiffe://shapes/client/site-2"))

    def test_an_identity_that_is_none_is_refused(self):
        self.assertIn("--identity", self.refused("request", "--dir", "pki/site-1", "--identity", "spiffe://shapes/site-1"))
        self.assertFalse((self.pki / "site-1").exists())

    def test_a_file_that_is_no_certificate_is_refused(self):
        self.assertIn("experiment.yaml", self.refused("show", "experiment.yaml"))

    def test_a_mistyped_action_names_the_nearest(self):
        self.assertIn("there is no pki action 'shwo'; did you mean 'show'?", self.refused("shwo", "site-1.pem"))
        self.assertIn("there is no pki action 'frobnicate'. See fedmeta pki --help.", self.refused("frobnicate"))

    def test_an_action_is_needed(self):
        result = self.federation.run("pki", check=False)
        self.assertEqual(result.returncode, 2)


if __name__ == "__main__":
    unittest.main()
