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


def _fleet(name: str) -> str:
    """Return a scenario whose devices stand in the CSV file of that name."""
    return f"""{_HEAD}name: {name}
model: {{file: tiny.json}}
devices: {{file: {name}.csv}}
links: {{downlink: 1 Mbit/s, uplink: 1 Mbit/s}}
servers:
  - {{name: edge, compute: 100 MFLOP/s}}
training: {{epochs: 1, rounds: 1}}
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
    "servers.yaml": f"""{_HEAD}name: servers
model: {{file: tiny.json}}
links: {{downlink: 1 Mbit/s, uplink: 1 Mbit/s}}
servers:
  - {{name: near, compute: 100 MFLOP/s, memory: 1 GiB, seats: 2}}
  - {{name: far, compute: 200 MFLOP/s, links: {{uplink: 500 kbit/s}}}}
devices:
  - name: a
    count: 2
    compute: 1 MFLOP/s
    samples: 3
    batch_size: 2
    compute_power: 2 W
    transmit_power: 1 W
  - name: b
    compute: 2 MFLOP/s
    samples: 3
    compute_power: 2 W
    transmit_power: 1 W
    servers: {{near: {{uplink: {{rate: 2 Mbit/s}}}}, far: {{}}}}
  - name: c
    compute: 2 MFLOP/s
    samples: 3
    compute_power: 2 W
    transmit_power: 1 W
    servers: [far]
    frequency: {{min: 0.5, steps: 2}}
energy: {{carbon_grams_per_kwh: [300], hour: 5}}
precision:
  {{up: [32, 8], up_distortion: [0, 1], down: [32], limit: 2, device_limit: 1}}
training: {{epochs: 1, rounds: 1}}
""",
    "ranks.yaml": f"""{_HEAD}name: ranks
model: {{file: adapted.json}}
links:
  downlink: 1 Mbit/s
  uplink: {{bandwidth: 1 MHz, channel_gain: 1e-9, noise_density: 1e-17 W/Hz}}
servers:
  - {{name: edge, compute: 100 MFLOP/s, memory: 1 GiB}}
devices:
  - name: a
    count: 2
    compute: 1 MFLOP/s
    samples: 3
    batch_size: 2
    memory: 1 GiB
    compute_power: 2 W
    transmit_power: {{min: 50 mW, max: 200 mW, steps: 2}}
  - {{name: b, compute: 2 MFLOP/s, samples: 3, compute_power: 2 W, transmit_power: 1 W}}
adapters: {{rank: [1, 2], quality: [1, 3], least_total: 5, device_least: 1}}
energy: {{limit_joule: 1000}}
training: {{epochs: 1, rounds: 1}}
""",
    "robust.yaml": f"""{_HEAD}name: robust
model: {{file: tiny.json}}
{_DEVICES}links: {{downlink: 1 Mbit/s, uplink: 1 Mbit/s}}
servers:
  - {{name: edge, compute: 100 MFLOP/s, memory: 1 GiB}}
robust: {{slow: {{devices: 1, compute: 2, links: 1.5}}, quorum: 2}}
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
    "fleet.yaml": _fleet("fleet"),
    "quoted.yaml": _fleet("quoted"),
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

CURVE = """{"format": "splitopt-rounds-curve", "version": 1, "name": "tiny",
 "metric": "test_loss", "target": 0.5, "rounds": 3.0, "batch_factor": 2.0, "interval_exponent": 0.2,
 "calibrated": {"batch_size": [1, 8], "aggregation_interval": [1, 5], "parameter_share": [0, 1],
  "devices": 2},
 "step_rule": {"optimizer": "sgd", "learning_rate": 0.1},
 "ranges": {"rounds": [2, 4], "batch_factor": [1.0, 3.0], "interval_exponent": [0.1, 0.3]},
 "median_error": 0.1, "reference_runs": 4.3, "notes": ["by hand"]}
"""
WORKLOAD = """{"maxSizePerFPGA": 16, "maxFPGAs": 2, "maxCPUs": 1, "nodes": [
 {"id": 4, "supportedOnFpga": 1, "cpuLatency": 9.5, "fpgaLatency": 1, "isBackwardNode": 0,
  "colorClass": 1, "size": 3.0, "name": "in"},
 {"id": 2, "supportedOnFpga": true, "cpuLatency": 20, "fpgaLatency": 2.5, "isBackwardNode": false,
  "size": 4},
 {"id": 7, "supportedOnFpga": 0, "cpuLatency": 1.5, "fpgaLatency": 0, "isBackwardNode": 0},
 {"id": 5, "supportedOnFpga": 1, "cpuLatency": 30, "fpgaLatency": 3, "isBackwardNode": 1,
  "colorClass": 1, "size": 8}],
 "edges": [{"sourceId": 4, "destId": 2, "cost": 0.5, "size": 2}, {"sourceId": 4, "destId": 7,
  "cost": 0.5}, {"sourceId": 2, "destId": 5, "cost": 0.25}, {"sourceId": 7, "destId": 5,
  "cost": 0}]}
"""
_TMPC = '"memoryUsageB": 16, "syncTimeFw": {}, "syncTimeBw": {}'
PIPER = f"""{{"maxDevices": 2, "maxMemoryPerDevice": 1e9, "bandwidth": 1e9, "mbsInBatch": 8,
 "nodes": [{{"id": 4, "name": "tensor", "TMPCs": {{"1": [{{"id": "vanilla", "timePerSample": 0,
  "parameterSize": 0, "memoryUsageA": 8, {_TMPC}}}]}}}},
 {{"id": 2, "name": "conv", "TMPCs": {{"1": [{{"id": "vanilla", "timePerSample": 0.5,
  "parameterSize": 8, "memoryUsageA": 64, {_TMPC}}}, {{"id": "activation recomp",
  "timePerSample": 0.75, "parameterSize": 8, "memoryUsageA": 8, {_TMPC}}}]}}}},
 {{"id": 7, "TMPCs": {{"1": [{{"id": "vanilla", "timePerSample": 1.5, "parameterSize": 8,
  "memoryUsageA": 32, {_TMPC}}}], "2": []}}}}],
 "edges": [{{"sourceId": 4, "destId": 2, "communicationCost": 16.0}},
  {{"sourceId": 2, "destId": 7, "communicationCost": 32.0}}]}}
"""
DISTILP = """{"b": [0, 640, 640], "b_i": [0, 64, 64], "b_o": [0, 64, 64], "L": 2, "hk": 1, "hv": 1,
 "ek": 4, "ev": 4, "n_kv": 64, "e_embed": 4, "V": 100, "seq_len": 4, "quantization": "BF16",
 "f_q": {"prefill": {"b_2": [0.0, 5e3, 5e3], "b_4": [0.0, 1e4, 1e4]},
  "decode": {"b_2": [0.0, 1e3, 1e3]}}, "f_out": {"prefill": {"b_2": 5e3}}, "is_moe": false}
"""
SCENARIOS["piper.yaml"] = f"""{_HEAD}name: piper
model: {{file: piper.json, batch_size: 4, unit: s}}
accelerators: {{name: gpu, count: 2, machine: gpu, rate: 2 Mbit/s, batch_size: 2, micro_batches: 4}}
training: {{rounds: 2}}
"""
SCENARIOS["branches.yaml"] = f"""{_HEAD}name: branches
model: {{file: layers.json}}
accelerators:
  name: gpu
  count: 2
  compute: 1 MFLOP/s
  rate: 2 Mbit/s
  memory: 1 MiB
  batch_size: 2
  micro_batches: 4
  in_flight: 2
  held: saved
  cpu: {{name: host, compute: 300 kFLOP/s}}
training: {{rounds: 2}}
"""
SCENARIOS["replicas.yaml"] = f"""{_HEAD}name: replicas
model: {{file: layers.json}}
replication:
  types:
    - {{name: fast, count: 2, compute: 1 MFLOP/s, rate: 2 Mbit/s, memory: 1 MiB, reserve: 1 kB}}
    - {{name: slow, compute: 300 kFLOP/s, rate: 1 Mbit/s, memory: 2 MiB}}
  batch_size: 2
  micro_batches: 4
  schedule: pipedream
  recompute: choose
  optimizer: adam
  shard_optimizer: true
  duplex: half
  overlap: true
  max_replicas: 2
  use_all_machines: true
training: {{rounds: 2}}
"""
SCENARIOS["target.yaml"] = f"""{_HEAD}name: target
model: {{file: tiny.json}}
{_DEVICES}links: {{downlink: 1 Mbit/s, uplink: 1 Mbit/s}}
servers:
  - {{name: edge, compute: 100 MFLOP/s}}
time_to_accuracy:
  curve: curve.json
  batch_size: [1, 2, 4]
  aggregation_interval: [1, 5]
  cuts: per_device
"""

MODELS = """Dummy:
  layers: 0
  mem_MB: []
  parameters_in: 0
  parameters_out: []
make:
  layers: 3
  mem_MB: [1, 2.5, 0.5]
  parameters_in: 4
  parameters_out: [8, 8, 2]
"""
DEVICE_TYPES = """Dummy:
  bw_Mbps: 0
  mem_MB: 0
  model_profiles:
other:
  bw_Mbps: 1000
  mem_MB: 2048
  model_profiles:
    make:
    - batch_size: 4
      dtype: torch.float32
      time_s: [0.5, 0.25, 1]
"""
WORKBOOK = {
    "xl/workbook.xml": '<workbook xmlns="m" xmlns:r="r"><sheets><sheet name="VM" sheetId="1" '
    'r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="p"><Relationship Id="rId1" '
    'Target="worksheets/sheet1.xml"/></Relationships>',
    "xl/worksheets/sheet1.xml": '<worksheet xmlns="m"><sheetData>'
    + "".join(
        f'<row r="{row}"><c r="A{row}"><v>0.5</v></c><c r="B{row}"><v>1e-1</v></c>'
        f'<c r="C{row}"><v>0</v></c></row>'
        for row in (1, 2, 3)
    )
    + "</sheetData></worksheet>",
}
"""Files of a workbook with the times of three layers."""
TABLES = {
    "curve.json": CURVE,
    "graph.txt": GRAPH,
    "models.yml": MODELS,
    "piper.json": PIPER,
    "distilp.json": DISTILP,
    "blocks.csv": "Block,FLOPs (G),Param Memory (MB),Activation Size (MB)\n"
    "0,1.126,0.0889,5.9082\n1,0.0015,0.0,1.4238\n",
    "device_types.yml": DEVICE_TYPES,
    "workload.json": WORKLOAD,
    "token.txt": "q7Zx0vKp3LrT9mWb2YdS5hJc8NfG4aEu\n",
    "splits.csv": "network,split,device_s,server_s\n"
    "make,1,0.001,0.004\nmake,2,0.002,0.003\nmake,3,0.006,\n",
    "messages.csv": "bytes,seconds\n100,0.001\n1000,0.002\n10000,0.011\n",
    "values.csv": "round,snr_db\n1,10.5\n2,12\n3,19.25\n",
    "rounds.csv": "round,device,compute_flop_per_s,snr_db\n"
    "1,near-1,1e6,19\n1,near-2,1.1e6,20\n1,far,2e6,8\n"
    "2,near-1,0.9e6,21\n2,near-2,1e6,18\n2,far,1.8e6,9\n",
    "rates.csv": "round,device,uplink_bit_per_s,downlink_bit_per_s\n"
    "1,slow,1e6,2e6\n1,fast,2e5,8e5\n2,slow,0.9e6,21e5\n2,fast,1.8e5,9e5\n",
    "fleet.csv": "name,compute [MFLOP/s],uplink [kbit/s],samples,batch_size,memory [MiB],count\n"
    "near,1,,8,4,16,2\nfar,2.5,800,8,,,1\n",
    "quoted.csv": 'name,compute [MFLOP/s],samples\n"near, by the door",1,8\n"far",2.5,8\n',
    "accuracy.yaml": "fl: 12\nsl: 20.5\n",
    "partition.json": "[[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15]]\n",
    "decision.json": '{"cuts": [1, 1]}\n',
}
