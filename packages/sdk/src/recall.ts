// What may be answered from memory: it joins memory, lease and fence, and has them follow the stream of revocations.
import { createFence, type Fence } from './fence.ts'
import type { Latchkey } from './latchkey.ts'
import { createLease, type Lease } from './lease.ts'
import { createMemory, type Known, type MemoryLimits } from './memory.ts'
import { listen } from './revocations.ts'

export type Recall = {
  /** undefined as well when there is something, but no lease. */
  get(key: string): Known | undefined
  /** @param askedAt monotonic milliseconds, from before it was asked for */
  keep(key: string, known: Known, askedAt: number): void
  quietSince(at: number): boolean
  /** Follows the stream from now on; again: nothing. */
  start(): void
  stop(): void
}

/** The parts that keep a revoked token out; a test takes one away to see that it is missed. */
export type Guards = { lease(made: Lease): Lease; fence(made: Fence): Fence }

export type RecallOptions = {
  readonly limits: MemoryLimits
  readonly monotonic: () => number
  readonly guards: Guards
  readonly onTrouble: (message: string) => void
}

export function createRecall(
  latchkey: Latchkey,
  { limits, monotonic, guards, onTrouble }: RecallOptions,
): Recall {
  const memory = createMemory(limits, monotonic)
  const lease = guards.lease(createLease(monotonic))
  const fence = guards.fence(createFence(monotonic, () => lease.lengthMs))
  let leave: (() => void) | undefined
  let stopped = false

  function forgetAll(): void {
    fence.raiseAll()
    memory.clear()
  }

  const listener = {
    onOpening: lease.opening,
    onForget(what: Parameters<Fence['raise']>[0]) {
      fence.raise(what)
      memory.forget(what)
    },
    onReset: forgetAll,
    onBeat: lease.beat,
    onCut: lease.drop,
    onTrouble,
  }

  return {
    get: (key) => (lease.holds() ? memory.get(key) : undefined),
    keep(key, known, askedAt) {
      if (!stopped && fence.admits(known.token, askedAt)) memory.set(key, known)
    },
    quietSince: fence.quietSince,
    start() {
      if (!stopped) leave ??= listen(latchkey, listener)
    },
    stop() {
      stopped = true
      leave?.()
      lease.drop()
      forgetAll()
    },
  }
}
