"""Metrics of a node that node-exporter does not have.

Throttling: the firmware's word, /sys/devices/platform/*/*:firmware/get_throttled (bits:
Raspberry Pi documentation, vcgencmd get_throttled). The first boot: report.json of the
first-boot agent. The certificate: the kubelet's, which K3s renews only when it starts.
Standard library only: the image is somebody else's and stays as it is.
"""

import glob
import http.server
import json
import os
import socket
import ssl
import time

HOST = os.environ.get("HOST_ROOT", "/host")
CA = os.environ.get("CA_FILE", "/ca/ca.crt")
NODE = os.environ.get("NODE_ADDRESS", "127.0.0.1")
KUBELET = int(os.environ.get("KUBELET_PORT", "10250"))

CONDITIONS = {
    0: ("under_voltage", "now"),
    1: ("frequency_capped", "now"),
    2: ("throttled", "now"),
    3: ("soft_temperature_limit", "now"),
    16: ("under_voltage", "since_boot"),
    17: ("frequency_capped", "since_boot"),
    18: ("throttled", "since_boot"),
    19: ("soft_temperature_limit", "since_boot"),
}
STATES = ("running", "done", "failed")
OUTCOMES = ("pending", "running", "retrying", "done", "failed")


def quoted(text):
    return str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def sample(metric, value, /, **labels):
    inner = ",".join(f'{key}="{quoted(label)}"' for key, label in labels.items())
    return f"{metric}{{{inner}}} {value}" if inner else f"{metric} {value}"


def head(name, text):
    return [f"# HELP {name} {text}", f"# TYPE {name} gauge"]


def throttling():
    lines = head("pi_throttled", "Whether the firmware reports the condition.")
    # At this depth only: below are links that lead back up.
    for path in sorted(glob.glob(f"{HOST}/platform/*/*/get_throttled"))[:1]:
        with open(path) as file:
            bits = int(file.read().strip(), 16)
        for bit, (condition, when) in CONDITIONS.items():
            lines.append(sample("pi_throttled", bits >> bit & 1, condition=condition, when=when))
    return lines


def first_boot():
    with open(f"{HOST}/report/report.json") as file:
        report = json.load(file)
    lines = head("imgbuild_first_boot_state", "Where the first boot stands.")
    for state in STATES:
        lines.append(sample("imgbuild_first_boot_state", int(report["state"] == state), state=state))
    lines += head("imgbuild_first_boot_info", "The image the node was made from.")
    lines.append(sample("imgbuild_first_boot_info", 1, image_id=report["image_id"], name=report["node"]))
    stages = report["stages"]
    lines += head("imgbuild_first_boot_stage", "How far a stage got.")
    for stage in stages:
        for outcome in OUTCOMES:
            value = int(stage["outcome"] == outcome)
            labels = {"stage": stage["name"], "outcome": outcome}
            lines.append(sample("imgbuild_first_boot_stage", value, **labels))
    for key, text in (("seconds", "Time spent on a stage."), ("attempts", "How often it was tried.")):
        name = f"imgbuild_first_boot_stage_{key}"
        lines += head(name, text)
        lines += [sample(name, stage.get(key, 0), stage=stage["name"]) for stage in stages]
    return lines


def certificate():
    """An expired one does not verify; then there is no time, and an alert for that."""
    context = ssl.create_default_context(cafile=CA)
    with socket.create_connection((NODE, KUBELET), timeout=5) as plain:
        with context.wrap_socket(plain, server_hostname=NODE) as tls:
            end = ssl.cert_time_to_seconds(tls.getpeercert()["notAfter"])
    name = "k3s_kubelet_certificate_expiry_seconds"
    return head(name, "When the kubelet's serving certificate ends, in Unix time.") + [sample(name, end)]


def metrics():
    lines, success = [], []
    for collect in (throttling, first_boot, certificate):
        began = time.monotonic()
        try:
            lines += collect()
            ok = 1
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"{collect.__name__}: {error}")
            ok = 0
        took = time.monotonic() - began
        success.append(sample("pi_exporter_success", ok, collector=collect.__name__))
        success.append(sample("pi_exporter_seconds", round(took, 3), collector=collect.__name__))
    lines += head("pi_exporter_success", "Whether the collector could read what it reads.")
    lines += success[0::2]
    lines += head("pi_exporter_seconds", "How long it took.")
    lines += success[1::2]
    return "\n".join(lines) + "\n"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = {"/metrics": metrics, "/healthz": lambda: "ok\n"}
        answer = known.get(self.path)
        body = (answer() if answer else "nothing here; try /metrics\n").encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """One line a scrape is noise."""


if __name__ == "__main__":
    address = ("", int(os.environ.get("PORT", "9101")))
    http.server.ThreadingHTTPServer(address, Handler).serve_forever()
