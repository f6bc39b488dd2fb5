// provisionVsFastify: provisioning a token (one transaction with its audit event, on PostgreSQL) for one request of a
// bare Fastify POST of the same shape. By CPU of the Node process, like all ratios; PostgreSQL's comes on top.
import { startBare } from './introspection.ts'
import type { Child } from './lib/child.ts'
import type { Generator } from './lib/generator.ts'
import { compare, type PairOptions, type Party } from './lib/pairs.ts'
import type { Figure } from './lib/statistics.ts'
import type { Replica, World } from './lib/world.ts'

const body = JSON.stringify({ name: 'ci', subject: 'user_42', scopes: ['posts:read'] })

export async function provisionVsFastify(
  generator: Generator,
  world: World,
  replica: Replica,
  options: PairOptions,
): Promise<Figure> {
  const bases = await Promise.all([startBare(), startBare()])
  const party = (child: Child, port: number): Party => ({
    child,
    target: {
      port,
      method: 'POST',
      path: '/api/v1/tokens',
      headers: ['Authorization: Bearer {secret}', 'Content-Type: application/json'],
      body,
      tokens: { kind: 'fixed', secrets: [world.admin] },
      connections: 16,
      expect: '"token":"lk_pat_',
    },
  })
  try {
    const [base, baseAgain] = bases.map(({ child, port }) => party(child, port))
    const variant = party(replica.child, replica.port)
    return await compare(generator, { variant, base: base!, baseAgain: baseAgain! }, options)
  } finally {
    await Promise.all(bases.map(({ child }) => child.stop()))
  }
}
