// When a change is effective, as its answer says it; and `Prefer: respond-async` (RFC 7240), which asks not to wait for
// the other replicas.
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Acknowledge } from '../db/change.ts'

export type Preferred = { readonly acknowledge: Acknowledge; readonly atOnce: boolean }

export function preferred(request: FastifyRequest): Preferred {
  const atOnce = /(^|,)\s*respond-async\s*(,|;|$)/i.test(String(request.headers['prefer'] ?? ''))
  return { atOnce, acknowledge: atOnce ? 'committed' : 'effective' }
}

/**
 * After the change has returned: 200 and `effectiveAt`, or 202 and `effectiveBy`.
 * @param effectiveWithinMs after a commit, no replica is behind for longer
 */
export function acknowledged(
  reply: FastifyReply,
  { atOnce }: Preferred,
  now: Date,
  effectiveWithinMs: number,
) {
  if (!atOnce) return { effectiveAt: now.toISOString() }
  reply.code(202).header('preference-applied', 'respond-async')
  return { effectiveBy: new Date(now.getTime() + effectiveWithinMs).toISOString() }
}
