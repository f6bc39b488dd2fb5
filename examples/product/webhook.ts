// Events of the payment provider, which has no token: it signs what it sends, and the route checks that itself. So its
// access is `webhook-ingress`, and the catalog tells everybody else to leave it alone.
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { Link } from './billing.ts'
import { empty } from './schemas.ts'

type Dependencies = { readonly links: Map<string, Link>; readonly signingSecret: string | undefined }

export async function paymentEvents(
  app: FastifyInstance,
  { links, signingSecret }: Dependencies,
): Promise<void> {
  // As it came, and only here: the signature is over the bytes.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  )

  app.post<{ Body: Buffer }>('/webhooks/payments', {
    config: { auth: { access: 'webhook-ingress' } },
    schema: {
      operationId: 'takePaymentEvent',
      summary: 'Take an event of the payment provider',
      response: { 204: empty('Thank you'), 401: empty('The signature is not right') },
    },
    handler: async ({ headers, body }, reply) => {
      if (signingSecret === undefined || !isSigned(body, headers['x-signature'], signingSecret))
        return reply.code(401).send()
      const { paid } = JSON.parse(body.toString()) as { paid?: string }
      const link = links.get(paid ?? '')
      if (link) links.set(link.id, { ...link, paid: true })
      return reply.code(204).send()
    },
  })
}

function isSigned(body: Buffer, signature: string | string[] | undefined, secret: string): boolean {
  const wanted = createHmac('sha256', secret).update(body).digest()
  const given = Buffer.from(String(signature), 'hex')
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}
