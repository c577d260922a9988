"""Certificates over the years: renewed, revoked, expired, of a corporate authority, behind an inspecting proxy."""

import json
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import unittest

from federation import BIN, Federation

DENYLIST = "pki/authority/denylist.pem"
ENDLESS = ["federation.rounds=1000000", "federation.join_deadline=10m", "federation.lost_after=5s", "federation.retries=1000"]


class CertificatesTest(unittest.TestCase):
    def setUp(self):
        self.federation = Federation()
        self.addCleanup(self.federation.close)

    def revoke(self, *what):
        return self.federation.run("pki", "revoke", "--authority", "pki/authority", *what)

    def start(self, before=lambda: None, **options):
        # Rounds that last a moment: thousands of them would fill the log.
        experiment = (self.federation.dir / "experiment.yaml").read_text()
        self.federation.write("experiment.yaml", experiment.replace("tasks_per_round: 2", "tasks_per_round: 200"))
        self.federation.prepare()
        if options.get("revocation_list"):
            self.revoke("--refresh")
        before()
        self.federation.start_coordinator(ENDLESS, **options)
        self.federation.make_sites()
        for number in (1, 2, 3):
            # What is tested is the coordinator's list, and what sites hear of it.
            file = self.federation.dir / f"sites/site-{number}/client.yaml"
            file.write_text("".join(line for line in file.read_text().splitlines(True) if "revocation_list" not in line))
            self.federation.start_site(number)
        self.wait_for_rounds(2)

    def wait_for_rounds(self, more):
        before = len(self.federation.rounds())
        self.federation.wait_for(lambda: len(self.federation.rounds()) >= before + more, "further rounds", "coordinator")

    def wait_for_log(self, name, word):
        self.federation.wait_for(lambda: word in self.federation.log(name), f"'{word}' in the log of {name}", name)

    # -- revocation --
    def test_a_client_revoked_while_connected_is_cut_off_and_the_others_go_on(self):
        self.start(revocation_list=DENYLIST)
        self.revoke("--identity", "spiffe://shapes/client/site-3")
        self.assertNotEqual(self.federation.wait_end("site-3", 60), 0)
        self.assertIn("is revoked", self.federation.log("site-3"))
        self.wait_for_log("coordinator", "spiffe://shapes/client/site-3")
        self.federation.wait_for(lambda: self.federation.rounds()[-1]["reported"] == ["site-1", "site-2"], "a round of the others", "coordinator")
        # It stays out.
        again = self.federation.start_site(3)
        self.assertNotEqual(again.wait(timeout=60), 0)

        # A list that goes stale stops everyone, and a new one lets them go on.
        self.revoke("--refresh", "--valid", "1s")
        self.wait_for_log("coordinator", "revocation_list_unusable")
        self.wait_for_log("site-1", "list of revoked certificates is stale")
        self.revoke("--refresh")
        self.wait_for_log("coordinator", "revocation_list_usable")
        self.wait_for_rounds(2)

        # So does a forged one.
        good = (self.federation.dir / DENYLIST).read_text()
        self.federation.authority("other")
        self.federation.run("pki", "revoke", "--authority", "pki/other", "--refresh")
        shutil.copy(self.federation.dir / "pki/other/denylist.pem", self.federation.dir / DENYLIST)
        self.wait_for_log("coordinator", "is not signed by an authority")
        self.federation.write(DENYLIST, good)
        self.wait_for_rounds(2)
        self.assertIsNone(self.federation.processes["site-1"].poll())

    @unittest.skipUnless(shutil.which("rsync"), "rsync is not installed (Debian package rsync)")
    def test_a_list_that_cron_and_rsync_bring_is_always_whole(self):
        """The crontab's line of docs/operators.md, between two folders and far more often than once a week."""
        folder = self.federation.dir
        docs = (pathlib.Path(__file__).parents[2] / "docs/operators.md").read_text()
        line = re.search(r"^0 6 \* \* 1 +(fedmeta pki revoke .*)$", docs, re.MULTILINE)[1]
        for written, here in (("fedmeta ", f"{BIN}/fedmeta "), ("/srv/authority", f"{folder}/pki/authority"), ("fed.example.org:/etc/fedmeta/", f"{folder}/etc/")):
            self.assertIn(written, line)
            line = line.replace(written, here)

        def cron():
            # As cron runs it: by sh, elsewhere, with hardly an environment.
            done = subprocess.run(["/bin/sh", "-c", line], cwd="/", env={"PATH": "/usr/bin:/bin"}, text=True, capture_output=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

        (folder / "etc").mkdir()
        self.start(revocation_list="etc/denylist.pem", before=cron)
        deadline = time.monotonic() + 5  # several looks
        copies = 0
        while time.monotonic() < deadline:
            cron()
            copies += 1
        self.assertGreater(copies, 5)
        self.wait_for_rounds(2)
        self.assertNotIn("revocation_list_unusable", self.federation.log("coordinator"))
        self.revoke("--identity", "spiffe://shapes/client/site-3")
        cron()
        self.assertNotEqual(self.federation.wait_end("site-3", 60), 0)
        self.assertIn("is revoked", self.federation.log("site-3"))
        self.assertNotIn("revocation_list_unusable", self.federation.log("coordinator"))

    def start_refused(self):
        result = subprocess.run([BIN / "fedmeta", "coordinator", "refused.yaml"], cwd=self.federation.dir, text=True, capture_output=True, timeout=60)
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertIn("identity.revocation_list", result.stderr)
        return result.stderr

    def test_a_coordinator_does_not_start_without_a_good_list(self):
        self.federation.authority()
        self.federation.authority("other")
        self.federation.identity("coordinator", "coordinator", options=("--ip", "127.0.0.1"))
        self.federation.write("refused.yaml", f"""\
listen: "127.0.0.1:0"
identity: {{certificate: pki/coordinator/coordinator.pem, key: pki/coordinator/coordinator.key, trust: pki/authority/authority.pem, revocation_list: {DENYLIST}}}
experiment: experiment.yaml
initial_state: initial.safetensors
members: ["spiffe://shapes/client/*"]
""")
        (self.federation.dir / DENYLIST).unlink()
        self.assertIn("No such file", self.start_refused())
        self.federation.run("pki", "revoke", "--authority", "pki/other", "--refresh")
        shutil.copy(self.federation.dir / "pki/other/denylist.pem", self.federation.dir / DENYLIST)
        self.assertIn("is not signed by an authority", self.start_refused())
        (self.federation.dir / DENYLIST).unlink()
        self.revoke("--refresh", "--valid", "1s")
        self.federation.wait_for(lambda: "is stale since" in self.federation.run("check", "refused.yaml", check=False).stderr, "the list's end")
        self.assertIn("is stale since", self.start_refused())

    # -- renewal --
    def renew(self, name):
        files = ("--certificate", f"pki/{name}/{name}.pem", "--key", f"pki/{name}/{name}.key")
        self.federation.run("pki", "renew", *files)
        self.federation.run("pki", "sign", "--authority", "pki/authority", "--request", f"pki/{name}/{name}.csr", "--out", f"{name}-new.pem")
        self.federation.run("pki", "renew", *files, "--install", f"{name}-new.pem")

    def serial_served(self):
        context = ssl.create_default_context(cafile=self.federation.dir / "pki/authority/authority.pem")
        context.load_cert_chain(self.federation.dir / "pki/site-1/site-1.pem", self.federation.dir / "pki/site-1/site-1.key")
        host, port = self.federation.address.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as plain, context.wrap_socket(plain, server_hostname=host) as tls:
            return tls.getpeercert()["serialNumber"]

    def test_certificates_are_renewed_on_both_sides_while_a_run_goes_on(self):
        self.start()
        for name in ("coordinator", "site-1", "site-2", "site-3"):  # for the same keys, and not for long
            self.federation.run("pki", "sign", "--authority", "pki/authority", "--request", f"pki/{name}/{name}.csr",
                                "--out", f"pki/{name}/{name}.pem", "--valid", "15s")
        end = time.time() + 15
        for name in ("coordinator", "site-1", "site-2", "site-3"):
            self.wait_for_log(name, "identity_renewed")
            self.wait_for_log(name, "expires in")
        for name in ("coordinator", "site-1", "site-2"):
            self.renew(name)
        for name in ("coordinator", "site-1", "site-2"):
            self.federation.wait_for(lambda: self.federation.log(name).count("identity_renewed") == 2, "the second renewal", name)
        shown = json.loads(self.federation.run("pki", "show", "--json", "pki/coordinator/coordinator.pem").stdout)
        self.assertEqual(self.serial_served().lstrip("0"), shown["serial"].lstrip("0"))
        self.federation.wait_for(lambda: time.time() > end, "the end of the old certificates")
        # The third, which was not renewed, is left out, by name, and says why itself.
        self.wait_for_log("site-3", "expired on")
        self.wait_for_log("site-3", "refused this site's certificate")
        self.wait_for_log("coordinator", "site-3 lost")
        self.wait_for_rounds(3)
        # It goes on as soon as it is.
        self.renew("site-3")
        self.federation.wait_for(lambda: self.federation.rounds()[-1]["reported"] == ["site-1", "site-2", "site-3"], "a round of all", "coordinator")

    # -- whose certificate --
    def client_file(self, address, trust, name="site-1", folder="pki/site-1"):
        return self.federation.write("way.yaml", f"""\
coordinator: {{address: "{address}"}}
identity: {{certificate: {folder}/{name}.pem, key: {folder}/{name}.key, trust: {trust}}}
data: {{shapes: {{source: {{name: idx, path: data, part: train}}}}}}
""")

    def way(self):
        result = self.federation.run("check", "--json", "way.yaml", check=False)
        self.assertTrue(result.stdout, f"exit {result.returncode}: {result.stderr}")
        report = json.loads(result.stdout.splitlines()[0])
        return {hop["hop"]: (hop["passed"], hop["text"]) for hop in report["facts"]["way"]}, result

    @unittest.skipUnless(shutil.which("openssl"), "the openssl command is missing")
    def test_an_inspecting_proxy_is_named(self):
        self.federation.authority()
        self.federation.identity("site-1")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/O=Hospital IT/CN=Web Gateway",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", "gateway.key", "-out", "gateway.pem"], cwd=self.federation.dir, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.federation.dir / "gateway.pem", self.federation.dir / "gateway.key")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def inspect():
                try:
                    connection, _ = listener.accept()
                    with connection:
                        context.wrap_socket(connection, server_side=True)
                except OSError:
                    pass  # the client hangs up on it, as it should
            thread = threading.Thread(target=inspect)
            thread.start()
            self.client_file(f"localhost:{listener.getsockname()[1]}", "pki/authority/authority.pem")
            way, result = self.way()
            thread.join()
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertTrue(way["name"][0] and way["tcp"][0])
        self.assertFalse(way["tls"][0])
        self.assertRegex(way["tls"][1], "TLS is being inspected: the certificate comes from .*Web Gateway")
        self.assertRegex(result.stderr, "TLS is being inspected: the certificate comes from .*Hospital IT")

    @unittest.skipUnless(shutil.which("openssl"), "the openssl command is missing")
    def test_a_corporate_authority_with_an_intermediate_works(self):
        corporate = Corporate(self.federation.dir / "corporate")
        corporate.issue("coordinator", "spiffe://shapes/coordinator/main", "serverAuth", ",IP:127.0.0.1")
        corporate.issue("site-1", "spiffe://shapes/client/site-1", "clientAuth")
        corporate.write_list()
        self.federation.run("init", "experiment.yaml", "--out", "initial.safetensors")
        for name, target in (("coordinator", "coordinator/coordinator"), ("site-1", "site-1/site-1")):
            for kind in ("pem", "key"):
                path = self.federation.dir / "pki" / f"{target}.{kind}"
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(corporate.dir / f"{name}.{kind}", path)
        (self.federation.dir / "pki/authority").mkdir()
        shutil.copy(corporate.dir / "root.pem", self.federation.dir / "pki/authority/authority.pem")
        self.federation.start_coordinator(ENDLESS, revocation_list="corporate/denylist.pem")
        self.client_file(self.federation.address, "corporate/root.pem")
        way, result = self.way()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(all(passed for passed, _ in way.values()), way)
        self.assertEqual(set(way), {"name", "tcp", "tls", "certificate", "verdict", "grpc", "member", "clock"})
        for part in ("Issuing CA", "spiffe://shapes/coordinator/main", "127.0.0.1", "SHA-256"):
            self.assertIn(part, way["tls"][1])
        corporate.revoke("site-1")
        self.federation.wait_for(lambda: not self.way()[0]["member"][0], "the refusal of the revoked site", "coordinator")
        self.assertIn("is revoked", self.way()[0]["member"][1])


class Corporate:
    """A root and an intermediate authority, made by plain openssl as docs/operators.md says."""

    def __init__(self, folder):
        self.dir = folder
        folder.mkdir()
        for name in ("root", "issuing"):
            (folder / f"{name}.index").write_text("")
        (folder / "ca.cnf").write_text("".join(f"""\
[{name}]
database = {name}.index
certificate = {name}.pem
private_key = {name}.key
default_md = sha256
default_crl_days = 30
crl_extensions = crl
crlnumber = {name}.number
""" for name in ("root", "issuing")) + "[crl]\nauthorityKeyIdentifier = keyid\n")
        for name in ("root", "issuing"):
            (folder / f"{name}.number").write_text("01\n")
        authority = "keyUsage=critical,keyCertSign,cRLSign"
        self.openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /O=Corporation/CN=Root -keyout root.key -out root.pem", "-addext", authority)
        self.openssl("req -new -newkey rsa:2048 -nodes -subj", "/O=Corporation/CN=Issuing CA", "-keyout", "issuing.key", "-out", "issuing.csr")
        (folder / "issuing.ext").write_text("basicConstraints=critical,CA:TRUE,pathlen:0\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n" + authority + "\n")
        self.openssl("x509 -req -in issuing.csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 -extfile issuing.ext -out issuing.pem")

    def openssl(self, command, *rest):
        subprocess.run(["openssl", *command.split(), *rest], cwd=self.dir, check=True, capture_output=True)

    def issue(self, name, uri, usage, more_names=""):
        self.openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (self.dir / f"{name}.ext").write_text(f"""\
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage={usage}
subjectAltName=URI:{uri}{more_names}
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
""")
        self.openssl(f"x509 -req -in {name}.csr -CA issuing.pem -CAkey issuing.key -CAcreateserial -days 10 -extfile {name}.ext -out {name}-only.pem")
        (self.dir / f"{name}.pem").write_text((self.dir / f"{name}-only.pem").read_text() + (self.dir / "issuing.pem").read_text())

    def revoke(self, name):
        self.openssl(f"ca -config ca.cnf -name issuing -revoke {name}-only.pem")
        self.write_list()

    def write_list(self):
        for name in ("root", "issuing"):
            self.openssl(f"ca -config ca.cnf -name {name} -gencrl -out {name}.crl")
        new = self.dir / "denylist.new"
        new.write_text((self.dir / "root.crl").read_text() + (self.dir / "issuing.crl").read_text())
        new.rename(self.dir / "denylist.pem")


if __name__ == "__main__":
    unittest.main()
