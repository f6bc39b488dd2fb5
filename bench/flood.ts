// floodQueries, floodValidP99Ratio: 10,000 invalid tokens a second, half of them not ours at all, half with a wrong
// checksum. None may reach the database (a proxy in front of it counts lookups), and who asks about good ones
// meanwhile must not wait much longer.
import { setTimeout as wait } from 'node:timers/promises'
import { startProxy } from '../test/faults/proxy.ts'
import { introspectionTarget } from './introspection.ts'
import type { Generator } from './lib/generator.ts'
import type { Target } from './lib/load.ts'
import { secretOf } from './lib/population.ts'
import { type Figure, percentile } from './lib/statistics.ts'
import { active, remember, type World } from './lib/world.ts'

const invalidPerSecond = 10_000
const validPerSecond = 500
const tokens = 1_000
/** The name of the prepared query of src/verify/lookup.ts: it stands in every message that runs it. */
const lookup = Buffer.from('facts by digest')

export async function flood(
  generator: Generator,
  world: World,
  slices: number,
  sliceMs: number,
): Promise<{ floodQueries: Figure; floodValidP99Ratio: Figure }> {
  let lookups = 0
  const upstream = new URL(world.databaseUrl)
  const proxy = await startProxy({
    host: upstream.hostname,
    port: Number(upstream.port),
    onClientData: (_connection, bytes) => {
      for (let at = bytes.indexOf(lookup); at >= 0; at = bytes.indexOf(lookup, at + 1)) lookups += 1
    },
  })
  // Pinned away from the load, which never sleeps: woken on that core, it would wait for its turn, and be the slower for it.
  const replica = await world.replica({ env: { DATABASE_URL: proxy.through(world.databaseUrl) } })
  try {
    await remember(replica, world, tokens)
    // It remembers all there are, so only one that was never made is looked up.
    await active(world, replica, secretOf(world.tokens))
    if (lookups === 0) throw new Error('The proxy sees no lookups: has the query been renamed?')
    const target = introspectionTarget(replica.port, world.basic, tokens)
    const valid: Target = { ...target, name: 'valid', rate: validPerSecond }
    const invalid = (['malformed', 'checksum'] as const).map(
      (kind): Target => ({
        ...target,
        name: kind,
        rate: invalidPerSecond / 2,
        tokens: { kind, sample: 10_000 },
        expect: '{"active":false}',
      }),
    )
    // What is compiled on the way.
    await generator.start([valid, ...invalid])
    await wait(sliceMs * 2)
    await generator.stop()
    lookups = 0
    // One p99 of all slices together: of a slice it is the fifth worst answer, and a single pause of the machine decides.
    const quiet: number[] = []
    const flooded: number[] = []
    const quietAgain: number[] = []
    const ratios: number[] = []
    let sent = 0
    let took = 0
    for (let slice = 0; slice < slices; slice++) {
      const before = await latencies(generator, [valid], sliceMs)
      const meanwhile = await latencies(generator, [valid, ...invalid], sliceMs)
      const after = await latencies(generator, [valid], sliceMs)
      quiet.push(...before.valid)
      flooded.push(...meanwhile.valid)
      quietAgain.push(...after.valid)
      ratios.push(p99(meanwhile.valid) / p99([...before.valid, ...after.valid]))
      sent += meanwhile.invalid
      took += meanwhile.ms
    }
    const rate = Math.round((sent * 1000) / took)
    const short = rate < invalidPerSecond * 0.9 ? `; the machine had no room for ${invalidPerSecond}` : ''
    const all = p99([...quiet, ...quietAgain])
    return {
      floodQueries: { value: lookups, n: sent, note: `${sent} invalid tokens, ${rate} a second${short}` },
      floodValidP99Ratio: {
        value: p99(flooded) / all,
        spread: [Math.min(...ratios), Math.max(...ratios)],
        n: slices,
        control: p99(quietAgain) / p99(quiet),
        note: `${p99(flooded).toFixed(2)} ms against ${all.toFixed(2)}, at ${rate} invalid a second${short}`,
      },
    }
  } finally {
    await replica.stop()
    await proxy.stop()
  }
}

const p99 = (values: readonly number[]) => percentile(values, 0.99)

async function latencies(generator: Generator, targets: readonly Target[], ms: number) {
  await generator.start(targets)
  await wait(ms / 2)
  await generator.latencies()
  const before = await generator.counts()
  const start = performance.now()
  await wait(ms)
  const { valid } = await generator.latencies()
  const after = await generator.stop()
  const invalid = targets.slice(1).reduce((sum, { name }) => sum + after[name]!.good - before[name]!.good, 0)
  if (valid!.length === 0) throw new Error('Not one valid request was answered within a slice')
  return { valid: valid!, invalid, ms: performance.now() - start }
}
