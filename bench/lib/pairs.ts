// The paired method (shared/reference/performance.md): servers are loaded at the same instant on the same core, and
// what counts is requests per second of CPU, not of the clock. So whatever else the machine does, they suffer alike.
// A second copy of the base runs along: how far it is from the first is how far a ratio may be off by chance.
import { setTimeout as wait } from 'node:timers/promises'
import type { Child, Cost } from './child.ts'
import type { Generator } from './generator.ts'
import type { Count, Target } from './load.ts'
import { type Figure, median, ratioOf } from './statistics.ts'

export type Party = { readonly child: Child; readonly target: Omit<Target, 'name'> }
export type PairOptions = { readonly slices: number; readonly sliceMs: number; readonly warmRequests: number }

const controlWithin = [0.88, 1.12] as const
const mostTries = 3
const longestWarmMs = 20_000

/** How many requests of `variant` a second of CPU does, for one of `base`. Repeats while the control is off. */
export async function compare(
  generator: Generator,
  parties: { readonly variant: Party; readonly base: Party; readonly baseAgain: Party },
  options: PairOptions,
): Promise<Figure> {
  const tries: Figure[] = []
  while (tries.length < mostTries) {
    const figure = await once(generator, Object.entries(parties), options)
    tries.push(figure)
    if (figure.control! > controlWithin[0] && figure.control! < controlWithin[1]) return figure
  }
  // None was quiet: the least unquiet, and it says so.
  const off = (figure: Figure) => Math.abs(Math.log(figure.control!))
  const best = tries.reduce((a, b) => (off(a) <= off(b) ? a : b))
  return { ...best, note: `${best.note}; the control was off ${mostTries} times` }
}

async function once(
  generator: Generator,
  parties: readonly [string, Party][],
  { slices, sliceMs, warmRequests }: PairOptions,
): Promise<Figure> {
  await generator.start(parties.map(([name, { target }]) => ({ name, ...target })))
  await warm(generator, warmRequests)
  const ratios: number[] = []
  const controls: number[] = []
  const micros: Record<string, number[]> = Object.fromEntries(parties.map(([name]) => [name, []]))
  let before = await look(generator, parties)
  for (let slice = 0; slice < slices; slice++) {
    await wait(sliceMs)
    const after = await look(generator, parties)
    for (const [name] of parties) {
      const cpuMs = after.costs[name]!.cpuMs - before.costs[name]!.cpuMs
      const requests = after.counts[name]!.good - before.counts[name]!.good
      micros[name]!.push((cpuMs * 1000) / requests)
    }
    const each = (name: string) => micros[name]!.at(-1)!
    ratios.push(each('base') / each('variant'))
    controls.push(each('base') / each('baseAgain'))
    before = after
  }
  await generator.stop()
  // Of two equal bases, each is as good as the other: their mean is the base.
  const fair = ratios.map((ratio, slice) => (ratio * (1 + 1 / controls[slice]!)) / 2)
  const [ours, theirs] = [median(micros['variant']!), median(micros['base']!)].map((one) => one.toFixed(1))
  return ratioOf(fair, median(controls), `${ours} µs of CPU a request against ${theirs}`)
}

/** By requests, not by time: on a busy machine seconds may pass before the code that counts is compiled. */
async function warm(generator: Generator, requests: number): Promise<void> {
  for (const deadline = performance.now() + longestWarmMs; performance.now() < deadline; await wait(100)) {
    const counts = Object.values(await generator.counts())
    if (counts.every(({ good, bad }) => good >= requests || bad > 0)) return
  }
}

async function look(generator: Generator, parties: readonly [string, Party][]) {
  const [counts, ...costs] = await Promise.all([
    generator.counts(),
    ...parties.map(([, { child }]) => child.cost()),
  ] as [Promise<Record<string, Count>>, ...Promise<Cost>[]])
  return { counts, costs: Object.fromEntries(parties.map(([name], at) => [name, costs[at]!])) }
}
