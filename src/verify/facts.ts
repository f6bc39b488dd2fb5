// From a secret to the facts about its token: memory, else the database. It keeps what it read only as far as the
// fence admits, and answers nothing without the lease. What the facts mean is policy's.
import { LRUCache } from 'lru-cache'
import type { Invalidation } from '../db/change.ts'
import { Problem } from '../http/problem.ts'
import type { Facts } from '../policy/facts.ts'
import type { SecretShape } from '../token/format.ts'
import type { KeyRing } from '../token/key-ring.ts'
import type { Fence, Mark } from './fence.ts'
import { createFlights, type Flights, type ReadFacts } from './flights.ts'
import type { Lease } from './lease.ts'
import type { FactStore } from './memory/store.ts'
import type { Sabotage } from './replicas.ts'

export type FactsSource = {
  /** Where memory has the facts, if it may be believed now; -1: it has not, or may not. Good until control is given up. */
  slotOf(secret: string): number
  at(slot: number): Facts
  /** For what memory does not have. null, at once: it is no secret of ours. Rejects with Problem unavailable. */
  read(secret: string): null | Promise<Facts | null>
  forget(what: readonly Invalidation[]): void
  forgetAll(): void
  /** Takes facts that were read for no request, as far as they are still true. @param mark from before the read */
  remember(digest: Int32Array, facts: Facts, mark: number): void
}

export type FactsDependencies = {
  readonly ring: KeyRing
  readonly shape: SecretShape
  readonly memory: FactStore
  readonly fence: Fence
  readonly lease: Lease
  readonly readFacts: ReadFacts
  /** Whether what was read until now is from the server that counts. */
  readonly confirm: () => Promise<boolean>
  readonly monotonic: () => number
  readonly sabotage: ReadonlySet<Sabotage>
}

/** An unknown secret is remembered as such: it is cheap to present, and cannot come to exist by chance. */
const unknownKept = 10_000
const unknownMs = 5_000
const mostReads = 3
/** Any secret of ours, and nothing that the digester would not take. */
const couldBe = /^[0-9A-Za-z_]{20,100}$/

export function createFactsSource(dependencies: FactsDependencies): FactsSource {
  const { ring, shape, memory, fence, lease, confirm, monotonic, sabotage } = dependencies
  const flights: Flights = createFlights(dependencies.readFacts, fence, monotonic, sabotage)
  /** By digest, with the mark before the read that did not find it: any change since may have made it known. */
  const unknown = new LRUCache<string, Mark>({ max: unknownKept, ttl: unknownMs, perf: { now: monotonic } })
  const words = new Int32Array(8)

  function slotIn(secret: string): number {
    for (const digester of ring.digesters) {
      digester.into(secret, words)
      const slot = memory.find(words)
      if (slot >= 0) return slot
    }
    return -1
  }

  async function read(secret: string): Promise<Facts | null> {
    const digests = ring.digests(secret)
    const key = digests[0]!.toString('latin1')
    for (let tries = 1; ; tries++) {
      if (!(await lease.wait())) throw unavailable()
      const slot = slotIn(secret)
      if (slot >= 0) return memory.read(slot)
      const notFound = unknown.get(key)
      if (notFound !== undefined && fence.unchangedSince(notFound)) return null
      const mark = fence.mark()
      const facts = await flights.read(key, digests)
      if (facts === null && !(await confirm())) throw unavailable()
      const admitted =
        facts === null ? fence.unchangedSince(mark) : sabotage.has('no-fence') || fence.admits(facts, mark)
      if (admitted) keep(key, digests, facts, mark)
      // The lease may have run out meanwhile, and with it the right to say anything. A read that was overtaken by a
      // change is made again; in the end what it saw may be said, for the request began before that change too.
      const mayAnswer = sabotage.has('no-recheck') || lease.holds()
      if (mayAnswer && (admitted || tries === mostReads)) return facts
      if (tries === mostReads) throw unavailable()
    }
  }

  /** Under the current key, whichever it was found by: that is looked for first. */
  function keep(key: string, digests: readonly Buffer[], facts: Facts | null, mark: Mark): void {
    if (facts === null) unknown.set(key, mark)
    else memory.set(wordsOf(digests[0]!), facts)
  }

  return {
    // What is in memory was of the right shape once; everything else is looked at before the database is asked.
    slotOf: (secret) => (couldBe.test(secret) && lease.holds() ? slotIn(secret) : -1),
    at: memory.read,
    read: (secret) => (couldBe.test(secret) && shape(secret) ? read(secret) : null),
    forget(what) {
      for (const one of what) {
        fence.raise(one)
        if (one.kind === 'token') memory.deleteToken(one.id)
        else if (one.kind === 'subject') memory.deleteSubject(one.id)
        else if (one.kind === 'scopes') memory.clear()
      }
    },
    forgetAll() {
      fence.raiseAll()
      memory.clear()
    },
    remember(digest, facts, mark) {
      if (fence.admits(facts, mark)) memory.set(digest, facts)
    },
  }
}

function wordsOf(digest: Buffer): Int32Array {
  const words = new Int32Array(8)
  for (let word = 0; word < 8; word++) words[word] = digest.readInt32LE(word * 4)
  return words
}

function unavailable(): Problem {
  return new Problem(
    'unavailable',
    'This replica cannot know at the moment whether the token is good. Try again.',
  )
}
