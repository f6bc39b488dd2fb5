// vsOidcProvider, vsBetterAuth: introspection out of memory, for one check of a peer, each of one token over and over. A
// second line has ours of a million at random, and theirs still of one, which is the kindest case for them. They are
// optional: installed in this repository or in the folder that LATCHKEY_BENCH_PEERS names; otherwise the figure is not
// measured.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pg from 'pg'
import { introspectionTarget } from './introspection.ts'
import { root, startChild } from './lib/child.ts'
import type { Generator } from './lib/generator.ts'
import { compare, type PairOptions, type Party } from './lib/pairs.ts'
import { type Figure, notMeasured } from './lib/statistics.ts'
import type { Replica, World } from './lib/world.ts'

type Peer = { readonly port: number; readonly token: string; readonly basic?: string }

export async function vsOidcProvider(
  generator: Generator,
  world: World,
  replica: Replica,
  tokens: number,
  options: PairOptions,
): Promise<Figure> {
  const module = installed('oidc-provider')
  if (!module) return notMeasured('oidc-provider is not installed')
  const start = () =>
    startPeer('bench/peer-oidc-provider.js', '/token/introspection', { PEER_MODULE: module })
  return against(start, generator, world, replica, tokens, options)
}

export async function vsBetterAuth(
  generator: Generator,
  world: World,
  replica: Replica,
  tokens: number,
  options: PairOptions,
): Promise<Figure> {
  const [PEER_MODULE, PEER_PLUGIN, PEER_MIGRATION] = [
    installed('better-auth'),
    installed('@better-auth/api-key'),
    installed('better-auth/db/migration'),
  ]
  if (!PEER_MODULE || !PEER_PLUGIN || !PEER_MIGRATION)
    return notMeasured('better-auth and @better-auth/api-key are not installed')
  const databases: string[] = []
  const start = async () => {
    const DATABASE_URL = await freshDatabase(world.databaseUrl, `peer_${databases.length}`)
    databases.push(DATABASE_URL)
    return startPeer('bench/peer-better-auth.js', '/verify', {
      PEER_MODULE,
      PEER_PLUGIN,
      PEER_MIGRATION,
      DATABASE_URL,
    })
  }
  return against(start, generator, world, replica, tokens, options)
}

/** Two of the peer: the second against the first is the control. */
async function against(
  start: () => Promise<Party>,
  generator: Generator,
  world: World,
  replica: Replica,
  tokens: number,
  options: PairOptions,
): Promise<Figure> {
  const base = await start()
  const baseAgain = await start()
  const target = introspectionTarget(replica.port, world.basic, tokens)
  try {
    return await compare(generator, { variant: { child: replica.child, target }, base, baseAgain }, options)
  } finally {
    await Promise.all([base.child.stop(), baseAgain.child.stop()])
  }
}

async function startPeer(script: string, path: string, env: Record<string, string>): Promise<Party> {
  const child = startChild(script, { core: 0, env })
  const { port, token, basic } = await child.told<Peer>('up')
  return {
    child,
    target: {
      port,
      method: 'POST',
      path,
      headers: [
        ...(basic ? [`Authorization: ${basic}`] : []),
        'Content-Type: application/x-www-form-urlencoded',
        'Accept: application/json',
      ],
      body: 'token={secret}',
      tokens: { kind: 'fixed', secrets: [token] },
      connections: 32,
      expect: '"active":true',
    },
  }
}

function installed(name: string): string | null {
  for (const folder of [process.env['LATCHKEY_BENCH_PEERS'], root]) {
    if (folder === undefined) continue
    try {
      return pathToFileURL(createRequire(join(folder, 'package.json')).resolve(name)).href
    } catch {}
  }
  return null
}

async function freshDatabase(url: string, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(`drop database if exists ${name}`)
    await client.query(`create database ${name}`)
  } finally {
    await client.end()
  }
  const fresh = new URL(url)
  fresh.pathname = `/${name}`
  return fresh.href
}
