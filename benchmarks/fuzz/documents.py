"""Small valid scenarios, a model and tables, as users write them; the rest is made from these."""

from __future__ import annotations

MODEL = '''"""A network that is small enough to be trained a thousand times."""

from torch import nn


def make():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
'''

_HEAD = "format: splitopt-scenario\nversion: 1\n"
_DEVICES = """devices:
  - {name: slow, compute: 1 MFLOP/s, samples: 8, batch_size: 4, memory: 1 GiB}
  - {name: fast, compute: 4 MFLOP/s, samples: 8, batch_size: 4, memory: 1 GiB}
"""
_CELL = """devices:
  - {name: near, count: 2, compute: 1 MFLOP/s, samples: 8, batch_size: 4, snr_db: 20}
  - {name: far, compute: 2 MFLOP/s, samples: 8, batch_size: 4, snr_db: 8}
links: {downlink: {}, uplink: {}}
servers:
  - {name: edge, compute: 100 MFLOP/s}
spectrum: {subcarriers: 4, bandwidth: 20 kHz}
"""


def _varying(name: str, *what: str) -> str:
    """Write a cell in which something varies from round to round."""
    lines = "".join(f"  {line}\n" for line in what)
    return f"""{_HEAD}name: {name}
model: {{file: tiny.json}}
{_CELL}clusters: {{sizes: [2, 1], cut: auto}}
distributions:
  samples: 3
{lines}training: {{epochs: 1, rounds: 1}}
"""


SCENARIOS = {
    "star.yaml": f"""{_HEAD}name: star
note: two devices and a server
model: {{file: tiny.json}}
{_DEVICES}links: {{downlink: 1 Mbit/s, uplink: 1 Mbit/s}}
servers:
  - {{name: edge, compute: 100 MFLOP/s, memory: 1 GiB}}
training: {{epochs: 1, rounds: 1}}
""",
    "radio.yaml": f"""{_HEAD}name: radio
guesses: [links.uplink]
model: {{profile: dp-mora-resnet18-recovered}}
devices:
  - {{name: near, count: 2, compute: 40 GMAC/s, samples: 20, batch_size: 4, channel_gain: 1e-9}}
links:
  downlink: {{bandwidth: 20 MHz, transmit_power: 1 W, noise_density_dbm_per_hz: -174}}
  uplink: {{bandwidth: 20 MHz, transmit_power: 0.2 W, noise_density_dbm_per_hz: -174}}
servers:
  - {{name: edge, compute: 2 TMAC/s}}
training: {{epochs: 1, rounds: 2}}
data: {{source: digits, partition: "dirichlet:0.5", task: classification}}
""",
    "cell.yaml": f"""{_HEAD}name: cell
model: {{file: tiny.json}}
{_CELL}clusters: {{sizes: [2, 1], cut: 1}}
training: {{epochs: 1, rounds: 1}}
""",
    "varying.yaml": _varying(
        "varying",
        "compute: {kind: normal, std_relative: 0.1, low: 0.1 MFLOP/s}",
        "snr: {kind: normal, std_db: 2}",
    ),
    "measured.yaml": _varying("measured", "trace: rounds.csv"),
    "column.yaml": _varying("column", "snr: {kind: empirical, file: values.csv, column: snr_db}"),
    "pipeline.yaml": f"""{_HEAD}name: pipeline
model: {{file: tiny.json}}
devices:
  - {{name: owner, count: 2, compute: 1 MFLOP/s, samples: 8, batch_size: 4, memory: 1 GiB}}
links:
  downlink: 2 Mbit/s
  uplink: 2 Mbit/s
  shared: false
  nodes: {{model: uniform, rate: 2 Mbit/s, latency: 1 ms}}
nodes:
  - {{name: small, compute: 2 MFLOP/s, memory: 16 MiB, price_per_hour: 0.1}}
  - {{name: large, compute: 4 MFLOP/s, memory: 32 MiB, price_per_hour: 0.2}}
pipeline: {{first_cut: 1, last_cut: 2}}
training: {{epochs: 1, rounds: 1}}
""",
    "generators.yaml": f"""{_HEAD}name: generators
model: {{file: tiny.json}}
devices:
  - name: cam
    count: 2
    compute: 1 MFLOP/s
    samples: 8
    batch_size: 4
    compute_power: 4 W
    transmit_power: 1 W
  - {{name: far, compute: 4 MFLOP/s, samples: 8, compute_power: 4 W, transmit_power: 1 W}}
links: {{downlink: 1 Mbit/s, uplink: 1 Mbit/s}}
servers:
  - {{name: edge, compute: 100 MFLOP/s}}
generators:
  size: 2 kB
  labels: [cat, dog, cow]
  counts: {{cam-1: [4, 4, 0], cam-2: [0, 6, 2], far: [3, 0, 5]}}
  quality: {{cam: [0.5, 0.9, 0.7], far: 0.8}}
  quality_weight: 0.1
  most_receivers: 2
  least_samples: 2
  route: direct
  latency: 2 ms
  training:
    steps: 20
    critic_steps: 2
    batch_size: 4
    critic_work: 3 kFLOP
    generator_work: 2 kFLOP
    epochs: {{without: 9, with: 4}}
    target: 90 %
    cut: auto
    pretraining_epochs: 2
    edge: {{compute: 1 GFLOP/s, rate: 8 Mbit/s, power: 20 W, sample_size: 16 B}}
""",
    "modelled.yaml": f"""{_HEAD}name: modelled
model: {{file: tiny.json}}
devices:
  - {{name: board, count: 2, machine_model: machine.json, samples: 8, batch_size: 4}}
links: {{downlink: 1 Mbit/s, uplink: 1 Mbit/s}}
servers:
  - {{name: edge, compute: 100 MFLOP/s}}
training: {{epochs: 1, rounds: 1}}
""",
}

GRAPH = """\
node1 -- Input0 -- forward_compute_time=0.000, backward_compute_time=0.000, \
activation_size=0.000, parameter_size=0.000
node2 -- Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)) -- \
forward_compute_time=1.500, backward_compute_time=2.500, activation_size=8192.000, \
parameter_size=896.000
node3 -- ReLU(inplace) -- forward_compute_time=0.500, backward_compute_time=0.250, \
activation_size=8192.000, parameter_size=0.000
node4 -- Linear(in_features=128, out_features=10, bias=True) -- forward_compute_time=0.300, \
backward_compute_time=0.600, activation_size=160.000, parameter_size=5160.000
\tnode1 -- node2
\tnode2 -- node3
\tnode3 -- node4
"""

TABLES = {
    "graph.txt": GRAPH,
    "token.txt": "q7Zx0vKp3LrT9mWb2YdS5hJc8NfG4aEu\n",
    "splits.csv": "network,split,device_s,server_s\n"
    "make,1,0.001,0.004\nmake,2,0.002,0.003\nmake,3,0.006,\n",
    "messages.csv": "bytes,seconds\n100,0.001\n1000,0.002\n10000,0.011\n",
    "values.csv": "round,snr_db\n1,10.5\n2,12\n3,19.25\n",
    "rounds.csv": "round,device,compute_flop_per_s,snr_db\n"
    "1,near-1,1e6,19\n1,near-2,1.1e6,20\n1,far,2e6,8\n"
    "2,near-1,0.9e6,21\n2,near-2,1e6,18\n2,far,1.8e6,9\n",
    "accuracy.yaml": "fl: 12\nsl: 20.5\n",
    "partition.json": "[[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15]]\n",
    "decision.json": '{"cuts": [1, 1]}\n',
}
