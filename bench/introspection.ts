// introspectVsFastify: introspection of random tokens out of N in memory (Basic credentials, form), for one request
// of a bare Fastify POST with the same form parser and an answer of the same shape.

import { startChild } from './lib/child.ts'
import type { Generator } from './lib/generator.ts'
import type { Target } from './lib/load.ts'
import { compare, type PairOptions, type Party } from './lib/pairs.ts'
import type { Figure } from './lib/statistics.ts'
import type { Replica, World } from './lib/world.ts'

const sample = 200_000
const connections = 32

export function introspectionTarget(port: number, basic: string, tokens: number): Omit<Target, 'name'> {
  return {
    port,
    method: 'POST',
    path: '/oauth2/introspect',
    headers: [
      `Authorization: ${basic}`,
      'Content-Type: application/x-www-form-urlencoded',
      'Accept: application/json',
    ],
    body: 'token={secret}',
    tokens: { kind: 'known', of: tokens, sample: Math.min(sample, tokens * 4) },
    connections,
    expect: '"active":true',
  }
}

/** @param replica that remembers the tokens */
export async function introspectVsFastify(
  generator: Generator,
  world: World,
  replica: Replica,
  tokens: number,
  options: PairOptions,
): Promise<Figure> {
  const bases = await Promise.all([startBare(), startBare()])
  const party = (child: Party['child'], port: number): Party => ({
    child,
    target: introspectionTarget(port, world.basic, tokens),
  })
  try {
    return await compare(
      generator,
      {
        variant: party(replica.child, replica.port),
        base: party(bases[0].child, bases[0].port),
        baseAgain: party(bases[1].child, bases[1].port),
      },
      options,
    )
  } finally {
    await Promise.all(bases.map(({ child }) => child.stop()))
  }
}

export async function startBare(): Promise<{ child: Party['child']; port: number }> {
  const child = startChild('bench/bare.js', { core: 0 })
  return { child, port: await child.told<number>('up') }
}
