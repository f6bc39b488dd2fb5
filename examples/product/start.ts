// Starts both services of the product: each for itself, with a port, credentials and data of its own. What they need
// stands in the environment, where register.ts leaves it.
import type { FastifyInstance } from 'fastify'
import { createBilling } from './billing.ts'
import { createPosts } from './posts.ts'
import type { ServiceOptions } from './service.ts'

const { env } = process

const posts = await createPosts(optionsOf('POSTS'))
const billing = await createBilling(optionsOf('BILLING'), env['PAYMENTS_SIGNING_SECRET'])
await listen(posts, 'POSTS')
await listen(billing, 'BILLING')
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void Promise.all([posts.close(), billing.close()]))
console.log('The product is up.')

function optionsOf(service: string): ServiceOptions {
  return {
    latchkeyUrl: env['LATCHKEY_URL'] ?? 'http://localhost:8080',
    clientSecret: needed(`${service}_CLIENT_SECRET`),
    publishToken: needed(`${service}_PUBLISH_TOKEN`),
    tokenPrefix: env['LATCHKEY_TOKEN_PREFIX'] ?? 'lk',
    session: env['PRODUCT_SESSION'],
  }
}

/** When it is ready, it has declared its scopes and published its routes. */
async function listen(app: FastifyInstance, service: string): Promise<void> {
  const url = needed(`${service}_URL`)
  await app.listen({ port: Number(new URL(url).port) })
  console.log(`${service.toLowerCase()} listens at ${url}`)
}

function needed(name: string): string {
  const value = env[name]
  if (value) return value
  console.error(`${name} is missing: register.ts says what it must be. See README.md beside it.`)
  process.exit(1)
}
