"""Hosts in network namespaces of their own, and between them a network that delays and loses packets. Standard library and iproute2 only.

Each namespace has one TUN device; this process carries the packets between them. Unlike netem this needs no kernel module, and
unlike a proxy it loses packets of a connection, not connections."""

import fcntl
import heapq
import os
import random
import selectors
import shutil
import struct
import subprocess
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
SUBNET = (198, 18, 0)  # RFC 2544: for tests of networks


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def open_tun():
    """A new device in this process's namespace: its descriptor and its name."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    answer = fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", b"fedmeta%d", IFF_TUN | IFF_NO_PI))
    return descriptor, answer[:16].rstrip(b"\0").decode()


def why_not():
    """Why there can be no such network here; None if there can."""
    if shutil.which("ip") is None:
        return "ip (iproute2) is not installed"
    try:
        Network(["probe"]).close()
    except subprocess.CalledProcessError as error:
        return f"network namespaces are not allowed here: {error.stderr.strip()}"
    except OSError as error:
        return f"network namespaces need /dev/net/tun: {error}"
    return None


class Network:
    """`delay`: one way, in seconds, up to twice as long; `loss`: share of packets. Hosts get 198.18.0.1, .2, ... in their order."""

    def __init__(self, hosts, delay=0.0, loss=0.0, seed=1):
        self.delay, self.loss, self.rng = delay, loss, random.Random(seed)
        self.addresses = {host: ".".join(map(str, (*SUBNET, number))) for number, host in enumerate(hosts, 1)}
        self.spaces, self.descriptors = {}, {}
        self.cut_off, self.lost, self.carried = {}, 0, 0  # cut_off: packets that a partition swallowed, by host
        self.wake, self.waker = os.pipe()
        self.thread = threading.Thread(target=self._carry, daemon=True)
        try:
            for host in hosts:
                self._add(host)
        except BaseException:
            self._remove()
            raise
        self.thread.start()

    def _add(self, host):
        space = f"fedmeta-{os.getpid()}-{host}"
        ip("netns", "add", space)
        self.spaces[host] = space
        self.descriptors[host], device = open_tun()
        ip("link", "set", device, "netns", space)
        ip("-n", space, "address", "add", f"{self.addresses[host]}/24", "dev", device)
        ip("-n", space, "link", "set", device, "up")
        ip("-n", space, "link", "set", "lo", "up")

    def inside(self, host):
        """What comes before a command that is to run on this host."""
        return ["ip", "netns", "exec", self.spaces[host]]

    def cut(self, host):
        """From now on no packet from or to it arrives, and nobody is told."""
        self.cut_off[host] = 0

    def heal(self, host):
        del self.cut_off[host]

    def _carry(self):
        hosts = list(self.addresses)
        by_last_byte = {number: host for number, host in enumerate(hosts, 1)}
        selector = selectors.DefaultSelector()
        selector.register(self.wake, selectors.EVENT_READ, None)
        for host, descriptor in self.descriptors.items():
            selector.register(descriptor, selectors.EVENT_READ, host)
        under_way, sequence = [], 0
        while True:
            timeout = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
            for key, _ in selector.select(timeout):
                if key.data is None:
                    selector.close()
                    return
                packet = os.read(key.fd, 65536)
                target = by_last_byte.get(packet[19]) if packet[0] >> 4 == 4 and tuple(packet[16:19]) == SUBNET else None
                if target is None:
                    continue
                at = time.monotonic() + self.delay * self.rng.uniform(1, 2)
                heapq.heappush(under_way, (at, sequence, key.data, target, packet))
                sequence += 1
            while under_way and under_way[0][0] <= time.monotonic():
                _, _, source, target, packet = heapq.heappop(under_way)
                self._deliver(source, target, packet)

    def _deliver(self, source, target, packet):
        for host in (source, target):
            if host in self.cut_off:
                self.cut_off[host] += 1
                return
        if self.rng.random() < self.loss:
            self.lost += 1
            return
        self.carried += 1
        os.write(self.descriptors[target], packet)

    def _remove(self):
        for descriptor in (*self.descriptors.values(), self.wake, self.waker):
            os.close(descriptor)
        for space in self.spaces.values():
            ip("netns", "delete", space)

    def close(self):
        os.write(self.waker, b".")
        self.thread.join()
        self._remove()
