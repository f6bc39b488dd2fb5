// Drives the process that makes the load (load.ts), from the process that keeps the figures.
import { type Child, startChild } from './child.ts'
import type { Count, Target } from './load.ts'

export type Generator = {
  /** All targets at the same instant, until stopped. */
  start(targets: readonly Target[]): Promise<void>
  counts(): Promise<Record<string, Count>>
  /** Milliseconds from when each request was due, since they were last asked for. */
  latencies(): Promise<Record<string, number[]>>
  /** @throws Error when an answer was not as expected */
  stop(): Promise<Record<string, Count>>
  end(): Promise<void>
}

export async function startGenerator(): Promise<Generator> {
  const child: Child = startChild('bench/lib/load.ts', { core: 1 })
  await child.told('up')
  return {
    start: async (targets) => void (await child.ask('start', { targets })),
    counts: () => child.ask('counts'),
    latencies: () => child.ask('latencies'),
    async stop() {
      const counts = await child.ask<Record<string, Count>>('stop')
      for (const [name, { good, bad, firstBad }] of Object.entries(counts)) {
        if (bad > 0)
          throw new Error(
            `${name}: ${bad} of ${good + bad} answers are not as expected, the first:\n${firstBad}`,
          )
      }
      return counts
    },
    end: () => child.stop(),
  }
}
