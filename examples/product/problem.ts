// A refusal of the service's own, in the shape that the guard's have (RFC 9457).
import type { FastifyReply } from 'fastify'

export function refuse(reply: FastifyReply, status: 404 | 409, title: string, detail: string) {
  // The type first: it chooses how the answer is written.
  return reply.code(status).type('application/problem+json').send({ title, status, detail })
}
