// Conditional GET (RFC 9110 §13.1.2): an unchanged representation is not sent again.
import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'

export const strongEtag = (content: string): string =>
  `"${createHash('sha256').update(content).digest('base64url').slice(0, 32)}"`

/** Sets the ETag; true when the client has this very representation and 304 was answered. */
export function notModified(request: FastifyRequest, reply: FastifyReply, etag: string): boolean {
  reply.header('etag', etag)
  const known = request.headers['if-none-match']?.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  if (!known?.some((tag) => tag === etag || tag === '*')) return false
  reply.code(304).send()
  return true
}
