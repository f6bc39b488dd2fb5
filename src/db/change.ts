// How anything is changed: in one transaction that says which remembered facts it makes untrue. Rooms that write
// ask for a Change; what happens to other replicas before it returns is the verify room's business.
import type { Trx } from './tables.ts'

/** What a committed change makes every replica forget. */
export type Invalidation =
  | { readonly kind: 'token'; readonly id: string }
  | { readonly kind: 'subject'; readonly id: string }
  /** A service's credentials or settings. */
  | { readonly kind: 'services' }
  /** What scopes mean: all facts may be different. */
  | { readonly kind: 'scopes' }
  /** What a service has published: its routes. No fact about a token depends on it. */
  | { readonly kind: 'catalog' }

export const invalidationKinds: ReadonlySet<Invalidation['kind']> = new Set([
  'token',
  'subject',
  'services',
  'scopes',
  'catalog',
])

export type Work<T> = (trx: Trx, invalidate: (what: Invalidation) => void) => Promise<T>

/**
 * Resolves when the change is committed and effective on every replica, or (`committed`) one lease before it surely
 * is; rejects when it was not committed.
 */
export type Change = <T>(work: Work<T>, acknowledge?: Acknowledge) => Promise<T>
export type Acknowledge = 'effective' | 'committed'
