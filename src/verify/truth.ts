// Puts together what a replica needs to answer from memory and still be right: memory, fence, lease, and the other
// replicas where there are any.

import type { Invalidation } from '../db/change.ts'
import { newId } from '../db/ids.ts'
import type { Store } from '../db/open.ts'
import type { Logger } from '../observe/logger.ts'
import type { SecretShape } from '../token/format.ts'
import type { KeyRing } from '../token/key-ring.ts'
import { createFactsSource, type FactsSource } from './facts.ts'
import { createFeed, type Feed } from './feed.ts'
import { createFence } from './fence.ts'
import { createLease, type Lease, soleLease } from './lease.ts'
import { watchLease } from './lease-watch.ts'
import { createLookup } from './lookup.ts'
import { createFactStore, type FactStore } from './memory/store.ts'
import { createReplicas, type Replicas, type Sabotage } from './replicas.ts'
import { warmUp } from './warm.ts'

export type Truth = {
  readonly lease: Lease
  readonly replicas: Replicas | null
  /** Whether the server that is read from now on is the one that counts; see Replicas. */
  readonly confirm: () => Promise<boolean>
  readonly facts: FactsSource
  /** Uses are counted beside the facts. */
  readonly uses: Pick<FactStore, 'countUse' | 'takeUses'>
  readonly feed: Feed
  readonly forget: (what: readonly Invalidation[]) => void
  /** Loads live tokens until memory is full; resolves with how many. */
  readonly warm: () => Promise<number>
  readonly monotonic: () => number
}

/** Tokens remembered at most; about 140 bytes each, taken as they come. */
const capacity = 1_000_000

export function createTruth(
  store: Store,
  ring: KeyRing,
  shape: SecretShape,
  /** What others remember here. null: everything may be different. */
  forgetOthers: (what: readonly Invalidation[] | null) => void,
  logger: Logger,
  sabotage: ReadonlySet<Sabotage>,
): Truth {
  const monotonic = () => performance.now()
  const self = newId('rep', Date.now())
  const feed = createFeed(self)
  const fence = createFence()
  const granted = store.listen
    ? watchLease(createLease(monotonic), monotonic, {
        lost: () => logger.warn({ replica: self }, 'lease lost: checks are answered 503 until it is back'),
        back: (lostForMs) =>
          logger.info({ replica: self, lostForMs }, 'lease back: checks are answered again'),
      })
    : null
  const lease = granted === null || sabotage.has('no-lease') ? soleLease : granted
  let replicas: Replicas | null = null
  const readFacts = createLookup(store.read, () => replicas?.server() ?? null)
  const memory = createFactStore({ capacity })
  const confirm = () => replicas?.confirm() ?? Promise.resolve(true)
  const facts = createFactsSource({
    ring,
    shape,
    memory,
    fence,
    lease,
    readFacts,
    confirm,
    monotonic,
    sabotage,
  })
  const forgetHere = (what: readonly Invalidation[]) => {
    facts.forget(what)
    forgetOthers(what)
  }
  const onForget = (what: readonly Invalidation[]) => {
    forgetHere(what)
    feed.publish(what)
  }
  const onForgetAll = () => {
    facts.forgetAll()
    forgetOthers(null)
    feed.publishReset()
  }
  const onTrouble = (what: string, err: Error | null) => logger.warn({ err: err ?? undefined }, what)
  if (store.listen && granted) {
    const { listen } = store
    replicas = createReplicas({
      listen,
      self,
      keyId: ring.currentId,
      lease: granted,
      monotonic,
      onForget,
      onForgetAll,
      onTrouble,
      sabotage,
    })
  }
  const warm = () =>
    warmUp({
      db: store.db,
      server: () => replicas?.server() ?? null,
      keyId: ring.currentId,
      capacity,
      mark: fence.mark,
      reserve: memory.reserve,
      remember: facts.remember,
    })
  // With other replicas, a change of our own comes round like theirs, and is told to listeners then, once.
  const forget = replicas ? forgetHere : onForget
  return { lease, replicas, confirm, facts, uses: memory, feed, forget, warm, monotonic }
}
