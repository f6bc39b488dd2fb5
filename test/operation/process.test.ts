// The embedded default as a process, `node dist/main.js`: first start, restart, kill -9, stop, two on one directory.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, stat, watch, writeFile } from 'node:fs/promises'
import { Agent, get } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type LatchkeyProcess, startProcess } from '../helpers/process.ts'
import {
  bearer,
  cliFile,
  command,
  mainFile,
  provisionAt,
  refusal,
  selfAt,
  started,
} from '../helpers/shipped.ts'

async function dataDirectory(t: Test, ...more: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lk-process-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return join(folder, ...more)
}

const tokenOf = (dataDir: string) => readFile(join(dataDir, 'admin-token'), 'utf8')
const modeOf = async (file: string) => ((await stat(file)).mode & 0o777).toString(8)

t.test('embedded', async (whole) => {
  // Longer than the name of a socket may be.
  const dataDir = await dataDirectory(whole, 'a'.repeat(60), 'b'.repeat(60))
  const env = { LATCHKEY_DATA_DIR: dataDir }
  let begun = performance.now()
  let first = await started(whole, env)
  const firstStartMs = performance.now() - begun
  const admin = await tokenOf(dataDir)

  whole.test(
    'the first start makes a secret and an admin token for the owner alone, and shows neither',
    async (t) => {
      const secret = await readFile(join(dataDir, 'secret'), 'utf8')
      t.match(admin, /^lk_svc_[0-9A-Za-z]{36}$/)
      t.equal(await modeOf(join(dataDir, 'admin-token')), '600')
      t.equal(await modeOf(join(dataDir, 'secret')), '600')
      t.equal(await modeOf(dataDir), '700')
      t.match(first.output(), join(dataDir, 'admin-token'))
      t.notOk(first.output().includes(admin) || first.output().includes(secret))
      t.equal((await selfAt(first, admin)).status, 200)
    },
  )

  whole.test('after the first start the process is small', async (t) => {
    const status = await readFile(`/proc/${first.pid}/status`, 'utf8').catch(() => null)
    if (status === null) return t.comment('no /proc here')
    const megabytes = Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024
    t.comment(`RSS ${megabytes.toFixed(0)} MB, first start ${firstStartMs.toFixed(0)} ms`)
    // The goal is 250 MB at rest; what is measured at once after a start varies by some tens, so the limit leaves room.
    t.ok(megabytes <= 300, `${megabytes} MB`)
  })

  // PGlite has no lock: two processes on one directory lose data silently.
  whole.test('a second process on the directory is refused and does no harm', async (t) => {
    const before = await provisionAt(first, admin, 'before')
    t.match(
      await refusal(t, env),
      `ended with 1. It wrote:\nLatchkey cannot start: The data directory ${dataDir} is in use by another Latchkey process.`,
    )
    const third = await command(['bootstrap', '--force'], env)
    t.equal(third.code, 1)
    t.equal(third.stdout, '')
    t.equal((await selfAt(first, before.token)).status, 200)
    t.equal((await provisionAt(first, admin, 'after')).status, 200)
  })

  whole.test(
    'SIGTERM writes what is known of use, exits with 0, and a restart keeps everything',
    async (t) => {
      const { token } = await provisionAt(first, admin, 'kept')
      t.equal((await selfAt(first, token)).lastUsedAt, null)
      // Somebody who never finishes is no reason not to.
      const silent = connect(Number(new URL(first.url).port), 'localhost')
      silent.on('error', () => {}).write('GET /livez HTTP/1.1\r\nHost:')
      t.teardown(() => silent.destroy())
      t.equal(await first.stop(), 0)
      begun = performance.now()
      first = await started(whole, env)
      t.comment(`restart ${(performance.now() - begun).toFixed(0)} ms`)
      t.equal(await tokenOf(dataDir), admin)
      const kept = await selfAt(first, token)
      t.equal(kept.status, 200)
      t.type(kept.lastUsedAt, 'string', 'used before the stop')
    },
  )

  whole.test('kill -9 loses nothing that was acknowledged, and its lock is taken over', async (t) => {
    let acknowledged = 0
    const rounds = 3
    for (let round = 1; round <= rounds; round++) {
      const kept: string[] = []
      const dying = first
      let killed: Promise<number | null> | null = null
      const work = async (worker: number) => {
        for (let n = 0; n < 200; n++) {
          const made = await provisionAt(dying, admin, `r${round}w${worker}n${n}`).catch(() => null)
          if (made === null) return void t.ok(killed, 'only the kill ends it')
          if (made.status === 200) kept.push(made.token)
          if (kept.length >= 70) killed ??= dying.stop('SIGKILL')
        }
      }
      await Promise.all([1, 2, 3, 4].map(work))
      await killed
      first = await started(whole, env)
      acknowledged += kept.length
      for (const token of kept) {
        const { status } = await selfAt(first, token)
        if (status !== 200) t.fail(`round ${round}: an acknowledged token answers ${status}`)
      }
    }
    t.comment(`${rounds} kills, ${acknowledged} provisions acknowledged, all there`)
    t.ok(acknowledged >= 200)
  })

  whole.test('SIGTERM drops no request: readiness first, then what is under way, then the end', async (t) => {
    await first.stop()
    first = await started(whole, { ...env, LATCHKEY_DRAIN_SECONDS: '2' })
    const agent = new Agent({ keepAlive: true })
    let ready = true
    let answered = 0
    const dropped: (number | string)[] = []
    let stopped: Promise<number | null> | null = null
    // As a balancer does it: on kept connections, for as long as the process says that it is ready.
    const client = async () => {
      while (ready) {
        const outcome = await status(first.url, '/api/v1/tokens/self', agent, admin)
        if (outcome === 200) answered += 1
        else dropped.push(outcome)
        if (answered >= 200) stopped ??= first.stop()
      }
    }
    const underWay = slowRequest(first, admin)
    const clients = Array.from({ length: 20 }, client)
    while ((await status(first.url, '/readyz', agent, admin)) === 200);
    t.equal(await status(first.url, '/readyz', agent, admin), 503)
    t.equal(await status(first.url, '/livez', agent, admin), 200)
    ready = false
    await Promise.all(clients)
    // Nobody new is let in, but who has begun may finish.
    while ((await status(first.url, '/livez', agent, admin)) === 200);
    t.equal(await Promise.race([stopped, 'not yet']), 'not yet')
    t.match(await underWay.finish(), /^HTTP\/1.1 200 [\s\S]*^connection: close/im)
    const answeredAt = performance.now()
    t.equal(await stopped, 0)
    t.ok(performance.now() - answeredAt < 10_000, 'and no kept connection holds it up')
    t.same(dropped, [])
    t.comment(`${answered} answered, ${dropped.length} dropped`)
  })

  whole.test('of several processes that start at once after a kill, one at most serves', async (t) => {
    await (await started(t, env)).stop('SIGKILL')
    const all = await Promise.allSettled(Array.from({ length: 4 }, () => started(t, env)))
    const alive = all.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    t.ok(alive.length <= 1, `${alive.length} serve`)
    for (const one of alive) await one.stop()
    const after = await started(t, env)
    t.equal((await selfAt(after, admin)).status, 200)
    await after.stop()
  })
})

t.test(
  'a first start that is killed on the way leaves nothing that the next one stumbles over',
  async (t) => {
    const dataDir = await dataDirectory(t)
    const child = spawn(process.execPath, [mainFile], {
      env: { PATH: process.env['PATH'], LATCHKEY_DATA_DIR: dataDir, LATCHKEY_PORT: '0' },
    })
    for await (const { filename } of watch(dataDir)) if (filename?.startsWith('store.new')) break
    child.kill('SIGKILL')
    await once(child, 'exit')
    const next = await started(t, { LATCHKEY_DATA_DIR: dataDir })
    t.equal((await selfAt(next, await tokenOf(dataDir))).status, 200)
  },
)

t.test('a directory of another version is refused with what to do', async (t) => {
  const folder = await dataDirectory(t)
  await mkdir(join(folder, 'store'))
  await writeFile(join(folder, 'format'), 'pglite-0.1/postgresql-15\n')
  t.match(
    await refusal(t, { LATCHKEY_DATA_DIR: folder }),
    /ended with 1\.[\s\S]*was written by another version.*\n$/,
  )
})

t.test('`latchkey serve` is the service itself: SIGTERM ends it, and nothing of it goes on', async (t) => {
  const cwd = await dataDirectory(t)
  const serving = await startProcess({ cwd, command: [process.execPath, cliFile, 'serve'] })
  t.teardown(() => serving.stop('SIGKILL'))
  t.equal(await serving.stop(), 0)
  await t.rejects(fetch(`${serving.url}/livez`))
})

t.test('an unknown command says what there is', async (t) => {
  t.match(await command(['bootstarp'], {}), {
    code: 2,
    stdout: '',
    stderr: /Unknown command 'bootstarp' \(Did you mean bootstrap\?\)/,
  })
  t.match(await command([], {}), { code: 0, stdout: /Usage/ })
  t.match(await command(['migrate'], { DATABASE_URL: 'x' }), {
    code: 2,
    stdout: '',
    stderr: /DATABASE_URL must be/,
  })
})

/** A request of which half is sent at once, and the rest when it is told to finish; resolves to the answer. */
function slowRequest({ url }: LatchkeyProcess, secret: string): { finish(): Promise<string> } {
  const body = '{"name":"slow","subject":"u"}'
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => (answer += chunk))
  const lines = [
    'POST /api/v1/tokens HTTP/1.1',
    'Host: lk',
    `Authorization: Bearer ${secret}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
  ]
  socket.write(`${lines.join('\r\n')}\r\n\r\n{`)
  return {
    async finish() {
      socket.write(body.slice(1))
      await once(socket, 'close')
      return answer
    },
  }
}

/** The status, or why there is none. One connection may be used for many. */
function status(url: string, path: string, agent: Agent, secret: string): Promise<number | string> {
  return new Promise((resolve) => {
    get(url + path, { agent, headers: bearer(secret) }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.complete ? response.statusCode! : 'cut short'))
    }).on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  })
}
