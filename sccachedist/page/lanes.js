// Jobs on lanes: each build server has as many as it had jobs at a time, and a job keeps its lane. Pure.

/** A job as a bar: `end` is null while it runs. `row` is its record, or what is known of it so far. */
function barOf(row) {
  const begin = row.began ?? row.asked + (row.phases.queue_wait || 0);
  return { id: row.id, begin, end: row.ended ?? null, lane: 0, row };
}

const SLACK = 0.002; // clocks are not exact, and a slot is given on at once

export class Lanes {
  constructor() {
    this.servers = new Map(); // address → { bars: Map(id → bar), ends: [the end of the last bar of each lane] }
  }

  #server(address) {
    if (!this.servers.has(address)) this.servers.set(address, { bars: new Map(), ends: [] });
    return this.servers.get(address);
  }

  /** Take records and running jobs, in any order; those that are known are brought up to date. */
  take(rows) {
    const bars = rows.filter((row) => row.id && row.server).map(barOf).sort((a, b) => a.begin - b.begin);
    for (const bar of bars) {
      const server = this.#server(bar.row.server), known = server.bars.get(bar.id);
      if (known) {
        if (known.end !== null && bar.end === null) continue; // it is over: that it ran was told later
        Object.assign(known, { end: bar.end, row: bar.row });
        server.ends[known.lane] = Math.max(bar.end ?? Infinity, this.#last(server, known.lane, known));
        continue;
      }
      const free = server.ends.findIndex((end) => end <= bar.begin + SLACK);
      bar.lane = free < 0 ? server.ends.length : free;
      server.ends[bar.lane] = bar.end ?? Infinity;
      server.bars.set(bar.id, bar);
    }
  }

  #last(server, lane, but) {
    let last = -Infinity;
    for (const bar of server.bars.values()) {
      if (bar.lane === lane && bar !== but) last = Math.max(last, bar.end ?? Infinity);
    }
    return last;
  }

  /** These are all that run: others that seemed to are over, at the latest at this time. */
  running(ids, time) {
    for (const server of this.servers.values()) {
      for (const bar of server.bars.values()) {
        if (bar.end === null && bar.begin < time && !ids.has(bar.id)) {
          bar.end = time;
          server.ends[bar.lane] = Math.max(time, this.#last(server, bar.lane, bar));
        }
      }
    }
  }

  /** Forget what was over before a time. */
  forget(time) {
    for (const [address, server] of this.servers) {
      for (const [id, bar] of server.bars) if (bar.end !== null && bar.end < time) server.bars.delete(id);
      if (!server.bars.size) this.servers.delete(address);
      else while (server.ends.at(-1) < time) server.ends.pop();
    }
  }
}
