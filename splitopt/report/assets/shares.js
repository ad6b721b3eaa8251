/* A fleet that cuts a model and shares downlink, uplink and server: what cuts come to with the best
shares, and what prices prove about all cuts.

A device of group g that cuts at l needs w[r] seconds of resource r at the full resource, and own
seconds that nothing divides; a[r] = sqrt(w[r]). With the best shares, counts of devices by group
and cut take

  sum       |A|^2 + D                  A = sum of a, D = sum of own       (Cauchy-Schwarz)
  makespan  the T at which the largest eigenvalue of sum a a' / (T - own) is 1

and ANY prices prove what no plan can undercut, whatever numbers have changed:

  sum       |A|^2 >= p A - |p|^2/4, hence value >= sum of min_l (own + p a) - |p|^2/4
  makespan  T is too short if sum of min_l (u a)^2 / (T - own) > 1 for some u with |u| = 1

A memory that all share has a price m of its own: m use is added to each cut, m limit subtracted
from the whole. */
"use strict";

const Shares = (() => {
  const CERTAIN = 1e-11;  // relative, more than sums lose by rounding

  const times = (x, y) => x[0] * y[0] + x[1] * y[1] + x[2] * y[2];
  const filled = (size, value) => new Array(size).fill(value);
  const gapOf = (value, bound) => Math.max(0, value - bound) / Math.max(Math.abs(value), 1e-300);

  /* The fleet under changes: factors of downlink, uplink, server and of the devices of each group,
  a leakage limit, and how many devices of each group are lost. */
  function changed(data, change) {
    const size = data.cuts.length, devices = change.devices || [], lost = change.lost || [];
    const limit = change.leakage === undefined ? data.leakage_limit : change.leakage;
    const groups = data.groups.map((group, g) => {
      const factor = group.priority, speed = devices[g] || 1;
      const most = group.leakage_limit === null ? limit : group.leakage_limit;
      const made = { count: group.count - (lost[g] || 0), a: [], own: [], use: [], phases: [] };
      for (let l = 0; l < size; l++) {
        const phases = [
          data.download[g][l] / (change.downlink || 1), data.device[g][l] / speed,
          data.upload[g][l] / (change.uplink || 1), data.server[g][l] / (change.server || 1)];
        const [down, device, up, server] = phases;
        const allowed = group.fits[l] && (most === null || data.leakage[l] <= most);
        const alone = data.shared_links ? device : device + down + up;
        const spent = data.seconds_per_joule === null ? 0 : data.seconds_per_joule
          * (group.device_w * device + group.radio_w * up);
        const shared = data.shared_links ? [down, up, server] : [0, 0, server];
        made.a.push(shared.map(w => Math.sqrt(factor * w)));
        made.own.push(allowed ? factor * alone + spent : Infinity);
        made.use.push(data.budget === null ? 0 : data.budget.use[g][l]);
        made.phases.push(phases);
      }
      return made;
    });
    return {
      groups, size, makespan: data.objective === "makespan", shared: data.shared_links,
      priority: data.groups.map(group => group.priority),
      limit: data.budget === null ? Infinity : data.budget.limit * (1 + 1e-9),
    };
  }

  /* Calls visit(group, cut, devices) for all devices of counts, or of one chosen cut a group. */
  function each(fleet, counts, visit) {
    fleet.groups.forEach((group, g) => {
      if (group.count === 0) return;
      if (typeof counts[g] === "number") return visit(group, counts[g], group.count, g);
      for (let l = 0; l < fleet.size; l++) if (counts[g][l] > 0) visit(group, l, counts[g][l], g);
    });
  }

  function used(fleet, counts) {
    let sum = 0;
    each(fleet, counts, (group, l, many) => { sum += many * group.use[l]; });
    return sum;
  }
  const fits = (fleet, use) => use <= fleet.limit;

  const dense = (fleet, choice) => fleet.groups.map((group, g) => {
    const row = filled(fleet.size, 0);
    row[choice[g]] = group.count;
    return row;
  });

  /* The cut of least cost for each group, and what all of them cost together. */
  function cheapest(fleet, cost) {
    let sum = 0;
    const choice = fleet.groups.map(group => {
      if (group.count === 0) return 0;
      let best = 0, least = Infinity;
      for (let l = 0; l < fleet.size; l++) {
        const now = cost(group, l);
        if (now < least) { least = now; best = l; }
      }
      sum += group.count * least;
      return best;
    });
    return { choice, sum };
  }

  /* Eigenvalue and vector: the largest of a symmetric matrix (xx, yy, zz, xy, xz, yz), by Jacobi. */
  function principal(m) {
    const s = [[m[0], m[3], m[4]], [m[3], m[1], m[5]], [m[4], m[5], m[2]]];
    const v = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    for (let turn = 0; turn < 30; turn++) {
      const off = Math.abs(s[0][1]) + Math.abs(s[0][2]) + Math.abs(s[1][2]);
      if (!(off > 1e-17 * (Math.abs(s[0][0]) + Math.abs(s[1][1]) + Math.abs(s[2][2])))) break;
      for (const [i, j] of [[0, 1], [0, 2], [1, 2]]) {
        if (s[i][j] === 0) continue;
        const ratio = (s[j][j] - s[i][i]) / (2 * s[i][j]);
        const t = (ratio >= 0 ? 1 : -1) / (Math.abs(ratio) + Math.hypot(1, ratio));
        const c = 1 / Math.hypot(1, t), d = t * c;
        for (const rows of [s, v]) {
          for (const row of rows) [row[i], row[j]] = [c * row[i] - d * row[j], d * row[i] + c * row[j]];
        }
        [s[i], s[j]] = [s[i].map((x, k) => c * x - d * s[j][k]), s[j].map((x, k) => d * s[i][k] + c * x)];
      }
    }
    const i = s[0][0] >= s[1][1] ? (s[0][0] >= s[2][2] ? 0 : 2) : (s[1][1] >= s[2][2] ? 1 : 2);
    return { value: s[i][i], vector: v.map(row => Math.abs(row[i])) };
  }

  function addOuter(m, a, factor) {
    m[0] += factor * a[0] * a[0]; m[1] += factor * a[1] * a[1]; m[2] += factor * a[2] * a[2];
    m[3] += factor * a[0] * a[1]; m[4] += factor * a[0] * a[2]; m[5] += factor * a[1] * a[2];
  }
  const busy = a => a[0] > 0 || a[1] > 0 || a[2] > 0;
  const plus = (x, y, t) => x.map((one, i) => one + t * y[i]);

  /* ---- the sum of latencies: loads are A and D ---- */
  const SUM = {
    load(fleet, counts) {
      const load = [0, 0, 0, 0];
      each(fleet, counts, (group, l, many) => {
        for (let r = 0; r < 3; r++) load[r] += many * group.a[l][r];
        load[3] += many * group.own[l];
      });
      return load;
    },
    value: (fleet, counts) => SUM.measure(SUM.load(fleet, counts)),
    measure: load => times(load, load) + load[3],
    prices: load => [2 * load[0], 2 * load[1], 2 * load[2]],
    slope: (p, load) => times(p, load) + load[3],
    /* What each cut costs at prices p, and m of the memory, and all cuts of a plan of a value. */
    costs: (fleet, p, m) => ({
      of: (group, l) => group.own[l] + times(p, group.a[l]) + m * group.use[l],
      most: value => value + times(p, p) / 4 + (m > 0 ? m * fleet.limit : 0),
    }),
    /* What prices prove, and the cheapest cuts there. */
    prove(fleet, p, m) {
      const costs = SUM.costs(fleet, p, m), { choice, sum } = cheapest(fleet, costs.of), off = costs.most(0);
      return { choice, bound: sum - off - CERTAIN * (sum + off) };
    },
    /* How far to go from one load towards another; least where the derivative is 0. */
    step(load, change, m, use, most) {
      const square = times(change, change), slope = 2 * times(load, change) + change[3] + m * use;
      return slope >= 0 ? 0 : square > 0 ? Math.min(most, -slope / (2 * square)) : most;
    },
    state: (fleet, counts) => ({ load: SUM.load(fleet, counts) }),
    moved(state, group, from, to) {
      const change = [...plus(group.a[to], group.a[from], -1), group.own[to] - group.own[from]];
      const slope = 2 * times(state.load, change) + change[3], square = times(change, change);
      return { change, first: slope, gain: k => k * (slope + k * square),
        best: square > 0 ? -slope / (2 * square) : Infinity };
    },
    least: state => 1e-13 * (SUM.measure(state.load)),
  };

  /* ---- the makespan: loads are matrices at a deadline T ---- */
  const MAKESPAN = {
    matrix(fleet, counts, T) {
      const m = [0, 0, 0, 0, 0, 0];
      each(fleet, counts, (group, l, many) => {
        const left = T - group.own[l];
        if (busy(group.a[l])) addOuter(m, group.a[l], left > 0 ? many / left : Infinity);
      });
      return m;
    },
    /* The matrix, with an infinite entry where a device that needs nothing shared is late too. */
    load(fleet, counts, T) {
      const m = MAKESPAN.matrix(fleet, counts, T);
      each(fleet, counts, (group, l) => { if (group.own[l] > T) m[0] = Infinity; });
      return m;
    },
    value(fleet, counts) {
      let T = 0, idle = 0, working = false;
      each(fleet, counts, (group, l) => {
        if (!busy(group.a[l])) { idle = Math.max(idle, group.own[l]); return; }
        working = true;
        // what it takes alone, above its own seconds even where rounding hides that
        T = Math.max(T, group.own[l] + times(group.a[l], group.a[l]), group.own[l] * (1 + 3e-16));
      });
      for (let turn = 0; working && turn < 200; turn++) {  // Newton on 1/eigenvalue from the left
        const { value, vector } = principal(MAKESPAN.matrix(fleet, counts, T));
        let slope = 0;
        each(fleet, counts, (group, l, many) => {
          if (busy(group.a[l])) slope += many * (times(vector, group.a[l]) / (T - group.own[l])) ** 2;
        });
        const next = T + (value - 1) * value / slope;
        if (!(next > T * (1 + 1e-15))) break;
        T = next;
      }
      return Math.max(T, idle);
    },
    measure: load => principal(load).value,
    prices: load => principal(load).vector,
    slope: (u, m) => m[0] * u[0] ** 2 + m[1] * u[1] ** 2 + m[2] * u[2] ** 2
      + 2 * (m[3] * u[0] * u[1] + m[4] * u[0] * u[2] + m[5] * u[1] * u[2]),
    costs: (fleet, u, m, T) => ({
      of: (group, l) => {
        const work = times(u, group.a[l]) ** 2, left = T - group.own[l];
        if (left <= 0) return left === 0 && work === 0 ? m * group.use[l] : Infinity;
        return work / left + m * group.use[l];
      },
      most: () => 1 + (m > 0 ? m * fleet.limit : 0),
    }),
    /* The longest T between low and high that prices u, and m, show to be too short. */
    prove(fleet, u, m, low, high) {
      const at = T => {
        const { choice, sum } = cheapest(fleet, MAKESPAN.costs(fleet, u, m, T).of);
        return { choice, cost: m > 0 ? sum - m * fleet.limit - CERTAIN * (sum + m * fleet.limit) : sum };
      };
      const first = at(low);
      if (!(first.cost > 1 + CERTAIN)) return { choice: first.choice, bound: low };
      const height = cost => 1 - 1 / cost;  // nearly straight where the cost is of 1/(T - own)
      let choice = at(high).choice, above = height(first.cost), below = height(1), same = 0;
      for (let turn = 0; turn < 80 && high - low > 1e-11 * high; turn++) {
        let T = low + (high - low) * above / (above - below);  // regula falsi, the Illinois way
        if (!(T > low && T < high) || turn % 4 === 3) T = (low + high) / 2;
        const found = at(T);
        if (found.cost > 1 + CERTAIN) {
          low = T; above = height(found.cost);
          if (Number.isFinite(found.cost)) choice = found.choice;
          if (same++ > 0) below /= 2;
        } else {
          high = T; below = Math.min(height(found.cost), -1e-300); choice = found.choice;
          if (same-- < 0) above /= 2;
        }
      }
      return { choice, bound: low * (1 - CERTAIN) };
    },
    step(load, change, m, use, most) {
      let low = 0, high = most;
      const at = t => principal(plus(load, change, t)).value + m * use * t;
      for (let turn = 0; turn < 40; turn++) {  // convex in t
        const third = (high - low) / 3;
        if (at(low + third) <= at(high - third)) high -= third; else low += third;
      }
      const t = at(most) <= at((low + high) / 2) ? most : (low + high) / 2;
      return at(t) < at(0) ? t : 0;
    },
    state(fleet, counts) {
      const T = MAKESPAN.value(fleet, counts), load = MAKESPAN.load(fleet, counts, T);
      return { T, load, ...principal(load) };
    },
    moved(state, group, from, to) {
      const change = [0, 0, 0, 0, 0, 0], { T, load, value, vector } = state;
      if (!(group.own[to] < T)) return { first: 0 };
      addOuter(change, group.a[to], 1 / (T - group.own[to]));
      if (group.own[from] < T) addOuter(change, group.a[from], -1 / (T - group.own[from]));
      else {  // an idle device that is last by itself: anything that keeps the others in time helps
        const spare = k => (principal(plus(load, change, k)).value < 1 ? -1 : 1);
        return { change, first: -1, gain: spare, best: Infinity };
      }
      const gain = k => principal(plus(load, change, k)).value - value;
      return { change, first: MAKESPAN.slope(vector, change), gain, best: null };
    },
    least: () => 1e-13,
  };

  /* What every device of each group and cut gets and how long its round is. */
  function parts(fleet, counts) {
    const rows = [], kind = fleet.makespan ? MAKESPAN : SUM;
    each(fleet, counts, (group, l, many, g) => rows.push({ group: g, cut: l, devices: many,
      a: group.a[l], own: group.own[l], phases: group.phases[l], share: [0, 0, 0] }));
    const blocks = fleet.makespan ? linked(rows) : [[0, 1, 2]];
    const T = fleet.makespan ? kind.value(fleet, counts) : 0;
    for (const block of blocks) {
      const inside = a => a.map((x, r) => (block.includes(r) ? x : 0));
      const m = [0, 0, 0, 0, 0, 0];
      for (const row of rows) if (fleet.makespan && busy(inside(row.a))) addOuter(m, inside(row.a), row.devices / (T - row.own));
      const u = principal(m).vector;
      for (const r of block) {
        const part = row => (fleet.makespan
          ? (row.a[r] > 0 ? row.a[r] * times(u, inside(row.a)) / (T - row.own) : 0) : row.a[r]);
        const sum = rows.reduce((all, row) => all + row.devices * part(row), 0) * (1 + 1e-15);
        for (const row of rows) row.share[r] = sum > 0 ? part(row) / sum : 0;
      }
    }
    return rows.map(({ group, cut, devices, share, phases }) => {
      const over = (seconds, r) => (seconds > 0 ? seconds / share[r] : 0);
      const [down, device, up, server] = phases;
      const seconds = [fleet.shared ? over(down, 0) : down, device,
        fleet.shared ? over(up, 1) : up, over(server, 2)];
      return { group, cut, devices, share, seconds, round: seconds.reduce((a, b) => a + b) };
    });
  }

  /* Resources that devices link, each group of them with prices of its own. */
  function linked(rows) {
    const label = [0, 1, 2];
    for (const row of rows) {
      const used = [0, 1, 2].filter(r => row.a[r] > 0);
      for (const r of used) {
        const [old, now] = [label[r], label[used[0]]];
        label.forEach((one, i) => { if (one === old) label[i] = now; });
      }
    }
    return [...new Set(label)].map(one => [0, 1, 2].filter(r => label[r] === one));
  }

  return { CERTAIN, SUM, MAKESPAN, changed, each, used, fits, dense, cheapest, principal, times, plus, gapOf, filled, parts };
})();
if (typeof module !== "undefined") module.exports = Shares;
