// forwardAuthVsFastify: what a gateway asks about each request, for one request of a bare Fastify GET.
import { introspectionTarget, startBare } from './introspection.ts'
import type { Child } from './lib/child.ts'
import type { Generator } from './lib/generator.ts'
import { compare, type PairOptions, type Party } from './lib/pairs.ts'
import { secretOf } from './lib/population.ts'
import { type Figure, notMeasured } from './lib/statistics.ts'
import type { Replica, World } from './lib/world.ts'

const path = '/forward-auth?scope=posts:read'

/** @param replica that remembers the tokens */
export async function forwardAuthVsFastify(
  generator: Generator,
  world: World,
  replica: Replica,
  tokens: number,
  options: PairOptions,
): Promise<Figure> {
  const probe = await fetch(replica.url + path, { headers: { authorization: `Bearer ${secretOf(0)}` } })
  if (probe.status !== 200) return notMeasured(`GET /forward-auth answers ${probe.status}`)
  const bases = await Promise.all([startBare(), startBare()])
  const party = (child: Child, port: number): Party => {
    const { tokens: known, connections } = introspectionTarget(port, world.basic, tokens)
    return {
      child,
      target: {
        port,
        method: 'GET',
        path,
        headers: ['Authorization: Bearer {secret}', 'Accept: */*'],
        tokens: known,
        connections,
        expect: '200',
      },
    }
  }
  try {
    const [base, baseAgain] = bases.map(({ child, port }) => party(child, port))
    const variant = party(replica.child, replica.port)
    return await compare(generator, { variant, base: base!, baseAgain: baseAgain! }, options)
  } finally {
    await Promise.all(bases.map(({ child }) => child.stop()))
  }
}
