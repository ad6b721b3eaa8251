/* Plans a changed fleet anew (see shares.js), with the gap proved: good prices are those of a mixture of
cheapest cuts (simplicial decomposition), good plans are found by moving devices from cut to cut, and
what prices cannot tell apart is tried out. */
"use strict";

const Replan = ((shares) => {
  const { CERTAIN, SUM, MAKESPAN, each, used, fits, dense, cheapest, principal, times, plus, gapOf, filled } = shares;
  const GOAL = 1e-9;        // a smaller gap is none
  const PASSES = 60;
  const SWEEPS = 30;
  const TRIED = 200000;     // groups that trying out places, at most

  /* How many devices to move from cut to cut, at most `most`: the best whole number. */
  function bestMany(move, most) {
    if (most < 1 || !(move.first < 0)) return 0;
    if (most === 1) return 1;
    if (move.best !== null) return Math.min(most, Math.max(1, Math.round(move.best)));
    let low = 1, high = most;
    while (low < high) {  // convex
      const middle = Math.floor((low + high) / 2);
      if (move.gain(middle) <= move.gain(middle + 1)) high = middle; else low = middle + 1;
    }
    return low;
  }

  /* Moves devices from cut to cut while that shortens the objective; the counts are changed. */
  function improve(fleet, kind, counts) {
    let use = used(fleet, counts);
    for (let sweep = 0; sweep < SWEEPS; sweep++) {
      const state = kind.state(fleet, counts);
      let changes = 0;
      fleet.groups.forEach((group, g) => {
        for (let from = 0; from < fleet.size; from++) {
          if (!(counts[g][from] > 0)) continue;
          let best = null;
          for (let to = 0; to < fleet.size; to++) {
            if (to === from || group.own[to] === Infinity) continue;
            const move = kind.moved(state, group, from, to), more = group.use[to] - group.use[from];
            const room = more > 0 ? Math.floor((fleet.limit - use) / more) : Infinity;
            const many = bestMany(move, Math.min(counts[g][from], room));
            const gain = many ? move.gain(many) : 0;
            if (gain < -kind.least(state) && (best === null || gain < best.gain)) {
              best = { gain, many, to, more, change: move.change };
            }
          }
          if (best === null) continue;
          counts[g][from] -= best.many; counts[g][best.to] += best.many;
          use += best.many * best.more;
          state.load = plus(state.load, best.change, best.many);
          if (state.T) Object.assign(state, principal(state.load));
          changes++;
        }
      });
      if (!changes) break;
    }
    return counts;
  }

  /* Takes devices of cuts that need much memory to others until all fits; null if that fails. */
  function withinMemory(fleet, counts, p) {
    let use = used(fleet, counts);
    const cost = (group, l) => group.own[l] + times(p, group.a[l]);
    while (!fits(fleet, use)) {
      let best = null;
      each(fleet, counts, (group, from, many, g) => {
        for (let to = 0; to < fleet.size; to++) {
          const less = group.use[from] - group.use[to];
          if (group.own[to] === Infinity || !(less > 0)) continue;
          const price = (cost(group, to) - cost(group, from)) / less;
          if (best === null || price < best.price) best = { price, g, from, to, less, many };
        }
      });
      if (best === null) return null;
      const moved = Math.min(best.many, Math.ceil((use - fleet.limit) / best.less));
      counts[best.g][best.from] -= moved; counts[best.g][best.to] += moved;
      use -= moved * best.less;
    }
    return counts;
  }

  /* Whole numbers of devices near the mixture of columns. */
  function rounded(fleet, columns) {
    return fleet.groups.map((group, g) => {
      const row = filled(fleet.size, 0);
      for (const column of columns) {
        const counts = column.counts[g];
        if (typeof counts === "number") row[counts] += column.weight * group.count;
        else counts.forEach((many, l) => { row[l] += column.weight * many; });
      }
      const whole = row.map(Math.floor), missing = group.count - whole.reduce((a, b) => a + b, 0);
      const order = row.map((_, l) => l).sort((i, j) => (row[j] - whole[j]) - (row[i] - whole[i]));
      for (let i = 0; i < missing; i++) whole[order[i % order.length]] += 1;
      return whole;
    });
  }

  /* Weights of the columns whose mixture is least: from the dearest to the cheapest, pair by pair. */
  function remix(kind, columns, m) {
    let load = columns.reduce((sum, c) => plus(sum, c.load, c.weight), filled(columns[0].load.length, 0));
    for (let turn = 0; turn < 200; turn++) {
      const p = kind.prices(load), cost = columns.map(c => kind.slope(p, c.load) + m * c.use);
      let cheap = 0, dear = -1;
      columns.forEach((c, j) => {
        if (cost[j] < cost[cheap]) cheap = j;
        if (c.weight > 0 && (dear < 0 || cost[j] > cost[dear])) dear = j;
      });
      if (!(cost[dear] - cost[cheap] > 1e-13 * Math.abs(cost[dear]))) break;
      const change = plus(columns[cheap].load, columns[dear].load, -1);
      const use = columns[cheap].use - columns[dear].use;
      const t = kind.step(load, change, m, use, columns[dear].weight);
      if (!(t > 0)) break;
      columns[cheap].weight += t;
      columns[dear].weight = t >= columns[dear].weight ? 0 : columns[dear].weight - t;
      load = plus(load, change, t);
    }
    return load;
  }

  /* One run: the best plan and the best bound so far. */
  class Search {
    constructor(fleet) {
      this.fleet = fleet;
      this.kind = fleet.makespan ? MAKESPAN : SUM;
      this.value = Infinity; this.bound = 0; this.counts = null; this.passes = 0;
      this.best = null;  // the prices that prove most
    }
    closed() { return gapOf(this.value, this.bound) <= GOAL; }

    propose(counts, p) {
      counts = withinMemory(this.fleet, counts, p);
      if (counts === null) return;
      improve(this.fleet, this.kind, counts);
      const value = this.kind.value(this.fleet, counts);
      if (value < this.value) { this.value = value; this.counts = counts; }
    }

    price(p, m) {
      const found = this.kind.prove(this.fleet, p, m, this.bound, this.value);
      this.passes++;
      if (found.bound > this.bound || this.best === null) this.best = { p, m };
      if (found.bound > this.bound) this.bound = found.bound;
      return found.choice;
    }

    column(counts, weight) {
      return { counts, weight, load: this.kind.load(this.fleet, counts, this.deadline()), use: used(this.fleet, counts) };
    }
    deadline() { return this.bound > 0 ? this.bound : this.value; }

    /* Passes at one price of the memory; returns what the mixture uses of it. */
    passesAt(m, most) {
      for (let pass = 0; pass < most && !this.closed(); pass++) {
        if (this.fleet.makespan) this.reload();
        const load = remix(this.kind, this.columns, m), p = this.kind.prices(load);
        const before = this.bound, choice = this.price(p, m);
        const known = this.columns.some(c => c.counts.every((row, g) => row === choice[g]));
        if (known && this.bound <= before * (1 + 1e-10)) break;
        if (!known) this.columns.push(this.column(choice, 0));
        if (pass < 3 || pass % 5 === 0) this.propose(dense(this.fleet, choice), p);
        this.columns = this.columns.filter((c, j) => c.weight > 0 || j >= this.columns.length - 40);
      }
      return this.columns.reduce((sum, c) => sum + c.weight * c.use, 0);
    }

    /* The loads at the deadline that has been reached; cuts that are too slow for it drop out. */
    reload() {
      for (const column of this.columns) {
        column.load = this.kind.load(this.fleet, column.counts, this.deadline());
        column.bad = !column.load.every(Number.isFinite);
      }
      const good = this.columns.filter(c => !c.bad);
      const sum = good.reduce((all, c) => all + c.weight, 0);
      if (!good.length) { this.columns = [this.column(this.quick(), 1)]; return; }
      good.forEach((c, j) => { c.weight = sum > 0 ? c.weight / sum : (j ? 0 : 1); });
      this.columns = good;
    }
    /* Each group's cut that is fastest alone: it is in time for every deadline that is possible. */
    quick() {
      return cheapest(this.fleet, (group, l) => group.own[l] + times(group.a[l], group.a[l])).choice;
    }

    run(start) {
      const { fleet } = this, ones = [1, 1, 1];
      if (start) this.propose(start, ones);
      this.propose(dense(fleet, this.quick()), ones);
      if (this.counts === null) return;
      this.bound = fleet.makespan ? this.alone() : 0;
      this.columns = [this.column(this.counts.map(row => row.slice()), 1)];
      let use = this.passesAt(0, PASSES);
      if (!fits(fleet, use)) {
        let low = 0, high = this.value / fleet.limit / (fleet.makespan ? this.value : 1);
        for (let turn = 0; turn < 60 && !fits(fleet, this.passesAt(high, 8)); turn++) { low = high; high *= 4; }
        for (let turn = 0; turn < 24 && !this.closed(); turn++) {
          const m = low > 0 ? Math.sqrt(low * high) : high / 4;
          if (fits(fleet, this.passesAt(m, 8))) high = m; else low = m;
        }
      }
      if (!this.closed()) this.propose(rounded(fleet, this.columns), ones);
      if (!this.closed() && this.best !== null && this.tryOut()) this.bound = this.value * (1 - CERTAIN);
    }

    /* Tries out all counts that the prices leave, depth first; whether all of them were tried.
    At the prices every plan costs at least the sum of what its devices cost: counts of some groups
    that cost too much, with the least of the others, are in no plan that is better. */
    tryOut() {
      const { fleet, kind } = this, { p, m } = this.best;
      const groups = fleet.groups.map((group, g) => ({ group, g })).filter(one => one.group.count > 0);
      const T = this.value, priced = kind.costs(fleet, p, m, T), most = priced.most(T) * (1 + CERTAIN);
      const cost = groups.map(({ group }) => group.own.map((_, l) => priced.of(group, l)));
      const least = cost.map((row, i) => groups[i].group.count * Math.min(...row));
      const after = filled(groups.length + 1, 0);
      for (let i = groups.length - 1; i >= 0; i--) after[i] = after[i + 1] + least[i];
      const counts = fleet.groups.map(() => filled(fleet.size, 0));
      const order = cost.map(row => row.map((_, l) => l).filter(l => Number.isFinite(row[l]))
        .sort((k, l) => row[k] - row[l]));
      let tried = 0;
      const leaf = () => {
        if (!fits(fleet, used(fleet, counts))) return;
        if (fleet.makespan && !(principal(kind.load(fleet, counts, T)).value < 1)) return;
        const value = kind.value(fleet, counts);
        if (value < this.value) { this.value = value; this.counts = counts.map(row => row.slice()); }
      };
      const place = (i, rank, left, spent) => {
        if (++tried > TRIED) return;
        if (left === 0) {
          if (i + 1 === groups.length) leaf();
          else place(i + 1, 0, groups[i + 1].group.count, spent);
          return;
        }
        const l = order[i][rank], last = rank + 1 === order[i].length;
        if (spent + left * cost[i][l] + after[i + 1] > most) return;  // later cuts cost more
        for (let many = left; many >= (last ? left : 0) && tried <= TRIED; many--) {
          counts[groups[i].g][l] = many;
          if (many === left) place(i, rank, 0, spent + many * cost[i][l]);
          else place(i, rank + 1, left - many, spent + many * cost[i][l]);
        }
        counts[groups[i].g][l] = 0;
      };
      place(0, 0, groups[0].group.count, 0);
      return tried <= TRIED;
    }
    alone() {
      let most = 0;
      for (const group of this.fleet.groups) {
        if (group.count === 0) continue;
        most = Math.max(most, Math.min(...group.own.map((own, l) => own + times(group.a[l], group.a[l]))));
      }
      return most * (1 - CERTAIN);
    }
  }

  /* The best plan that is found for a changed fleet, with a bound that holds for every plan.
  `start` is a table of devices by group and cut, such as that of the plan. */
  function solve(fleet, start) {
    const stuck = fleet.groups.flatMap((group, g) =>
      group.count > 0 && group.own.every(own => own === Infinity) ? [g] : []);
    if (stuck.length) return { outcome: "infeasible", why: "cuts", stuck };
    if (fleet.groups.every(group => group.count === 0)) return { outcome: "infeasible", why: "devices" };
    const least = cheapest(fleet, (group, l) => (group.own[l] === Infinity ? Infinity : group.use[l])).sum;
    if (fleet.limit < Infinity && !fits(fleet, least)) return { outcome: "infeasible", why: "memory", least };
    const search = new Search(fleet);
    search.run(start ? kept(fleet, start) : null);
    if (search.counts === null) return { outcome: "no_solution" };
    const { value, bound, counts, passes } = search, gap = gapOf(value, bound);
    return { outcome: gap <= GOAL ? "optimal" : "feasible", value, bound, gap, counts, passes };
  }

  /* A start for a changed fleet: devices that are lost go, cuts that are not allowed are left. */
  function kept(fleet, start) {
    return fleet.groups.map((group, g) => {
      const row = start[g].slice();
      let over = row.reduce((a, b) => a + b, 0) - group.count, best = 0;
      group.own.forEach((own, l) => {
        const alone = own + times(group.a[l], group.a[l]);
        if (alone < group.own[best] + times(group.a[best], group.a[best])) best = l;
        const gone = Math.min(over, row[l]);
        row[l] -= gone; over -= gone;
      });
      row.forEach((many, l) => {
        if (many > 0 && group.own[l] === Infinity) { row[l] = 0; row[best] += many; }
      });
      return row;
    });
  }

  const value = (fleet, counts) => (fleet.makespan ? MAKESPAN : SUM).value(fleet, counts);

  return { changed: shares.changed, parts: shares.parts, solve, value };
})(typeof Shares === "undefined" ? require("./shares.js") : Shares);
if (typeof module !== "undefined") module.exports = Replan;
