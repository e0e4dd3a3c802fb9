"""A small certificate authority for tests, made with the openssl command."""

from pathlib import Path

from harness.process import run

DEFAULT_NAMES = ("DNS:localhost", "DNS:*.example.test", "IP:127.0.0.1")


class Authority:
    """An EC authority in a directory. `pem` is its certificate."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.pem = self.directory / "ca.pem"
        self.key = self.directory / "ca.key"
        if not self.pem.exists():
            run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key, "-out", self.pem,
                "-days", "3650", "-subj", "/CN=Test authority", "-addext",
                "keyUsage=critical,keyCertSign,cRLSign")
            self.key.chmod(0o600)

    def issue(self, name, names=DEFAULT_NAMES, days=365):
        """A certificate for server and client use; gives the paths of certificate and key."""
        key = self.directory / f"{name}.key"
        pem = self.directory / f"{name}.pem"
        request = self.directory / f"{name}.csr"
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={','.join(names)}\n"
                              "extendedKeyUsage=serverAuth,clientAuth\n"
                              "basicConstraints=CA:FALSE\n", encoding="ascii")
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        run("openssl", "x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self.key,
            "-CAcreateserial", "-days", str(days), "-extfile", extensions, "-out", pem)
        key.chmod(0o600)
        return pem, key
