"""What each field of a scenario is changed to."""

from __future__ import annotations

from tests.planning.scenario_fields.documents import (
    ABSENT,
    COUNTED,
    COUNTS,
    CURVE,
    GENERATORS,
    TARGET,
)

TRACE = {"devices": ["pi-1", "pi-2", "pi-3", "nano"]}
SPEEDS = [[2e9, 3e9, 4e9, 5e9], [3e9, 3e9, 4e9, 9e9]]
RATIOS = [[10, 12, 14, 20], [12, 9, 15, 22]]
RADIO = {"transmit_power_dbm": 20, "channel_gain_db": -90, "noise_density_dbm_per_hz": -174}
LINK = {
    "rate": "7 Mbit/s",
    "bandwidth": "3 MHz",
    "transmit_power": "0.4 W",
    "channel_gain": 1e-9,
    "noise_density": "1e-20 W/Hz",
    "snr": 31.0,
}
UPLINK = {name: LINK[name] for name in ("bandwidth", "channel_gain", "noise_density")} | {
    "transmit_power": "0.4 W"
}
MACHINE = {
    "format": "splitopt-machine",
    "version": 1,
    "name": "fitted",
    "batch": 10,
    "seconds_per": {"matrix_flop": 1e-9},
}
NORMAL = {"kind": "normal", "std_relative": 0.2, "low": "0.5 GFLOP/s"}
NIC = {"model": "nic", "rate": "30 Mbit/s"}
PAIRS = [["9 Mbit/s", "8 Mbit/s"], ["7 Mbit/s", "9 Mbit/s"]]

CHANGES = {
    "format": {"format": "other"},
    "version": {"version": 2},
    "model.profile": {"model": "vgg19-cifar"},
    "model.file": {"model": {"file": "absent.json"}},
    "model.fill": {"model.fill": "zero"},
    "model.batch_size": {"model": {"file": "absent.json", "batch_size": 4}},
    "model.unit": {"model": {"file": "absent.json", "unit": "ms"}},
    "devices[].compute": {"devices.0.compute": "1 GFLOP/s"},
    "devices[].machine": {"devices.0.machine": "d1", "devices.0.compute": None},
    "devices[].machine_model": {"devices.0.machine_model": MACHINE, "devices.0.compute": None},
    "devices[].memory": {"devices.0.memory": "3 MB"},
    "devices[].count": {"devices.0.count": 5},
    "devices[].samples": {
        **{"devices.0.samples": 90, "devices.1.samples": 5},
        "devices.1.batch_size": 5,
    },
    "devices[].batch_size": {"devices.0.batch_size": 20, "devices.1.batch_size": 20},
    "devices[].compute_power": {"devices.0.compute_power": "3 W"},
    "devices[].transmit_power.min": {
        "devices.0.transmit_power": {"min": "0.1 W", "max": "0.3 W"},
        "links.uplink": UPLINK,
    },
    "devices[].transmit_power.max": {
        "devices.0.transmit_power": {"min": "0.1 W", "max": "0.2 W"},
        "links.uplink": UPLINK,
    },
    "devices[].transmit_power.steps": {
        "devices.0.transmit_power": {"min": "0.1 W", "max": "0.3 W", "steps": 9},
        "links.uplink": UPLINK,
    },
    "devices[].channel_gain": {"devices.0.channel_gain": 1e-9},
    "devices[].snr": {"devices.0.snr": 9.0, "devices.0.snr_db": ABSENT},
    **{f"devices[].downlink.{k}": {f"devices.0.downlink.{k}": v} for k, v in LINK.items()},
    **{f"devices[].uplink.{k}": {f"devices.0.uplink.{k}": v} for k, v in LINK.items()},
    "devices[].priority": {"devices.0.priority": 5.0},
    "devices[].leakage_limit": {"devices.1.leakage_limit": 0.1},
    **{f"links.downlink.{k}": {f"links.downlink.{k}": v} for k, v in LINK.items()},
    **{f"links.uplink.{k}": {f"links.uplink.{k}": v} for k, v in LINK.items()},
    "links.shared": {"links.shared": False},
    "links.nodes.model": {"links.nodes.model": "serial"},
    "links.nodes.rate": {"links.nodes.rate": "3 Mbit/s"},
    "links.nodes.rates": {"links.nodes": {"model": "pairwise", "rates": PAIRS}},
    "links.nodes.latency": {"links.nodes.latency": "3 s"},
    "links.nodes.duplex": {"links.nodes.duplex": "half"},
    "servers[].compute": {"servers.0.compute": "20 GFLOP/s"},
    "servers[].machine": {"servers.0.machine": "VM", "servers.0.compute": None},
    "servers[].machine_model": {"servers.0.machine_model": MACHINE, "servers.0.compute": None},
    "servers[].memory": {"servers.0.memory": "1 MB"},
    "servers[].price_per_hour": {"servers.0.price_per_hour": 3.0},
    **{
        f"servers[].links.{way}.{k}": {f"servers.0.links.{way}.{k}": v}
        for way in ("downlink", "uplink")
        for k, v in LINK.items()
    },
    "servers[].seats": {"servers.0.seats": 3},
    **{
        f"devices[].servers.{way}.{k}": {"devices.0.servers": {"edge": {way: {k: v}}}}
        for way in ("downlink", "uplink")
        for k, v in LINK.items()
    },
    "devices[].frequency.min": {"devices.0.frequency": {"min": 0.5}},
    "devices[].frequency.max": {"devices.0.frequency": {"min": 0.5, "max": 2}},
    "devices[].frequency.steps": {"devices.0.frequency": {"min": 0.5, "steps": 5}},
    "energy.limit_joule": {"energy": {"limit_joule": 100}},
    "energy.device_limit_joule": {"energy": {"device_limit_joule": 100}},
    "energy.carbon_grams_per_kwh": {"energy": {"carbon_grams_per_kwh": [300]}},
    "energy.hour": {"energy": {"carbon_grams_per_kwh": [300], "hour": 5}},
    "energy.carbon_limit_grams": {
        "energy": {"carbon_grams_per_kwh": [300], "carbon_limit_grams": 1}
    },
    "precision.up": {"precision": {"up": [32, 8]}},
    "precision.down": {"precision": {"down": [16]}},
    "precision.up_distortion": {"precision": {"up": [8], "up_distortion": [1]}},
    "precision.down_distortion": {"precision": {"down": [8], "down_distortion": [1]}},
    "precision.limit": {"precision": {"up": [8], "up_distortion": [1], "limit": 1}},
    "adapters.rank": {"adapters": {"rank": [2, 4]}},
    "adapters.quality": {"adapters": {"rank": [2, 4], "quality": [1, 2]}},
    "adapters.least_total": {"adapters": {"rank": [2, 4], "least_total": 10}},
    "adapters.device_least": {"adapters": {"rank": [2, 4], "device_least": 4}},
    "precision.device_limit": {"precision": {"up": [8], "up_distortion": [1], "device_limit": 0}},
    "nodes[].compute": {"nodes.0.compute": "50 GFLOP/s"},
    "nodes[].machine": {"nodes.0.machine": "VM", "nodes.0.compute": None},
    "nodes[].machine_model": {"nodes.0.machine_model": MACHINE, "nodes.0.compute": None},
    "nodes[].memory": {"nodes.1.memory": "70 MB"},
    "nodes[].count": {"nodes.0.count": 2},
    "nodes[].slowdown": {"nodes.0.slowdown": 2.0},
    "nodes[].price_per_hour": {"nodes.0.price_per_hour": 1.0},
    "nodes[].rate": {"nodes.0.rate": "1 Mbit/s"},
    "pipeline.first_cut": {"pipeline.first_cut": 3},
    "pipeline.last_cut": {"pipeline.last_cut": 7},
    "pipeline.order": {"pipeline.order": "given"},
    "pipeline.use_all_nodes": {"pipeline.use_all_nodes": False, "nodes.0.compute": "1 MFLOP/s"},
    "pipeline.memory": {"pipeline.memory": "adam"},
    "pipeline.boundaries": {"pipeline.boundaries": "cuts"},
    "training.epochs": {"training.epochs": 5},
    "training.rounds": {"training.rounds": 9},
    "training.batch_size": {"training.batch_size": [5, 6]},
    "training.server_order": {"training.server_order": "batch"},
    "privacy.leakage_limit": {"privacy.leakage_limit": 0.1},
    "privacy.per_sample_gradients": {"privacy.per_sample_gradients": True},
    "tradeoff.seconds_per_joule": {"tradeoff.seconds_per_joule": 7.0},
    "robust.slow.devices": {"robust.slow": {"devices": 1, "compute": 2}},
    "robust.slow.compute": {"robust.slow": {"devices": 2, "compute": 3}},
    "robust.slow.links": {"robust.slow": {"devices": 2, "links": 3}},
    "robust.quorum": {"robust.quorum": 3},
    "spectrum.subcarriers": {"spectrum.subcarriers": 11},
    "spectrum.bandwidth": {"spectrum.bandwidth": "2 MHz"},
    "spectrum.fading": {"spectrum.fading": "rayleigh"},
    "spectrum.device_model_over_full_band": {"spectrum.device_model_over_full_band": True},
    "clusters.size": {"clusters.size": 4},
    "clusters.sizes": {"clusters.sizes": [1, 3], "clusters.size": None},
    "clusters.cut": {"clusters.cut": 5},
    "clusters.cut_per_cluster": {"clusters.cut_per_cluster": True, "clusters.cut": "auto"},
    "clusters.gradient_batch_factor": {"clusters.gradient_batch_factor": "literal"},
    "distributions.samples": {"distributions.samples": 7},
    "distributions.seed": {"distributions.seed": 5},
    "distributions.compute.kind": {
        "distributions.compute": {"kind": "lognormal", "std_relative": 0.2}
    },
    "distributions.compute.mean": {"distributions.compute.mean": "3 GFLOP/s"},
    "distributions.compute.std": {
        "distributions.compute": {"kind": "normal", "std": "0.1 GFLOP/s", "low": "0.5 GFLOP/s"}
    },
    "distributions.compute.std_relative": {"distributions.compute.std_relative": 0.1},
    "distributions.compute.low": {"distributions.compute.low": "1.9 GFLOP/s"},
    "distributions.compute.high": {"distributions.compute.high": "9.1 GFLOP/s"},
    "distributions.compute.outside": {
        "distributions.compute.outside": "clip",
        "distributions.compute.low": "1.9 GFLOP/s",
    },
    "distributions.compute.values": {
        "distributions.compute": {"kind": "empirical", "values": ["1 GFLOP/s", "2 GFLOP/s"]}
    },
    "distributions.snr.kind": {"distributions.snr": {"kind": "uniform", "low_db": 3, "high_db": 9}},
    "distributions.snr.mean_db": {"distributions.snr.mean_db": 11},
    "distributions.snr.std_db": {"distributions.snr.std_db": 4},
    "distributions.snr.low_db": {"distributions.snr.low_db": 19},
    "distributions.snr.high_db": {"distributions.snr.high_db": 21},
    "distributions.snr.outside": {
        "distributions.snr.outside": "clip",
        "distributions.snr.low_db": 19,
    },
    "distributions.snr.values_db": {
        "distributions.snr": {"kind": "empirical", "values_db": [10, 20]}
    },
    "distributions.trace.devices": {
        "distributions": {"trace": {"devices": ["other"], "compute_flop_per_s": [[2e9]]}}
    },
    "distributions.trace.compute_flop_per_s": {
        "distributions": {"samples": 4, "trace": {**TRACE, "compute_flop_per_s": SPEEDS}}
    },
    "distributions.trace.snr_db": {
        "distributions": {"samples": 4, "trace": {**TRACE, "snr_db": RATIOS}}
    },
    **{
        f"generators.{name}": {"generators": GENERATORS | {name: value}}
        for name, value in {
            "size": "2 MB",
            "classes": {"pi-1": [0, 1, 2], "pi-2": [1, 2], "pi-3": [0, 2], "nano": [0]},
            "labels": [0, 1, 2, 3],
            "generates": {"pi-1": []},
            "quality": {"pi": 0.6, "nano": 0.9},
            "route": "direct",
            "latency": "1 s",
            "cost": "bytes",
            "most_receivers": 0,
            "sources": 2,
            "redundant": True,
            "least_quality": 0.7,
            "quality_weight": 4,
        }.items()
    },
    "generators.counts": {"generators": COUNTED | {"counts": COUNTS | {"nano": [9, 9, 0]}}},
    "generators.least_samples": {"generators": COUNTED | {"least_samples": 3}},
    **{
        f"generators.training.{name}": {f"generators.training.{name}": value}
        for name, value in {
            "steps": 21,
            "critic_steps": 3,
            "batch_size": 16,
            "critic_work": "4 MFLOP",
            "generator_work": "3 MFLOP",
            "sampling_work": "3 MFLOP",
            "epochs": {"without": 9, "with": 5},
            "counted_in": "rounds",
            "target": 0.8,
            "cut": 2,
            "pretraining_epochs": 3,
            "imputed_samples": 3,
            "where": "edge",
            "edge.compute": "2 GFLOP/s",
            "edge.rate": "9 Mbit/s",
            "edge.sample_size": "2 kB",
            "edge.power": "30 W",
        }.items()
    },
    "time_to_accuracy.cuts": {  # a limit of one device is one for all where cuts are common
        "time_to_accuracy": TARGET | {"cuts": "per_device"},
        "devices.1.leakage_limit": 0.1,
    },
    "time_to_accuracy.extrapolate": {
        "time_to_accuracy": TARGET | {"extrapolate": True, "batch_size": [7, 640]}
    },
    **{
        f"time_to_accuracy.{name}": {"time_to_accuracy": TARGET | {name: value}}
        for name, value in {
            "curve": CURVE | {"rounds": 200},
            "batch_size": [2, 10],
            "aggregation_interval": [1, 10],
        }.items()
    },
    "generators.training.network": {
        "generators.training.network": "iotsl",
        "generators.training.critic_work": ABSENT,
        "generators.training.generator_work": ABSENT,
    },
}
"""Field -> what to change, by dotted places; ABSENT takes a field away."""
