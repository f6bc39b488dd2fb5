// workers2Vs1: throughput of `LATCHKEY_WORKERS=2` for that of one process, on all cores, against the clock. Where the
// load shares the cores with the servers (as on two), it is a lower bound.
import { setTimeout as wait } from 'node:timers/promises'
import { settings } from '../src/config.ts'
import { introspectionTarget } from './introspection.ts'
import type { Generator } from './lib/generator.ts'
import { type Figure, median, notMeasured, ratioOf } from './lib/statistics.ts'
import { type Replica, remember, type World } from './lib/world.ts'

const tokens = 1_000

export async function workers2Vs1(
  generator: Generator,
  world: World,
  slices: number,
  sliceMs: number,
): Promise<Figure> {
  if (!('workers' in settings)) return notMeasured('LATCHKEY_WORKERS does not exist')
  const one = await world.replica({ pinned: false })
  const two = await world.replica({ pinned: false, env: { LATCHKEY_WORKERS: '2' } })
  try {
    // Several times, as each worker remembers for itself.
    for (const replica of [one, two, two, two]) await remember(replica, world, tokens)
    const ratios: number[] = []
    const controls: number[] = []
    for (let slice = -1; slice < slices; slice++) {
      const [first, both, second] = [
        await perSecond(generator, world, one, sliceMs),
        await perSecond(generator, world, two, sliceMs),
        await perSecond(generator, world, one, sliceMs),
      ]
      if (slice < 0) continue // what is compiled on the way
      ratios.push((both * 2) / (first + second))
      controls.push(second / first)
    }
    return ratioOf(ratios, median(controls), 'by the clock; the load shares the cores')
  } finally {
    await Promise.all([one.stop(), two.stop()])
  }
}

async function perSecond(generator: Generator, world: World, replica: Replica, ms: number): Promise<number> {
  await generator.start([{ name: 'it', ...introspectionTarget(replica.port, world.basic, tokens) }])
  await wait(ms / 2)
  const before = (await generator.counts())['it']!.good
  const start = performance.now()
  await wait(ms)
  const after = (await generator.counts())['it']!.good
  const rate = ((after - before) * 1000) / (performance.now() - start)
  await generator.stop()
  return rate
}
