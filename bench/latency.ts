// addedP99Ms: what introspection adds to the 99th percentile of the bare route, both at 60 % of what the slower of them
// can do. Open loop: requests come when they come, and are timed from when they were due. Slices alternate, as latency
// cannot be had from two servers that share a core at the same instant.
import { setTimeout as wait } from 'node:timers/promises'
import { introspectionTarget, startBare } from './introspection.ts'
import type { Generator } from './lib/generator.ts'
import type { Target } from './lib/load.ts'
import { type Figure, median, percentile } from './lib/statistics.ts'
import type { Replica, World } from './lib/world.ts'

export type LatencyOptions = { readonly slices: number; readonly discardMs: number; readonly sliceMs: number }

const load = 0.6
/** Of slices: what others do on the machine only ever adds. */
const quiet = 0.3

export async function addedP99Ms(
  generator: Generator,
  world: World,
  replica: Replica,
  tokens: number,
  { slices, discardMs, sliceMs }: LatencyOptions,
): Promise<Figure> {
  const bases = await Promise.all([startBare(), startBare()])
  const ports = [replica.port, bases[0].port, bases[1].port] as const
  const targets = ports.map((port) => ({ name: 'it', ...introspectionTarget(port, world.basic, tokens) }))
  const inSlices = async (
    all: readonly Target[],
    measure: (target: Target) => Promise<number>,
    times: number,
  ) => {
    const found: number[][] = all.map(() => [])
    for (let slice = 0; slice < times; slice++)
      for (const [at, target] of all.entries()) found[at]!.push(await measure(target))
    return found
  }
  try {
    const saturated = (target: Target) => throughput(generator, target, discardMs + sliceMs)
    await inSlices(targets, saturated, 1) // what is compiled on the way
    const [ours, theirs] = await inSlices(targets.slice(0, 2), saturated, 2)
    const rate = Math.floor(load * Math.min(median(ours!), median(theirs!)))
    const paced = targets.map((target) => ({ ...target, rate, connections: 64 }))
    const p99 = (target: Target) => percentileAt(generator, target, discardMs, sliceMs)
    const [variant, base, again] = (await inSlices(paced, p99, slices)).map((all) => percentile(all, quiet))
    return {
      value: variant! - base!,
      n: slices,
      note: `p99 ${variant!.toFixed(2)} ms against ${base!.toFixed(2)} (control ${again!.toFixed(2)}) at ${rate}/s`,
    }
  } finally {
    await Promise.all(bases.map(({ child }) => child.stop()))
  }
}

async function throughput(generator: Generator, target: Target, ms: number): Promise<number> {
  const start = performance.now()
  await generator.start([target])
  await wait(ms)
  const { good } = (await generator.stop())[target.name]!
  return (good * 1000) / (performance.now() - start)
}

async function percentileAt(
  generator: Generator,
  target: Target,
  discardMs: number,
  sliceMs: number,
): Promise<number> {
  await generator.start([target])
  await wait(discardMs)
  await generator.latencies()
  await wait(sliceMs)
  const { [target.name]: measured } = await generator.latencies()
  await generator.stop()
  return percentile(measured!, 0.99)
}
