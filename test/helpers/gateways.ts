// Real gateways for tests, as Debian has them, with the configurations of examples/gateways: nothing in those is
// changed but addresses.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { freePort } from './process.ts'
import './plain-children.ts'

const examples = fileURLToPath(new URL('../../examples/gateways/', import.meta.url))
const path = `${process.env['PATH']}:/usr/sbin:/usr/local/sbin`

/** Addresses in the examples. */
const written = { listens: ':8000', latchkey: '127.0.0.1:8080', product: '127.0.0.1:3000' }

export type Behind = {
  readonly latchkey: string
  readonly product: string
  /** Further changes, such as a reader of the example is told to make. */
  readonly also?: readonly (readonly [string, string])[]
  /** A service's credentials that the gateway shows: base64 of id:secret. */
  readonly credentials?: string
}

type Kind = {
  readonly name: string
  /** Of Debian. */
  readonly package: string
  readonly version: readonly string[]
  readonly files: readonly string[]
  /** What to take the comment mark from, when it is to show credentials; in it, what stands for them. */
  readonly credentials: readonly [line: string, placeholder: string] | null
  /** @returns what to run in the folder that has the files. */
  prepare(folder: string): Promise<readonly [string, ...string[]]>
}

export const kinds: readonly Kind[] = [
  {
    name: 'nginx',
    package: 'nginx',
    version: ['-v'],
    files: ['nginx.conf'],
    credentials: ['proxy_set_header X-Gateway-Authorization "Basic', 'cG9zdHM6…'],
    async prepare(folder) {
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (name) => `${name}_temp_path ${folder}/${name};`,
      )
      const main = `daemon off; master_process off; pid ${folder}/pid; error_log stderr warn; events {}
        http { access_log off; ${temporary.join(' ')} include ${folder}/nginx.conf; }`
      await writeFile(join(folder, 'main.conf'), main)
      return ['nginx', '-e', 'stderr', '-p', folder, '-c', join(folder, 'main.conf')]
    },
  },
  {
    name: 'caddy',
    package: 'caddy',
    version: ['version'],
    files: ['Caddyfile'],
    credentials: ['header_up X-Gateway-Authorization', '{$LATCHKEY_GATEWAY}'],
    async prepare(folder) {
      const main = `{\n admin off\n}\nimport ${folder}/Caddyfile\n`
      await writeFile(join(folder, 'main'), main)
      return ['caddy', 'run', '--adapter', 'caddyfile', '--config', join(folder, 'main')]
    },
  },
  {
    name: 'haproxy',
    package: 'haproxy',
    version: ['-v'],
    files: ['haproxy.cfg', 'latchkey.lua'],
    credentials: null,
    prepare: async () => ['haproxy', '-db', '-f', 'haproxy.cfg'],
  },
]

export type Gateway = { readonly kind: Kind; readonly url: string }

/** null: it is not installed. */
export function versionOf({ name, version }: Kind): string | null {
  // nginx writes its version to stderr.
  const { stdout, stderr } = spawnSync(name, version, { env: { PATH: path }, encoding: 'utf8' })
  return /\d+\.\d+\.\d+/.exec(`${stdout}${stderr}`)?.[0] ?? null
}

/** Stopped when the test ends. */
export async function startGateway(t: Test, kind: Kind, behind: Behind): Promise<Gateway> {
  const folder = await mkdtemp(join(tmpdir(), `latchkey-${kind.name}-`))
  const port = await freePort()
  const address = `127.0.0.1:${port}`
  const changes = [
    [written.listens, `:${port}`],
    [written.latchkey, behind.latchkey],
    [written.product, behind.product],
    ...credentialsOf(kind, behind),
    ...(behind.also ?? []),
  ] as const
  for (const file of kind.files) await copyFile(join(examples, file), join(folder, file))
  const main = join(folder, kind.files[0]!)
  let text = await readFile(main, 'utf8')
  for (const [from, to] of changes) {
    if (!text.includes(from)) throw new Error(`${kind.files[0]} does not say ${from}`)
    text = text.replaceAll(from, to)
  }
  await writeFile(main, text)
  const [program, ...args] = await kind.prepare(folder)
  const child = spawn(program, args, {
    cwd: folder,
    env: {
      PATH: path,
      HOME: folder,
      ...(behind.credentials !== undefined && { LATCHKEY_GATEWAY: behind.credentials }),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(async () => {
    await stop(child)
    await rm(folder, { recursive: true, force: true })
  })
  await listening(child, address)
  return { kind, url: `http://${address}` }
}

function credentialsOf({ credentials: place }: Kind, { credentials }: Behind): [string, string][] {
  if (place === null || credentials === undefined) return []
  const [line, placeholder] = place
  return [
    [`# ${line}`, line],
    [placeholder, credentials],
  ]
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

async function listening(child: ChildProcess, address: string): Promise<void> {
  const output: string[] = []
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (text) => output.push(text))
  let failed: unknown = null
  child.on('error', (error) => {
    failed = error
  })
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
    if (failed !== null || child.exitCode !== null) break
    if (await answers(address)) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`It does not listen on ${address}: ${failed ?? ''}\n${output.join('')}`)
}

function answers(address: string): Promise<boolean> {
  const [host, port] = address.split(':')
  return new Promise((resolve) => {
    const socket = connect(Number(port), host!)
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}
